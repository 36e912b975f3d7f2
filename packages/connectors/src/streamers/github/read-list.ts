/**
 * Full lists, read whole where they changed: releases, stargazers, labels, milestones, contributors.
 *
 * Whether one changed is asked with one request, for its last page: whatever is added to or taken from a list in a fixed order
 * shows there. What changes in place on an earlier page does not, so a list of several pages is read again after a time.
 */
import type { JsonObject } from '@millrace/sdk'
import type { HttpAnswer } from '@millrace/sdk/http'
import { answeredAt, recordsOf } from './api.ts'
import { type Ask, firstPage, morePages, nextPage, objectsOf, pathOf, type Reader, type Reading } from './reading.ts'

export interface FullList {
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly map?: (record: JsonObject) => JsonObject
}

export const listReader = (list: FullList): Reader =>
  async function* (reading) {
    const { place, repository, github } = reading
    const map = list.map ?? ((r: JsonObject) => r)
    const ask: Ask = { query: list.query ?? {}, ...(list.headers === undefined ? {} : { headers: list.headers }) }
    let first: HttpAnswer | undefined
    if (place.etag !== undefined) {
      const page = place.page ?? 1
      const probe = await lastPage(reading, { list, ask, page, etag: place.etag })
      if (probe === undefined || (probe.notModified && !isStale(reading, probe))) return
      if (!probe.notModified && page === 1) first = probe
    }
    first ??= await firstPage(reading, list.path, ask)
    if (first === undefined) return
    let last = { answer: first, count: recordsOf(first).length, page: 1 }
    if (last.count > 0) yield { records: recordsOf(first).map(map) }
    const next = nextPage(first)
    if (next !== undefined)
      for await (const page of morePages(reading, list.path, { ...ask, from: next })) {
        last = { answer: page.answer, count: page.records.length, page: last.page + 1 }
        yield { records: objectsOf(page.records).map(map) }
      }
    // What comes next begins a page of its own: that one has to be asked for.
    if (last.count >= github.settings.pageSize) {
      const page = last.page + 1
      const empty = await lastPage(reading, { list, ask, page, etag: undefined })
      if (empty !== undefined) last = { answer: empty, count: 0, page }
    }
    yield {
      place: {
        id: repository.id,
        etag: last.answer.etag,
        page: last.page === 1 ? undefined : last.page,
        read_at: new Date(answeredAt(first)).toISOString(),
      },
    }
  }

interface Probe {
  readonly list: FullList
  readonly ask: Ask
  readonly page: number
  readonly etag: string | undefined
}

/** Undefined where the list is gone; then {@link firstPage} has said so. */
const lastPage = async (reading: Reading, { list, ask, page, etag }: Probe): Promise<HttpAnswer | undefined> => {
  const { github } = reading
  const answer = await github.client.get(pathOf(reading, list.path), {
    ...ask,
    query: { ...ask.query, per_page: github.settings.pageSize, page: page === 1 ? undefined : page },
    etag,
    accept: [404, 410, 451, 403],
  })
  if (answer.notModified || answer.status < 300) return answer
  return await firstPage(reading, list.path, ask)
}

const isStale = ({ place, github }: Reading, probe: HttpAnswer): boolean =>
  place.page !== undefined &&
  answeredAt(probe) - Date.parse(place.read_at ?? '1970-01-01T00:00:00Z') > github.settings.refreshHours * 3600_000
