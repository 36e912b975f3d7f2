/** The client: auth, redirects, retries and limits around single requests. */
import { isMillraceError, type MillraceError } from '../errors/error.ts'
import { type Logger, silentLogger } from '../log/logger.ts'
import { answerOf } from './answer.ts'
import { type Authority, authorityFor, type Credentials } from './auth.ts'
import { systemClock } from './clock.ts'
import {
  askedOf,
  httpError,
  limitedError,
  networkError,
  networkFault,
  refusedStatus,
  type Side,
  unavailableStatus,
} from './failures.ts'
import { statedLimit } from './limits.ts'
import { BodyTooLarge, type Incoming, Sender } from './send.ts'
import { Slots } from './slots.ts'
import type {
  Clock,
  HttpAnswer,
  HttpClient,
  HttpClientOptions,
  HttpRequest,
  RequestOptions,
  RetryPolicy,
  Timeouts,
} from './types.ts'
import { baseUrlOf, targetOf, withQuery } from './url.ts'

const defaultRetry: RetryPolicy = { attempts: 6, baseMs: 500, maxMs: 30_000, maxWaitMs: 900_000 }
const defaultTimeouts: Timeouts = { headersMs: 60_000, idleMs: 60_000, totalMs: 600_000 }
const maxRedirects = 5
/** A server that states shorter waits again and again is asked no more often than this. */
const leastWaitMs = 1000

/** Makes a client; see {@link HttpClient}. Throws CONFIG_INVALID where the base URL is none. */
export const httpClient = (options: HttpClientOptions): HttpClient => new Client(options)

class Client implements HttpClient {
  readonly baseUrl: URL
  readonly #options: HttpClientOptions
  readonly #side: Side
  readonly #log: Logger
  readonly #clock: Clock
  readonly #retry: RetryPolicy
  readonly #sender: Sender
  readonly #slots: Slots
  readonly #authority: Authority
  /** No request is sent before this moment: the server said so. */
  #notBefore = 0

