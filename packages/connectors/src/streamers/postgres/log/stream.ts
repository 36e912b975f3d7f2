/** From the messages of the log to records, transaction by transaction. */
import type { Bookmarks, PartOf } from '@millrace/sdk'
import { partOf, schemaChange, versionOf } from '@millrace/sdk'
import type { Client } from 'pg'
import type { ConnectionTarget } from '../../../postgres/settings.ts'
import type { Pulled } from './connection.ts'
import { failureOfLog } from './failures.ts'
import type { Fetcher } from './fetch.ts'
import { messageKinds, readBegin, readCommit, readRelation, readTruncate, type Relation, Tuple } from './pgoutput.ts'
import { DELETED_AT, LSN, type TableChanges, type Transaction } from './table-changes.ts'
import { TypeBook } from './type-book.ts'

/** Lines wait for each other up to this size, in bytes. */
const HELD_BYTES = 128 * 1024
/** A state comes at the end of a transaction where so many records, or milliseconds, passed since the last. */
const STATE_RECORDS = 10_000
const STATE_MS = 1_000
const NEW = 78
const WHOLE = 79

export interface StreamOptions {
  readonly pulled: AsyncIterable<Pulled>
  readonly changes: readonly TableChanges[]
  /** The run ends when everything before it was read. */
  readonly until: bigint
  readonly fetcher: Fetcher
  readonly client: Client
  readonly target: ConnectionTarget
  readonly places: boolean
  readonly signal: AbortSignal
  /** The places of all tables when everything before `lsn` was read. */
  readonly bookmarksAt: (lsn: bigint) => Bookmarks
}

type Yields = AsyncGenerator<PartOf | Bookmarks, void, undefined>

/** Reads until the log's end as it was, or until it is to stop, which is between two transactions. */
export const streamChanges = (options: StreamOptions): Yields => new ChangeStream(options).run()

class ChangeStream {
  readonly #options: StreamOptions
  readonly #book: TypeBook
  readonly #byName: ReadonlyMap<string, TableChanges>
  /** Tables by the numbers of their relations; undefined: not asked for. */
  readonly #byId = new Map<number, TableChanges | undefined>()
  readonly #dirty = new Set<TableChanges>()
  readonly #row = new Tuple()
  readonly #old = new Tuple()
  #held = 0
  #records = 0
  #stateAt = performance.now()
  #tx: Transaction | undefined
  /** Everything whose commit stands before it was read. */
  #reached = 0n

  constructor(options: StreamOptions) {
    this.#options = options
    this.#book = new TypeBook(options.client)
    this.#byName = new Map(options.changes.map((c) => [nameOf(c.table.schema, c.table.name), c]))
  }

