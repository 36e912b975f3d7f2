/** Files that come in parts, each with its MD5: begun, sent in any order, fetched again. */
import type { Readable } from 'node:stream'
import type { Offset } from '@millrace/engine'
import { isMillraceError, type JsonObject, MillraceError } from '@millrace/sdk'
import type { Batch } from '../../control/types.ts'
import type { Principal } from '../../domain/access.ts'
import { collectBody } from '../../http/collect-body.ts'
import type { Http } from '../../http/server.ts'
import type { StreamService } from '../../streams/stream-service.ts'
import type { StreamInfo } from '../../streams/types.ts'
import { activeOf, batchJson, batchRecord, beginOf } from './batch-json.ts'
import { type AddRoutes, bodyOf, invalid, paramsOf, type StreamDuo } from './context.ts'
import { boundaryOf, formField } from './multipart.ts'
import { keyJson, schemaJson } from './parts.ts'
import { jsonType, listJson, type Page } from './records-json.ts'
import { Turns } from '../turns.ts'

/** Bytes of one part, at most; StreamDuo cuts files into parts of 5 MiB. */
const maxPartBytes = 16 * 1024 * 1024
/** Parts that are taken at once; others wait, unread, so that memory has a bound. */
const maxPartsAtOnce = 8
/** Without a byte of a part, milliseconds. */
const idleMs = 60_000
/** Batches that are shown as unread, at most. */
const maxUnread = 1000

const partOf = (text: string): number => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw invalid('a part is a number from 1 on')
  return Number(text)
}

/** A batch, with the schema and the key that were active when it began. */
const show = async ({ service }: StreamDuo, p: Principal, batch: Batch): Promise<JsonObject> => {
  const { schemaId, keyId } = activeOf(batch)
  const found = async <T>(look: Promise<T>): Promise<T | undefined> =>
    await look.catch((e: unknown) => {
      if (isMillraceError(e) && e.code === 'SCHEMA_UNKNOWN') return undefined
      throw e
    })
  const schema = schemaId === null ? undefined : await found(service.parts.schema(p, batch.streamId, schemaId))
  const key = keyId === null ? undefined : await service.parts.key(p, batch.streamId, keyId)
  return batchJson(batch, {
    streamSchema: schema === undefined ? null : schemaJson(schema),
    streamPublicKey: key === undefined ? null : keyJson(key),
  })
}

export const addBatches: AddRoutes = (app, duo) => {
  const { service } = duo

  app.post('/stream/:stream/batch/init', async (request) => {
    const { caller } = request
    const stream = await service.streams.get(caller, paramsOf(request).stream)
    const active = { schemaId: stream.activeSchemaId ?? null, keyId: stream.activeKeyId ?? null }
    const begin = { ...beginOf(bodyOf(request), active), record: batchRecord }
    return await show(duo, caller, await service.batches.begin(caller, stream.id, begin))
  })

  app.get('/stream/:stream/batch/:id', async (request) => {
    const { stream, id } = paramsOf(request)
    return await show(duo, request.caller, await service.batches.get(request.caller, stream, id))
  })

  app.get('/stream/:stream/batch/:id/get-part/:part', async (request, reply) => {
    const { stream, id, part } = paramsOf(request)
    const bytes = await service.batches.getPart(request.caller, stream, id, partOf(part))
    return await reply.type('application/octet-stream').send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  })

  app.get('/stream/:stream/batch/unread', async (request, reply) => {
    const { caller } = request
    const stream = await service.streams.get(caller, paramsOf(request).stream)
    return await reply.type(jsonType).send(await unread(duo, caller, stream))
  })

  void app.register(async (scope) => addUpload(scope as unknown as Http, duo))
}

const addUpload: AddRoutes = (app, duo) => {
  const { service } = duo
  const turns = new Turns(maxPartsAtOnce)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  app.post(
    '/stream/:stream/batch/:id/upload-part/:part',
    { config: { streams: true }, bodyLimit: maxPartBytes + 64 * 1024 },
    async (request) => {
      const { stream, id, part } = paramsOf(request)
      const number = partOf(part)
      const boundary = boundaryOf(request.headers['content-type'])
      // Before a byte is read: whoever may not, or asks for what is not there, is told so at once.
      await service.batches.get(request.caller, stream, id)
      return await turns.take(async () => {
        const body = await collectBody((request.body ?? request.raw) as Readable, {
          maxBytes: maxPartBytes + 64 * 1024,
          idleMs,
        })
        const bytes = formField(body, boundary, 'file')
        if (bytes.length > maxPartBytes)
          throw new MillraceError('REQUEST_TOO_LARGE', {
            what: 'a part',
            maxBytes: maxPartBytes,
            fix: 'Cut the file into smaller parts.',
          })
        const upload = { batch: id, part: number, bytes, record: batchRecord }
        return await show(duo, request.caller, await service.batches.putPart(request.caller, stream, upload))
      })
    },
  )
}

/** The records of files that nobody has read, oldest first. */
const unread = async ({ service }: StreamDuo, p: Principal, stream: StreamInfo): Promise<Buffer> => {
  const found: Buffer[] = []
  for (let after: string | undefined; ; ) {
    const page = await service.batches.list(p, stream.id, { after, limit: 1000 })
    for (const { offset } of page.items) {
      const page = offset === undefined ? undefined : await unreadAt(service, { p, stream, offset })
      // Without the brackets of its list.
      if (page !== undefined && found.length < maxUnread)
        found.push(listJson(page, stream, { service }).subarray(1, -1))
    }
    after = page.next
    if (after === undefined || found.length >= maxUnread) break
  }
  const parts = found.flatMap((one, i) => (i === 0 ? [one] : [Buffer.from(','), one]))
  return Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']')])
}

/** The record at an offset, if it is there and nobody has read it. */
const unreadAt = async (
  service: StreamService,
  { p, stream, offset }: { readonly p: Principal; readonly stream: StreamInfo; readonly offset: bigint },
): Promise<Page | undefined> => {
  const from = { from: 'offset', offset: offset as Offset } as const
  try {
    const { batches, readBefore = [] } = await service.records.read(p, stream.id, {
      from,
      limit: 1,
      as: 'shared',
      withStatus: true,
    })
    return readBefore.length > 0 || batches.length === 0 ? undefined : { batches, readBefore }
  } catch (e) {
    if (isMillraceError(e) && e.code === 'LOG_OFFSET_TRIMMED') return undefined
    throw e
  }
}
