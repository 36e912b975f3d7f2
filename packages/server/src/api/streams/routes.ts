/** Streams: make, look at, change, trim, delete; who did what to them. */
import type { StreamStat } from '@millrace/engine'
import { isObject } from '@millrace/sdk'
import type { AuditLine, StreamSettings } from '../../control/types.ts'
import { maxPositionText, parsePosition, positionDoc } from '../../http/position.ts'
import { anything, flag, type Infer, object, orNull, text, whole } from '../../http/schema.ts'
import type { StreamInfo } from '../../streams/types.ts'
import {
  type AddRoutes,
  answerPage,
  answers,
  base,
  doc,
  iso,
  maybeMoment,
  moment,
  nothing,
  offsetNumber,
  pageOf,
  pageQuery,
  streamParams,
} from '../api.ts'

const most = { minimum: 1, maximum: Number.MAX_SAFE_INTEGER }
const maxAgeMs = whole({ ...most, description: 'records older than this go' })
const maxBytes = whole({ ...most, description: 'the oldest records go when there are more bytes' })
const maxRecords = whole({ ...most, description: 'the oldest records go when there are more' })
const settings = object(
  {},
  {
    maxAgeMs,
    maxBytes,
    maxRecords,
    amqp: flag({ description: 'stands behind the exchange streams.NAME, where the log is in RabbitMQ' }),
  },
  { description: 'What is kept. What is left out is not limited.' },
)

const changedSettings = object(
  {},
  {
    maxAgeMs: orNull(maxAgeMs),
    maxBytes: orNull(maxBytes),
    maxRecords: orNull(maxRecords),
    amqp: flag({ description: 'as the stream was made: it cannot be changed' }),
  },
  { description: 'What is left out stays; null lifts a limit.' },
)

const rights = object({ isOwner: flag(), isProducer: flag(), isConsumer: flag() })

const streamInfo = object({
  id: text(),
  name: text(),
  displayName: text(),
  description: text(),
  contentType: text({ description: 'of records that come without one' }),
  settings,
  createdAt: moment,
  activeSchemaId: orNull(text()),
  activeKeyId: orNull(text()),
  rights: orNull(rights),
})

const settingsOf = ({ maxAgeMs, maxBytes, maxRecords, amqp }: StreamSettings): Infer<typeof settings> => ({
  ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
  ...(maxBytes === undefined ? {} : { maxBytes }),
  ...(maxRecords === undefined ? {} : { maxRecords }),
  ...(amqp === undefined ? {} : { amqp }),
})

const showStream = (s: StreamInfo): Infer<typeof streamInfo> => ({
  id: s.id,
  name: s.name,
  displayName: s.displayName,
  description: s.description,
  contentType: s.contentType,
  settings: settingsOf(s.settings),
  createdAt: iso(s.createdAt),
  activeSchemaId: s.activeSchemaId ?? null,
  activeKeyId: s.activeKeyId ?? null,
  rights:
    s.rights === undefined
      ? null
      : { isOwner: s.rights.isOwner, isProducer: s.rights.isProducer, isConsumer: s.rights.isConsumer },
})

const stat = object({
  first: { ...offsetNumber, description: 'the offset of the oldest record that is kept' } as typeof offsetNumber,
  next: { ...offsetNumber, description: 'the offset that the next record will have' } as typeof offsetNumber,
  bytes: whole(),
  lastAt: maybeMoment,
})
const showStat = (s: StreamStat): Infer<typeof stat> => ({
  first: Number(s.first),
  next: Number(s.next),
  bytes: s.bytes,
  lastAt: s.lastAt === undefined ? null : iso(s.lastAt),
})

const displayName = text({ minLength: 1, maxLength: 200 })
const description = text({ maxLength: 2000 })
const contentType = text({
  minLength: 3,
  maxLength: 200,
  pattern: '^[\\w.+-]+/[\\w.+-]+( *; *[\\w.+-]+="?[\\w.+-]+"?)*$',
})

