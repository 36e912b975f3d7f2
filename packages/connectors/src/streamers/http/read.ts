/** Reads one substream from where the last run got to. */
import {
  type Bookmark,
  bookmark,
  compareKeys,
  isObject,
  type Json,
  type JsonObject,
  type Logger,
  MillraceError,
  schemaChange,
  unchanged,
  type Yielded,
} from '@millrace/sdk'
import { type PagePosition, statusOf } from '@millrace/sdk/http'
import type { HeldSchema } from './held-schema.ts'
import { asksForStart, type SubstreamSpec } from './substream-spec.ts'
import { type Api, type Chunk, type From, traverse } from './traverse.ts'

/**
 * The bookmark of a substream. `since`: the replication key to start from. Within a run: `page`, where to go on, and
 * `greatest`, the greatest key seen by then, and `began`, when reading these pages began. `etag`: of a substream of one page.
 */
interface Position {
  readonly since?: Json | undefined
  readonly greatest?: Json | undefined
  readonly page?: PagePosition | undefined
  /** By the server's clock, milliseconds since 1970. */
  readonly began?: number | undefined
  readonly etag?: string | undefined
}

export interface ReadOptions {
  readonly api: Api
  readonly spec: SubstreamSpec
  readonly held: HeldSchema
  readonly from: Json | undefined
  /** A schema is inferred from so many records, or from the first pages where those have fewer. */
  readonly inferRecords: number
  readonly log: Logger
  readonly signal: AbortSignal
}

/** Pages that are held back for inferring a schema, at most; of children a page has few records. */
const headPagesOf = (spec: SubstreamSpec): number => (spec.parent === undefined ? 5 : 50)

/** Yields records behind their schema, and bookmarks behind what they cover. A stop ends it where it is. */
export async function* readSubstream(options: ReadOptions): AsyncGenerator<Yielded, void, undefined> {
  try {
    yield* new Reader(options).read()
  } catch (e) {
    // What is under way when a stop comes is given up; the last bookmark says where.
    if (!options.signal.aborted) throw e
  }
}

/** The schema, from the first pages. */
export const findSchema = async (
  api: Api,
  spec: SubstreamSpec,
  held: HeldSchema,
  records: number,
): Promise<JsonObject> => {
  if (held.schema !== undefined) return held.schema
  const seen: JsonObject[] = []
  let chunks = 0
  for await (const chunk of traverse(api, spec, { start: spec.startFrom })) {
    seen.push(...chunk.records)
    if (seen.length >= records || ++chunks >= headPagesOf(spec)) break
  }
  const found = (await held.see(seen)) ?? { type: 'object', properties: {} }
  const keys = Object.fromEntries(spec.keys.map((key) => [key, {}]))
  return { ...found, properties: { ...keys, ...(found['properties'] as JsonObject) } }
}

class Reader {
  readonly #o: ReadOptions
  readonly #start: Json | undefined
  readonly #drops: boolean
  #greatest: Json | undefined
  #began: number | undefined
  #isOrdered: boolean
  #waiting: { readonly records: readonly JsonObject[]; readonly after: Bookmark | undefined }[] = []
  #waitingRecords = 0
  #isDeclared = false
  /** Whether records came, and whether one had a replication key. */
  #hasRecords = false
  #hasKeys = false

  constructor(options: ReadOptions) {
    this.#o = options
    const { spec } = options
    const position = positionOf(options.from)
    this.#start = position.since ?? spec.startFrom
    this.#greatest = position.greatest ?? position.since
    this.#began = position.began
    this.#drops = spec.replicationKey !== undefined && !asksForStart(spec)
    this.#isOrdered = spec.order === 'rising'
  }

  async *read(): AsyncGenerator<Yielded, void, undefined> {
    const { spec, held, signal } = this.#o
    const position = positionOf(this.#o.from)
    if (held.schema !== undefined) {
      this.#isDeclared = true
      yield schemaChange(held.schema)
    }
    let etag: string | undefined
    for await (const chunk of this.#chunks({ start: this.#start, page: position.page, etag: position.etag })) {
      if (signal.aborted) return
      this.#began ??= chunk.answeredAt
      if (chunk.notModified) {
        if (spec.versioned) yield unchanged
        yield bookmark(this.#o.from ?? {})
        return
      }
      etag = chunk.etag
      const isOver = spec.order === 'falling' && this.#hasOlder(chunk.records)
      this.#waiting.push({ records: this.#take(chunk.records), after: this.#bookmarkAfter(chunk) })
      this.#waitingRecords += chunk.records.length
      const isHead =
        !this.#isDeclared && this.#waitingRecords < this.#o.inferRecords && this.#waiting.length < headPagesOf(spec)
      if (!isHead) yield* this.#hand()
      if (isOver) break
    }
    yield* this.#hand()
    if (!this.#isDeclared && spec.versioned) {
      this.#o.log.warn('no records and no schema: what was stored before stays', { substream: spec.name })
      yield unchanged
      return
    }
    if (spec.replicationKey !== undefined && this.#hasRecords && !this.#hasKeys)
      this.#o.log.warn('no record has the replication key: the next run begins where this one did', {
        substream: spec.name,
        replicationKey: spec.replicationKey,
      })
    yield bookmark(this.#atEnd(etag))
  }

  /** The pages; from the beginning where the place in them is no longer known to the server. */
  async *#chunks(from: From): AsyncGenerator<Chunk, void, undefined> {
    const { api, spec, log } = this.#o
    let isFirst = from.page !== undefined
    try {
      for await (const chunk of traverse(api, spec, from)) {
        isFirst = false
        yield chunk
      }
    } catch (e) {
      if (!isFirst || ![400, 404, 410, 422].includes(statusOf(e) ?? 0)) throw e
      log.warn('the page where the last run stopped is not there any more, reading from the first', {
        substream: spec.name,
      })
      yield* traverse(api, spec, { start: from.start })
    }
  }

  *#schema(change: JsonObject | undefined): Generator<Yielded, void, undefined> {
    if (change === undefined) return
    if (this.#isDeclared) this.#o.log.info('the schema grew', { substream: this.#o.spec.name })
    this.#isDeclared = true
    yield schemaChange(change)
  }

  async *#hand(): AsyncGenerator<Yielded, void, undefined> {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingRecords = 0
    const all = waiting.length === 1 ? (waiting[0]?.records ?? []) : waiting.flatMap((w) => w.records)
    yield* this.#schema(all.length === 0 ? undefined : await this.#o.held.see(all))
    for (const { records, after } of waiting) {
      if (records.length > 0) yield records
      if (after !== undefined) yield after
    }
  }

