/** A client of a manager's API: typed by the document of its routes, with nothing but what Node brings. */
import type { IncomingMessage } from 'node:http'
import { MillraceError } from '../errors/error.ts'
import { type KnownByCertificate, knownByCertificate } from '../http/certificate.ts'
import { type Operations, places } from './operations.generated.ts'

/** Who asks: a token, a client whose id and secret get one, or whoever may read the note that a manager leaves in its folder. */
export type ManagerCredentials =
  | { readonly is: 'token'; readonly token: string }
  | { readonly is: 'client'; readonly id: string; readonly secret: string }
  | { readonly is: 'note'; readonly read: () => NotedManager | undefined }

/** What the note in a manager's folder says; each start of the manager leaves another. */
export interface NotedManager {
  readonly url: string
  readonly token: string
  /** What it shows, PEM: this is checked then, and neither its name nor who signed it. */
  readonly certificate?: string
}

export interface ManagerClientOptions {
  /** Where the manager is: http or https, with the path it stands under, if any. */
  readonly url: string
  readonly credentials: ManagerCredentials
  /** Milliseconds until an answer begins. Default 30,000. */
  readonly timeoutMs?: number
}

type Given<T> = [T] extends [undefined] ? undefined : T
type Optional<K extends string, T> = [T] extends [undefined]
  ? { readonly [P in K]?: undefined }
  : Record<never, never> extends T
    ? { readonly [P in K]?: T | undefined }
    : { readonly [P in K]: T }

/** What a call gives: `params` go into the path. */
export type CallInput<O extends keyof Operations> = Optional<'params', Given<Operations[O]['params']>> &
  Optional<'query', Given<Operations[O]['query']>> &
  Optional<'body', Given<Operations[O]['body']>> & {
    readonly headers?: Readonly<Record<string, string>>
    readonly signal?: AbortSignal | undefined
  }

/** A call whose types were checked where it was made. */
interface LooseInput {
  readonly params?: unknown
  readonly query?: unknown
  readonly signal?: AbortSignal | undefined
}

type Scalars = Readonly<Record<string, string | number | boolean | undefined>>

/** Seconds before its end that a token is no longer used. */
const spareSeconds = 60

export class ManagerClient {
  #url: string
  #tls: KnownByCertificate | undefined
  readonly #credentials: ManagerCredentials
  readonly #timeoutMs: number
  #token: { readonly text: string; readonly until: number } | undefined

  /** Throws CONFIG_INVALID for what is no address. */
  constructor(options: ManagerClientOptions) {
    this.#url = managerUrl(options.url)
    this.#credentials = options.credentials
    this.#timeoutMs = options.timeoutMs ?? 30_000
  }

  /** Without a slash at its end. With a note: as it was read last, which `token` does. */
  get url(): string {
    return this.#url
  }

  /**
   * Calls an operation and answers what it answers. Throws what the manager says, by its code, and MANAGER_UNAVAILABLE where it
   * does not answer.
   */
  async call<O extends keyof Operations>(operation: O, input: CallInput<O>): Promise<Operations[O]['answer']> {
    const { body, headers } = input as { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
    const response = await this.send(operation, input, {
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (response.status === 204) return undefined as Operations[O]['answer']
    return (await response.json()) as Operations[O]['answer']
  }

  /** Calls an operation whose body or answer is no JSON object. The caller reads the answer. Throws as `call`. */
  async send<O extends keyof Operations>(
    operation: O,
    input: CallInput<O>,
    init: { readonly headers: Readonly<Record<string, string>>; readonly body?: string | Uint8Array<ArrayBuffer> },
  ): Promise<Response> {
    const [method] = places[operation]
    const { signal } = input as LooseInput
    for (let attempt = 0; ; attempt++) {
      const token = await this.token(signal)
      const url = this.url + loosePath(operation, input)
      const response = await this.#fetch(
        url,
        { ...init, method, headers: { ...init.headers, authorization: `Bearer ${token}` } },
        signal,
      )
      if (response.ok) return response
      const error = await problemOf(response, url)
      // The token was revoked, or the manager has another key or another note: once more with a fresh one.
      if (error.code !== 'TOKEN_INVALID' || this.#credentials.is === 'token' || attempt > 0) throw error
      this.#token = undefined
    }
  }

  /** A token that is good for a while yet. Throws TOKEN_INVALID where the secret is wrong, MANAGER_UNAVAILABLE where the note is gone. */
  async token(signal?: AbortSignal): Promise<string> {
    const credentials = this.#credentials
    if (credentials.is === 'token') return credentials.token
    if (credentials.is === 'note') {
      const note = credentials.read()
      if (note === undefined) throw unavailable(this.url, 'its folder has no note of how to reach it')
      this.#url = managerUrl(note.url)
      this.#tls = note.certificate === undefined ? undefined : knownByCertificate(note.certificate)
      return note.token
    }
    if (this.#token !== undefined && this.#token.until > performance.now()) return this.#token.text
    const { access_token: text, expires_in: seconds } = await requestToken(
      this.url,
      { grant_type: 'client_credentials', client_id: credentials.id, client_secret: credentials.secret },
      { signal, timeoutMs: this.#timeoutMs },
    )
    this.#token = { text, until: performance.now() + (seconds - spareSeconds) * 1000 }
    return text
  }

  /** How its certificate is checked where a note says which it has; as `token` read it last. */
  get tls(): KnownByCertificate | undefined {
    return this.#tls
  }

  /** A path that needs no token. Throws MANAGER_UNAVAILABLE. */
  async get(path: string, signal: AbortSignal): Promise<Response> {
    if (this.#credentials.is === 'note') await this.token(signal)
    return await this.#fetch(this.url + path, { method: 'GET', headers: {} }, signal)
  }

  async #fetch(url: string, init: Init, signal: AbortSignal | undefined): Promise<Response> {
    const tls = this.#tls
    return await fetched(tls === undefined ? fetch : (to, asked) => fetchFrom(to, asked, tls), url, init, {
      signal,
      timeoutMs: this.#timeoutMs,
    })
  }
}

/** The address of a manager without a slash at its end. Throws CONFIG_INVALID. */
export const managerUrl = (text: string): string => {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '')
    throw new MillraceError('CONFIG_INVALID', {
      what: 'the address of the manager',
      problems: [`"${text.replace(/\/\/[^/@]*@/, '//…@')}" is none; say http://HOST:PORT or https://…`],
    })
  return url.href.replace(/\/+$/, '')
}

export interface TokenAnswer {
  readonly access_token: string
  readonly expires_in: number
  readonly scope: string
}

/** Asks a manager for a token. Throws TOKEN_INVALID with its words, MANAGER_UNAVAILABLE. */
export const requestToken = async (
  url: string,
  form: Readonly<Record<string, string>>,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number } = {},
): Promise<TokenAnswer> => {
  const response = await fetched(
    fetch,
    `${managerUrl(url)}${places.getToken[1]}`,
    {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
    },
    { signal: options.signal, timeoutMs: options.timeoutMs ?? 30_000 },
  )
  if (response.ok) return (await response.json()) as TokenAnswer
  const text = await response.text()
  const said = parsed(text) as { readonly error_description?: unknown; readonly code?: unknown }
  if (typeof said.error_description !== 'string') throw problemFrom(text, response.status, url)
  throw new MillraceError('TOKEN_INVALID', {
    why: said.error_description,
    fix: 'Check the id and the secret; `millrace login` asks for them again.',
  })
}

interface Init {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array<ArrayBuffer>
}
type Asked = Init & { readonly signal: AbortSignal; readonly redirect: 'error' }

/** As `fetch`, which takes no settings of TLS. */
const fetchFrom = async (url: string, asked: Asked, tls: KnownByCertificate): Promise<Response> => {
  const [{ request }, { Readable }] = await Promise.all([import('node:https'), import('node:stream')])
  const { method, headers, body, signal } = asked
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(url, { method, headers: { ...length, ...headers }, signal, ...tls }, resolve)
    sent.once('error', reject)
    sent.end(body)
  })
  const status = answer.statusCode ?? 0
  const fields = Object.entries(answer.headersDistinct).map(([name, values = []]) => [name, values.join(', ')])
  // An answer without a body may not be made with one.
  const content = status === 204 ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>)
  return new Response(content, { status, headers: Object.fromEntries(fields) as Record<string, string> })
}

