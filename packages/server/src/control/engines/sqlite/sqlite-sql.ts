import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { MillraceError } from '@millrace/sdk/errors'
import type { Param, Queries, Row, Sql, Transaction } from '../../sql/sql.ts'
import { inOurWords, openForReading, openForWriting } from './database.ts'

/** Transactions that share one commit at most. */
const maxTogether = 64

/** The statements of one connection, prepared once. */
class Statements implements Transaction {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #prepared = new Map<string, StatementSync>()

  constructor(db: DatabaseSync, path: string) {
    this.#db = db
    this.#path = path
  }

  #statement(sql: string): StatementSync {
    let statement = this.#prepared.get(sql)
    if (statement === undefined) {
      statement = this.#db.prepare(sql)
      statement.setReadBigInts(true)
      this.#prepared.set(sql, statement)
    }
    return statement
  }

  async all(sql: string, ...params: readonly Param[]): Promise<readonly Row[]> {
    return this.#ask(() => this.#statement(sql).all(...params))
  }

  async get(sql: string, ...params: readonly Param[]): Promise<Row | undefined> {
    return this.#ask(() => this.#statement(sql).get(...params))
  }

  async run(sql: string, ...params: readonly Param[]): Promise<number> {
    return this.#ask(() => Number(this.#statement(sql).run(...params).changes))
  }

  version(): bigint {
    return this.#ask(() => this.#statement('pragma data_version').get()?.['data_version'] as bigint)
  }

  /** There is one writer at a time. */
  async lock(): Promise<void> {}

  #ask<T>(work: () => T): T {
    if (!this.#db.isOpen) throw new MillraceError('CONTROL_UNAVAILABLE', { what: this.#path, why: 'it was closed' })
    try {
      return work()
    } catch (e) {
      throw inOurWords(this.#path, e)
    }
  }
}

interface Waiting {
  run(tx: Transaction): Promise<unknown>
  resolve(value: unknown): void
  reject(e: unknown): void
}

/**
 * One connection to a SQLite file, to write or only to read. Transactions that come while one is being committed share the next
 * commit, each undone alone where it fails: what is on the disk costs one flush for all.
 */
export class SqliteSql implements Sql {
  readonly read: Queries
  readonly #path: string
  readonly #db: DatabaseSync
  readonly #use: 'write' | 'read'
  readonly #tx: Statements
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #isClosed = false

  /** To write makes the file and its tables where they lack. Throws CONTROL_UNUSABLE. */
  constructor(path: string, use: 'write' | 'read') {
    this.#path = path
    this.#use = use
    this.#db = use === 'write' ? openForWriting(path) : openForReading(path)
    this.#tx = new Statements(this.#db, path)
    this.read = this.#tx
  }

  /** Another number where anybody else, in this process or another, has changed the file since. Throws CONTROL_UNAVAILABLE. */
  version(): bigint {
    return this.#tx.version()
  }

  async write<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new MillraceError('CONTROL_UNAVAILABLE', { what: this.#path, why: 'it was closed' })
    if (this.#use === 'read') throw new Error('a method that writes was asked of the connection that reads')
    return await new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run: work, resolve: resolve as (value: unknown) => void, reject })
      this.#running ??= this.#drain()
    })
  }

  async #drain(): Promise<void> {
    // After what the event loop has at hand, so that requests of one turn come together.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      await this.#commit(this.#waiting.splice(0, maxTogether))
      // What came while the disk was waited for joins the next.
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#running = undefined
  }

  /** Nothing here waits for anything but the disk, so no other transaction comes between. */
  async #commit(together: readonly Waiting[]): Promise<void> {
    const db = this.#db
    const done: (() => void)[] = []
    try {
      db.exec('begin immediate')
      for (const { run, resolve, reject } of together) {
        db.exec('savepoint one')
        try {
          const value = await run(this.#tx)
          done.push(() => resolve(value))
        } catch (e) {
          db.exec('rollback to one')
          done.push(() => reject(e))
        }
        db.exec('release one')
      }
      db.exec('commit')
    } catch (e) {
      // A full disk, say: SQLite may have undone all by itself already.
      if (db.isOpen && db.isTransaction) db.exec('rollback')
      const error = inOurWords(this.#path, e)
      for (const { reject } of together) reject(error)
      return
    }
    for (const settle of done) settle()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#running
    if (this.#db.isOpen) this.#db.close()
  }
}
