/**
 * Commits of the default branch. Not from a moment on: a branch that is merged brings commits that are older than the
 * last run. The second run and those after it ask for the commits that the branch leads to now and did not lead to then.
 */
import type { JsonObject } from '@millrace/sdk'
import { statusOf } from '@millrace/sdk/http'
import { recordsOf } from './api.ts'
import type { Place } from './places.ts'
import {
  firstPage,
  later,
  morePages,
  nextPage,
  objectsOf,
  type Reader,
  type Reading,
  type Step,
  type Steps,
  textAt,
} from './reading.ts'

export const readCommits: Reader = async function* (reading) {
  const { place, github, repository } = reading
  if (place.reading !== undefined) {
    yield* behind(reading, place.reading, place)
    return
  }
  // The same question each time, so that its tag can answer it.
  const asked =
    place.etag === undefined && place.head === undefined ? (place.since ?? github.wanted.startDate) : place.asked
  const first = await firstPage(reading, 'commits', { query: asQuery({ since: asked }), etag: place.etag })
  if (first === undefined) return
  const newest = recordsOf(first)
  const head = textAt(newest[0], 'sha')
  const now: Place = { id: repository.id, asked, etag: first.etag, since: latest(newest, place.since) }
  if (head === undefined || head === place.head) {
    yield { place: { ...now, head: place.head } }
    return
  }
  if (place.head !== undefined && (yield* between(reading, place.head, head))) {
    yield { place: { ...now, head } }
    return
  }
  yield { records: newest.map(withDate) }
  if (nextPage(first) === undefined) yield { place: { ...now, head } }
  else yield* behind(reading, { url: '', until: head, etag: first.etag }, now)
}

/** The pages behind the first one, from a commit that does not move. */
async function* behind(reading: Reading, begun: NonNullable<Place['reading']>, now: Place): Steps {
  const { id } = reading.repository
  const { asked, since } = now
  for await (const page of morePages(reading, 'commits', {
    query: asQuery({ sha: begun.until, since: asked, page: '2' }),
    from: begun.url === '' ? undefined : { url: begun.url },
  })) {
    yield { records: objectsOf(page.records).map(withDate) }
    const url = page.next !== undefined && 'url' in page.next ? page.next.url : undefined
    yield url === undefined
      ? { place: { id, asked, since, head: begun.until, etag: begun.etag } }
      : { place: { id, asked, since, reading: { ...begun, url } } }
  }
}

/** True where the commits between were given; false where GitHub cannot tell them, and everything is to be read. */
async function* between(reading: Reading, base: string, head: string): AsyncGenerator<Step, boolean, undefined> {
  let total: number | undefined
  let count = 0
  try {
    for await (const page of morePages(reading, `compare/${base}...${head}`, { recordsAt: 'commits' })) {
      const body = page.answer.json() as JsonObject
      if (typeof body['total_commits'] === 'number') total ??= body['total_commits']
      const commits = objectsOf(page.records)
      count += commits.length
      yield { records: commits.map(withDate) }
    }
  } catch (e) {
    const status = statusOf(e) ?? 0
    // The old commit is gone, or so much lies between that GitHub does not manage.
    if (status !== 404 && status !== 422 && status < 500) throw e
    total = Number.NaN
  }
  if (total === undefined || count === total) return true
  const { github, repository } = reading
  github.log.info('the branch was rewritten, reading all of its commits', { repository: repository.name })
  return false
}

const dateOf = (commit: JsonObject): string | undefined => {
  const inner = commit['commit'] as JsonObject | undefined
  return textAt(inner?.['committer'] as JsonObject | undefined, 'date')
}

/** What older programs call the date of a commit. */
const withDate = (commit: JsonObject): JsonObject => ({ ...commit, updated_at: dateOf(commit) ?? null })

const latest = (commits: readonly JsonObject[], from: string | undefined): string | undefined =>
  commits.reduce((m, c) => later(m, dateOf(c)), from)

const asQuery = (q: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(q).filter(([, v]) => v !== undefined)) as Record<string, string>
