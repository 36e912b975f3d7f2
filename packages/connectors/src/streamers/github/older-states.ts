/** States of the programs that read GitHub before: of every generation, to the shape of today. */
import { isObject, type Json, type JsonObject } from '@millrace/sdk'
import { anyRepository, unreadable } from './places.ts'
import { instant } from './settings.ts'

/** Names of substreams in taps, where ours are others. */
const renamed: Readonly<Record<string, string>> = {
  comments: 'issue_comments',
  issue_labels: 'labels',
  issue_milestones: 'milestones',
}
/** Substreams that such a state may speak of and that go on from a moment. */
const dated = new Set(['commits', 'issues', 'issue_comments', 'pull_requests', 'reviews', 'review_comments', 'events'])

/**
 * - `"2016-11-01T17:15:02Z"`: commits of the one repository.
 * - `{"commits": "2017-01-17T20:32:05Z", "issues": null}`: the same, for each substream.
 * - `{"bookmarks": {"owner/repo": {"commits": {"since": "…"}}}}` and
 *   `{"bookmarks": {"commits": {"owner/repo": {"since": "…"}}}, "currently_syncing_repo": "owner/repo"}`: taps.
 *
 * Anything else is left as it is. Throws STATE_UNREADABLE where a moment in it is none.
 */
export const olderState = (state: Json): Json => {
  if (typeof state === 'string') return { bookmarks: { commits: { bookmark: { [anyRepository]: sinceOf(state) } } } }
  if (!isObject(state)) return state
  const { bookmarks } = state
  if (bookmarks === undefined) return flat(state)
  if (!isObject(bookmarks)) return state
  const { currently_syncing_repo: _, ...rest } = state
  const found: Record<string, Record<string, Json>> = {}
  const put = (substream: string, repository: string, place: Json): void => {
    const name = renamed[substream] ?? substream
    if (!dated.has(name) || !isObject(place) || typeof place['since'] !== 'string') return
    found[name] = { ...found[name], [repository]: sinceOf(place['since']) }
  }
  const kept: Record<string, Json> = {}
  for (const [key, entry] of Object.entries(bookmarks)) {
    if (!isObject(entry) || 'bookmark' in entry) kept[key] = entry
    else
      for (const [inner, place] of Object.entries(entry)) {
        if (key.includes('/')) put(inner, key, place)
        else put(key, inner, place)
      }
  }
  const changed = Object.entries(found).map(([name, places]) => [name, { bookmark: places }] as const)
  return { ...rest, bookmarks: { ...kept, ...Object.fromEntries(changed) } }
}

const flat = (state: JsonObject): Json => {
  const bookmarks: Record<string, Json> = {}
  const rest: Record<string, Json> = {}
  for (const [key, value] of Object.entries(state)) {
    const name = renamed[key] ?? key
    if (!dated.has(name)) rest[key] = value
    else if (typeof value === 'string') bookmarks[name] = { bookmark: { [anyRepository]: sinceOf(value) } }
  }
  return { ...rest, bookmarks }
}

const sinceOf = (text: string): JsonObject => {
  const since = instant(text)
  if (since === undefined) throw unreadable(`"${text.slice(0, 40)}" is not a date`)
  return { since }
}
