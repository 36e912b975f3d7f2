/**
 * Lists that GitHub gives in rising order of `updated_at`, from a moment on: issues and comments.
 *
 * Not by the numbers of pages: a record that changes while the list is read moves to its end and draws those behind it
 * one place forward, over the edge of a page. Each request begins at the moment that the last one came to. What was
 * given already of that second is left out.
 */
import type { JsonObject } from '@millrace/sdk'
import { malformed, recordsOf } from './api.ts'
import { firstPage, later, nextPage, type Reader, textAt } from './reading.ts'

/** Of one second; more are a server that gives the same for ever. */
const maxPagesOfOneSecond = 2000

export const risingReader = (path: string, query: Readonly<Record<string, string>>): Reader =>
  async function* (reading) {
    const { place, github, repository } = reading
    let since = place.since ?? github.wanted.startDate
    let asked = place.etag === undefined ? since : place.asked
    let etag = place.etag
    let page = place.etag === undefined ? 1 : (place.page ?? 1)
    /** Records of the second `since` that this run has given. */
    let given = new Set<string>()
    let before: Buffer | undefined
    for (;;) {
      const answer = await firstPage(reading, path, {
        query: { ...query, sort: 'updated', direction: 'asc', since: asked, page: page === 1 ? undefined : page },
        etag,
      } as Parameters<typeof firstPage>[2])
      if (answer === undefined) return
      if (etag !== undefined && page > 1) {
        page = 1
        etag = undefined
        continue
      }
      etag = undefined
      if (before !== undefined && page > 1 && answer.bytes.equals(before))
        throw malformed(answer, 'the pages do not end: the same page came twice')
      if (page > maxPagesOfOneSecond) throw malformed(answer, 'the pages do not end')
      before = answer.bytes
      const all = recordsOf(answer)
      const fresh = all.filter((r) => isFresh(r, since, given))
      const last = all.reduce<string | undefined>((m, r) => later(m, textAt(r, 'updated_at')), undefined)
      const reached = later(since, last)
      if (reached !== since) given = new Set()
      for (const r of all) if (textAt(r, 'updated_at') === reached) given.add(String(r['id']))
      since = reached
      if (fresh.length > 0) yield { records: fresh }
      if (nextPage(answer) === undefined) {
        const where = { asked, page: page === 1 ? undefined : page, etag: answer.etag }
        yield { place: { id: repository.id, since, ...(answer.etag === undefined ? {} : where) } }
        return
      }
      if (!isRising(all)) throw malformed(answer, 'its records do not rise by updated_at')
      if (last !== undefined && (asked === undefined || last > asked)) {
        asked = last
        page = 1
      } else page++
      yield { place: { id: repository.id, since } }
    }
  }

const isFresh = (record: JsonObject, since: string | undefined, given: ReadonlySet<string>): boolean => {
  const at = textAt(record, 'updated_at')
  if (since === undefined || at === undefined || at > since) return true
  return at === since && !given.has(String(record['id']))
}

const isRising = (records: readonly JsonObject[]): boolean =>
  records.every((r, i) => i === 0 || (textAt(r, 'updated_at') ?? '') >= (textAt(records[i - 1], 'updated_at') ?? ''))
