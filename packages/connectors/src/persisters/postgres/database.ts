/**
 * A schema of a PostgreSQL database as the shared session sees it, over one connection.
 *
 * Rows go to the server by COPY while the next ones are encoded: those that are appended into their table, those that
 * replace others into a staging table of the transaction, which is merged before anything else happens to that table,
 * and at the commit. Every setting, lock and staging table ends with its transaction, so that a pooler may give each
 * transaction another connection.
 *
 * Whoever touches the tables of a substream first takes its lock, until the end of the transaction: two runs into one
 * table take turns, flush by flush, and each sees the changes of tables that the other made.
 */
import { createHash } from 'node:crypto'
import { MillraceError } from '@millrace/sdk'
import type { Client } from 'pg'
import type { from as copyFrom } from 'pg-copy-streams'
import { translatePostgres } from '../../postgres/failures.ts'
import { catalogTable } from '../../sql/catalog.ts'
import type { Cell, Column, Dialect, RowEncoder, SqlDatabase, Table, TableChange } from '../../sql/types.ts'
import { Copy } from './copy.ts'
import { CopyWriter, type RowCounter } from './copy-rows.ts'
import { literal, postgresDialect, quote, typeName } from './dialect.ts'

/** Rows of a table wait until they have so many bytes, so that streams that take turns do not mean a COPY a batch. */
const POUR_BYTES = 256 * 1024
/** What may wait of all tables together. */
const MAX_WAITING_BYTES = 8 << 20
/** A fingerprint reads every value: beyond so many rows only they themselves are counted. */
const MAX_FINGERPRINT_ROWS = 100_000
const LOCK_SECONDS = 120
const ORDER = '_millrace_order'

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

/** Rows that go into one table, in its present shape. */
interface Stage {
  readonly table: Table
  readonly signature: string
  /** Quoted name of the staging table; undefined where rows go into the table itself. */
  readonly staging: string | undefined
  waiting: Buffer[]
  bytes: number
  begun: boolean
}

export interface PostgresAccess {
  readonly client: Client
  readonly from: typeof copyFrom
  readonly schema: string
  /** The server and the database, for errors. */
  readonly what: string
}

const signatureOf = (table: Table): string => JSON.stringify([table.columns.map((c) => [c.name, c.type]), table.keys])

export class PostgresDatabase implements SqlDatabase {
  readonly dialect: Dialect
  readonly #client: Client
  readonly #from: typeof copyFrom
  readonly #schema: string
  readonly #what: string
  readonly #stages = new Map<string, Stage>()
  readonly #counter: RowCounter = { next: 0 }
  /** The catalog's entries of each substream, as this session last saw them. */
  readonly #known = new Map<string, string>()
  #copy: { readonly stage: Stage; readonly copy: Copy } | undefined
  #inTransaction = false
  #failed = false
  #nextStaging = 0

  constructor(access: PostgresAccess) {
    this.#client = access.client
    this.#from = access.from
    this.#schema = access.schema
    this.#what = access.what
    this.dialect = postgresDialect(access.schema)
  }

