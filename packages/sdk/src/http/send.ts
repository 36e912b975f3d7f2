/** One request over the network and its whole answer; no retry, no auth, no redirect. */
import type { Agent, IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { knownByCertificate } from './certificate.ts'
import { AnswerBroken } from './failures.ts'
import type { Timeouts } from './types.ts'

export interface Outgoing {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
  readonly signal: AbortSignal | undefined
}

export interface Incoming {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Buffer
}

/** A body over the limit: no second try makes it smaller. */
export class BodyTooLarge extends Error {
  override readonly name: string = 'BodyTooLarge'
  readonly maxBytes: number
  constructor(maxBytes: number) {
    super(`the answer is larger than ${maxBytes} bytes`)
    this.maxBytes = maxBytes
  }
}

export interface SenderOptions {
  readonly timeouts: Timeouts
  readonly maxResponseBytes: number
  readonly maxConcurrent: number
  readonly certificate: string | undefined
}

/**
 * Sends requests over connections that are kept and used again. Proxies are those of the environment (HTTP_PROXY,
 * HTTPS_PROXY, NO_PROXY, also in lower case), as Node's agents read them.
 */
export class Sender {
  readonly #options: SenderOptions
  #plain: Agent | undefined
  #secure: Agent | undefined

  constructor(options: SenderOptions) {
    this.#options = options
  }

  /** Throws the system's error, {@link AnswerBroken}, {@link BodyTooLarge}, or the signal's reason. */
  async send(out: Outgoing): Promise<Incoming> {
    const { timeouts } = this.#options
    const isSecure = out.url.protocol === 'https:'
    // Loaded at the first request: most commands never make one.
    const { request } = isSecure ? await import('node:https') : await import('node:http')
    const agent = await this.#agent(isSecure)
    out.signal?.throwIfAborted()
    const headersCame = Promise.withResolvers<IncomingMessage>()
    const r = request(
      out.url,
      {
        method: out.method,
        agent,
        headers: {
          'accept-encoding': 'gzip, deflate, br, zstd',
          ...(out.body === undefined ? {} : { 'content-length': String(out.body.byteLength) }),
          ...out.headers,
        },
      },
      headersCame.resolve,
    )
    r.on('error', headersCame.reject)
    // The stream tells only that it was cut; why is kept here.
    let given: Error | undefined
    const giveUp = (e: Error): void => {
      given ??= e
      r.destroy(e)
    }
    const onAbort = (): void => giveUp(asError(out.signal?.reason))
    out.signal?.addEventListener('abort', onAbort, { once: true })
    const total = setTimeout(
      () => giveUp(new AnswerBroken(`no whole answer within ${timeouts.totalMs / 1000} s`)),
      timeouts.totalMs,
    )
    const first = setTimeout(
      () => giveUp(new AnswerBroken(`no answer within ${timeouts.headersMs / 1000} s`)),
      timeouts.headersMs,
    )
    try {
      r.end(out.body)
      const answer = await headersCame.promise
      clearTimeout(first)
      const bytes = await this.#body(answer, giveUp)
      return { status: answer.statusCode ?? 0, headers: headersOf(answer), bytes }
    } catch (e) {
      r.destroy()
      throw out.signal?.aborted === true ? out.signal.reason : (given ?? e)
    } finally {
      clearTimeout(first)
      clearTimeout(total)
      out.signal?.removeEventListener('abort', onAbort)
    }
  }

  async #body(answer: IncomingMessage, giveUp: (e: Error) => void): Promise<Buffer> {
    const { timeouts, maxResponseBytes } = this.#options
    const idle = setTimeout(
      () => giveUp(new AnswerBroken(`the answer stopped for ${timeouts.idleMs / 1000} s`)),
      timeouts.idleMs,
    )
    answer.on('data', () => idle.refresh())
    try {
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of await unpacked(answer)) {
        size += (chunk as Buffer).length
        if (size > maxResponseBytes) throw new BodyTooLarge(maxResponseBytes)
        chunks.push(chunk as Buffer)
      }
      return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)
    } catch (e) {
      if (e instanceof Error && /^(Z_|ERR_ZLIB|ZSTD_|ERR__ERROR_)/.test(String((e as { code?: unknown }).code)))
        throw new AnswerBroken('the packed answer is damaged')
      throw e
    } finally {
      clearTimeout(idle)
    }
  }

  async #agent(isSecure: boolean): Promise<Agent> {
    const options = { keepAlive: true, maxSockets: this.#options.maxConcurrent, proxyEnv: process.env }
    if (isSecure) {
      const { Agent } = await import('node:https')
      const { certificate } = this.#options
      this.#secure ??= new Agent({
        ...options,
        ...(certificate === undefined ? {} : knownByCertificate(certificate)),
      })
      return this.#secure
    }
    const { Agent } = await import('node:http')
    this.#plain ??= new Agent(options)
    return this.#plain
  }

  close(): void {
    this.#plain?.destroy()
    this.#secure?.destroy()
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))

const headersOf = (answer: IncomingMessage): Readonly<Record<string, string>> => {
  const headers: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(answer.headersDistinct))
    if (value !== undefined) headers[name] = value.join(', ')
  return headers
}

const unpacked = async (answer: IncomingMessage): Promise<Readable> => {
  const encoding = (answer.headers['content-encoding'] ?? '').trim().toLowerCase()
  if (encoding === '' || encoding === 'identity' || answer.statusCode === 204 || answer.statusCode === 304)
    return answer
  const zlib = await import('node:zlib')
  const unpack = {
    gzip: zlib.createGunzip,
    'x-gzip': zlib.createGunzip,
    deflate: zlib.createInflate,
    br: zlib.createBrotliDecompress,
    zstd: zlib.createZstdDecompress,
  }[encoding]
  if (unpack === undefined) throw new AnswerBroken(`the answer is packed in a way that was not asked for (${encoding})`)
  const stream = unpack()
  answer.on('error', (e) => stream.destroy(e))
  answer.on('aborted', () => stream.destroy(new AnswerBroken('the answer ends in the middle')))
  return answer.pipe(stream)
}
