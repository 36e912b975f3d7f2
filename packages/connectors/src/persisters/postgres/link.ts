/**
 * The connection: statements one after another, transactions, a COPY that a statement ends, errors in our words. Every
 * setting ends with its transaction, so that a pooler may give each transaction another connection.
 */
import type { Client } from 'pg'
import type { from as copyFrom } from 'pg-copy-streams'
import { translatePostgres } from '../../postgres/failures.ts'
import { Copy } from './copy.ts'
import { quote } from './dialect.ts'

const LOCK_SECONDS = 120

const BEGIN = [
  'BEGIN',
  // Texts are read and written in one way, whatever the server or the user prefers.
  "SET LOCAL TIME ZONE 'UTC'",
  "SET LOCAL datestyle = 'ISO, YMD'",
  'SET LOCAL extra_float_digits = 3',
  // Streams may be slow; a lock that somebody keeps is told.
  'SET LOCAL idle_in_transaction_session_timeout = 0',
  `SET LOCAL lock_timeout = '${LOCK_SECONDS}s'`,
  // A state may be released once COMMIT has answered: it must be on disk by then.
  "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
].join('; ')

/** A row of an answer. */
export type Row = Readonly<Record<string, unknown>>

export interface LinkOptions {
  readonly client: Client
  readonly from: typeof copyFrom
  readonly schema: string
  /** The server and the database, for errors. */
  readonly what: string
}

export class Link implements AsyncDisposable {
  readonly schema: string
  readonly what: string
  readonly #client: Client
  readonly #from: typeof copyFrom
  #copy: { readonly of: object; readonly copy: Copy } | undefined
  #inTransaction = false
  #failed = false

  constructor(options: LinkOptions) {
    this.schema = options.schema
    this.what = options.what
    this.#client = options.client
    this.#from = options.from
  }

  /** A table's name as SQL writes it. */
  ref(table: string): string {
    return `${quote(this.schema)}.${quote(table)}`
  }

  /** Begins a transaction where none is open. */
  async begin(): Promise<void> {
    if (this.#inTransaction) return
    await this.ask(BEGIN)
    this.#inTransaction = true
  }

  /** Asks within the transaction, which is begun by the same message where none is open. Answers the last statement's rows. */
  async within(sql: string): Promise<readonly Row[]> {
    const rows = await this.ask(this.#inTransaction ? sql : `${BEGIN}; ${sql}`)
    this.#inTransaction = true
    return rows
  }

  /** Ends the transaction, if one is open: what it did is on disk when this resolves. */
  async commit(): Promise<void> {
    if (!this.#inTransaction) return
    await this.ask('COMMIT')
    this.#inTransaction = false
  }

  /** Ends a COPY under way, then asks. */
  async ask(sql: string, values?: readonly unknown[]): Promise<readonly Row[]> {
    await this.endCopy()
    return await this.#guard(async () => {
      const answer: unknown = await (values === undefined
        ? this.#client.query(sql)
        : this.#client.query(sql, [...values]))
      // Several statements have several answers.
      const { rows } = (Array.isArray(answer) ? answer.at(-1) : answer) as { readonly rows: readonly Row[] }
      return rows
    })
  }

  /** Whether the COPY under way is for `of`. */
  copiesFor(of: object): boolean {
    return this.#copy?.of === of
  }

  /** Begins a COPY … FROM STDIN; it stays open until the next statement. */
  async beginCopy(of: object, sql: string): Promise<void> {
    await this.endCopy()
    this.#copy = { of, copy: new Copy(this.#client, this.#from, sql) }
  }

  /** Sends rows into the COPY under way; waits where the server is far behind. */
  async sendCopy(bytes: Buffer): Promise<void> {
    await this.#guard(async () => await this.#copy?.copy.write(bytes))
  }

  async endCopy(): Promise<void> {
    const open = this.#copy
    if (open === undefined) return
    await this.#guard(async () => await open.copy.end())
    this.#copy = undefined
  }

  /** The last error is dealt with (by a savepoint): the connection is as good as before. */
  forgive(): void {
    this.#failed = false
  }

  /** What was not committed goes with the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A COPY under way is not waited for.
    if (this.#copy !== undefined || this.#failed) this.#client.connection.stream.destroy()
    this.#copy = undefined
    await this.#client.end().catch(() => {})
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (e) {
      this.#failed = true
      throw translatePostgres(e, {
        what: this.what,
        side: 'DESTINATION',
        grants: `GRANT USAGE, CREATE ON SCHEMA ${quote(this.schema)} to the user, who must also own the tables in it.`,
      })
    }
  }
}
