/** GitHub's REST API: limits that it tells in words, repositories behind names. */
import { isObject, type Json, type JsonObject, type Logger, MillraceError } from '@millrace/sdk'
import {
  type HttpAnswer,
  type HttpClient,
  httpClient,
  pages,
  type RequestOptions,
  systemClock,
} from '@millrace/sdk/http'
import { type Settings, type Wanted, wantedOf } from './settings.ts'

/** A repository as GitHub knows it. The id outlives its name. */
export interface Repository {
  readonly id: number
  /** owner/name */
  readonly name: string
}

/** Not there, no longer there, not allowed to be shown. Also said of what is private and not granted. */
export const goneStatuses: readonly number[] = [404, 410, 451]

const maxBodySniff = 4096

/** What all substreams of a run share. */
export class GitHub {
  readonly client: HttpClient
  readonly wanted: Wanted
  readonly settings: Settings
  readonly log: Logger
  readonly #byName = new Map<string, Promise<Repository | undefined>>()
  #names: Promise<readonly string[]> | undefined

  /** Throws CONFIG_INVALID. */
  constructor(settings: Settings, around: { readonly signal: AbortSignal; readonly log: Logger }) {
    this.settings = settings
    this.log = around.log
    this.wanted = wantedOf(settings)
    const ms = settings.timeoutSeconds * 1000
    const inner = httpClient({
      baseUrl: baseUrlOf(settings.baseUrl),
      side: 'source',
      auth: { style: 'bearer', token: this.wanted.token },
      headers: {
        accept: 'application/vnd.github+json',
        'x-github-api-version': '2022-11-28',
        'user-agent': settings.userAgent,
      },
      retry: { attempts: settings.tries, baseMs: settings.retryMs, maxWaitMs: settings.maxWaitSeconds * 1000 },
      timeouts: { headersMs: ms, idleMs: ms },
      maxConcurrent: settings.maxConcurrent,
      signal: around.signal,
      log: around.log,
    })
    this.client = patient(inner, settings, around)
  }

  /** Full names of the repositories to read, in the order of the settings. */
  names(): Promise<readonly string[]> {
    this.#names ??= this.#findNames()
    return this.#names
  }

  async #findNames(): Promise<readonly string[]> {
    const names = new Map(this.wanted.names.map((n) => [n.toLowerCase(), n]))
    for (const owner of this.wanted.owners)
      for (const found of await this.#repositoriesOf(owner)) {
        const key = found.name.toLowerCase()
        if (!names.has(key)) names.set(key, found.name)
        this.#byName.set(key, Promise.resolve(found))
      }
    return [...names.values()]
  }

  async #repositoriesOf(owner: string): Promise<readonly Repository[]> {
    for (const kind of ['orgs', 'users']) {
      const found: Repository[] = []
      let isThere = true
      for await (const page of pages(this.client, {
        path: `/${kind}/${owner}/repos`,
        query: { per_page: this.settings.pageSize, sort: 'full_name' },
        pages: { style: 'link' },
        accept: [404],
      })) {
        if (page.answer.status === 404) isThere = false
        found.push(...page.records.filter(isObject).map((r) => repositoryOf(r, page.answer)))
      }
      if (isThere) return found
    }
    throw notThere([owner])
  }

  /** The repository of a name, also of a former name; undefined where the token sees none. */
  identify(name: string): Promise<Repository | undefined> {
    const key = name.toLowerCase()
    const known = this.#byName.get(key) ?? this.#ask(name)
    this.#byName.set(key, known)
    return known
  }

  async #ask(name: string): Promise<Repository | undefined> {
    const answer = await this.client.get(`/repos/${name}`, { accept: goneStatuses })
    if (goneStatuses.includes(answer.status)) return undefined
    const body = answer.json()
    const found = repositoryOf(isObject(body) ? body : {}, answer)
    if (found.name.toLowerCase() !== name.toLowerCase())
      this.log.info('the repository has another name now', { asked: name, name: found.name })
    return found
  }
}

