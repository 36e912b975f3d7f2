import { MillraceError, systemCode } from '@millrace/sdk/errors'
import type { Pool, PoolClient } from 'pg'
import { schemaSteps } from '../../sql/schema.ts'
import type { Param, Queries, Row, Sql, Transaction } from '../../sql/sql.ts'

export interface PostgresOptions {
  /** `postgresql://user:password@host:port/database?sslmode=…`. */
  readonly url: string
  /** The schema that holds the tables; made where it is not there. Left out: `millrace`. */
  readonly schema?: string | undefined
  /** Connections at most; left out 10. */
  readonly maxConnections?: number | undefined
}

const connectMs = 10_000
/** How often a transaction is tried that another one stood in the way of. */
const maxTries = 5

/** A place for a value as PostgreSQL writes it. Kept, since there are few statements. */
const numbered = new Map<string, string>()
const inDollars = (sql: string): string => {
  let text = numbered.get(sql)
  if (text === undefined) {
    let n = 0
    text = sql.replace(/\?/g, () => `$${++n}`)
    numbered.set(sql, text)
  }
  return text
}

/** Whoever runs statements: the pool, or one of its connections within a transaction. */
interface Asked {
  query(text: string, values: unknown[]): Promise<{ rows: Row[]; rowCount: number | null }>
}

class Statements implements Queries {
  readonly #asked: Asked
  readonly #inOurWords: (e: unknown) => unknown

  constructor(asked: Asked, inOurWords: (e: unknown) => unknown) {
    this.#asked = asked
    this.#inOurWords = inOurWords
  }

  protected async ask(sql: string, params: readonly Param[]): Promise<{ rows: Row[]; rowCount: number | null }> {
    try {
      // A bigint goes as text; the server reads it as the type of its column.
      const values = params.map((p) => (typeof p === 'bigint' ? String(p) : p))
      return await this.#asked.query(inDollars(sql), values)
    } catch (e) {
      throw this.#inOurWords(e)
    }
  }

  async all(sql: string, ...params: readonly Param[]): Promise<readonly Row[]> {
    return (await this.ask(sql, params)).rows
  }

  async get(sql: string, ...params: readonly Param[]): Promise<Row | undefined> {
    return (await this.ask(sql, params)).rows[0]
  }

  async run(sql: string, ...params: readonly Param[]): Promise<number> {
    return (await this.ask(sql, params)).rowCount ?? 0
  }
}

class PostgresTransaction extends Statements implements Transaction {
  readonly #scope: string

  constructor(client: Asked, inOurWords: (e: unknown) => unknown, scope: string) {
    super(client, inOurWords)
    this.#scope = scope
  }

  /** Held until the transaction ends. Two names that meet in one number wait for each other, and no more. */
  async lock(name: string): Promise<void> {
    await this.ask('select pg_advisory_xact_lock(hashtextextended(?, 0))', [`millrace ${this.#scope} ${name}`])
  }
}

/** Another transaction stood in the way, and this one was undone. */
class StoodInTheWay extends Error {}

export class PostgresSql implements Sql {
  readonly read: Queries
  readonly #pool: Pool
  readonly #schema: string
  readonly #what: string
  readonly #begun = new Set<Promise<unknown>>()
  #isClosed = false

  private constructor(pool: Pool, schema: string, what: string) {
    this.#pool = pool
    this.#schema = schema
    this.#what = what
    const asked: Asked = {
      query: async (text, values) => {
        if (this.#isClosed) throw this.#closed()
        return await this.#tracked(pool.query<Row>(text, values))
      },
    }
    this.read = new Statements(asked, (e) => inOurWords(what, e))
  }

  /** Connects and brings the tables up to date. Throws CONTROL_UNUSABLE, CONTROL_UNAVAILABLE. */
  static async open({ url, schema = 'millrace', maxConnections = 10 }: PostgresOptions): Promise<PostgresSql> {
    const what = nameOf(url)
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
      throw new MillraceError('CONTROL_UNUSABLE', {
        what,
        why: `"${schema.slice(0, 80)}" is no name for a schema: small letters, digits and _`,
      })
    const { Pool: PgPool } = (await import('pg')).default
    const pool = new PgPool({
      connectionString: url,
      max: maxConnections,
      connectionTimeoutMillis: connectMs,
      keepAlive: true,
      application_name: `millrace ${schema}`.slice(0, 63),
      options: `-c search_path=${schema}`,
    })
    // A connection that breaks while nobody uses it is replaced by the next call.
    pool.on('error', () => {})
    try {
      await migrate(pool, schema, what)
    } catch (e) {
      await pool.end()
      throw inOurWords(what, e)
    }
    return new PostgresSql(pool, schema, what)
  }

  async write<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw this.#closed()
    return await this.#tracked(this.#tried(work))
  }

