import {
  choice,
  defineStreamer,
  json,
  type Streamer,
  type StreamerContext,
  type Substream,
  text,
  whole,
} from '@millrace/sdk'
import { authSettings, clientFor, patienceSettings, secretParameters } from '../../http/settings.ts'
import { HeldSchema } from './held-schema.ts'
import { findSchema, readSubstream } from './read.ts'
import { type SubstreamSpec, substreamSpecs } from './substream-spec.ts'
import { type Api, traverse } from './traverse.ts'

const config = {
  baseUrl: text({ doc: 'What the paths are appended to', example: 'https://api.example.com/v1' }),
  substreams: json({ doc: 'What to read: the name of each substream, and its path, records, pages and keys' }),
  pages: json({ doc: 'How pages are linked, for substreams that do not say it themselves', default: {} }),
  ...authSettings,
  ...patienceSettings,
  maxPages: whole({ doc: 'More pages than this are taken for a fault of the server', default: 1_000_000, min: 1 }),
  inferRecords: whole({
    doc: 'Records from which a schema is inferred, of at most 5 pages (50 of children)',
    default: 1000,
    min: 1,
  }),
  schemaFolder: text({ doc: 'A folder that keeps the inferred schemas from run to run', optional: true }),
  onSchemaChange: choice(['widen', 'refuse'], {
    doc: 'When a record does not fit a schema that was given or kept: widen the schema, or end',
    default: 'widen',
  }),
}
type Context = StreamerContext<typeof config>

/** Any JSON API that pages, by its settings alone. */
export const http: Streamer = defineStreamer({
  name: 'http',
  doc: 'Reads any JSON API that comes in pages, by its settings alone; later runs only what is new, where the API can tell.',
  config,
  reference: {
    page: 'http.md',
    substreams: 'those that the setting `substreams` names; their fields are inferred from the first pages, or given',
    state: {
      example: { bookmarks: { orders: { bookmark: { since: '2026-01-05T09:00:00Z' } } } },
      doc: '`since` is the greatest value of the replication key seen. In the middle of a run `page` says where to go on.',
    },
  },
  substreams: (ctx) => {
    const api = apiFor(ctx)
    return specsOf(ctx).map((spec) => substreamFor(spec, api, ctx))
  },
  check: async (ctx) => {
    const api = apiFor(ctx)
    for (const spec of specsOf(ctx)) {
      await HeldSchema.open(spec, { folder: ctx.config.schemaFolder, onChange: 'widen' })
      if (spec.parent !== undefined) continue
      // The first page tells whether the credentials, the path and the place of the records are right.
      for await (const _ of traverse(api, spec, { start: spec.startFrom })) break
    }
    api.client.close()
  },
})

const specsOf = (ctx: Context): readonly SubstreamSpec[] => substreamSpecs(ctx.config.substreams, ctx.config.pages)

const apiFor = (ctx: Context): Api => ({
  client: clientFor(ctx.config, {
    baseUrl: ctx.config.baseUrl,
    side: 'source',
    signal: ctx.signal,
    log: ctx.log,
  }),
  maxPages: ctx.config.maxPages,
  maxConcurrent: ctx.config.maxConcurrent,
  secretParameters: secretParameters(ctx.config),
})

const substreamFor = (spec: SubstreamSpec, api: Api, { config: c }: Context): Substream<typeof config> => {
  const open = (): Promise<HeldSchema> => HeldSchema.open(spec, { folder: c.schemaFolder, onChange: c.onSchemaChange })
  return {
    name: spec.name,
    schema: spec.schema ?? { type: 'object', properties: {} },
    keyProperties: spec.keys,
    replicationMethod: spec.replicationKey === undefined ? 'FULL_TABLE' : 'INCREMENTAL',
    selectedByDefault: spec.selected,
    versioned: spec.versioned,
    findSchema: async () => findSchema(api, spec, await open(), c.inferRecords),
    records: async function* (ctx) {
      yield* readSubstream({
        api,
        spec,
        held: await open(),
        from: ctx.bookmark,
        inferRecords: c.inferRecords,
        log: ctx.log,
        signal: ctx.signal,
      })
    },
  }
}
