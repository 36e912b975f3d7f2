/** Publishing: one way in for one record, many, and as many as there are. */
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { type Appended, RecordBatch, type WriterMark } from '@millrace/engine'
import { MillraceError } from '@millrace/sdk'
import type { FastifyReply } from 'fastify'
import type { Principal } from '../../domain/access.ts'
import type { Http } from '../../http/server.ts'
import { addToProblem, problemOf, requestError } from '../../http/problem.ts'
import { saysJson, saysText } from '../../http/record-text.ts'
import { flag, type Infer, object, oneOf, orNull, type Schema, text, whole } from '../../http/schema.ts'
import { unpacked } from '../../http/unpacked.ts'
import type { StreamInfo } from '../../streams/types.ts'
import {
  type AddRoutes,
  type Api,
  answers,
  base,
  doc,
  iso,
  maybeMoment,
  offsetNumber,
  paramsOf,
  streamParams,
} from '../api.ts'
import { jsonRecords, type Published, publishLines, wholeBody } from './publish.ts'
import { Writers } from './writers.ts'

const linesTypes = /^application\/(x-ndjson|ndjson|jsonl|x-jsonlines|jsonlines)\s*(;|$)/i
const formTypes = /^(application\/x-www-form-urlencoded|multipart\/)/i

const published = object({
  first: {
    ...orNull(offsetNumber),
    description: 'the offset of the first of these records; null where there was none',
  } as Schema<number | null>,
  next: { ...orNull(offsetNumber), description: 'behind the last of them' } as Schema<number | null>,
  records: whole({ description: 'how many of this body are in the stream' }),
  at: maybeMoment,
})
const show = (p: Published): Infer<typeof published> => ({
  first: p.first === undefined ? null : Number(p.first),
  next: p.next === undefined ? null : Number(p.next),
  records: p.records,
  at: p.at === undefined ? null : iso(p.at),
})

const headers = object(
  {},
  {
    'idempotency-key': text({
      minLength: 1,
      maxLength: 200,
      description: 'the same key with the same records within a day is appended once; not for lines',
    }),
    'millrace-writer': text({
      minLength: 1,
      maxLength: 100,
      pattern: '^[\\x21-\\x7e]+$',
      description: 'lines only: the name of a writer that resumes after a lost connection',
    }),
    'millrace-sent': text({
      pattern: '^\\d{1,18}$',
      description: 'lines only: how many records this writer had sent before this body',
    }),
  },
)

export const addPublishing: AddRoutes = (root, api) => {
  const { service } = api
  const writers = new Writers()
  const infos = new StreamInfos(service, api.ticks)
  const one = `${base}/streams/:stream`
  void root.register(async (scope) => {
    const app = scope as unknown as Http
    // The body is read here, as it comes.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    app.post(
      `${one}/records`,
      {
        config: { streams: true },
        schema: {
          ...doc('publish', 'records', 'Publish a record, an array of records, or lines of any number.'),
          description:
            'application/json: one record, or an array of them (`single=true`: the array is one record). application/x-ndjson: each line a record, of any number, appended and acknowledged block by block; with `Accept: application/x-ndjson` the answer has a line for each block as soon as it is durable. text/* with `split=lines`: the same with lines of text. Anything else: the body is one record of its content type. A body with `Content-Encoding: gzip`, `deflate`, `br` or `zstd` is unpacked as it comes; limits count what was unpacked. A record or an array is durable when it is answered, all of it or none.',
          params: streamParams,
          headers: { ...headers, additionalProperties: true } as typeof headers,
          querystring: object(
            {},
            {
              key: text({ minLength: 1, maxLength: 400, description: 'what the record is about; it becomes its id' }),
              single: flag({ description: 'an array is one record' }),
              split: oneOf(['lines'], { description: 'text: each line is a record' }),
            },
          ),
          response: answers(201, published),
        },
      },
      async (request, reply) => {
        const { caller } = request
        const stream = await infos.get(caller, request.params.stream)
        const given = request.headers['content-type']
        if (given !== undefined && formTypes.test(given))
          throw new MillraceError('MEDIA_TYPE_UNSUPPORTED', {
            given: given.split(';')[0],
            known: ['application/json, application/x-ndjson or the content type of the record'],
          })
        const { key, single = false, split } = request.query
        const packed = (request.body ?? request.raw) as unknown as Readable
        const body = unpacked(packed, request.headers['content-encoding'])
        const type = (given ?? stream.contentType).replace(/\s*;\s*charset="?utf-8"?\s*$/i, '')
        const isLines = linesTypes.test(type)
        if (isLines || (split === 'lines' && saysText(type))) {
          if (request.headers['idempotency-key'] !== undefined || key !== undefined)
            throw new MillraceError('REQUEST_INVALID', {
              problems: [
                'lines take neither a key nor an Idempotency-Key; the header Millrace-Writer makes them resumable',
              ],
            })
          // Lines say no more than that they are JSON: what JSON it is the stream says.
          const linesType = saysJson(stream.contentType) ? stream.contentType : 'application/json'
          const contentType = isLines ? linesType : type
          return await lines(api, {
            caller,
            stream,
            body,
            contentType,
            writer: request.headers['millrace-writer'],
            sent: BigInt(request.headers['millrace-sent'] ?? 0),
            writers,
            reply,
            wantsLines: /\bapplication\/x-ndjson\b/i.test(request.headers.accept ?? ''),
          })
        }
        const bytes = await wholeBody(body, api.limits)
        const contentType = type === stream.contentType ? undefined : type
        const records = saysJson(type)
          ? jsonRecords(bytes, { single, key, contentType })
          : RecordBatch.of([{ body: bytes, key, contentType }])
        const appended = await service.records.publish(caller, request.params.stream, records, {
          idempotencyKey: request.headers['idempotency-key'],
        })
        count(api, records.count)
        return await reply.code(201).send({
          first: Number(appended.first),
          next: Number(appended.next),
          records: records.count,
          at: iso(appended.at),
        })
      },
    )
  })
  root.get(
    `${one}/writers/:writer`,
    {
      schema: {
        ...doc('getWriter', 'records', 'How many records of a writer of one’s own are in the stream.'),
        params: paramsOf('writer', 'the name of the writer'),
        response: answers(200, object({ records: whole() })),
      },
    },
    async (request) => ({
      records: Number(
        (await service.records.writer(request.caller, request.params.stream, request.params.writer))?.seq ?? 0n,
      ),
    }),
  )
}

