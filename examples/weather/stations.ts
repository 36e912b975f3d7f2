import { bookmark, defineStreamer, type Streamer, unchanged } from '@millrace/sdk'

const list = [
  { code: 'LIS', city: 'Lisbon' },
  { code: 'ZRH', city: 'Zürich' },
]

export const stations: Streamer = defineStreamer({
  name: 'stations',
  doc: 'All stations there are now.',
  config: {},
  substreams: () => [
    {
      name: 'stations',
      schema: { type: 'object', properties: { code: { type: 'string' }, city: { type: 'string' } } },
      keyProperties: ['code'],
      versioned: true,
      records: function* (ctx) {
        const print = list.map((s) => s.code).join()
        if (ctx.bookmark === print) {
          yield unchanged
          return
        }
        yield list
        yield bookmark(print)
      },
    },
  ],
})
