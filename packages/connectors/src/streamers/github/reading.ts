/** What the ways of reading a substream of one repository have in common. */
import { isObject, type Json, type JsonObject } from '@millrace/sdk'
import { type HttpAnswer, nextLink, type Page, type PagePosition, pages, type QueryValue } from '@millrace/sdk/http'
import { type GitHub, goneStatuses, isTooLarge, type Repository } from './api.ts'
import type { Place } from './places.ts'

/** Records of the repository, or a place that everything before it is covered by. */
export type Step = { readonly records: readonly JsonObject[] } | { readonly place: Place }
export type Steps = AsyncGenerator<Step, void, undefined>

/** One substream of one repository, from where the last run got to. */
export interface Reading {
  readonly github: GitHub
  readonly repository: Repository
  readonly place: Place
  readonly substream: string
}
export type Reader = (reading: Reading) => Steps

export interface Ask {
  readonly query?: Readonly<Record<string, QueryValue>>
  readonly headers?: Readonly<Record<string, string>>
  readonly etag?: string | undefined
}

/** By id: a repository that is renamed meanwhile is still found, and without a redirect. */
export const pathOf = ({ repository }: Reading, rest: string): string => `/repositories/${repository.id}/${rest}`

/** The first page of a list; undefined where there is nothing to read: not changed, gone, or an empty repository. */
export const firstPage = async (reading: Reading, path: string, ask: Ask): Promise<HttpAnswer | undefined> => {
  const { github, repository, substream } = reading
  const answer = await github.client.get(pathOf(reading, path), {
    ...ask,
    query: { ...ask.query, per_page: github.settings.pageSize },
    accept: [...goneStatuses, 403, 409],
  })
  const { status } = answer
  if (answer.notModified) return undefined
  const about = { repository: repository.name, substream }
  if (goneStatuses.includes(status))
    github.log.warn(`not there, not enabled, or not shown to this token (${status}); what was read of it stays`, about)
  else if (status === 409) github.log.info('the repository is empty', about)
  else if (isTooLarge(answer)) github.log.warn('GitHub does not list it: it is too large', about)
  else return answer
  return undefined
}

/** The pages of a list, from the beginning, or from a place in it. */
export const morePages = (
  reading: Reading,
  path: string,
  ask: Ask & { readonly from?: PagePosition | undefined; readonly recordsAt?: string },
): AsyncGenerator<Page, void, undefined> =>
  pages(reading.github.client, {
    path: pathOf(reading, path),
    query: { ...ask.query, per_page: reading.github.settings.pageSize },
    headers: ask.headers,
    pages: { style: 'link' },
    from: ask.from,
    recordsAt: ask.recordsAt,
    // GitHub itself ends a list sooner.
    maxPages: 20_000,
  })

/** Where the page behind this one is. */
export const nextPage = (answer: HttpAnswer): PagePosition | undefined => {
  const link = nextLink(answer.headers['link'])
  const url = link === undefined ? null : URL.parse(link, answer.url.href)
  return url === null ? undefined : { url: url.pathname + url.search }
}

export const objectsOf = (records: readonly Json[]): readonly JsonObject[] => records.filter(isObject)

export const textAt = (record: JsonObject | undefined, field: string): string | undefined => {
  const value = record?.[field]
  return typeof value === 'string' ? value : undefined
}

/** The later of two moments as GitHub writes them. */
export const later = (a: string | undefined, b: string | undefined): string | undefined =>
  a === undefined || (b !== undefined && b > a) ? b : a
