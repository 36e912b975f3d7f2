/**
 * The SQLite file, worked on synchronously: all that touches it is here. Runs in a thread of its own (worker.ts).
 *
 * A writing engine has a write transaction open at all times, so that a second writer is told at once that the file is
 * in use; readers see what the last commit left.
 *
 * With a write-ahead log readers and the writer do not wait for each other, but every page is written twice. Nobody reads
 * a file that is only being made, so a new one is loaded with a rollback journal, which writes new pages once; from its
 * second session on it has the log.
 */
import { statSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { Digest } from '@millrace/sdk/books'
import { catalogTable } from '../../sql/catalog.ts'
import { asciiAt, utf8At } from '../../sql/slices.ts'
import type { ActiveVersion, Cell, Column, ColumnType, Table, TableChange } from '../../sql/types.ts'
import { convertSql, createSql, sqliteDialect } from './dialect.ts'
import type { PackedRows } from './packed-rows.ts'

const { quote } = sqliteDialect
const BUSY_MS = 300
const SQLITE_CONSTRAINT = 19
/** Values a statement binds at most: beyond that a call costs more than it saves. */
const MAX_BINDS = 300
/** A fingerprint reads every value: beyond so many rows only they themselves are counted. */
export const maxFingerprintRows = 100_000

type Decode = (bytes: Buffer, from: number, to: number) => SQLInputValue

const decodeText: Decode = (b, from, to) => {
  const text = utf8At(b, from + 1, to - 1)
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text
}

const decodeWhole: Decode = (b, from, to) => {
  if (to - from > 15) return BigInt(asciiAt(b, from, to))
  let n = 0
  for (let i = b[from] === 45 ? from + 1 : from; i < to; i++) n = n * 10 + (b[i] as number) - 48
  return b[from] === 45 ? -n : n
}

const decoderOf = (type: ColumnType): Decode => {
  switch (type) {
    case 'boolean':
      return (b, from) => (b[from] === 116 ? 1 : 0)
    case 'integer':
      return decodeWhole
    case 'float':
      return (b, from, to) => Number(asciiAt(b, from, to))
    case 'text':
    case 'timestamp':
    case 'date':
    case 'time':
      return decodeText
    default:
      return (b, from, to) => utf8At(b, from, to)
  }
}

/** The statements that load one table, prepared for one row and for many. */
class Loader {
  readonly #one: StatementSync
  readonly #many: StatementSync
  readonly #perCall: number
  readonly #decoders: readonly Decode[]
  readonly shape: string

  constructor(db: DatabaseSync, table: Table, shape: string) {
    const columns = table.columns.length
    this.shape = shape
    this.#perCall = Math.max(1, Math.floor(MAX_BINDS / columns))
    this.#decoders = table.columns.map((c) => decoderOf(c.type))
    const verb = table.keys.length > 0 ? 'INSERT OR REPLACE' : 'INSERT'
    const into = `${verb} INTO ${quote(table.name)} (${table.columns.map((c) => quote(c.name)).join(', ')}) VALUES `
    const row = `(${new Array<string>(columns).fill('?').join(', ')})`
    this.#one = db.prepare(into + row)
    this.#many = db.prepare(into + new Array<string>(this.#perCall).fill(row).join(', '))
  }

  load(packed: PackedRows): void {
    const bytes = Buffer.from(packed.bytes.buffer, packed.bytes.byteOffset, packed.bytes.byteLength)
    const { spans, rows } = packed
    const decoders = this.#decoders
    const columns = decoders.length
    const perCall = this.#perCall
    const values = new Array<SQLInputValue>(columns * perCall)
    let cell = 0
    let row = 0
    for (; row + perCall <= rows; row += perCall) {
      for (let v = 0; v < values.length; ) {
        for (let c = 0; c < columns; c++, v++, cell += 2) {
          const from = spans[cell] as number
          values[v] = from < 0 ? null : (decoders[c] as Decode)(bytes, from, spans[cell + 1] as number)
        }
      }
      this.#many.run(...values)
    }
    for (; row < rows; row++) {
      const one = decoders.map((decode) => {
        const from = spans[cell] as number
        const value = from < 0 ? null : decode(bytes, from, spans[cell + 1] as number)
        cell += 2
        return value
      })
      this.#one.run(...one)
    }
  }
}

export class SqliteEngine {
  readonly #db: DatabaseSync
  readonly #writes: boolean
  #walMode = false
  readonly #loaders = new Map<string, Loader>()

  /** Opens the file. Throws what SQLite throws. */
  constructor(path: string, access: 'write' | 'read') {
    this.#writes = access === 'write'
    const isNew = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0
    this.#db = new DatabaseSync(path, {
      readOnly: access === 'read',
      enableForeignKeyConstraints: false,
      timeout: BUSY_MS,
    })
    try {
      this.#db.function('millrace_number', { deterministic: true }, (v) => (v === null ? null : String(v)))
      if (!this.#writes) return
      this.#walMode = !isNew
      this.#db.exec(`PRAGMA journal_mode = ${isNew ? 'DELETE' : 'WAL'}`)
      this.#db.exec(
        'PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16000; PRAGMA legacy_alter_table = ON; PRAGMA recursive_triggers = OFF',
      )
      this.#db.exec('BEGIN IMMEDIATE')
    } catch (e) {
      this.#db.close()
      throw e
    }
  }

  readCatalog(): readonly string[] {
    if (this.columnsOf(catalogTable) === undefined) return []
    return this.#db
      .prepare(`SELECT entry FROM ${quote(catalogTable)} ORDER BY rowid`)
      .all()
      .map((r) => String(r['entry']))
  }

  columnsOf(table: string): readonly string[] | undefined {
    const names = this.#columnsWithTypes(table).map((c) => c.name)
    return names.length === 0 ? undefined : names
  }

  #columnsWithTypes(table: string): readonly { readonly name: string; readonly type: string }[] {
    return this.#db
      .prepare('SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0')
      .all(table)
      .map((r) => ({ name: String(r['name']), type: String(r['type']) }))
  }

  change(changes: readonly TableChange[]): void {
    const rebuilds = new Map<string, { table: Table; convert: Map<string, string> }>()
    for (const change of changes) {
      this.#loaders.delete(change.table.name)
      if (change.kind === 'create' || change.kind === 'add-column') {
        for (const sql of sqliteDialect.statements(change)) this.#db.exec(sql)
        continue
      }
      const convert = new Map<string, string>()
      if (change.kind === 'retype') {
        const { column, from } = change
        const sql = convertSql(quote(column.name), from, column.type)
        if (sql === quote(column.name)) continue
        convert.set(column.name, sql)
      }
      const planned = rebuilds.get(change.table.name)
      rebuilds.set(change.table.name, {
        table: change.table,
        convert: new Map([...(planned?.convert ?? []), ...convert]),
      })
    }
    for (const { table, convert } of rebuilds.values()) this.#rebuild(table, convert)
  }

  /** SQLite cannot change a column's type or a key: the table is copied. Its indexes and triggers are made again. */
  #rebuild(table: Table, convert: ReadonlyMap<string, string>): void {
    const db = this.#db
    const known = new Set(table.columns.map((c) => c.name))
    const strangers = this.#columnsWithTypes(table.name).filter((c) => !known.has(c.name))
    const belongings = db
      .prepare("SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL")
      .all(table.name)
      .map((r) => String(r['sql']))
    this.#mustHaveKeys(table)
    const copy = '_millrace_rebuild'
    db.exec(`DROP TABLE IF EXISTS ${quote(copy)}`)
    db.exec(
      createSql(
        table,
        copy,
        strangers.map((c) => `${quote(c.name)} ${c.type}`),
      ),
    )
    const names = [...known, ...strangers.map((c) => c.name)]
    db.exec(
      `INSERT INTO ${quote(copy)} (${names.map(quote).join(', ')}) SELECT ${names.map((n) => convert.get(n) ?? quote(n)).join(', ')} FROM ${quote(table.name)}`,
    )
    db.exec(`DROP TABLE ${quote(table.name)}`)
    db.exec(`ALTER TABLE ${quote(copy)} RENAME TO ${quote(table.name)}`)
    for (const sql of belongings) db.exec(sql)
  }

  /**
   * A whole-number key becomes the row's own id, for which SQLite takes null as "make one up": what elsewhere breaks NOT NULL
   * would give old rows keys that nobody gave them.
   */
  #mustHaveKeys(table: Table): void {
    const there = new Set(this.#columnsWithTypes(table.name).map((c) => c.name))
    const keys = table.keys.filter((k) => there.has(k))
    if (keys.length === 0) return
    const without = keys.map((k) => `${quote(k)} IS NULL`).join(' OR ')
    const found = this.#db.prepare(`SELECT 1 FROM ${quote(table.name)} WHERE ${without} LIMIT 1`).get()
    if (found !== undefined)
      throw Object.assign(new Error('rows have no value in the key'), { errcode: SQLITE_CONSTRAINT })
  }

  load(table: Table, packed: PackedRows): void {
    const shape = JSON.stringify([table.columns.map((c) => [c.name, c.type]), table.keys])
    let loader = this.#loaders.get(table.name)
    if (loader?.shape !== shape) {
      loader = new Loader(this.#db, table, shape)
      this.#loaders.set(table.name, loader)
    }
    loader.load(packed)
  }

  removeGroups(table: Table, columns: readonly Column[], groups: readonly (readonly Cell[])[]): void {
    const remove = this.#db.prepare(
      `DELETE FROM ${quote(table.name)} WHERE ${columns.map((c) => `${quote(c.name)} = ?`).join(' AND ')}`,
    )
    const decoders = columns.map((c) => decoderOf(c.type))
    for (const group of groups)
      remove.run(
        ...group.map((cell, i) => {
          if (cell === null) return null
          const bytes = Buffer.from(cell)
          return (decoders[i] as Decode)(bytes, 0, bytes.length)
        }),
      )
  }

  retire(table: Table, children: readonly Table[], version: ActiveVersion, deletedAt: string | undefined): void {
    const name = quote(table.name)
    const other = `${quote(version.column)} IS NOT ?`
    if (deletedAt === undefined) this.#db.prepare(`DELETE FROM ${name} WHERE ${other}`).run(version.active)
    else
      this.#db
        .prepare(`UPDATE ${name} SET "_sdc_deleted_at" = ? WHERE ${other} AND "_sdc_deleted_at" IS NULL`)
        .run(deletedAt, version.active)
    this.#removeOrphans(table, children)
  }

  purge(table: Table, children: readonly Table[]): void {
    const { changes } = this.#db.prepare(`DELETE FROM ${quote(table.name)} WHERE "_sdc_deleted_at" IS NOT NULL`).run()
    if (Number(changes) > 0) this.#removeOrphans(table, children)
  }

  #removeOrphans(table: Table, children: readonly Table[]): void {
    for (const child of children) {
      const same = table.keys.map(
        (k, i) => `p.${quote(k)} = ${quote(child.name)}.${quote((child.columns[i] as Column).name)}`,
      )
      this.#db.exec(
        `DELETE FROM ${quote(child.name)} WHERE NOT EXISTS (SELECT 1 FROM ${quote(table.name)} p WHERE ${same.join(' AND ')})`,
      )
    }
  }

  commit(catalog: readonly { readonly table: string; readonly entry: string }[]): void {
    if (catalog.length > 0) {
      const name = quote(catalogTable)
      this.#db.exec(`CREATE TABLE IF NOT EXISTS ${name} (table_name TEXT PRIMARY KEY, entry TEXT NOT NULL)`)
      const put = this.#db.prepare(
        `INSERT INTO ${name} VALUES (?, ?) ON CONFLICT (table_name) DO UPDATE SET entry = excluded.entry`,
      )
      for (const { table, entry } of catalog) put.run(table, entry)
    }
    this.#db.exec('COMMIT')
  }

  /** Moves what was committed from the log into the file, as far as readers allow, and begins the next transaction. */
  settle(): void {
    if (this.#walMode) this.#db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    this.#db.exec('BEGIN IMMEDIATE')
  }

  measure(table: Table): { readonly rows: number; readonly fingerprint: string | undefined } {
    const name = quote(table.name)
    const rows = Number(this.#db.prepare(`SELECT count(*) AS n FROM ${name}`).get()?.['n'])
    if (rows > maxFingerprintRows) return { rows, fingerprint: undefined }
    const select = this.#db.prepare(`SELECT ${table.columns.map((c) => quote(c.name)).join(', ')} FROM ${name}`)
    select.setReadBigInts(true)
    select.setReturnArrays(true)
    const digest = new Digest()
    for (const row of select.iterate() as Iterable<unknown>) {
      const text = (row as unknown[]).map(
        (v) => `${typeof v} ${v instanceof Uint8Array ? Buffer.from(v).toString('hex') : String(v)}`,
      )
      const bytes = Buffer.from(JSON.stringify(text))
      digest.add(bytes, 0, bytes.length)
    }
    return { rows, fingerprint: `sqlite:${digest}` }
  }

  /** What is not committed is undone. */
  close(): void {
    if (!this.#db.isOpen) return
    try {
      if (this.#writes && this.#db.isTransaction) this.#db.exec('ROLLBACK')
    } finally {
      this.#db.close()
    }
  }
}