/**
 * What streams are called and hold, as it was a moment ago: one look for many records that are published one by one. Whether
 * the caller may publish is asked for each of them all the same.
 */
class StreamInfos {
  readonly #service: Api['service']
  readonly #ticks: () => number
  readonly #known = new Map<string, { readonly info: StreamInfo; readonly until: number }>()
  readonly #maxMs = 1000
  readonly #max = 1000

  constructor(service: Api['service'], ticks: () => number) {
    this.#service = service
    this.#ticks = ticks
  }

  async get(caller: Principal, ref: string): Promise<StreamInfo> {
    const key = `${caller.type} ${caller.id} ${caller.scopes.join(' ')} ${ref}`
    const known = this.#known.get(key)
    if (known !== undefined && known.until > this.#ticks()) return known.info
    const info = await this.#service.streams.get(caller, ref)
    if (this.#known.size >= this.#max) this.#known.clear()
    this.#known.set(key, { info, until: this.#ticks() + this.#maxMs })
    return info
  }
}

const count = ({ metrics }: Api, records: number): void =>
  metrics.count('millrace_records_published_total', 'Records that were published over HTTP.', records)

interface Lines {
  readonly caller: Principal
  readonly stream: StreamInfo
  readonly body: Readable
  readonly contentType: string
  readonly writer: string | undefined
  readonly sent: bigint
  readonly writers: Writers
  readonly reply: FastifyReply
  readonly wantsLines: boolean
}

const lines = async (api: Api, asked: Lines): Promise<FastifyReply> => {
  const { caller, stream, writer } = asked
  if (writer === undefined) return await takeLines(api, asked, undefined)
  const whole = `${caller.type} ${caller.id} ${stream.id} ${writer}`
  return await asked.writers.alone(whole, async (signal) => {
    // Another connection of this writer takes over.
    signal.addEventListener('abort', () => asked.body.destroy(), { once: true })
    const stored = (await api.service.records.writer(caller, stream.id, writer))?.seq ?? 0n
    return await takeLines(api, asked, { id: writer, sent: asked.sent, stored })
  })
}

const takeLines = async (
  api: Api,
  asked: Lines,
  resume: { readonly id: string; readonly sent: bigint; readonly stored: bigint } | undefined,
): Promise<FastifyReply> => {
  const { caller, stream, body, reply, wantsLines } = asked
  if (resume !== undefined && resume.sent > resume.stored)
    throw new MillraceError('LOG_WRITER_BEHIND', {
      writer: resume.id,
      stream: stream.name,
      seq: String(resume.sent),
      last: String(resume.stored),
    })
  const raw = reply.raw
  const stop = (): void => void body.destroy()
  api.closing.addEventListener('abort', stop, { once: true })
  raw.once('close', () => api.closing.removeEventListener('abort', stop))
  const done: Published = { first: undefined, next: undefined, records: 0, at: undefined }
  if (wantsLines) {
    reply.hijack()
    raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
    raw.flushHeaders()
  }
  try {
    await publishLines(body, {
      limits: api.limits,
      contentType: asked.contentType,
      isTyped: asked.contentType !== stream.contentType,
      append: async (batch: RecordBatch, mark: WriterMark | undefined): Promise<Appended> =>
        await api.service.records.publish(caller, stream.id, batch, { writer: mark }),
      resume,
      onDurable: async (appended, records) => {
        count(api, records)
        note(done, appended, records)
        if (wantsLines)
          await writeLine(raw, {
            first: Number(appended.first),
            next: Number(appended.next),
            records: done.records,
            at: iso(appended.at),
            ...(appended.isRepeated ? { repeated: true } : {}),
          })
      },
    })
  } catch (e) {
    const error = addToProblem(requestError(e), { stored: show(done) })
    if (!wantsLines) throw error
    if (raw.writable && !raw.destroyed) {
      await writeLine(raw, { error: problemOf(error, { stored: show(done) }) })
      raw.end(() => reply.request.raw.socket.destroySoon())
    }
    return reply
  }
  if (!wantsLines) return await reply.code(done.records === 0 ? 200 : 201).send(show(done))
  raw.end(`${JSON.stringify({ done: true, ...show(done) })}\n`)
  return reply
}

const note = (done: Published, appended: Appended, records: number): void => {
  done.records += records
  if (appended.next > appended.first) {
    done.first ??= appended.first
    done.next = appended.next
  }
  done.at = appended.at
}

/** Writes a line and waits while the reader is behind. */
const writeLine = async (raw: ServerResponse, line: unknown): Promise<void> => {
  if (raw.destroyed || raw.write(`${JSON.stringify(line)}\n`)) return
  await new Promise<void>((resolve) => {
    raw.once('drain', resolve)
    raw.once('close', resolve)
  })
}