const auditLine = object({
  seq: whole(),
  at: moment,
  by: object({ type: text(), id: text() }),
  action: text(),
  streamId: orNull(text()),
  subject: orNull(text()),
  details: anything(),
})
const showAudit = (line: AuditLine): Infer<typeof auditLine> => ({
  seq: Number(line.seq),
  at: iso(line.at),
  by: { type: line.by.type, id: line.by.id },
  action: line.action,
  streamId: line.streamId ?? null,
  subject: line.subject ?? null,
  details: isObject(line.details) ? line.details : {},
})

export const addStreams: AddRoutes = (app, { service }) => {
  const one = `${base}/streams/:stream`
  app.post(
    `${base}/streams`,
    {
      schema: {
        ...doc('createStream', 'streams', 'Make a stream; who makes it owns it.'),
        body: object(
          {},
          {
            name: text({ minLength: 1, maxLength: 200, description: 'letters, digits and . _ -' }),
            displayName,
            description,
            contentType,
            settings,
          },
        ),
        response: answers(201, streamInfo),
      },
    },
    async (request, reply) => {
      const made = await service.streams.create(request.caller, request.body)
      void reply.header('location', `${base}/streams/${encodeURIComponent(made.name)}`)
      return await reply.code(201).send(showStream(made))
    },
  )
  app.get(
    `${base}/streams`,
    {
      schema: {
        ...doc('listStreams', 'streams', 'The streams that one may see, in the order of names.'),
        querystring: object(
          {},
          { ...pageQuery, prefix: text({ maxLength: 200, description: 'only names that begin so' }) },
        ),
        response: answers(200, pageOf(streamInfo)),
      },
    },
    async (request) => answerPage(await service.streams.list(request.caller, request.query), showStream),
  )
  app.get(
    one,
    {
      schema: {
        ...doc('getStream', 'streams', 'A stream.'),
        params: streamParams,
        response: answers(200, streamInfo),
      },
    },
    async (request) => showStream(await service.streams.get(request.caller, request.params.stream)),
  )
  app.get(
    `${one}/stat`,
    {
      schema: {
        ...doc('getStreamStat', 'streams', 'What a stream holds now.'),
        params: streamParams,
        response: answers(200, stat),
      },
    },
    async (request) => showStat(await service.streams.stat(request.caller, request.params.stream)),
  )
  app.patch(
    one,
    {
      schema: {
        ...doc('updateStream', 'streams', 'Change a stream; what is left out stays.'),
        params: streamParams,
        body: object({}, { displayName, description, contentType, settings: changedSettings }),
        response: answers(200, streamInfo),
      },
    },
    async (request) => showStream(await service.streams.update(request.caller, request.params.stream, request.body)),
  )
  app.delete(
    one,
    {
      schema: {
        ...doc('deleteStream', 'streams', 'Delete a stream with its records, marks, groups and grants.'),
        params: streamParams,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await service.streams.delete(request.caller, request.params.stream)
      return await reply.code(204).send(undefined)
    },
  )
  app.post(
    `${one}/trim`,
    {
      schema: {
        ...doc('trimStream', 'streams', 'Forget the records before a position.'),
        params: streamParams,
        body: object({ before: text({ minLength: 1, maxLength: maxPositionText, description: positionDoc }) }),
        response: answers(200, stat),
      },
    },
    async (request) =>
      showStat(await service.streams.trim(request.caller, request.params.stream, parsePosition(request.body.before))),
  )
  app.get(
    `${one}/audit`,
    {
      schema: {
        ...doc('getStreamAudit', 'audit', 'What was done to a stream and who read it, newest first.'),
        params: streamParams,
        querystring: object({}, pageQuery),
        response: answers(200, pageOf(auditLine)),
      },
    },
    async (request) =>
      answerPage(await service.streams.audit(request.caller, request.params.stream, request.query), showAudit),
  )
  app.get(
    `${base}/audit`,
    {
      schema: {
        ...doc('getAudit', 'audit', 'What was done on this manager, newest first; administrators only.'),
        querystring: object({}, pageQuery),
        response: answers(200, pageOf(auditLine)),
      },
    },
    async (request) => answerPage(await service.audit(request.caller, request.query), showAudit),
  )
}
