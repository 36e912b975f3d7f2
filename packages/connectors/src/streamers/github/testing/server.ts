/**
 * A server that answers as GitHub's REST API does, as far as the streamer can tell: pages by Link header, ETags, redirects of
 * renamed repositories, limits of both kinds, and its errors.
 */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { isObject, type Json, type JsonObject } from '@millrace/sdk'
import { type SeenRequest, sendJson, startHttpServer, type TestServer } from '@millrace/sdk/testing'
import type { FakeRepository } from './world.ts'

export interface FakeGitHub extends AsyncDisposable {
  /** What `baseUrl` is to be set to. */
  readonly url: string
  readonly requests: TestServer['requests']
  readonly repositories: FakeRepository[]
  /** The token that is accepted; changed, the old one is revoked. */
  token: string
  /** Requests left of the primary limit. */
  remaining: number
  /** Seconds until the primary limit begins anew. */
  resetSeconds: number
  /** Looks at each request first: true where it answered by itself. */
  fault: ((request: SeenRequest, response: ServerResponse, count: number) => boolean) | undefined
  /** What the server gives its time as, milliseconds since 1970; undefined: its own. */
  now: number | undefined
  close(): Promise<void>
}

const prefix = '/api/v3'

export const startGitHub = async (...repositories: FakeRepository[]): Promise<FakeGitHub> => {
  let count = 0
  const server = await startHttpServer((request, response) => {
    count++
    if (github.fault?.(request, response, count) === true) return
    new Answer(github, server.url + prefix, request, response).send()
  })
  const github: FakeGitHub = {
    url: server.url + prefix,
    requests: server.requests,
    repositories,
    token: 'ghp_good',
    remaining: 5000,
    resetSeconds: 1,
    fault: undefined,
    now: undefined,
    close: server.close,
    [Symbol.asyncDispose]: server.close,
  }
  return github
}

/** The answer of the secondary limit, which only its words and perhaps Retry-After tell from a refusal. */
export const secondaryLimit = (response: ServerResponse, retryAfter?: number): void =>
  sendJson(
    response,
    { message: 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.' },
    { status: 403, headers: retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) } },
  )

class Answer {
  readonly #github: FakeGitHub
  readonly #base: string
  readonly #request: SeenRequest
  readonly #response: ServerResponse
  readonly #url: URL

  constructor(github: FakeGitHub, base: string, request: SeenRequest, response: ServerResponse) {
    this.#github = github
    this.#base = base
    this.#request = request
    this.#response = response
    this.#url = new URL(request.url, base)
  }

