import { bookmark, choice, defineStreamer, number, type Streamer, text, whole } from '@millrace/sdk'
import { loadSubstream, writtenBefore } from './load.ts'

/**
 * The smallest streamer there is: `count` greetings, resumable. With `shape` narrow or wide it is a source of load
 * instead (load.ts): the same settings give the same records on every machine.
 */
export const hello: Streamer = defineStreamer({
  name: 'hello',
  doc: 'Says hello, as often as asked; also makes load for tests and benchmarks.',
  config: {
    name: text({ doc: 'Who is greeted', default: 'world' }),
    count: whole({ doc: 'How many records', default: 1, min: 0 }),
    shape: choice(['hello', 'narrow', 'wide'], {
      doc: 'hello: greetings; narrow: records of 3 fields (points); wide: records of 12 fields, about 330 bytes (orders)',
      default: 'hello',
    }),
    updates: number({
      doc: 'Share of the records that are newer versions of earlier ones (narrow, wide)',
      default: 0,
      min: 0,
      max: 0.99,
    }),
    stateEvery: whole({ doc: 'Records between two states', default: 10_000, min: 1 }),
    seed: whole({ doc: 'Other numbers give other records (narrow, wide)', default: 1, min: 0, max: 2 ** 31 }),
  },
  reference: {
    settings: {},
    substreams: 'With the shape narrow it is `points`, with wide `orders`',
    state: {
      doc: 'The bookmark is the number of records written',
      example: { bookmarks: { hello: { bookmark: 1 } } },
    },
  },
  substreams: ({ config }) =>
    config.shape === 'hello'
      ? [
          {
            name: 'hello',
            keyProperties: ['id'],
            schema: { type: 'object', properties: { id: { type: 'integer' }, value: { type: 'string' } } },
            records: function* (ctx) {
              for (let id = writtenBefore(ctx.bookmark) + 1; id <= config.count; id++) {
                yield { id, value: `Hello, ${config.name}!` }
                if (id % config.stateEvery === 0 || id === config.count) yield bookmark(id)
              }
            },
          },
        ]
      : [loadSubstream(config.shape, config)],
})
