/**
 * The Stitch Import API as a receiver: whatever sends to it loads a stream. Which, says the token, or the path:
 * `/stitch/NAME/v2/import/batch`. An answer of 201 means that all of the request is durable. docs/reference/stitch-import.md.
 */
import type { Readable } from 'node:stream'
import {
  importAccepted,
  type ImportHead,
  type ImportKind,
  importKinds,
  importStatus,
  maxImportBytes,
  type Refusal,
  refuseMediaType,
  refuseMethod,
  tooLarge,
} from '@millrace/sdk/stitch'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { collectBody } from '../../http/collect-body.ts'
import { requestError } from '../../http/problem.ts'
import { type Http, tokenOf } from '../../http/server.ts'
import { unpacked } from '../../http/unpacked.ts'
import { noteJson } from '../../streams/json-check.ts'
import { Turns } from '../turns.ts'
import { BodyThread } from './body-thread.ts'
import { forbidden, type Holders, holderOf, streamFor } from './holder.ts'
import { BodyReader, type ReadBody } from './read-body.ts'
import type { Compile } from './schema-checks.ts'

export interface StitchImport extends Holders {
  readonly version: string
  /** Loads what compiles schemas, when the first batch comes. */
  readonly loadCompile: () => Promise<Compile>
  /** What runs on the thread that reads large bodies (body-thread.ts). */
  readonly thread: URL
  /** Without a byte of a body, milliseconds. */
  readonly bodyIdleMs: number
}

/** Bodies that are read at once, and those whose messages are looked at at once: memory has a bound. */
const bodiesAtOnce = 16
const worksAtOnce = 2
/** A larger body is read on a thread; a smaller one takes less than the way there. */
const maxBytesHere = 64 * 1024

/** Adds the endpoints, at the root and below `/stitch/NAME`. */
export const addStitchImport = (app: Http, options: StitchImport): void => {
  void app.register(async (scope) => {
    const routes = scope as unknown as Http
    routes.removeAllContentTypeParsers()
    routes.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    routes.setErrorHandler(async (e, request, reply) => await refuse(request, reply, refusalOf(e)))
    const endpoint = new Endpoint(options)
    routes.addHook('onClose', async () => await endpoint[Symbol.asyncDispose]())
    for (const base of ['/v2/import', '/stitch/:stream/v2/import']) {
      routes.get(`${base}/status`, { config: { open: true } }, async () => importStatus(options.version))
      for (const kind of importKinds)
        routes.all(
          `${base}/${kind}`,
          { config: { open: true, streams: true } },
          async (request, reply) => await endpoint.answer(kind, request, reply),
        )
    }
  })
}

const isRefusal = (one: object): one is Refusal => 'status' in one && 'body' in one

const refuse = async (
  request: FastifyRequest,
  reply: FastifyReply,
  { status, body, headers }: Refusal,
): Promise<FastifyReply> => {
  // What was not read of the body is not waited for.
  if (!request.raw.complete) void reply.header('connection', 'close')
  void reply.code(status).headers({ ...headers })
  return typeof body === 'string'
    ? await reply.type('text/plain').send(body)
    : await reply.type('application/json').send(JSON.stringify(body))
}

/** What goes wrong besides, in the form of the Import API. Nothing of what is ours is told but its code. */
const refusalOf = (e: unknown): Refusal => {
  const error = requestError(e)
  if (error.code === 'STREAM_UNKNOWN' || error.code === 'ACCESS_DENIED') return forbidden(`${error.message}.`)
  if (error.code === 'REQUEST_TOO_LARGE') return tooLarge(maxImportBytes + 1)
  const status = error.httpStatus
  const why = status >= 500 ? 'the manager could not do it; its log says why' : error.message
  return {
    status,
    body: { status: 'ERROR', error: why, errors: { code: error.code } },
    headers: status === 503 || status === 429 ? { 'retry-after': '1' } : undefined,
  }
}

class Endpoint implements AsyncDisposable {
  readonly #options: StitchImport
  readonly #bodies = new Turns(bodiesAtOnce)
  readonly #works = new Turns(worksAtOnce)
  readonly #thread: BodyThread
  #here: BodyReader | undefined

  constructor(options: StitchImport) {
    this.#options = options
    this.#thread = new BodyThread(options.thread)
  }

  async answer(kind: ImportKind, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const head = { kind, method: request.method, contentType: request.headers['content-type'] }
    const wrongMethod = refuseMethod(head)
    if (wrongMethod !== undefined) return await refuse(request, reply, wrongMethod)
    const p = await holderOf(this.#options, tokenOf(request.headers.authorization))
    if (isRefusal(p)) return await refuse(request, reply, p)
    const wrongType = refuseMediaType(head)
    if (wrongType !== undefined) return await refuse(request, reply, wrongType)
    const length = Number(request.headers['content-length'] ?? 0)
    if (length > maxImportBytes) return await refuse(request, reply, tooLarge(length))
    const stream = await streamFor(this.#options, p, (request.params as { readonly stream?: string }).stream)
    if (isRefusal(stream)) return await refuse(request, reply, stream)
    const refusal = await this.#bodies.take(async () => {
      const body = await this.#bodyOf(request)
      return await this.#works.take(async () => {
        const read = await this.#read(body, head)
        if (read.is === 'refused') return read.refusal
        if (read.is === 'empty') return undefined
        if (read.isJson) noteJson(read.records)
        // The same body again is the same batch: its answer was lost.
        const idempotencyKey = `stitch-${read.digest}`
        await this.#options.service.records.publish(p, stream.id, read.records, { idempotencyKey })
        return undefined
      })
    })
    if (refusal !== undefined) return await refuse(request, reply, refusal)
    const { status, body } = importAccepted(kind)
    return await reply.code(status).send(body)
  }

  async #bodyOf(request: FastifyRequest): Promise<Buffer<ArrayBuffer>> {
    const packed = (request.body ?? request.raw) as Readable
    return await collectBody(unpacked(packed, request.headers['content-encoding']), {
      maxBytes: maxImportBytes,
      idleMs: this.#options.bodyIdleMs,
    })
  }

  async #read(body: Buffer<ArrayBuffer>, head: ImportHead): Promise<ReadBody> {
    if (body.length > maxBytesHere) return await this.#thread.read(body, head)
    this.#here ??= new BodyReader(await this.#options.loadCompile())
    return this.#here.read(body, head)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread[Symbol.asyncDispose]()
  }
}
