/** Reading: pages, one record, its history; what is read and who has not. */
import { isUtf8 } from 'node:buffer'
import type { Principal } from '../../domain/access.ts'
import { maxPositionText, parsePosition, positionDoc } from '../../http/position.ts'
import { flag, type Infer, listOf, object, oneOf, text, whole } from '../../http/schema.ts'
import type { Marks } from '../../streams/types.ts'
import {
  actor,
  type AddRoutes,
  answerPage,
  answers,
  base,
  doc,
  offsetNumber,
  pageOf,
  pageQuery,
  paramsOf,
  streamParams,
  written,
} from '../api.ts'
import { eventsForm, linesOf, pageSchema, recordJson, recordSchema, recordsJson } from './shapes.ts'

const as = oneOf(['self', 'shared'], {
  description: 'whose read status: one’s own, or the one that all consumers of the stream share',
})

const marks = object(
  {},
  {
    ids: listOf(text({ minLength: 1, maxLength: 400 }), {
      maxItems: 10_000,
      description: 'ids of records; the key of a publisher means its newest version',
    }),
    ranges: listOf(object({ first: offsetNumber, next: offsetNumber }), {
      maxItems: 10_000,
      description: 'offsets from `first` up to, but not including, `next`',
    }),
    before: whole({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'all before this offset' }),
    as,
  },
)
const marksOf = (m: Infer<typeof marks>): Marks => ({
  ids: m.ids,
  ranges: m.ranges?.map(({ first, next }) => ({ first: BigInt(first), next: BigInt(next) })),
  before: m.before === undefined ? undefined : BigInt(m.before),
  as: m.as,
})

const position = text({ minLength: 1, maxLength: maxPositionText, description: positionDoc })