/** Which repositories GitHub does not show, and what to do. */
export const notThere = (names: readonly string[]): MillraceError =>
  new MillraceError('SOURCE_REFUSED', {
    what: names.join(', '),
    why: 'GitHub shows no such repository or owner to this token (404)',
    fix: 'Check the name. A private repository needs a token that may read it: scope repo, or read access to Metadata, Contents, Issues and Pull requests.',
    status: 404,
  })

/** The records of a page. */
export const recordsOf = (answer: HttpAnswer): readonly JsonObject[] => {
  if (answer.status === 204) return []
  const body = answer.json()
  if (!Array.isArray(body)) throw malformed(answer, 'the answer is not a list')
  return (body as readonly Json[]).filter(isObject)
}

export const malformed = (answer: HttpAnswer, why: string): MillraceError =>
  new MillraceError('SOURCE_MALFORMED', {
    why: `${answer.asked}: ${why}`,
    fix: 'Check that baseUrl is the API of GitHub or of an Enterprise server. What came before was sent.',
  })

/** When the server answered, milliseconds since 1970. */
export const answeredAt = (answer: HttpAnswer): number => {
  const at = Date.parse(answer.headers['date'] ?? '')
  return Number.isNaN(at) ? systemClock.now() : at
}

const repositoryOf = (body: JsonObject, answer: HttpAnswer): Repository => {
  const { id, full_name: name } = body
  if (typeof id !== 'number' || typeof name !== 'string') throw malformed(answer, 'it describes no repository')
  return { id, name }
}

/** The page in the browser is not the API. */
const baseUrlOf = (text: string): string =>
  /^https?:\/\/(www\.)?github\.com\/?$/.test(text) ? 'https://api.github.com' : text

const says = (answer: HttpAnswer, what: RegExp): boolean =>
  what.test(answer.bytes.subarray(0, maxBodySniff).toString('latin1'))

export const isTooLarge = (answer: HttpAnswer): boolean => answer.status === 403 && says(answer, /too large to list/i)

/**
 * A secondary limit may come as a 403 that only its words tell from a refusal, and without saying for how long: then the
 * first wait is a minute, and each is double the last.
 */
const patient = (
  inner: HttpClient,
  settings: Settings,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): HttpClient => {
  const get = async (path: string, options: RequestOptions = {}): Promise<HttpAnswer> => {
    let waitSeconds = settings.limitWaitSeconds
    let waitedSeconds = 0
    for (;;) {
      const answer = await inner.get(path, { ...options, accept: [...(options.accept ?? []), 403] })
      if (answer.status !== 403) return answer
      if (!says(answer, /secondary rate limit|abuse detection/i)) {
        if (options.accept?.includes(403) === true && isTooLarge(answer)) return answer
        throw refused(answer)
      }
      if (waitedSeconds + waitSeconds > settings.maxWaitSeconds)
        throw new MillraceError('SOURCE_LIMITED', {
          what: answer.asked,
          why: 'the secondary limit of requests is reached (403)',
          status: 403,
        })
      log.info('the secondary limit is reached, waiting', { request: answer.asked, seconds: waitSeconds })
      await systemClock.sleep(waitSeconds * 1000, options.signal ?? signal)
      waitedSeconds += waitSeconds
      waitSeconds *= 2
    }
  }
  return {
    baseUrl: inner.baseUrl,
    get,
    request: (request) => (request.method === 'GET' ? get(request.path, request) : inner.request(request)),
    close: () => inner.close(),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
}

const refused = (answer: HttpAnswer): MillraceError =>
  new MillraceError('SOURCE_REFUSED', {
    what: answer.asked,
    why: 'access is not allowed (403)',
    fix: 'Give the token the right to read it (scope repo, or read access to Metadata, Contents, Issues and Pull requests); where the organisation has single sign-on, authorise the token for it.',
    status: 403,
  })