  constructor(options: HttpClientOptions) {
    this.baseUrl = baseUrlOf(options.baseUrl)
    this.#options = options
    this.#side = options.side ?? 'source'
    this.#log = options.log ?? silentLogger
    this.#clock = options.clock ?? systemClock
    this.#retry = { ...defaultRetry, ...options.retry }
    const maxConcurrent = options.maxConcurrent ?? 4
    this.#slots = new Slots(maxConcurrent)
    this.#sender = new Sender({
      timeouts: { ...defaultTimeouts, ...options.timeouts },
      maxResponseBytes: options.maxResponseBytes ?? 64 * 1024 * 1024,
      maxConcurrent,
      certificate: options.certificate,
    })
    this.#authority = authorityFor(options.auth ?? { style: 'none' }, {
      side: this.#side,
      clock: this.#clock,
      post: (url, form, headers) => this.#postForm(url, form, headers),
    })
  }

  get(path: string, options: RequestOptions = {}): Promise<HttpAnswer> {
    return this.request({ ...options, method: 'GET', path })
  }

  async request(request: HttpRequest): Promise<HttpAnswer> {
    const url = withQuery(targetOf(this.baseUrl, request.path, this.#side), request.query)
    return await new Exchange(this.#parts(this.#authority), request, url).run()
  }

  /** Tokens are asked for with the same patience, but without the auth they are for. */
  async #postForm(
    to: string,
    form: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer> {
    const url = new URL(to, this.baseUrl)
    const request: HttpRequest = {
      method: 'POST',
      path: to,
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json', ...headers },
      body: new URLSearchParams(form).toString(),
      accept: [400, 401, 403],
      // A refresh token may be good for one use only: sent twice, all that came of it may be revoked.
      idempotent: form['grant_type'] === 'client_credentials',
    }
    return await new Exchange({ ...this.#parts(undefined), slots: undefined, headers: {} }, request, url).run()
  }

  #parts(authority: Authority | undefined): Parts {
    return {
      origin: this.baseUrl.origin,
      side: this.#side,
      log: this.#log,
      clock: this.#clock,
      retry: this.#retry,
      sender: this.#sender,
      slots: this.#slots,
      authority,
      headers: this.#options.headers ?? {},
      signal: this.#options.signal,
      isLimited: this.#options.isLimited ?? (() => false),
      notBefore: () => this.#notBefore,
      hold: (until) => {
        this.#notBefore = Math.max(this.#notBefore, until)
      },
    }
  }

  close(): void {
    this.#sender.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}

interface Parts {
  readonly origin: string
  readonly side: Side
  readonly log: Logger
  readonly clock: Clock
  readonly retry: RetryPolicy
  readonly sender: Sender
  readonly slots: Slots | undefined
  readonly authority: Authority | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal | undefined
  readonly isLimited: (answer: HttpAnswer) => boolean
  readonly notBefore: () => number
  readonly hold: (until: number) => void
}

/** One request with all its tries. */
class Exchange {
  readonly #p: Parts
  readonly #request: HttpRequest
  readonly #asked: string
  readonly #body: Uint8Array | undefined
  readonly #isIdempotent: boolean
  readonly #signal: AbortSignal | undefined
  #method: string
  #url: URL
  #tries = 0
  #waitedMs = 0
  #redirects = 0
  #isRenewed = false

  constructor(parts: Parts, request: HttpRequest, url: URL) {
    this.#p = parts
    this.#request = request
    this.#url = url
    this.#method = request.method
    this.#asked = askedOf(request.method, url)
    this.#body = typeof request.body === 'string' ? Buffer.from(request.body) : request.body
    this.#isIdempotent = request.idempotent ?? /^(GET|HEAD|PUT|DELETE|OPTIONS)$/.test(request.method)
    const signals = [parts.signal, request.signal].filter((s) => s !== undefined)
    this.#signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0]
  }

  async run(): Promise<HttpAnswer> {
    for (;;) {
      const credentials = await this.#p.authority?.credentials()
      let answer: HttpAnswer
      this.#tries++
      try {
        answer = this.#read(await this.#send(credentials))
      } catch (e) {
        await this.#afterFailure(e)
        continue
      }
      const settled = await this.#settle(answer, credentials)
      if (settled !== undefined) return settled
    }
  }

  /** The answer, where it is one; undefined where the request is to be sent again; throws what stays wrong. */
  async #settle(answer: HttpAnswer, credentials: Credentials | undefined): Promise<HttpAnswer | undefined> {
    const { status } = answer
    const stated = statedLimit(answer.headers, this.#p.clock.now())
    if (status === 429 || ((status === 403 || status === 503) && stated.isReached) || this.#p.isLimited(answer)) {
      await this.#afterLimit(answer, stated.waitMs)
      return undefined
    }
    // The last request that was allowed: the next one waits, whoever makes it.
    if (stated.isReached && stated.waitMs !== undefined && stated.waitMs <= this.#p.retry.maxWaitMs)
      this.#p.hold(this.#p.clock.now() + stated.waitMs)
    if ((status >= 200 && status < 300) || status === 304 || this.#request.accept?.includes(status) === true)
      return answer
    if (status === 401 && credentials !== undefined && !this.#isRenewed) {
      this.#isRenewed = true
      if (await this.#p.authority?.renew(credentials)) return undefined
    }
    if (status >= 300 && status < 400 && this.#follow(answer)) return undefined
    if (!passes(status) && this.#request.passing?.includes(status) !== true)
      throw refusedStatus(this.#p.side, this.#asked, status)
    if (!this.#isIdempotent || this.#tries >= this.#p.retry.attempts)
      throw unavailableStatus(this.#p.side, this.#asked, status, this.#tries)
    await this.#backOff(`answered ${status}`)
    return undefined
  }

  async #send(credentials: Credentials | undefined): Promise<Incoming> {
    const isHome = this.#url.origin === this.#p.origin || this.#p.authority === undefined
    const { etag } = this.#request
    const lower = (h: Readonly<Record<string, string>>): Record<string, string> =>
      Object.fromEntries(Object.entries(h).map(([k, v]) => [k.toLowerCase(), v]))
    const headers = {
      accept: 'application/json',
      'user-agent': 'millrace',
      // A redirect to another origin takes no credentials along.
      ...(isHome ? { ...lower(this.#p.headers), ...lower(this.#request.headers ?? {}), ...credentials?.headers } : {}),
      ...(etag === undefined ? {} : { 'if-none-match': etag }),
    }
    const url = isHome && credentials !== undefined ? withQuery(this.#url, credentials.query) : this.#url
    let began = 0
    const send = async (): Promise<Incoming> => {
      // Within its slot: a limit that is met while it waits for one holds it back too.
      await this.#waitForTurn()
      began = this.#p.clock.now()
      return await this.#p.sender.send({ method: this.#method, url, headers, body: this.#body, signal: this.#signal })
    }
    const incoming = await (this.#p.slots === undefined ? send() : this.#p.slots.with(send))
    this.#p.log.debug('asked', {
      request: this.#asked,
      status: incoming.status,
      bytes: incoming.bytes.length,
      ms: this.#p.clock.now() - began,
    })
    return incoming
  }

  #read(incoming: Incoming): HttpAnswer {
    return answerOf(incoming, { url: this.#url, asked: this.#asked, side: this.#p.side })
  }

  async #afterFailure(e: unknown): Promise<void> {
    if (this.#signal?.aborted === true) throw this.#signal.reason
    if (isMillraceError(e)) throw e
    const { side } = this.#p
    if (e instanceof BodyTooLarge)
      throw httpError({
        side,
        kind: 'malformed',
        what: this.#asked,
        why: `the answer is larger than ${e.maxBytes} bytes`,
        fix: 'Ask for smaller pages, or raise the limit.',
      })
    const code = (e as { code?: unknown }).code
    if (code === 'ERR_INVALID_CHAR' || code === 'ERR_UNESCAPED_CHARACTERS')
      throw httpError({
        side,
        kind: 'refused',
        what: this.#asked,
        why: 'a header, token or path holds a character that HTTP does not allow',
        fix: 'Look for a line break or a letter outside Latin in the credentials and headers.',
      })
    const fault = networkFault(e)
    const isSafe = this.#isIdempotent || code === 'ECONNREFUSED' || code === 'EAI_AGAIN'
    if (!fault.transient || !isSafe || this.#tries >= this.#p.retry.attempts)
      throw networkError(side, this.#asked, e, this.#tries)
    await this.#backOff(fault.why)
  }

  async #afterLimit(answer: HttpAnswer, stated: number | undefined): Promise<void> {
    const { retry, side, clock } = this.#p
    // "In 0 s" says nothing.
    const statedMs = stated === 0 ? undefined : stated
    // Told how long to wait, the try does not count: the time does.
    if (statedMs !== undefined) this.#tries--
    const waitMs = statedMs === undefined ? this.#jittered() : Math.max(leastWaitMs, statedMs)
    const isTooLong = this.#waitedMs + waitMs > retry.maxWaitMs
    if (isTooLong || (statedMs === undefined && this.#tries >= retry.attempts))
      throw limitedError(side, this.#asked, answer.status, statedMs)
    this.#waitedMs += waitMs
    this.#p.log.info('too many requests, waiting', { request: this.#asked, seconds: Math.ceil(waitMs / 1000) })
    this.#p.hold(clock.now() + waitMs)
  }

  async #backOff(why: string): Promise<void> {
    const waitMs = this.#jittered()
    this.#p.log.info('trying again', { request: this.#asked, why, try: this.#tries, ms: waitMs })
    await this.#p.clock.sleep(waitMs, this.#signal)
  }

  #jittered(): number {
    const { baseMs, maxMs } = this.#p.retry
    const full = Math.min(maxMs, baseMs * 2 ** Math.max(0, this.#tries - 1))
    return Math.round(full * (1 - this.#p.clock.random() / 2))
  }

  async #waitForTurn(): Promise<void> {
    for (;;) {
      this.#signal?.throwIfAborted()
      const waitMs = this.#p.notBefore() - this.#p.clock.now()
      if (waitMs <= 0) return
      await this.#p.clock.sleep(waitMs, this.#signal)
    }
  }

  #follow(answer: HttpAnswer): boolean {
    const to = answer.headers['location']
    if (to === undefined || !URL.canParse(to, this.#url.href)) return false
    const isRead = this.#method === 'GET' || this.#method === 'HEAD'
    if (!isRead && answer.status !== 307 && answer.status !== 308) return false
    const url = new URL(to, this.#url)
    const { side } = this.#p
    const refuse = (why: string): MillraceError =>
      httpError({ side, kind: 'refused', what: this.#asked, why, status: answer.status })
    if (++this.#redirects > maxRedirects) throw refuse(`redirected more than ${maxRedirects} times`)
    if (url.protocol !== this.#url.protocol && url.protocol !== 'https:')
      throw refuse('redirected from https to a connection that is not secure')
    // Rows must not go to a host that nobody named.
    if (!isRead && url.origin !== this.#p.origin) throw refuse(`redirected to another host (${url.host})`)
    this.#url = url
    this.#tries--
    return true
  }
}

/** Whether a status may be another one the next time. */
const passes = (status: number): boolean =>
  status === 408 || status === 425 || (status >= 500 && status !== 501 && status !== 505)