export const addReading: AddRoutes = (app, { service, limits, metrics }) => {
  const one = `${base}/streams/:stream`
  app.get(
    `${one}/records`,
    {
      schema: {
        ...doc('readRecords', 'records', 'A page of records.'),
        description:
          'As JSON with all that is known of each record; with `Accept: application/x-ndjson` the bodies as lines, with `Accept: text/plain` what is text as it is, with `Accept: text/event-stream` events as following a stream has them. The headers Millrace-Next and Millrace-At-End say where to go on.',
        params: streamParams,
        querystring: object(
          {},
          {
            from: position,
            limit: whole({
              minimum: 1,
              maximum: limits.pageRecords,
              description: 'how many at most; 100 where it is left out',
            }),
            maxBytes: whole({
              minimum: 1,
              maximum: limits.pageBytes,
              description: 'bytes at most; one record comes whatever its size',
            }),
            unread: flag({ description: 'only what is not marked as read' }),
            markRead: flag({ description: 'mark what is answered as read' }),
            form: oneOf(['record', 'body'], { description: 'of events: all that is known of a record, or its body' }),
            withStatus: flag({ description: 'say of each record whether it had been read' }),
            as,
          },
        ),
        response: answers(200, pageSchema),
      },
    },
    async (request, reply) => {
      const { caller, query } = request
      const stream = await service.streams.get(caller, request.params.stream)
      const { from, form = 'record', ...rest } = query
      const page = await service.records.read(caller, stream.id, {
        ...rest,
        maxBytes: query.maxBytes ?? limits.pageBytes,
        from: from === undefined ? undefined : parsePosition(from),
      })
      metrics.count(
        'millrace_records_read_total',
        'Records that were read over HTTP.',
        page.batches.reduce((n, b) => n + b.records.count, 0),
      )
      void reply.header('millrace-next', String(page.next)).header('millrace-at-end', String(page.isAtEnd))
      const accept = request.headers.accept ?? ''
      if (/\btext\/event-stream\b/i.test(accept))
        return await reply
          .type('text/event-stream; charset=utf-8')
          .send(eventsForm(stream, service, form).make(page.batches))
      const lines = /\b(application\/x-ndjson|text\/plain)\b/i.exec(accept)
      if (lines !== null) {
        const as = lines[1]?.toLowerCase() === 'text/plain' ? 'text' : 'json'
        void reply.type(as === 'text' ? 'text/plain; charset=utf-8' : 'application/x-ndjson')
        return await reply.send(linesOf(page.batches, stream, { service, as }))
      }
      const records = recordsJson(page.batches, stream, { service, readBefore: page.readBefore })
      return await reply
        .type('application/json; charset=utf-8')
        .send(
          Buffer.concat([
            Buffer.from('{"records":'),
            records,
            Buffer.from(`,"next":${page.next},"isAtEnd":${page.isAtEnd}}`),
          ]),
        )
    },
  )
  app.get(
    `${one}/records/:record`,
    {
      schema: {
        ...doc('getRecord', 'records', 'A record by its id; the key of its publisher means the newest version.'),
        params: paramsOf('record', 'the id of a record'),
        querystring: object(
          {},
          { markRead: flag(), as, raw: flag({ description: 'the body alone, with its content type' }) },
        ),
        response: answers(200, recordSchema),
      },
    },
    async (request, reply) => {
      const { stream, record } = request.params
      const { markRead, as: whose, raw } = request.query
      const found = await service.records.get(request.caller, stream, record, { markRead, as: whose })
      if (raw !== true) return await reply.type('application/json; charset=utf-8').send(recordJson(found))
      const body = Buffer.from(found.body)
      // A page that somebody published is not a page of this site.
      void reply
        .header('content-security-policy', "sandbox; default-src 'none'")
        .header('content-disposition', 'attachment')
        .header('millrace-offset', String(found.offset))
      return await reply
        .type(
          isUtf8(body) && /^text\/|json/i.test(found.contentType) && !/charset/i.test(found.contentType)
            ? `${found.contentType}; charset=utf-8`
            : found.contentType,
        )
        .send(body)
    },
  )
  app.get(
    `${one}/records/:record/history`,
    {
      schema: {
        ...doc('getRecordHistory', 'records', 'The versions of a record, newest first.'),
        params: paramsOf('record', 'the id of a record'),
        querystring: object(
          {},
          {
            limit: whole({ minimum: 1, maximum: 1000, description: 'how many at most; 10 where it is left out' }),
            markRead: flag(),
            as,
          },
        ),
        response: answers(200, written(object({ records: listOf(recordSchema) }))),
      },
    },
    async (request, reply) => {
      const { stream, record } = request.params
      const { limit = 10, ...rest } = request.query
      const versions = await service.records.history(request.caller, stream, record, { limit, ...rest })
      const parts = versions.flatMap((v, i) => [Buffer.from(i === 0 ? '' : ','), recordJson(v)])
      return await reply
        .type('application/json; charset=utf-8')
        .send(Buffer.concat([Buffer.from('{"records":['), ...parts, Buffer.from(']}')]))
    },
  )
  app.get(
    `${one}/records/:record/readers`,
    {
      schema: {
        ...doc(
          'getRecordReaders',
          'read status',
          'Who of those that may read the stream has read a record, and who has not.',
        ),
        params: paramsOf('record', 'the id of a record'),
        querystring: object({}, pageQuery),
        response: answers(200, pageOf(object({ actor, displayName: text(), hasRead: flag() }))),
      },
    },
    async (request) => {
      const { stream, record } = request.params
      const page = await service.records.readers(request.caller, stream, record, request.query)
      return answerPage(page, (r) => ({
        actor: { type: r.actor.type, id: r.actor.id },
        displayName: r.displayName,
        hasRead: r.hasRead,
      }))
    },
  )
  app.get(
    `${one}/unread`,
    {
      schema: {
        ...doc('countUnread', 'read status', 'How many records are not marked as read.'),
        params: streamParams,
        querystring: object({}, { as }),
        response: answers(200, object({ unread: whole() })),
      },
    },
    async (request) => ({
      unread: Number(await service.records.countUnread(request.caller, request.params.stream, request.query.as)),
    }),
  )
  const mark = (
    path: string,
    names: readonly [string, string],
    how: (p: Principal, stream: string, m: Marks) => Promise<bigint>,
  ): void => {
    app.post(
      `${one}/${path}`,
      {
        schema: {
          ...doc(names[0], 'read status', names[1]),
          params: streamParams,
          body: marks,
          response: answers(200, object({ changed: whole({ description: 'how many were not so before' }) })),
        },
      },
      async (request) => ({ changed: Number(await how(request.caller, request.params.stream, marksOf(request.body))) }),
    )
  }
  mark(
    'mark-read',
    ['markRead', 'Mark records as read: some, ranges, or all before an offset.'],
    async (p, s, m) => await service.records.markRead(p, s, m),
  )
  mark(
    'mark-unread',
    ['markUnread', 'Mark records as not read.'],
    async (p, s, m) => await service.records.markUnread(p, s, m),
  )
}
