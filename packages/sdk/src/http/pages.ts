/** Answers that come in pages, by the style in which the server says where the next one is. */
import type { MillraceError } from '../errors/error.ts'
import { encodeJson, isObject, type Json, type JsonObject } from '../message/json.ts'
import { httpError } from './failures.ts'
import { type JsonPath, jsonPath, valueAt, withValueAt } from './json-path.ts'
import { nextLink } from './link-header.ts'
import type { HttpAnswer, HttpClient, QueryValue, RequestOptions } from './types.ts'

/**
 * Where the next page is:
 *
 * - `none`: there is one page.
 * - `link`: the Link header, rel="next" (RFC 8288).
 * - `next-url`: a URL in the body, at `at`.
 * - `cursor`: a value in the body, at `at`, that goes into the parameter `parameter`.
 * - `last-record`: the value at `at` of the page's last record goes into `parameter`.
 * - `offset`: `parameter` counts records, `limit` of them a page.
 * - `page`: `parameter` counts pages, from `first`.
 *
 * `more` names a member of the body that says whether there is another page: false ends it. `limit` is sent in
 * `limitParameter`. Offset and page end at a page without records and, where `limit` is known, at a shorter one.
 */
export type PageStyle = { readonly more?: string | undefined } & Limit &
  (
    | { readonly style: 'none' | 'link' }
    | { readonly style: 'next-url'; readonly at: string }
    | { readonly style: 'cursor' | 'last-record'; readonly at: string; readonly parameter: string }
    | { readonly style: 'offset' | 'page'; readonly parameter: string; readonly first?: number | undefined }
  )
interface Limit {
  readonly limit?: number | undefined
  readonly limitParameter?: string | undefined
}

/** Where a page is: a path with its query, or the value of the style's parameter. Fit to be a bookmark. */
export type PagePosition = { readonly url: string } | { readonly at: Json }

export interface Page {
  readonly answer: HttpAnswer
  readonly records: readonly Json[]
  /** Where the next page is; undefined after the last one. With it as `from`, pages go on there. */
  readonly next: PagePosition | undefined
}

export interface PagesRequest extends RequestOptions {
  readonly path: string
  readonly pages: PageStyle
  /** Where the records of a page are: a pointer or names with points. Default: the body itself. A single object is one record. */
  readonly recordsAt?: string | undefined
  /**
   * Pages are asked for by POST, with this as JSON: a search or GraphQL. The style's `parameter` and `limitParameter` are
   * places in it then (`variables.after`). It is sent again after a failure, so asking twice must do no harm.
   */
  readonly body?: JsonObject | undefined
  /** Where an answer of 2xx tells that it failed: anything there but null, false and what is empty is SOURCE_REFUSED. */
  readonly errorsAt?: string | undefined
  /** {@link Page.next} of an earlier page. */
  readonly from?: PagePosition | undefined
  /** Where there are more, something is wrong: SOURCE_MALFORMED. Default 1,000,000. */
  readonly maxPages?: number | undefined
  /** Query parameters that must not get into a position, such as an API key; those of `query` are sent all the same. */
  readonly secretParameters?: readonly string[] | undefined
}

/** The positions remembered, to notice a cursor that comes again. */
const remembered = 1000

/**
 * The pages of one request, asked for one after the other. An answer of 304 or of a status in `accept` ends it, as a page
 * without records. A page that leads to itself or to one of those before it is SOURCE_MALFORMED, not an endless loop.
 */
export async function* pages(client: HttpClient, request: PagesRequest): AsyncGenerator<Page, void, undefined> {
  const { pages: style, maxPages = 1_000_000 } = request
  const recordsAt = jsonPath(request.recordsAt ?? '')
  const seen = new Set<string>()
  const isCounted = style.style === 'offset' || style.style === 'page'
  let before: Buffer = Buffer.alloc(0)
  let position = request.from
  for (let count = 1; ; count++) {
    const answer = await ask(client, request, position)
    if (answer.status === 304 || answer.status === 204 || request.accept?.includes(answer.status) === true) {
      yield { answer, records: [], next: undefined }
      return
    }
    const body = answer.json()
    if (request.errorsAt !== undefined) refuseErrors(answer, body, request.errorsAt)
    const records = recordsOf(answer, body, recordsAt)
    // Counting goes on for ever where the server does not know the parameter.
    if (isCounted && count > 1 && records.length > 0 && answer.bytes.equals(before))
      throw endless(answer, 'the same page came twice')
    before = answer.bytes
    const next = nextOf({ style, answer, body, records, position, secret: request.secretParameters ?? [] })
    if (next !== undefined) {
      const key = encodeJson(next)
      if (seen.has(key) || key === encodeJson(position ?? null))
        throw endless(answer, 'it names a next page that was read already')
      seen.add(key)
      if (seen.size > remembered) seen.delete(seen.values().next().value as string)
      if (count >= maxPages) throw endless(answer, `there are more than ${maxPages} pages`)
    }
    yield { answer, records, next }
    if (next === undefined) return
    position = next
  }
}