  async *run(): Yields {
    const { pulled, until, signal } = this.#options
    for await (const { messages, reached } of pulled) {
      for (const message of messages) {
        switch (message[0]) {
          case messageKinds.insert:
          case messageKinds.update:
          case messageKinds.delete:
            if (this.#change(message)) yield* this.#flush()
            break
          case messageKinds.begin:
            if (this.#begin(message, until)) {
              yield* this.#finish()
              return
            }
            break
          case messageKinds.commit:
            this.#tx = undefined
            this.#reached = readCommit(message, 0)
            if (this.#isStateDue()) yield* this.#state()
            if (signal.aborted) {
              yield* this.#finish()
              return
            }
            break
          case messageKinds.relation:
            yield* this.#relation(readRelation(message, 0))
            break
          case messageKinds.truncate:
            yield* this.#truncate(readTruncate(message, 0))
            break
          default:
        }
      }
      if (this.#tx !== undefined) continue
      if (reached !== undefined && reached > this.#reached) this.#reached = reached
      if (this.#reached >= until || signal.aborted) {
        yield* this.#finish()
        return
      }
    }
  }

  /** Begins a transaction; answers whether it is one that the next run reads. */
  #begin(message: Buffer, until: bigint): boolean {
    const { lsn, micros } = readBegin(message, 0)
    if (lsn >= until || this.#options.signal.aborted) {
      // All before it was sent, as commits come in their order.
      if (lsn > this.#reached) this.#reached = lsn
      return true
    }
    this.#tx = {
      lsn,
      deletedAt: Buffer.from(`"${DELETED_AT}":"${timeOf(micros)}"`),
      place: this.#options.places ? Buffer.from(`"${LSN}":${lsn}`) : undefined,
    }
    return false
  }

  /** Takes a change of a row; answers whether lines have to be handed over. */
  #change(b: Buffer): boolean {
    const table = this.#byId.get(b.readUInt32BE(1))
    const tx = this.#tx
    if (table === undefined || tx === undefined || tx.lsn < table.from) return false
    const before = table.size
    const mark = b[5]
    if (b[0] === messageKinds.delete) {
      this.#old.read(b, 6)
      table.delete(this.#old, mark === WHOLE, tx)
    } else if (mark === NEW) {
      this.#row.read(b, 6)
      if (b[0] === messageKinds.insert) table.insert(this.#row, tx)
      else table.update(this.#row, undefined, false, tx)
    } else {
      const next = this.#old.read(b, 6)
      this.#row.read(b, next + 1)
      table.update(this.#row, this.#old, mark === WHOLE, tx)
    }
    this.#dirty.add(table)
    this.#held += table.size - before
    this.#records++
    return this.#held >= HELD_BYTES
  }

  async *#relation(relation: Relation): Yields {
    const table = this.#byName.get(nameOf(relation.schema, relation.name))
    if (table === undefined || table.table.log.oid !== relation.id) {
      this.#byId.set(relation.id, undefined)
      return
    }
    yield* this.#flush()
    this.#byId.set(relation.id, table)
    const { client, target } = this.#options
    const keys = table.keys
    try {
      this.#book.forget()
      const types = await this.#book.types(relation.columns.map((c) => c.type))
      const { rows } = await client.query<{ readonly name: string }>(
        `SELECT attname AS name FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND NOT has_column_privilege(attrelid, attnum, 'SELECT')`,
        [relation.id],
      )
      const schema = table.describe(relation, types, new Set(rows.map((r) => r.name)))
      if (schema !== undefined)
        yield partOf(table.table.substream, schemaChange(schema, table.keys === keys ? undefined : table.keys))
    } catch (e) {
      throw failureOfLog(e, target)
    }
  }

  /** All rows go at once: those of the earlier version, and rows after it have the next one. */
  async *#truncate(ids: readonly number[]): Yields {
    const tx = this.#tx
    yield* this.#flush()
    for (const id of ids) {
      const table = this.#byId.get(id)
      if (table === undefined || tx === undefined || tx.lsn < table.from) continue
      table.version++
      yield partOf(table.table.substream, versionOf(table.version, { complete: true }))
    }
  }

  #isStateDue(): boolean {
    return this.#records >= STATE_RECORDS || performance.now() - this.#stateAt >= STATE_MS
  }

  async *#state(): Yields {
    yield* this.#flush()
    this.#records = 0
    this.#stateAt = performance.now()
    yield this.#options.bookmarksAt(this.#reached)
  }

  async *#finish(): Yields {
    if (this.#reached > 0n) yield* this.#state()
  }

  async *#flush(): Yields {
    for (const table of this.#dirty) {
      const records = await table.take(this.#options.fetcher)
      if (records !== undefined) yield partOf(table.table.substream, records)
    }
    this.#dirty.clear()
    this.#held = 0
  }
}

const nameOf = (schema: string, name: string): string => JSON.stringify([schema, name])

/** Microseconds since 1970 as RFC 3339. */
const timeOf = (micros: bigint): string => {
  const seconds = micros / 1_000_000n
  const fraction = (micros % 1_000_000n).toString().padStart(6, '0')
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}+00:00`
}
