import { bytes, choice, definePersister, flag, type Persister, type PersisterContext } from '@millrace/sdk'
import type { HttpClient } from '@millrace/sdk/http'
import {
  createStream,
  findStream,
  managerClient,
  managerSettings,
  messagesType,
  unknownStream,
} from '../../manager/client.ts'

const config = {
  ...managerSettings,
  form: choice(['auto', 'messages', 'records'], {
    doc: 'What goes into the stream. messages: records with their substream, schemas and deletes, for the `stream` streamer to hand on; records: the bare records; auto: as the content type of the stream says',
    default: 'auto',
  }),
  create: flag({ doc: 'Make the stream where there is none of that name', default: true }),
  batchBytes: bytes({ doc: 'Bytes of one request, about', default: 4 * 1024 * 1024, min: 1024 }),
}

/** A stream of a manager as a destination: docs/reference/stream.md. */
export const stream: Persister = definePersister({
  name: 'stream',
  doc: 'Puts records into a stream of a manager, durably, with their schemas and deletes, for any number of readers.',
  config,
  reference: { page: 'stream.md' },
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  open: async (ctx) => {
    const { config, log } = ctx
    const { StreamSession } = await import('./session.ts')
    const client = clientOf(ctx)
    try {
      const found = await findStream(client, config.stream)
      if (found === undefined && !config.create) throw unknownStream(config.stream)
      const stream = found ?? (await createStream(client, config))
      const isMessages = config.form === 'messages' || (config.form === 'auto' && stream.contentType === messagesType)
      if (isMessages && stream.contentType !== messagesType)
        log.warn('the content type of the stream does not say that it holds messages; its readers have to', {
          stream: stream.name,
          contentType: stream.contentType,
        })
      return new StreamSession({ client, stream, isMessages, batchBytes: config.batchBytes })
    } catch (e) {
      client.close()
      throw e
    }
  },
  check: async (ctx) => {
    const client = clientOf(ctx)
    try {
      if ((await findStream(client, ctx.config.stream)) === undefined && !ctx.config.create)
        throw unknownStream(ctx.config.stream)
    } finally {
      client.close()
    }
  },
  plan: async (ctx) => {
    const client = clientOf(ctx)
    try {
      const found = await findStream(client, ctx.config.stream)
      if (found === undefined && !ctx.config.create) throw unknownStream(ctx.config.stream)
      return found === undefined ? [`create stream ${ctx.config.stream}`] : []
    } finally {
      client.close()
    }
  },
})

const clientOf = (ctx: PersisterContext<typeof config>): HttpClient =>
  managerClient(ctx.config, {
    side: 'destination',
    scope: ctx.config.create ? 'records:write streams:manage' : 'records:write',
    signal: ctx.signal,
    log: ctx.log,
  })