  /** Makes the schema and the catalog table where they are not there, and nothing else. */
  async prepare(): Promise<void> {
    if ((await this.columnsOf(catalogTable)) !== undefined) return
    await this.#begin()
    await this.#ask(`SELECT pg_advisory_xact_lock(${lockKey(this.#schema, '')})`)
    const there = await this.#ask('SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1', [this.#schema])
    if (there.length === 0) await this.#ask(`CREATE SCHEMA ${quote(this.#schema)}`)
    await this.#ask(
      `CREATE TABLE IF NOT EXISTS ${this.#ref(catalogTable)} (table_name text PRIMARY KEY, substream text NOT NULL, entry text NOT NULL)`,
    )
    await this.#commit()
  }

  /** Throws DESTINATION_REFUSED where the user lacks a privilege that a run needs. */
  async checkPrivileges(): Promise<void> {
    const [row] = await this.#ask(
      `SELECT current_user::text AS who, pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS readonly,
        has_database_privilege(current_database(), 'TEMP') AS temp, has_database_privilege(current_database(), 'CREATE') AS make,
        (SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = $1) AS fill`,
      [this.#schema],
    )
    const refuse = (why: string, fix: string): never => {
      throw new MillraceError('DESTINATION_REFUSED', { what: this.#what, why, fix })
    }
    const who = quote(String(row?.['who']))
    if (row?.['readonly'] === true)
      refuse(
        'it is read only (a standby, or default_transaction_read_only)',
        'Connect to the primary server, or let the user write.',
      )
    if (row?.['temp'] !== true)
      refuse('the user may not make temporary tables', `GRANT TEMPORARY ON DATABASE … TO ${who};`)
    if (row?.['fill'] === false)
      refuse(
        `the user may not make tables in schema ${this.#schema}`,
        `GRANT USAGE, CREATE ON SCHEMA ${quote(this.#schema)} TO ${who};`,
      )
    if (row?.['fill'] === null && row['make'] !== true)
      refuse(
        `there is no schema ${this.#schema}, and the user may not make it`,
        `CREATE SCHEMA ${quote(this.#schema)} AUTHORIZATION ${who};`,
      )
  }

  async readCatalog(): Promise<readonly string[]> {
    if ((await this.columnsOf(catalogTable)) === undefined) return []
    const rows = await this.#ask(`SELECT substream, entry FROM ${this.#ref(catalogTable)} ORDER BY table_name`)
    for (const row of rows) this.#remember(String(row['substream']), [String(row['entry'])], true)
    return rows.map((r) => String(r['entry']))
  }

  async enter(substream: string): Promise<readonly string[] | undefined> {
    await this.#begin()
    await this.#ask(`SELECT pg_advisory_xact_lock(${lockKey(this.#schema, substream)})`)
    const name = JSON.stringify(substream)
    const rows = await this.#ask(
      `SELECT entry FROM ${this.#ref(catalogTable)} WHERE substream = $1 ORDER BY table_name`,
      [name],
    )
    const entries = rows.map((r) => String(r['entry']))
    const before = this.#known.get(name) ?? ''
    this.#remember(name, entries, false)
    return before === (this.#known.get(name) ?? '') ? undefined : entries
  }

  #remember(substream: string, entries: readonly string[], add: boolean): void {
    const before = add ? (this.#known.get(substream) ?? '') : ''
    this.#known.set(substream, before + entries.map((e) => `${e}\n`).join(''))
  }

  async columnsOf(table: string): Promise<readonly string[] | undefined> {
    const rows = await this.#ask(
      `SELECT a.attname::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY a.attnum`,
      [this.#schema, table],
    )
    return rows.length === 0 ? undefined : rows.flatMap((r) => (r['name'] === null ? [] : [String(r['name'])]))
  }

  async change(changes: readonly TableChange[]): Promise<void> {
    await this.#begin()
    for (const change of changes) {
      await this.#settle(change.table.name)
      if (change.kind === 'rekey') await this.#rekey(change)
      else for (const sql of this.dialect.statements(change)) await this.#ask(sql)
    }
  }

  async #rekey(change: TableChange & { readonly kind: 'rekey' }): Promise<void> {
    const { table, from } = change
    await this.#ask('SAVEPOINT millrace_rekey')
    try {
      const [key] = await this.#ask(
        "SELECT conname::text AS name FROM pg_catalog.pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'",
        [this.#ref(table.name)],
      )
      if (key !== undefined)
        await this.#ask(`ALTER TABLE ${this.#ref(table.name)} DROP CONSTRAINT ${quote(String(key['name']))}`)
      for (const name of from)
        await this.#ask(`ALTER TABLE ${this.#ref(table.name)} ALTER COLUMN ${quote(name)} DROP NOT NULL`)
      if (table.keys.length > 0)
        await this.#ask(`ALTER TABLE ${this.#ref(table.name)} ADD PRIMARY KEY (${table.keys.map(quote).join(', ')})`)
      await this.#ask('RELEASE SAVEPOINT millrace_rekey')
    } catch (e) {
      const state = ((e as Error).cause as { code?: string } | undefined)?.code ?? ''
      if (!state.startsWith('23')) throw e
      // The session goes on with what it had.
      this.#failed = false
      await this.#ask('ROLLBACK TO SAVEPOINT millrace_rekey')
      throw new MillraceError(
        'SCHEMA_CHANGE_REFUSED',
        {
          stream: table.substream,
          field: 'key_properties',
          to: table.keys.join(', '),
          from: from.join(', ') || '(none)',
          fix: 'Rows that are there have no values, or the same, in the new keys: rebuild the table from the beginning.',
        },
        { cause: e },
      )
    }
  }

  encoder(table: Table): RowEncoder {
    return new CopyWriter(table, table.keys.length > 0 ? this.#counter : undefined)
  }

  async load(table: Table, rows: RowEncoder): Promise<void> {
    const bytes = (rows as CopyWriter).take()
    const stage = await this.#stageOf(table)
    if (this.#copy?.stage === stage) {
      const { copy } = this.#copy
      await this.#guard(() => copy.write(bytes))
      return
    }
    stage.waiting.push(bytes)
    stage.bytes += bytes.length
    if (stage.bytes >= POUR_BYTES) await this.#pour(stage)
    let all = 0
    for (const s of this.#stages.values()) all += s.bytes
    if (all >= MAX_WAITING_BYTES) for (const s of this.#stages.values()) await this.#pour(s)
  }

  async removeGroups(table: Table, columns: readonly Column[], groups: readonly (readonly Cell[])[]): Promise<void> {
    if (groups.length === 0) return
    await this.#begin()
    await this.#settle(table.name)
    const values = groups.map((g) => `(${g.map((cell, i) => cellLiteral(cell, columns[i] as Column)).join(', ')})`)
    const same = columns.map((c, i) => `t.${quote(c.name)} = g.k${i}`)
    await this.#ask(
      `DELETE FROM ${this.#ref(table.name)} t USING (VALUES ${values.join(', ')}) g(${columns.map((_, i) => `k${i}`).join(', ')}) WHERE ${same.join(' AND ')}`,
    )
  }

  async retire(
    table: Table,
    children: readonly Table[],
    version: number,
    deletedAt: string | undefined,
  ): Promise<void> {
    const other = `"_sdc_table_version" IS DISTINCT FROM ${version}`
    await this.#remove(
      table,
      children,
      deletedAt === undefined
        ? `DELETE FROM ${this.#ref(table.name)} WHERE ${other}`
        : `UPDATE ${this.#ref(table.name)} SET "_sdc_deleted_at" = ${literal(deletedAt)} WHERE ${other} AND "_sdc_deleted_at" IS NULL`,
    )
  }

  async purge(table: Table, children: readonly Table[]): Promise<void> {
    await this.#remove(table, children, `DELETE FROM ${this.#ref(table.name)} WHERE "_sdc_deleted_at" IS NOT NULL`)
  }

  async #remove(table: Table, children: readonly Table[], sql: string): Promise<void> {
    await this.#begin()
    for (const t of [table, ...children]) await this.#settle(t.name)
    await this.#ask(sql)
    for (const child of children) {
      const same = table.keys.map((k, i) => `p.${quote(k)} = t.${quote((child.columns[i] as Column).name)}`)
      await this.#ask(
        `DELETE FROM ${this.#ref(child.name)} t WHERE NOT EXISTS (SELECT 1 FROM ${this.#ref(table.name)} p WHERE ${same.join(' AND ')})`,
      )
    }
  }

  async commit(catalog: readonly { readonly table: string; readonly entry: string }[]): Promise<void> {
    for (const name of [...this.#stages.keys()]) await this.#settle(name)
    for (const { table, entry } of catalog) {
      await this.#begin()
      const { substream } = JSON.parse(entry) as { readonly substream: string }
      await this.#ask(
        `INSERT INTO ${this.#ref(catalogTable)} (table_name, substream, entry) VALUES ($1, $2, $3)
          ON CONFLICT (table_name) DO UPDATE SET substream = EXCLUDED.substream, entry = EXCLUDED.entry`,
        [table, JSON.stringify(substream), entry],
      )
      this.#known.delete(JSON.stringify(substream))
    }
    if (this.#inTransaction) await this.#commit()
    this.#counter.next = 0
  }

  async measure(table: Table): Promise<{ readonly rows: number; readonly fingerprint: string | undefined }> {
    await this.#begin()
    const name = this.#ref(table.name)
    const [counted] = await this.#ask(
      `SELECT count(*)::text AS n, current_setting('server_version_num')::int / 10000 AS version FROM ${name}`,
    )
    const rows = Number(counted?.['n'])
    let fingerprint: string | undefined
    if (rows <= MAX_FINGERPRINT_ROWS) {
      const row = `ROW(${table.columns.map((c) => quote(c.name)).join(', ')})::text`
      const [sum] = await this.#ask(
        `SELECT mod(coalesce(sum(hashtextextended(${row}, 0)::numeric + 9223372036854775808), 0), 18446744073709551616)::text AS sum FROM ${name}`,
      )
      fingerprint = `postgres-${counted?.['version']}:${BigInt(String(sum?.['sum'])).toString(16).padStart(16, '0')}`
    }
    await this.#commit()
    return { rows, fingerprint }
  }

  /** What was not committed goes with the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A COPY under way, or a statement that somebody else's lock holds up, is not waited for.
    if (this.#copy !== undefined || this.#failed) this.#client.connection?.stream.destroy()
    this.#copy = undefined
    await this.#client.end().catch(() => {})
  }

  #ref(table: string): string {
    return `${quote(this.#schema)}.${quote(table)}`
  }

  async #begin(): Promise<void> {
    if (this.#inTransaction) return
    await this.#ask(BEGIN)
    this.#inTransaction = true
  }

  async #commit(): Promise<void> {
    await this.#ask('COMMIT')
    this.#inTransaction = false
  }

  /** Where rows of this table are gathered. A new shape begins anew. */
  async #stageOf(table: Table): Promise<Stage> {
    const signature = signatureOf(table)
    const old = this.#stages.get(table.name)
    if (old !== undefined) {
      if (old.signature === signature) return old
      await this.#settle(table.name)
    }
    const staging = table.keys.length > 0 ? quote(`_millrace_stage_${this.#nextStaging++}`) : undefined
    const stage: Stage = { table, signature, staging, waiting: [], bytes: 0, begun: false }
    this.#stages.set(table.name, stage)
    return stage
  }

  /** Sends what waits; the COPY stays open for more. */
  async #pour(stage: Stage): Promise<void> {
    if (stage.bytes === 0) return
    if (this.#copy?.stage !== stage) {
      await this.#endCopy()
      await this.#begin()
      const columns = stage.table.columns.map((c) => quote(c.name))
      if (stage.staging !== undefined) {
        columns.push(quote(ORDER))
        if (!stage.begun)
          await this.#ask(
            `CREATE TEMP TABLE ${stage.staging} (${stage.table.columns.map((c) => `${quote(c.name)} ${typeName(c.type)}`).join(', ')}, ${quote(ORDER)} integer) ON COMMIT DROP`,
          )
      }
      const into = stage.staging === undefined ? this.#ref(stage.table.name) : `pg_temp.${stage.staging}`
      stage.begun = true
      this.#copy = {
        stage,
        copy: new Copy(this.#client, this.#from, `COPY ${into} (${columns.join(', ')}) FROM STDIN`),
      }
    }
    const { copy } = this.#copy
    const waiting = stage.waiting
    stage.waiting = []
    stage.bytes = 0
    await this.#guard(async () => {
      for (const bytes of waiting) await copy.write(bytes)
    })
  }

  /** Brings all rows of a table to where they belong: what follows sees them. */
  async #settle(name: string): Promise<void> {
    const stage = this.#stages.get(name)
    if (stage === undefined) return
    await this.#pour(stage)
    if (this.#copy?.stage === stage) await this.#endCopy()
    if (stage.begun && stage.staging !== undefined) await this.#merge(stage.table, `pg_temp.${stage.staging}`)
    this.#stages.delete(name)
  }

  /** Moves staged rows into their table, of equal keys the last. */
  async #merge(table: Table, staging: string): Promise<void> {
    const keys = table.keys.map(quote).join(', ')
    const columns = table.columns.map((c) => quote(c.name))
    const twice = await this.#ask(`SELECT 1 FROM ${staging} GROUP BY ${keys} HAVING count(*) > 1 LIMIT 1`)
    if (twice.length > 0)
      await this.#ask(
        `DELETE FROM ${staging} WHERE ${ORDER} IN (SELECT ${ORDER} FROM (SELECT ${ORDER}, row_number() OVER (PARTITION BY ${keys} ORDER BY ${ORDER} DESC) AS n FROM ${staging}) s WHERE n > 1)`,
      )
    const set = table.columns
      .filter((c) => !table.keys.includes(c.name))
      .map((c) => `${quote(c.name)} = EXCLUDED.${quote(c.name)}`)
    await this.#ask(
      `INSERT INTO ${this.#ref(table.name)} (${columns.join(', ')}) SELECT ${columns.join(', ')} FROM ${staging} ON CONFLICT (${keys}) DO ${set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`}`,
    )
    await this.#ask(`DROP TABLE ${staging}`)
  }

  async #endCopy(): Promise<void> {
    const open = this.#copy
    if (open === undefined) return
    await this.#guard(() => open.copy.end())
    this.#copy = undefined
  }

  async #ask(sql: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
    await this.#endCopy()
    return await this.#guard(async () => {
      const { rows } = await (values === undefined ? this.#client.query(sql) : this.#client.query(sql, [...values]))
      return (rows ?? []) as readonly Readonly<Record<string, unknown>>[]
    })
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (e) {
      this.#failed = true
      throw translatePostgres(e, {
        what: this.#what,
        side: 'DESTINATION',
        grants: `GRANT USAGE, CREATE ON SCHEMA ${quote(this.#schema)} to the user, who must also own the tables in it.`,
      })
    }
  }
}

/** The number of an advisory lock: as good as never the same for two names. */
const lockKey = (schema: string, substream: string): string =>
  createHash('sha256')
    .update(JSON.stringify(['millrace', schema, substream]))
    .digest()
    .readBigInt64BE()
    .toString()

/** A key's cell as SQL of its column's type. */
const cellLiteral = (cell: Cell, column: Column): string => {
  if (cell === null) return `NULL::${typeName(column.type)}`
  const isString = ['text', 'timestamp', 'date', 'time'].includes(column.type)
  return `${literal(isString ? String(JSON.parse(cell)) : cell)}::${typeName(column.type)}`
}
