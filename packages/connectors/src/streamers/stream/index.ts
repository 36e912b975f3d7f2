import { choice, defineStreamer, type Field, flag, type Streamer, text, whole } from '@millrace/sdk'
import { type ManagerSettings, managerSettings } from '../../manager/client.ts'

export interface StreamSettings extends ManagerSettings {
  readonly start: string
  readonly form: 'auto' | 'messages' | 'records'
  readonly substream: string | undefined
  readonly follow: boolean
  readonly pollMs: number
  readonly pageRecords: number
}

const config: typeof managerSettings & { readonly [K in keyof StreamSettings]: Field<StreamSettings[K]> } = {
  ...managerSettings,
  start: text({
    doc: 'Where to begin when there is no state: first, next (only what comes), last:N, offset:N, or a time',
    default: 'first',
  }),
  form: choice(['auto', 'messages', 'records'], {
    doc: 'What the stream holds. messages: those of the format, as the `stream` persister makes them, which are passed on as they are; records: bare records; auto: as the content type of the stream says',
    default: 'auto',
  }),
  substream: text({ doc: 'What bare records are called; the name of the stream where it is left out', optional: true }),
  follow: flag({
    doc: 'Go on with what comes, until stopped; else end at what was there at the start',
    default: false,
  }),
  pollMs: whole({ doc: 'With follow: the wait before asking again when there was nothing new', default: 250, min: 1 }),
  pageRecords: whole({ doc: 'Records of one request, at most', default: 10_000, min: 1, max: 10_000 }),
}

/** A stream of a manager as a source: docs/reference/stream.md. */
export const stream: Streamer = defineStreamer({
  name: 'stream',
  doc: 'Reads a stream of a manager, from where the last run got to; what a tap put into it comes out as it went in, with its schemas and deletes.',
  config,
  reference: {
    substreams: 'Those of whoever filled the stream; bare records are one substream with the name of the stream.',
    state: {
      example: { stream: '0199f2a4-5b7e-7c1d-9f3a-2d1c5e8b7a60', offset: 1042, schemas: { orders: 1000 } },
      doc: '`offset` is where to go on, and `schemas` says where the schema in force of each substream stands. The id of the stream tells one that was made anew.',
    },
    page: 'stream.md',
  },
  // Whoever filled the stream knows them.
  substreams: () => [],
  program: {
    discover: async (ctx) => await (await import('./read.ts')).discoverStream(ctx),
    sync: async (ctx) => await (await import('./read.ts')).readStream(ctx),
  },
  check: async (ctx) => await (await import('./read.ts')).checkStream(ctx),
})
