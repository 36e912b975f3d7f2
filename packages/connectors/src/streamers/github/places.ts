/** How far each repository was read in one substream: the substream's bookmark. */
import { isObject, type Json, type JsonObject, MillraceError } from '@millrace/sdk'
import type { Repository } from './api.ts'
import { instant } from './settings.ts'

/** Where reading goes on that was stopped in its middle. */
export interface Begun {
  /** Path and query of the next page. */
  readonly url: string
  /** What counts as read when the last page was: a commit, or a moment. */
  readonly until: string
  readonly etag?: string | undefined
}

/** The bookmark of one repository in one substream. */
export interface Place {
  readonly id?: number | undefined
  /** Everything changed up to this moment was read; what changed in its very second may come again. */
  readonly since?: string | undefined
  /** The parameter `since` of the request that `etag` belongs to. */
  readonly asked?: string | undefined
  readonly page?: number | undefined
  readonly etag?: string | undefined
  /** Of commits: the commit that the branch led to. */
  readonly head?: string | undefined
  /** Of full lists: when it was read whole. */
  readonly read_at?: string | undefined
  readonly reading?: Begun | undefined
}

/** The place of repositories that have none of their own, in states that knew only one repository. */
export const anyRepository = '*'

export class Places {
  readonly #places = new Map<string, Place>()

  /** Throws STATE_UNREADABLE where the bookmark is not one of ours. */
  constructor(bookmark: Json | undefined) {
    if (bookmark === undefined || bookmark === null) return
    if (!isObject(bookmark)) throw unreadable('a bookmark is not an object of repositories')
    for (const [name, place] of Object.entries(bookmark)) {
      if (!isObject(place)) throw unreadable(`the bookmark of repository ${name} is not an object`)
      this.#places.set(name, placeOf(place, name))
    }
  }

  /** The repository behind a name, spelt as before, where it was read before. */
  known(asked: string): Repository | undefined {
    const name = this.#keyOf(asked)
    const id = name === undefined ? undefined : this.#places.get(name)?.id
    return name === undefined || id === undefined ? undefined : { id, name }
  }

  /** The place of a repository, also where it was kept under a former name, or by a program that knew no ids. */
  of({ id, name }: Repository, asked: string): Place {
    for (const [key, place] of this.#places) if (place.id === id) return this.#move(key, name)
    const key = this.#keyOf(asked) ?? this.#keyOf(name)
    if (key !== undefined && this.#places.get(key)?.id === undefined) return { ...this.#move(key, name), id }
    const rest = this.#places.get(anyRepository)
    return rest === undefined ? { id } : { ...rest, id }
  }

  set(name: string, place: Place): void {
    this.#places.set(name, place)
  }

  /** All repositories were read: the place that stood for any of them is used up. */
  settle(): void {
    this.#places.delete(anyRepository)
  }

  value(): Json {
    return Object.fromEntries([...this.#places].map(([name, place]) => [name, plain(place)]))
  }

  #keyOf(name: string): string | undefined {
    if (this.#places.has(name)) return name
    const lower = name.toLowerCase()
    return [...this.#places.keys()].find((k) => k.toLowerCase() === lower)
  }

  #move(from: string, to: string): Place {
    const place = this.#places.get(from) ?? {}
    if (from !== to) {
      this.#places.delete(from)
      this.#places.set(to, place)
    }
    return place
  }
}

const placeOf = (o: JsonObject, name: string): Place => {
  const word = (key: string, of: JsonObject = o): string | undefined => {
    const v = of[key]
    return typeof v === 'string' ? v : undefined
  }
  const whole = (key: string): number | undefined => {
    const v = o[key]
    return typeof v === 'number' ? v : undefined
  }
  const begun = o['reading']
  const since = word('since')
  if (since !== undefined && instant(since) === undefined)
    throw unreadable(`the bookmark of repository ${name} is not a date`)
  return {
    id: whole('id'),
    since: since === undefined ? undefined : instant(since),
    asked: word('asked'),
    page: whole('page'),
    etag: word('etag'),
    head: word('head'),
    read_at: word('read_at'),
    reading:
      isObject(begun ?? null) && typeof (begun as JsonObject)['url'] === 'string'
        ? {
            url: word('url', begun as JsonObject) ?? '',
            until: word('until', begun as JsonObject) ?? '',
            etag: word('etag', begun as JsonObject),
          }
        : undefined,
  }
}

const plain = (place: object): JsonObject =>
  Object.fromEntries(
    Object.entries(place)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => [k, isObject(v as Json) ? plain(v as object) : (v as Json)]),
  )

export const unreadable = (why: string): MillraceError =>
  new MillraceError('STATE_UNREADABLE', { source: 'of the streamer github', why })