const ask = (client: HttpClient, request: PagesRequest, position: PagePosition | undefined): Promise<HttpAnswer> => {
  const { pages: style, path, query, body, headers, etag, accept, signal } = request
  const options: RequestOptions = {
    headers,
    accept,
    signal,
    ...(position === undefined && body === undefined ? { etag } : {}),
  }
  if (position !== undefined && 'url' in position) {
    // What was kept out of the position is put back.
    const secret = new Set(request.secretParameters)
    const hidden = Object.fromEntries(Object.entries(query ?? {}).filter(([name]) => secret.has(name)))
    return send(client, client.baseUrl.origin + position.url, { ...options, query: hidden }, body)
  }
  const more: Record<string, Json> = {}
  if (style.limitParameter !== undefined && style.limit !== undefined) more[style.limitParameter] = style.limit
  if ('parameter' in style) {
    if (position !== undefined) more[style.parameter] = position.at
    else if (style.style === 'offset' || style.style === 'page') more[style.parameter] = firstOf(style)
  }
  if (body === undefined)
    return send(client, path, { ...options, query: { ...query, ...mapValues(more, queryValue) } }, undefined)
  const filled = Object.entries(more).reduce((b, [at, value]) => withValueAt(b, jsonPath(at), value), body)
  return send(client, path, { ...options, query }, filled)
}

const send = (
  client: HttpClient,
  path: string,
  options: RequestOptions,
  body: JsonObject | undefined,
): Promise<HttpAnswer> =>
  body === undefined
    ? client.get(path, options)
    : client.request({
        ...options,
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json', ...options.headers },
        body: encodeJson(body),
        idempotent: true,
      })

const mapValues = <A, B>(of: Readonly<Record<string, A>>, to: (a: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(of).map(([name, value]) => [name, to(value)]))

const queryValue = (v: Json): QueryValue =>
  typeof v === 'string' || typeof v === 'number' ? v : typeof v === 'bigint' ? String(v) : encodeJson(v)

const firstOf = (style: { readonly style: string; readonly first?: number | undefined }): number =>
  style.first ?? (style.style === 'page' ? 1 : 0)

const recordsOf = (answer: HttpAnswer, body: Json, at: JsonPath): readonly Json[] => {
  const found = valueAt(body, at)
  if (Array.isArray(found)) return found as readonly Json[]
  if (found !== undefined && isObject(found)) return [found]
  // An empty list is left out by some.
  if (
    found === null ||
    (found === undefined && at.length > 0 && isObject(body) && valueAt(body, at.slice(0, -1)) !== undefined)
  )
    return []
  throw malformed(
    answer,
    at.length === 0 ? 'the answer is neither a list nor an object' : `there are no records at ${at.join('.')}`,
  )
}

interface Turn {
  readonly style: PageStyle
  readonly answer: HttpAnswer
  readonly body: Json
  readonly records: readonly Json[]
  readonly position: PagePosition | undefined
  readonly secret: readonly string[]
}

const nextOf = (turn: Turn): PagePosition | undefined => {
  const { style, answer, body, records, position } = turn
  if (style.more !== undefined) {
    const more = valueAt(body, jsonPath(style.more))
    if (more === false || more === null || more === undefined || more === 'false' || more === 0) return undefined
  }
  switch (style.style) {
    case 'none':
      return undefined
    case 'link':
      return urlPosition(turn, nextLink(answer.headers['link']))
    case 'next-url':
      return urlPosition(turn, textOf(valueAt(body, jsonPath(style.at))))
    case 'cursor':
      return atPosition(valueAt(body, jsonPath(style.at)))
    case 'last-record':
      return records.length === 0 ? undefined : atPosition(valueAt(records.at(-1), jsonPath(style.at)))
    case 'offset':
    case 'page': {
      if (records.length === 0) return undefined
      if (style.limit !== undefined && style.more === undefined && records.length < style.limit) return undefined
      const at = position !== undefined && 'at' in position ? Number(position.at) : firstOf(style)
      return { at: at + (style.style === 'page' ? 1 : records.length) }
    }
  }
}

const textOf = (v: Json | undefined): string | undefined => (typeof v === 'string' && v !== '' ? v : undefined)

const atPosition = (v: Json | undefined): PagePosition | undefined =>
  v === undefined || v === null || v === '' || v === false ? undefined : { at: v }

/** Path and query alone: a position outlives the host's name, and holds no secret of the auth. */
const urlPosition = (turn: Turn, link: string | undefined): PagePosition | undefined => {
  if (link === undefined) return undefined
  const base = turn.answer.url
  const url = URL.parse(link, base.href)
  if (url === null) throw malformed(turn.answer, 'its link to the next page is not a URL')
  if (url.hostname !== base.hostname)
    throw httpError({
      side: 'source',
      kind: 'refused',
      what: turn.answer.asked,
      why: `its next page is on another host (${url.host}), and credentials are not sent there`,
      fix: 'Set the base URL to the host that serves all pages.',
    })
  for (const name of turn.secret) url.searchParams.delete(name)
  return { url: url.pathname + url.search }
}

const refuseErrors = (answer: HttpAnswer, body: Json, at: string): void => {
  const found = valueAt(body, jsonPath(at))
  const isNone =
    found === undefined ||
    found === null ||
    found === false ||
    found === '' ||
    (Array.isArray(found) && found.length === 0) ||
    (isObject(found) && Object.keys(found).length === 0)
  if (isNone) return
  throw httpError({
    side: 'source',
    kind: 'refused',
    what: answer.asked,
    why: `the answer (${answer.status}) tells errors at ${at}`,
    fix: 'Send the same request by hand to read them: what bodies say is not logged.',
  })
}

const malformed = (answer: HttpAnswer, why: string): MillraceError =>
  httpError({
    side: 'source',
    kind: 'malformed',
    what: answer.asked,
    why,
    fix: 'Check where the records are and how the pages are linked. What came before was sent.',
  })

const endless = (answer: HttpAnswer, why: string): MillraceError =>
  httpError({
    side: 'source',
    kind: 'malformed',
    what: answer.asked,
    why: `the pages do not end: ${why}`,
    fix: 'Check the page style and its parameter: a server that does not know the parameter gives the same page again.',
  })
