import { MillraceError } from '../errors/error.ts'
import { isObject, type Json, type JsonObject } from '../message/json.ts'
import { compareKeys } from './key-order.ts'
import type { SubstreamInfo } from './types.ts'

/**
 * The state of a streamer while it runs, in the convention of the Singer SDK:
 *
 *     {"bookmarks": {"orders": {"replication_key": "updated_at", "replication_key_value": "2026-01-01T00:00:00Z"},
 *                    "commits": {"bookmark": {"heads": ["4b825d…"]}}},
 *      "currently_syncing": "orders"}
 *
 * `replication_key_value` is kept by the runner; `bookmark` is whatever an author gave to bookmark(). Members that are
 * not ours are kept as they came. A position written by an older program, `bookmarks.orders.updated_at`, is read too.
 */
export class StateKeeper {
  readonly #other: Record<string, Json> = {}
  readonly #bookmarks = new Map<string, JsonObject>()
  #current: string | undefined

  /** Throws STATE_UNREADABLE where the state is not one of a streamer. */
  constructor(state: Json | undefined) {
    if (state === undefined || state === null) return
    if (!isObject(state)) throw unreadable('it is not a JSON object')
    for (const [key, value] of Object.entries(state)) {
      if (key === 'bookmarks') {
        if (!isObject(value)) throw unreadable('its "bookmarks" is not an object')
        for (const [name, entry] of Object.entries(value)) {
          if (!isObject(entry)) throw unreadable(`its bookmark of ${name} is not an object`)
          this.#bookmarks.set(name, entry)
        }
      } else if (key === 'currently_syncing') this.#current = typeof value === 'string' ? value : undefined
      else this.#other[key] = value
    }
  }

  /** The substream that was being read when the state was written. */
  get current(): string | undefined {
    return this.#current
  }

  begin(substream: string): void {
    this.#current = substream
  }

  end(): void {
    this.#current = undefined
  }

  /** Where a substream is to go on from. */
  bookmarkOf(info: SubstreamInfo): Json | undefined {
    const entry = this.#bookmarks.get(info.name)
    if (entry === undefined) return undefined
    if (entry['bookmark'] !== undefined) return entry['bookmark']
    const key = info.replicationKey
    if (key === undefined) return undefined
    const kept = entry['replication_key']
    if (entry['replication_key_value'] !== undefined && (kept === undefined || kept === key))
      return entry['replication_key_value']
    return entry[key]
  }

  setBookmark(substream: string, value: Json): void {
    this.#bookmarks.set(substream, { ...this.#bookmarks.get(substream), bookmark: value })
  }

  setReplicationValue(substream: string, key: string, value: Json): void {
    const { [key]: _older, ...entry } = this.#bookmarks.get(substream) ?? {}
    this.#bookmarks.set(substream, { ...entry, replication_key: key, replication_key_value: value })
  }

  value(): JsonObject {
    return {
      ...this.#other,
      bookmarks: Object.fromEntries(this.#bookmarks),
      ...(this.#current === undefined ? {} : { currently_syncing: this.#current }),
    }
  }
}

const unreadable = (why: string): MillraceError =>
  new MillraceError('STATE_UNREADABLE', { source: 'of the streamer', why })

/** The greatest value of a replication key seen in a substream. Values that are null or missing do not count. */
export class GreatestKey {
  readonly #substream: string
  readonly #key: string
  #value: Json | undefined

  constructor(substream: string, key: string, from: Json | undefined) {
    this.#substream = substream
    this.#key = key
    this.#value = from
  }

  get value(): Json | undefined {
    return this.#value
  }

  /** Throws SOURCE_REFUSED where values cannot be compared with each other. */
  see(record: JsonObject): void {
    const next = record[this.#key]
    if (next === undefined || next === null) return
    if (this.#value === undefined || this.#value === null) {
      this.#value = next
      return
    }
    const order = compareKeys(next, this.#value)
    if (order === undefined)
      throw new MillraceError('SOURCE_REFUSED', {
        what: `substream ${this.#substream}`,
        why: `its replication key ${this.#key} holds values that cannot be compared with each other`,
        fix: 'The replication key must be of one type: numbers, dates or text.',
      })
    if (order > 0) this.#value = next
  }
}
