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
import { catalogTable } from '../../sql/catalog.ts'
import type {
  ActiveVersion,
  Cell,
  Column,
  Dialect,
  RowEncoder,
  SqlDatabase,
  Table,
  TableChange,
} from '../../sql/types.ts'
import type { CopyWriter } from './copy-rows.ts'
import { literal, postgresDialect, quote, typeName } from './dialect.ts'
import type { Link } from './link.ts'
import { Stages } from './stages.ts'

/** A fingerprint reads every value: beyond so many rows only they themselves are counted. */
const MAX_FINGERPRINT_ROWS = 100_000

export class PostgresDatabase implements SqlDatabase {
  readonly dialect: Dialect
  readonly #link: Link
  readonly #stages: Stages
  readonly #schema: string
  readonly #what: string
  /** The catalog's entries of each substream, as this session last saw them. */
  readonly #known = new Map<string, string>()

  constructor(link: Link) {
    this.#link = link
    this.#schema = link.schema
    this.#what = link.what
    this.#stages = new Stages(link)
    this.dialect = postgresDialect(link.schema)
  }

  /** Makes the schema and the catalog table where they are not there, and nothing else. */
  async prepare(): Promise<void> {
    if ((await this.columnsOf(catalogTable)) !== undefined) return
    await this.#link.begin()
    await this.#link.ask(`SELECT pg_advisory_xact_lock(${lockKey(this.#schema, '')})`)
    const there = await this.#link.ask('SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1', [this.#schema])
    if (there.length === 0) await this.#link.ask(`CREATE SCHEMA ${quote(this.#schema)}`)
    await this.#link.ask(
      `CREATE TABLE IF NOT EXISTS ${this.#ref(catalogTable)} (table_name text PRIMARY KEY, substream text NOT NULL, entry text NOT NULL)`,
    )
    await this.#link.commit()
  }

  /** Throws DESTINATION_REFUSED where the user lacks a privilege that a run needs. */
  async checkPrivileges(): Promise<void> {
    const [row] = await this.#link.ask(
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
    const rows = await this.#link.ask(`SELECT substream, entry FROM ${this.#ref(catalogTable)} ORDER BY table_name`)
    for (const row of rows) this.#remember(String(row['substream']), [String(row['entry'])], true)
    return rows.map((r) => String(r['entry']))
  }

  async enter(substream: string): Promise<readonly string[] | undefined> {
    const name = JSON.stringify(substream)
    const lock = `SELECT pg_advisory_xact_lock(${lockKey(this.#schema, substream)})`
    // A statement of its own sees what the transaction before left, which the lock has waited for.
    const rows = await this.#link.within(`${lock}; ${this.#entriesSql(name)}`)
    const entries = rows.map((r) => String(r['entry']))
    const before = this.#known.get(name) ?? ''
    this.#remember(name, entries, false)
    return before === (this.#known.get(name) ?? '') ? undefined : entries
  }

  /** `substream` as JSON text: names may hold what text here may not. */
  #entriesSql(substream: string): string {
    return `SELECT entry FROM ${this.#ref(catalogTable)} WHERE substream = ${literal(substream)} ORDER BY table_name`
  }

  #remember(substream: string, entries: readonly string[], add: boolean): void {
    const before = add ? (this.#known.get(substream) ?? '') : ''
    this.#known.set(substream, before + entries.map((e) => `${e}\n`).join(''))
  }

  async columnsOf(table: string): Promise<readonly string[] | undefined> {
    const rows = await this.#link.ask(
      `SELECT a.attname::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY a.attnum`,
      [this.#schema, table],
    )
    return rows.length === 0 ? undefined : rows.flatMap((r) => (r['name'] === null ? [] : [String(r['name'])]))
  }

  async change(changes: readonly TableChange[]): Promise<void> {
    await this.#link.begin()
    for (const change of changes) {
      await this.#stages.settle(change.table.name)
      if (change.kind === 'rekey') await this.#rekey(change)
      else for (const sql of this.dialect.statements(change)) await this.#link.ask(sql)
    }
  }

  async #rekey(change: TableChange & { readonly kind: 'rekey' }): Promise<void> {
    const { table, from } = change
    await this.#link.ask('SAVEPOINT millrace_rekey')
    try {
      const [key] = await this.#link.ask(
        "SELECT conname::text AS name FROM pg_catalog.pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'",
        [this.#ref(table.name)],
      )
      if (key !== undefined)
        await this.#link.ask(`ALTER TABLE ${this.#ref(table.name)} DROP CONSTRAINT ${quote(String(key['name']))}`)
      for (const name of from)
        await this.#link.ask(`ALTER TABLE ${this.#ref(table.name)} ALTER COLUMN ${quote(name)} DROP NOT NULL`)
      if (table.keys.length > 0)
        await this.#link.ask(
          `ALTER TABLE ${this.#ref(table.name)} ADD PRIMARY KEY (${table.keys.map(quote).join(', ')})`,
        )
      await this.#link.ask('RELEASE SAVEPOINT millrace_rekey')
    } catch (e) {
      const state = ((e as Error).cause as { code?: string } | undefined)?.code ?? ''
      if (!state.startsWith('23')) throw e
      // The session goes on with what it had.
      this.#link.forgive()
      await this.#link.ask('ROLLBACK TO SAVEPOINT millrace_rekey')
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
    return this.#stages.encoder(table)
  }

  async load(table: Table, rows: RowEncoder): Promise<void> {
    await this.#stages.add(table, rows as CopyWriter)
  }

  async removeGroups(table: Table, columns: readonly Column[], groups: readonly (readonly Cell[])[]): Promise<void> {
    if (groups.length === 0) return
    await this.#link.begin()
    await this.#stages.settle(table.name)
    const values = groups.map((g) => `(${g.map((cell, i) => cellLiteral(cell, columns[i] as Column)).join(', ')})`)
    const same = columns.map((c, i) => `t.${quote(c.name)} = g.k${i}`)
    await this.#link.ask(
      `DELETE FROM ${this.#ref(table.name)} t USING (VALUES ${values.join(', ')}) g(${columns.map((_, i) => `k${i}`).join(', ')}) WHERE ${same.join(' AND ')}`,
    )
  }

  async retire(
    table: Table,
    children: readonly Table[],
    version: ActiveVersion,
    deletedAt: string | undefined,
  ): Promise<void> {
    const other = `${quote(version.column)} IS DISTINCT FROM ${version.active}`
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
    await this.#link.begin()
    for (const t of [table, ...children]) await this.#stages.settle(t.name)
    await this.#link.ask(sql)
    for (const child of children) {
      const same = table.keys.map((k, i) => `p.${quote(k)} = t.${quote((child.columns[i] as Column).name)}`)
      await this.#link.ask(
        `DELETE FROM ${this.#ref(child.name)} t WHERE NOT EXISTS (SELECT 1 FROM ${this.#ref(table.name)} p WHERE ${same.join(' AND ')})`,
      )
    }
  }

  async commit(catalog: readonly { readonly table: string; readonly entry: string }[]): Promise<void> {
    await this.#stages.settleAll()
    const changed = new Set<string>()
    for (const { table, entry } of catalog) {
      await this.#link.begin()
      const { substream } = JSON.parse(entry) as { readonly substream: string }
      await this.#link.ask(
        `INSERT INTO ${this.#ref(catalogTable)} (table_name, substream, entry) VALUES ($1, $2, $3)
          ON CONFLICT (table_name) DO UPDATE SET substream = EXCLUDED.substream, entry = EXCLUDED.entry`,
        [table, JSON.stringify(substream), entry],
      )
      changed.add(JSON.stringify(substream))
    }
    for (const substream of changed) {
      const rows = await this.#link.ask(this.#entriesSql(substream))
      this.#remember(
        substream,
        rows.map((r) => String(r['entry'])),
        false,
      )
    }
    await this.#link.commit()
  }

  async measure(table: Table): Promise<{ readonly rows: number; readonly fingerprint: string | undefined }> {
    await this.#link.begin()
    const name = this.#ref(table.name)
    const [counted] = await this.#link.ask(
      `SELECT count(*)::text AS n, current_setting('server_version_num')::int / 10000 AS version FROM ${name}`,
    )
    const rows = Number(counted?.['n'])
    let fingerprint: string | undefined
    if (rows <= MAX_FINGERPRINT_ROWS) {
      const row = `ROW(${table.columns.map((c) => quote(c.name)).join(', ')})::text`
      const [sum] = await this.#link.ask(
        `SELECT mod(coalesce(sum(hashtextextended(${row}, 0)::numeric + 9223372036854775808), 0), 18446744073709551616)::text AS sum FROM ${name}`,
      )
      fingerprint = `postgres-${counted?.['version']}:${BigInt(String(sum?.['sum'])).toString(16).padStart(16, '0')}`
    }
    await this.#link.commit()
    return { rows, fingerprint }
  }

  /** What was not committed goes with the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]()
  }

  #ref(table: string): string {
    return this.#link.ref(table)
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
