/** Records: written one by one, read by requests, marked. */
import { RecordBatch } from '@millrace/engine'
import { encodeJson } from '@millrace/sdk'
import type { FastifyRequest } from 'fastify'
import { type AddRoutes, bodyOf, invalid, optionalText, paramsOf } from './context.ts'
import { readJson } from './read.ts'
import { countOf, maxRead, readAsked } from './read-request.ts'
import { jsonType, oneJson } from './records-json.ts'

/** A client that wants the stamps and ids alone says so (RFC 7240). */
const isBare = ({ headers: { prefer } }: FastifyRequest): boolean => /\breturn=minimal\b/i.test(String(prefer ?? ''))

export const addRecords: AddRoutes = (app, { service }) => {
  app.post('/stream/:stream/record', async (request, reply) => {
    const { caller } = request
    const stream = await service.streams.get(caller, paramsOf(request).stream)
    const body = bodyOf(request)
    const payload = body['dataPayload']
    if (payload === undefined) throw invalid('dataPayload is missing')
    const key = optionalText(body, 'recordId')
    const bytes = Buffer.from(encodeJson(payload))
    const records = RecordBatch.of([{ key, body: bytes, contentType: 'application/json' }])
    const idempotencyKey = request.headers['idempotency-key']
    const { first, at } = await service.records.publish(caller, stream.id, records, {
      idempotencyKey: typeof idempotencyKey === 'string' && idempotencyKey !== '' ? idempotencyKey : undefined,
    })
    const [id = ''] = service.records.ids(stream, { first, at, records })
    const written = { id, offset: first, at, key, contentType: 'application/json', body: bytes, wasRead: false }
    return await reply.type(jsonType).send(Buffer.concat(oneJson(written, stream)))
  })

  app.post('/stream/:stream/record-request', async (request, reply) => {
    const { caller } = request
    const stream = await service.streams.get(caller, paramsOf(request).stream)
    const asked = readAsked(bodyOf(request))
    return await reply
      .type(jsonType)
      .send(await readJson({ service, principal: caller, stream, bare: isBare(request) }, asked))
  })

  app.get('/stream/:stream/record/unread', async (request, reply) => {
    const { caller } = request
    const stream = await service.streams.get(caller, paramsOf(request).stream)
    const { count } = request.query as { readonly count?: string }
    const asked = { is: 'unread', count: Math.min(countOf(count), maxRead), markRead: true } as const
    return await reply.type(jsonType).send(await readJson({ service, principal: caller, stream }, asked))
  })

  app.post('/stream/:stream/record/:id/mark-read', async (request) => {
    const { stream, id } = paramsOf(request)
    await service.records.markRead(request.caller, stream, { ids: [id], as: 'shared' })
    return { status: 'Success' }
  })
}