  async #tried<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#once(work)
      } catch (e) {
        if (!(e instanceof StoodInTheWay)) throw e
        if (tries >= maxTries)
          throw new MillraceError('CONTROL_UNAVAILABLE', { what: this.#what, why: e.message }, { cause: e.cause })
      }
    }
  }

  async #once<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const words = (e: unknown): unknown => inOurWords(this.#what, e)
    let client: PoolClient
    try {
      client = await this.#pool.connect()
    } catch (e) {
      throw words(e)
    }
    let broken = false
    const asked: Asked = { query: async (text, values) => await client.query<Row>(text, values) }
    try {
      await client.query('begin')
      const value = await work(new PostgresTransaction(asked, words, this.#schema))
      await client.query('commit')
      return value
    } catch (e) {
      await client.query('rollback').catch(() => {
        broken = true
      })
      throw words(e)
    } finally {
      client.release(broken)
    }
  }

  async #tracked<T>(work: Promise<T>): Promise<T> {
    this.#begun.add(work)
    try {
      return await work
    } finally {
      this.#begun.delete(work)
    }
  }

  #closed(): MillraceError {
    return new MillraceError('CONTROL_UNAVAILABLE', { what: this.#what, why: 'it was closed' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await Promise.allSettled([...this.#begun])
    await this.#pool.end()
  }
}

/** Where it is, without who goes there and how. */
const nameOf = (url: string): string => {
  try {
    const { host, pathname } = new URL(url)
    return `PostgreSQL ${host}${pathname}`
  } catch {
    return 'PostgreSQL'
  }
}

/** One manager at a time; another that begins meanwhile waits, and then finds them made. */
const migrate = async (pool: Pool, schema: string, what: string): Promise<void> => {
  const steps = schemaSteps('postgres')
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`millrace ${schema} schema`])
    await client.query(`create schema if not exists ${schema}`)
    await client.query('create table if not exists schema_version (version bigint not null)')
    const { rows } = await client.query<Row>('select version from schema_version')
    const at = rows[0] === undefined ? 0 : Number(rows[0]['version'])
    if (at > steps.length)
      throw new MillraceError('CONTROL_UNUSABLE', {
        what,
        why: `it was written by a newer Millrace (schema ${at}; this one knows ${steps.length})`,
      })
    for (const step of steps.slice(at)) await client.query(step)
    if (at < steps.length) {
      await client.query('delete from schema_version')
      await client.query('insert into schema_version (version) values ($1)', [steps.length])
    }
    await client.query('commit')
  } catch (e) {
    await client.query('rollback').catch(() => {})
    throw e
  } finally {
    client.release()
  }
}

/** What the server or the connection said, in our words. What is a mistake of ours stays as it is. */
const inOurWords = (what: string, e: unknown): unknown => {
  if (e instanceof MillraceError || e instanceof StoodInTheWay || !(e instanceof Error)) return e
  const why = e.message.split('\n')[0] ?? e.name
  const code = systemCode(e) ?? ''
  // Serialization failure, deadlock.
  if (code === '40001' || code === '40P01') return new StoodInTheWay(why, { cause: e })
  // No such user or database, wrong password, not allowed.
  if (/^(28|3D|42501|0P)/.test(code)) return new MillraceError('CONTROL_UNUSABLE', { what, why }, { cause: e })
  // A statement of ours that the server does not understand, or a value that does not fit.
  if (/^(42|22|23)/.test(code)) return e
  return new MillraceError('CONTROL_UNAVAILABLE', { what, why }, { cause: e })
}
