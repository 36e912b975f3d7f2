/**
 * Lists of what changed, newest first, that GitHub gives no moment to begin at: pull requests and events. Pages are read
 * until one is older than the last run. What changes meanwhile moves to the front: it is newer than the first page
 * was, and the next run begins there.
 */
import type { JsonObject } from '@millrace/sdk'
import { recordsOf } from './api.ts'
import type { Place } from './places.ts'
import { firstPage, later, morePages, nextPage, objectsOf, type Reading, textAt } from './reading.ts'

export interface FallingList {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** The field that falls. */
  readonly key: string
  /** For a first reading of everything: parameters of an order that does not change, so that it can be resumed. */
  readonly firstQuery?: Readonly<Record<string, string>>
}

/** Records of a page, and the place that is reached behind them. */
export interface FallingStep {
  readonly records: readonly JsonObject[]
  readonly place?: Place | undefined
}

export async function* readFalling(reading: Reading, list: FallingList): AsyncGenerator<FallingStep, void, undefined> {
  const { place, github, repository } = reading
  if (place.reading !== undefined) {
    yield* whole(reading, list, place.reading)
    return
  }
  const first = await firstPage(reading, list.path, { query: list.query, etag: place.etag })
  if (first === undefined) return
  const since = place.since ?? github.wanted.startDate
  const records = recordsOf(first)
  const until = records.reduce((m, r) => later(m, textAt(r, list.key)), since)
  const end: Place = { id: repository.id, since: until, etag: first.etag }
  const next = nextPage(first)
  if (since === undefined && next !== undefined && list.firstQuery !== undefined && until !== undefined) {
    yield* whole(reading, list, { url: '', until, etag: first.etag })
    return
  }
  const isFresh = (r: JsonObject): boolean => since === undefined || (textAt(r, list.key) ?? since) >= since
  yield { records: records.filter(isFresh) }
  if (next !== undefined && records.every(isFresh))
    for await (const page of morePages(reading, list.path, { from: next })) {
      const more = objectsOf(page.records)
      yield { records: more.filter(isFresh) }
      if (!more.every(isFresh)) break
    }
  yield { records: [], place: end }
}

/** Everything, in an order that does not change while it is read, with a place behind each page. */
async function* whole(
  reading: Reading,
  list: FallingList,
  begun: NonNullable<Place['reading']>,
): AsyncGenerator<FallingStep, void, undefined> {
  const { id } = reading.repository
  for await (const page of morePages(reading, list.path, {
    query: { ...list.query, ...list.firstQuery },
    from: begun.url === '' ? undefined : { url: begun.url },
  })) {
    const url = page.next !== undefined && 'url' in page.next ? page.next.url : undefined
    yield {
      records: objectsOf(page.records),
      place: url === undefined ? { id, since: begun.until, etag: begun.etag } : { id, reading: { ...begun, url } },
    }
  }
}