  /** The records that are wanted; notes the greatest key. */
  #take(records: readonly JsonObject[]): readonly JsonObject[] {
    const { replicationKey: key, name } = this.#o.spec
    if (key === undefined) return records
    for (const record of records) {
      this.#hasRecords = true
      const value = record[key]
      if (value === undefined || value === null) continue
      this.#hasKeys = true
      const order = this.#greatest === undefined || this.#greatest === null ? 1 : this.#compare(value, this.#greatest)
      if (order > 0) this.#greatest = value
      else if (order < 0 && this.#isOrdered && !this.#isOld(record)) {
        this.#isOrdered = false
        this.#o.log.warn('its records do not come in rising order: no state is kept before its end', {
          substream: name,
        })
      }
    }
    return this.#drops ? records.filter((r) => !this.#isOld(r)) : records
  }

  #isOld(record: JsonObject): boolean {
    const value = record[this.#o.spec.replicationKey ?? '']
    if (value === undefined || value === null || this.#start === undefined || this.#start === null) return false
    return this.#compare(value, this.#start) < 0
  }

  #hasOlder(records: readonly JsonObject[]): boolean {
    return records.some((r) => this.#isOld(r))
  }

  #compare(a: Json, b: Json): number {
    const order = compareKeys(a, b)
    if (order !== undefined) return order
    const { name, replicationKey } = this.#o.spec
    throw new MillraceError('SOURCE_REFUSED', {
      what: `substream ${name}`,
      why: `its replication key ${replicationKey} holds values that cannot be compared with each other`,
      fix: 'The replication key must be of one type: numbers, dates or text; startFrom too.',
    })
  }

  #bookmarkAfter(chunk: Chunk): Bookmark | undefined {
    const { spec } = this.#o
    if (this.#isOrdered && this.#greatest !== undefined) return bookmark({ since: this.#greatest })
    if (!spec.resume || chunk.next === undefined || spec.versioned) return undefined
    return bookmark(plain({ since: this.#start, greatest: this.#greatest, page: chunk.next, began: this.#began }))
  }

  #atEnd(etag: string | undefined): Json {
    const { spec } = this.#o
    if (spec.replicationKey === undefined) return plain({ etag: spec.parent === undefined ? etag : undefined })
    return plain({ since: spec.order === 'none' ? notAfter(this.#greatest, this.#began) : this.#greatest })
  }
}

/**
 * Where records come in no order, one that was read early may change while late ones are read: the next run starts no
 * later than this reading began. Only times with a date can be told from other keys.
 */
const notAfter = (greatest: Json | undefined, began: number | undefined): Json | undefined => {
  if (typeof greatest !== 'string' || began === undefined || !/^\d{4}-\d\d-\d\dT/.test(greatest)) return greatest
  const at = Date.parse(greatest)
  return Number.isNaN(at) || at <= began ? greatest : new Date(began).toISOString().replace('.000Z', 'Z')
}

const plain = (position: Position): Json =>
  Object.fromEntries(Object.entries(position).filter(([, v]) => v !== undefined)) as JsonObject

/** Throws STATE_UNREADABLE where it is not one of ours. */
const positionOf = (from: Json | undefined): Position => {
  if (from === undefined || from === null) return {}
  if (!isObject(from))
    throw new MillraceError('STATE_UNREADABLE', {
      source: 'of the streamer',
      why: 'a bookmark of http is not an object',
    })
  const page = from['page']
  const etag = from['etag']
  const began = from['began']
  return {
    since: from['since'],
    greatest: from['greatest'],
    page: isObject(page ?? null) ? (page as unknown as PagePosition) : undefined,
    began: typeof began === 'number' ? began : undefined,
    etag: typeof etag === 'string' ? etag : undefined,
  }
}