  send(): true {
    const { headers } = this.#request
    if (headers['user-agent'] === undefined) return this.#error(403, 'Request forbidden by administrative rules.')
    if (
      !/^(Bearer|token) /.test(headers.authorization ?? '') ||
      headers.authorization?.split(' ')[1] !== this.#github.token
    )
      // As GitHub does: without the headers of limits.
      return this.#send({ message: 'Bad credentials' }, { status: 401 })
    if (this.#github.remaining <= 0) return this.#error(403, 'API rate limit exceeded for user ID 1.')
    const path = decodeURIComponent(this.#url.pathname.slice(prefix.length))
    const owned = /^\/(orgs|users)\/([^/]+)\/repos$/.exec(path)
    if (owned !== null) {
      const own = this.#github.repositories.filter((r) => r.full_name.startsWith(`${owned[2]}/`))
      return own.length === 0 || owned[1] === 'users' ? this.#error(404, 'Not Found') : this.#list(own.map(describe))
    }
    const named = /^\/repos\/([^/]+\/[^/]+)(?:\/(.+))?$/.exec(path)
    const numbered = /^\/repositories\/(\d+)(?:\/(.+))?$/.exec(path)
    const moved = this.#github.repositories.find((r) => named !== null && r.former.includes(named[1] as string))
    if (moved !== undefined) {
      const rest = named?.[2] === undefined ? '' : `/${named[2]}`
      const to = `${this.#base}/repositories/${moved.id}${rest}${this.#url.search}`
      return this.#send({ message: 'Moved Permanently', url: to }, { status: 301, headers: { location: to } })
    }
    const repository = this.#github.repositories.find(
      (r) => r.full_name.toLowerCase() === named?.[1]?.toLowerCase() || String(r.id) === numbered?.[1],
    )
    if (repository === undefined) return this.#error(404, 'Not Found')
    const rest = named?.[2] ?? numbered?.[2]
    if (rest === undefined) return this.#json(describe(repository))
    return this.#part(repository, rest)
  }

  #send(body: unknown, options: NonNullable<Parameters<typeof sendJson>[2]>): true {
    sendJson(this.#response, body, options)
    return true
  }

  #part(repository: FakeRepository, path: string): true {
    const gone = repository.gone.get(path)
    if (gone !== undefined) return this.#error(gone, gone === 410 ? 'Issues are disabled for this repo' : 'Not Found')
    const { commits } = repository
    if (path === 'commits') return this.#commits(commits)
    const compared = /^compare\/(\w+)\.\.\.(\w+)$/.exec(path)
    if (compared !== null) {
      const from = commits.findIndex((c) => c['sha'] === compared[1])
      const to = commits.findIndex((c) => c['sha'] === compared[2])
      if (from < 0 || to < 0) return this.#error(404, 'Not Found')
      const between = commits.slice(from + 1, to + 1)
      return this.#list(between, (page) => ({ status: 'ahead', total_commits: between.length, commits: page }))
    }
    if (path === 'contributors' && commits.length === 0) {
      this.#response.writeHead(204)
      this.#response.end()
      return true
    }
    const list = repository.lists.get(path)
    if (list === undefined) return this.#error(404, 'Not Found')
    if (path === 'stargazers' && this.#request.headers.accept !== 'application/vnd.github.v3.star+json')
      return this.#list(list.map((s) => s['user'] as JsonObject))
    return this.#list(this.#ordered(path, list))
  }

  #commits(all: readonly JsonObject[]): true {
    if (all.length === 0) return this.#error(409, 'Git Repository is empty.')
    const sha = this.#url.searchParams.get('sha')
    const since = this.#url.searchParams.get('since')
    const to = sha === null ? all.length : all.findIndex((c) => c['sha'] === sha) + 1
    if (to === 0) return this.#error(404, 'Not Found')
    const dated = (c: JsonObject): string => ((c['commit'] as JsonObject)['committer'] as JsonObject)['date'] as string
    const found = all.slice(0, to).filter((c) => since === null || dated(c) >= since)
    return this.#list(
      found
        .toSorted((a, b) => (dated(a) < dated(b) ? 1 : dated(a) > dated(b) ? -1 : 0))
        .toSorted((a, b) => (a === all[to - 1] ? -1 : b === all[to - 1] ? 1 : 0)),
    )
  }

  /** `state`, `since`, `sort` and `direction`, each with the default that GitHub has for it. */
  #ordered(path: string, list: readonly JsonObject[]): readonly JsonObject[] {
    const q = this.#url.searchParams
    const isSorted = /^(issues|issues\/comments|pulls|pulls\/comments)$/.test(path)
    const since = path === 'pulls' ? null : q.get('since')
    const state = q.get('state') ?? (path === 'issues' || path === 'pulls' || path === 'milestones' ? 'open' : 'all')
    const found = list.filter(
      (r) =>
        (since === null || String(r['updated_at']) >= since) &&
        (state === 'all' || r['state'] === undefined || r['state'] === state),
    )
    if (!isSorted) return found
    const key = q.get('sort') === 'updated' ? 'updated_at' : 'created_at'
    const sign = (q.get('direction') ?? 'desc') === 'asc' ? 1 : -1
    return found.toSorted((a, b) => {
      const order =
        String(a[key]) < String(b[key]) ? -1 : String(a[key]) > String(b[key]) ? 1 : Number(a['id']) - Number(b['id'])
      return order * sign
    })
  }

  #list(records: readonly JsonObject[], wrap: (page: readonly JsonObject[]) => Json = (page) => page): true {
    const q = this.#url.searchParams
    const size = Math.min(100, Number(q.get('per_page') ?? 30))
    const page = Number(q.get('page') ?? 1)
    const last = Math.max(1, Math.ceil(records.length / size))
    const links: string[] = []
    const link = (n: number, rel: string): void => {
      const to = new URL(this.#url)
      to.searchParams.set('page', String(n))
      links.push(`<${to.href}>; rel="${rel}"`)
    }
    if (page > 1) link(page - 1, 'prev')
    if (page < last) link(page + 1, 'next')
    if (page < last) link(last, 'last')
    if (page > 1) link(1, 'first')
    return this.#json(
      wrap(records.slice((page - 1) * size, page * size)),
      links.length === 0 ? {} : { link: links.join(', ') },
    )
  }

  #json(body: Json, headers: Readonly<Record<string, string>> = {}): true {
    const text = JSON.stringify(body)
    const etag = `W/"${createHash('sha256').update(text).digest('hex').slice(0, 32)}"`
    if (this.#request.headers['if-none-match'] === etag) {
      this.#response.writeHead(304, { ...this.#limits(), ...this.#date(), etag })
      this.#response.end()
      return true
    }
    this.#github.remaining--
    return this.#send(text, {
      headers: {
        ...this.#limits(),
        ...this.#date(),
        etag,
        'content-type': 'application/json; charset=utf-8',
        ...headers,
      },
    })
  }

  #date(): Record<string, string> {
    const { now } = this.#github
    return now === undefined ? {} : { date: new Date(now).toUTCString() }
  }

  #limits(): Record<string, string> {
    const { remaining, resetSeconds } = this.#github
    return {
      'x-ratelimit-limit': '5000',
      'x-ratelimit-remaining': String(Math.max(0, remaining)),
      'x-ratelimit-reset': String(
        resetSeconds > 0 ? Math.floor(performance.timeOrigin / 1000 + performance.now() / 1000) + resetSeconds : 0,
      ),
      'x-ratelimit-resource': 'core',
    }
  }

  #error(status: number, message: string): true {
    return this.#send(
      { message, documentation_url: 'https://docs.github.com/rest', status: String(status) },
      { status, headers: this.#limits() },
    )
  }
}

const describe = (r: FakeRepository): JsonObject => ({
  id: r.id,
  name: r.full_name.split('/')[1] ?? '',
  full_name: r.full_name,
  private: false,
})

/** The requests that asked whether anything changed. */
export const conditional = (requests: readonly SeenRequest[]): readonly SeenRequest[] =>
  requests.filter((r) => isObject(r.headers as Json) && r.headers['if-none-match'] !== undefined)
