import { choice, defineStreamer, flag, json, list, MillraceError, type Streamer, text } from '@millrace/sdk'
import { storeSettings } from '../../object-store/settings.ts'
import { encodings } from './blocks.ts'
import { readGroup, schemaOfGroup } from './read.ts'
import { findFiles, type SourceFile } from './sources.ts'

const config = {
  path: list({ doc: 'Files, folders or globs; also s3://BUCKET/KEY with a glob', example: 'data/*.csv' }),
  format: choice(['auto', 'csv', 'jsonl', 'parquet'], {
    doc: 'auto: by the extension, else by the first byte',
    default: 'auto',
  }),
  substream: text({
    doc: 'One substream of this name for all files; left out: one for each file name',
    optional: true,
  }),
  keys: list({ doc: 'Fields that identify a record', default: [] }),
  schema: json({
    doc: 'JSON Schema of some or all fields; those left out are inferred',
    default: {},
    example: '{"properties":{"zip":{"type":"string"}}}',
  }),
  delimiter: text({ doc: 'CSV: what stands between cells; auto finds , ; tab or |', default: 'auto' }),
  quote: text({ doc: 'CSV: what cells are quoted with; empty where nothing is', default: '"' }),
  header: flag({ doc: 'CSV: whether the first row names the columns', default: true }),
  nullText: text({ doc: 'CSV: a cell of this text, not quoted, is null', default: '' }),
  encoding: choice(encodings, { doc: 'Encoding of the files', default: 'utf-8' }),
  ...storeSettings,
}

/** CSV, JSON lines and Parquet, of this machine or of a bucket, plain or compressed; later runs read what was appended and what is new. */
export const files: Streamer = defineStreamer({
  name: 'files',
  doc: 'Reads CSV, JSON lines and Parquet, also gzip and zstd, from folders and buckets; later runs only what is new.',
  config,
  reference: {
    substreams: 'One for each file name, or the one that `substream` names; the fields are those of the files',
    state: {
      doc: 'For each file how far it was read and by what it is known again; `columns`: the types found so far',
      example: {
        bookmarks: {
          orders: {
            bookmark: {
              files: {
                'data/orders.csv': {
                  size: 8,
                  modifiedMs: 1795871293180,
                  offset: 8,
                  lines: 2,
                  marks: '1e3787b03ddbbdac',
                },
              },
              columns: { id: 'integer' },
            },
          },
        },
      },
    },
    page: 'source-files.md',
  },
  check: async (ctx) => {
    await findFiles(ctx.config)
  },
  substreams: async (ctx) => {
    const groups = new Map<string, SourceFile[]>()
    for (const file of await findFiles(ctx.config)) {
      const group = groups.get(file.substream)
      if (group === undefined) groups.set(file.substream, [file])
      else group.push(file)
    }
    return await Promise.all(
      [...groups].map(async ([name, group]) => {
        const schema = await schemaOfGroup(group, ctx.config)
        const missing = ctx.config.keys.filter((k) => !Object.hasOwn(schema['properties'] as object, k))
        if (missing.length > 0)
          throw new MillraceError('SOURCE_REFUSED', {
            what: `substream ${name}`,
            why: `has no field ${missing.join(', ')} to be its key`,
            fix: 'Correct --keys; fields are named as in the header of the file.',
          })
        return {
          name,
          schema,
          keyProperties: ctx.config.keys,
          replicationMethod: 'INCREMENTAL' as const,
          records: (c) => readGroup(group, ctx.config, { ...c, schema }),
        }
      }),
    )
  },
})