const fetched = async (
  ask: (url: string, asked: Asked) => Promise<Response>,
  url: string,
  init: Init,
  options: { readonly signal: AbortSignal | undefined; readonly timeoutMs: number },
): Promise<Response> => {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), options.timeoutMs)
  const signal = options.signal === undefined ? late.signal : AbortSignal.any([late.signal, options.signal])
  try {
    return await ask(url, { ...init, signal, redirect: 'error' })
  } catch (e) {
    options.signal?.throwIfAborted()
    throw unavailable(url, late.signal.aborted ? 'it does not answer' : reasonOf(e), e)
  } finally {
    clearTimeout(timer)
  }
}

/** The error for a manager that could not be reached. */
export const unavailable = (url: string, why: string, cause?: unknown): MillraceError =>
  new MillraceError('MANAGER_UNAVAILABLE', { url: new URL(url).origin, why }, { cause })

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  ECONNRESET: 'it closed the connection',
  ETIMEDOUT: 'it does not answer',
  UND_ERR_SOCKET: 'it closed the connection',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself; NODE_EXTRA_CA_CERTS names one to trust',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by nobody known; NODE_EXTRA_CA_CERTS names one to trust',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by nobody known; NODE_EXTRA_CA_CERTS names one to trust',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS; say http://',
}

/** Why a connection failed, in words. */
export const reasonOf = (e: unknown): string => {
  for (let at: unknown = e; at instanceof Error; at = at.cause) {
    const { code } = at as { readonly code?: unknown }
    if (typeof code === 'string') return words[code] ?? code
  }
  return e instanceof Error ? e.message : String(e)
}

/** The path of an operation with its parameters and its query. */
export const pathOf = <O extends keyof Operations>(
  operation: O,
  input: Pick<CallInput<O>, 'params' | 'query'>,
): string => loosePath(operation, input)

const loosePath = (operation: keyof Operations, input: LooseInput): string => {
  const params = (input.params ?? {}) as Scalars
  const path = places[operation][1].replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(params[name])),
  )
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries((input.query ?? {}) as Scalars))
    if (value !== undefined) query.set(name, String(value))
  return query.size === 0 ? path : `${path}?${query}`
}

const parsed = (text: string): object => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

const problemOf = async (response: Response, url: string): Promise<MillraceError> =>
  problemFrom(await response.text().catch(() => ''), response.status, url)

/** The error that a problem tells; MANAGER_UNAVAILABLE where the answer is none of a manager. */
export const problemFrom = (text: string, status: number, url: string): MillraceError => {
  const { code, detail, fix } = parsed(text) as {
    readonly code?: unknown
    readonly detail?: unknown
    readonly fix?: unknown
  }
  if (typeof code !== 'string' || typeof detail !== 'string')
    return new MillraceError('MANAGER_UNAVAILABLE', {
      url: new URL(url).origin,
      why: `it answers ${status}, and not as a manager does`,
      fix: 'Check that the address is that of a manager.',
    })
  return MillraceError.told({
    code,
    message: detail,
    fix: typeof fix === 'string' ? fix : 'See what the manager logs.',
  })
}
