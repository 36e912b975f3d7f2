import { definePersister, type Persister, type PersisterContext, whole } from '@millrace/sdk'
import { type StreamClient, streamClient, streamSettings } from '../../streamduo/settings.ts'
import { StreamDuoSession } from './session.ts'

const config = {
  ...streamSettings,
  maxConcurrent: whole({
    doc: 'Requests under way at once; with more than 1 records may arrive in another order',
    default: 1,
    min: 1,
    max: 50,
  }),
}

/** Records into a stream of StreamDuo. */
export const streamduo: Persister = definePersister({
  name: 'streamduo',
  doc: 'Writes each record into a StreamDuo stream, as the payload of a record of its own.',
  config,
  reference: { page: 'streamduo.md' },
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  // A record is a request: what is kept until it is sent stays small, and states come back soon.
  flushes: { records: 1000, bytes: 4 * 1024 * 1024, ms: 5000 },
  open: async (ctx) => new StreamDuoSession(open(ctx), ctx.config.maxConcurrent),
  check: async (ctx) => {
    const { client, path } = open(ctx)
    try {
      // Whoever may only write is told 403 of a read: it was let in, and the stream is there.
      const asked = {
        readRecordRequestType: 'LAST_N',
        recordCount: 1,
        markAsRead: false,
        recordId: null,
        recordTimeStampISO: null,
      }
      await client.request({
        method: 'POST',
        path: `${path}/record-request`,
        body: JSON.stringify(asked),
        idempotent: true,
        accept: [403],
        headers: { 'content-type': 'application/json' },
      })
    } finally {
      client.close()
    }
  },
  plan: async (ctx, schemas) =>
    schemas.map(({ stream }) => `stream ${ctx.config.streamId} of StreamDuo: a record for each of ${stream}`),
})

const open = (ctx: PersisterContext<typeof config>): StreamClient =>
  streamClient(ctx.config, {
    side: 'destination',
    signal: ctx.signal,
    log: ctx.log,
    maxConcurrent: ctx.config.maxConcurrent,
  })
