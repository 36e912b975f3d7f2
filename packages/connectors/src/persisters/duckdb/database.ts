/**
 * The DuckDB file as the shared session sees it.
 *
 * Rows wait as lines in files, and files are read on DuckDB's own threads while the next ones are written: those that
 * are appended into their table, those that replace others into a staging table. A commit then makes all changes of
 * tables (DuckDB refuses a change behind a delete), and after them what was staged and the removals, in the order in
 * which they came. It is all one transaction.
 */
import { availableParallelism } from 'node:os'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { MillraceError } from '@millrace/sdk'
import { catalogTable } from '../../sql/catalog.ts'
import type {
  ActiveVersion,
  Cell,
  Column,
  ColumnType,
  Dialect,
  RowEncoder,
  SqlDatabase,
  Table,
  TableChange,
} from '../../sql/types.ts'
import { convertSql, createSql, duckdbDialect, literal, quote, typeName } from './dialect.ts'
import { checkFile, isOutOfMemory, translate } from './failures.ts'
import { type LineShape, LineWriter, lineShape, readSql } from './lines.ts'
import { type LongLines, memoryFor, moreMemory, ordinaryMemory } from './memory.ts'
import { Spool, type SpoolFile } from './spool.ts'

/** A file is read once it has so many bytes: enough for DuckDB to be quick, small enough to begin early. */
const FILE_BYTES = 12 << 20
/** Files that may wait to be read. */
const MAX_WAITING = 3
/** A checkpoint writes what the log holds once more: so it is made seldom, and when the database is closed. */
const CHECKPOINT = '128MB'

/** Rows of one table in one of its shapes. */
interface Staged {
  readonly table: Table
  readonly signature: string
  readonly name: string
  readonly shape: LineShape
  file: SpoolFile | undefined
  made: boolean
  readonly long: LongLines
  /** Whether the rows go into their table at once: they replace none, and no work on it waits that came before them. */
  readonly direct: boolean
}

type Work =
  | { readonly kind: 'rows'; readonly staged: Staged }
  | { readonly kind: 'sql'; readonly sql: () => readonly string[] }
  | { readonly kind: 'rekey'; readonly change: TableChange & { readonly kind: 'rekey' } }

const signatureOf = (table: Table): string =>
  JSON.stringify([table.name, table.columns.map((c) => [c.name, c.type, c.path]), table.keys])

export class DuckDatabase implements SqlDatabase {
  readonly dialect: Dialect
  readonly #path: string
  readonly #schema: string
  readonly #instance: DuckDBInstance
  readonly #connection: DuckDBConnection
  readonly #spool: Spool | undefined
  #changes: TableChange[] = []
  #work: Work[] = []
  /** Tables that work waits for. */
  readonly #awaiting = new Set<string>()
  readonly #open = new Map<string, Staged>()
  readonly #shapes = new Map<string, LineShape>()
  #latest = new Map<string, Table>()
  #reading: Promise<void> = Promise.resolve()
  readonly #queue: { readonly staged: Staged; readonly file: SpoolFile }[] = []
  #waiting = 0
  #failure: MillraceError | undefined
  #next = 0
  #inTransaction = false
  #memory = ordinaryMemory
  /** Whether the setting says how much. */
  #isFixed = false
  #closed = false

  private constructor(
    path: string,
    schema: string,
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    writes: boolean,
  ) {
    this.#path = path
    this.#schema = schema
    this.dialect = duckdbDialect(schema)
    this.#instance = instance
    this.#connection = connection
    this.#spool = writes ? new Spool(path) : undefined
  }

  /** Opens the file; to write it is made where it is not there. Throws DESTINATION_REFUSED and DESTINATION_BUSY. */
  static async open(path: string, schema: string, access: 'write' | 'read', memory?: number): Promise<DuckDatabase> {
    checkFile(path)
    let instance: DuckDBInstance | undefined
    try {
      instance = await DuckDBInstance.create(path, {
        memory_limit: `${memory ?? ordinaryMemory}B`,
        threads: String(Math.min(4, availableParallelism())),
        checkpoint_threshold: CHECKPOINT,
        ...(access === 'read' ? { access_mode: 'READ_ONLY' } : {}),
      })
      const connection = await instance.connect()
      const db = new DuckDatabase(path, schema, instance, connection, access === 'write')
      db.#isFixed = memory !== undefined
      await connection.run("SET TimeZone = 'UTC'")
      if (db.#spool !== undefined) await connection.run(`SET temp_directory = ${literal(db.#spool.folder)}`)
      if (access === 'write' && schema !== 'main') await connection.run(`CREATE SCHEMA IF NOT EXISTS ${quote(schema)}`)
      return db
    } catch (e) {
      instance?.closeSync()
      throw translate(e, path)
    }
  }

  async readCatalog(): Promise<readonly string[]> {
    if ((await this.columnsOf(catalogTable)) === undefined) return []
    return (await this.#rows(`SELECT entry FROM ${this.#ref(catalogTable)} ORDER BY rowid`)).map((r) => String(r[0]))
  }

  async columnsOf(table: string): Promise<readonly string[] | undefined> {
    const columns = await this.#columnsWithTypes(table)
    return columns.length === 0 ? undefined : columns.map((c) => c.name)
  }

  async change(changes: readonly TableChange[]): Promise<void> {
    for (const change of changes) {
      if (change.kind === 'rekey') {
        await this.#mustBeUnique(change)
        this.#closeOpen(change.table.name)
        this.#addWork(change.table, { kind: 'rekey', change })
      }
      this.#changes.push(change)
      this.#latest.set(change.table.name, change.table)
    }
  }

  encoder(table: Table): RowEncoder {
    const signature = signatureOf(table)
    let shape = this.#shapes.get(signature)
    if (shape === undefined) {
      shape = lineShape(table)
      this.#shapes.set(signature, shape)
    }
    return new LineWriter(table, shape)
  }

  async load(table: Table, rows: RowEncoder): Promise<void> {
    const lines = rows as LineWriter
    const staged = this.#staged(table)
    await this.#guard(async () => {
      const spool = this.#spool as Spool
      staged.file ??= spool.open()
      spool.append(staged.file, lines.bytes(), lines)
      staged.long.bytes += lines.long.bytes
      staged.long.lines += lines.long.lines
    })
    if ((staged.file?.bytes ?? 0) >= FILE_BYTES) this.#readFile(staged)
    while (this.#waiting >= MAX_WAITING) await this.#reading
    if (this.#failure !== undefined) throw this.#failure
  }

  async removeGroups(table: Table, columns: readonly Column[], groups: readonly (readonly Cell[])[]): Promise<void> {
    this.#latest.set(table.name, table)
    if (groups.length === 0) return
    this.#closeOpen(table.name)
    const values = groups.map((g) => `(${g.map((cell, i) => cellLiteral(cell, columns[i] as Column)).join(', ')})`)
    const same = columns.map((c, i) => `t.${quote(c.name)} = g.k${i}`)
    const sql = `DELETE FROM ${this.#ref(table.name)} t USING (VALUES ${values.join(', ')}) g(${columns.map((_, i) => `k${i}`).join(', ')}) WHERE ${same.join(' AND ')}`
    this.#addWork(table, { kind: 'sql', sql: () => [sql] })
  }

  async retire(
    table: Table,
    children: readonly Table[],
    version: ActiveVersion,
    deletedAt: string | undefined,
  ): Promise<void> {
    this.#closeOpen(table.name)
    const name = this.#ref(table.name)
    const other = `${quote(version.column)} IS DISTINCT FROM ${version.active}`
    const sql =
      deletedAt === undefined
        ? `DELETE FROM ${name} WHERE ${other}`
        : `UPDATE ${name} SET "_sdc_deleted_at" = ${literal(deletedAt)} WHERE ${other} AND "_sdc_deleted_at" IS NULL`
    this.#addWork(table, { kind: 'sql', sql: () => [sql, ...this.#orphans(table, children)] })
  }

  async purge(table: Table, children: readonly Table[]): Promise<void> {
    this.#closeOpen(table.name)
    const sql = `DELETE FROM ${this.#ref(table.name)} WHERE "_sdc_deleted_at" IS NOT NULL`
    this.#addWork(table, { kind: 'sql', sql: () => [sql, ...this.#orphans(table, children)] })
  }

  #orphans(table: Table, children: readonly Table[]): readonly string[] {
    return children.map((child) => {
      const same = table.keys.map((k, i) => `p.${quote(k)} = t.${quote((child.columns[i] as Column).name)}`)
      return `DELETE FROM ${this.#ref(child.name)} t WHERE NOT EXISTS (SELECT 1 FROM ${this.#ref(table.name)} p WHERE ${same.join(' AND ')})`
    })
  }

  async commit(catalog: readonly { readonly table: string; readonly entry: string }[]): Promise<void> {
    for (const staged of this.#open.values()) this.#readFile(staged)
    await this.#reading
    if (this.#failure !== undefined) throw this.#failure
    if (!this.#inTransaction && this.#changes.length === 0 && this.#work.length === 0 && catalog.length === 0) return
    await this.#guard(async () => {
      await this.#begin()
      for (const work of this.#work) await this.#perform(work)
      await this.#keepCatalog(catalog)
      await this.#run('COMMIT')
      this.#inTransaction = false
      for (const work of this.#work)
        if (work.kind === 'rows') await this.#run(`DROP TABLE IF EXISTS temp.${quote(work.staged.name)}`)
    })
    this.#work = []
    this.#awaiting.clear()
    this.#open.clear()
  }

  /** Begins the transaction where none is open, and makes the changes of tables that were asked for. */
  async #begin(): Promise<void> {
    if (!this.#inTransaction) {
      await this.#run('BEGIN TRANSACTION')
      this.#inTransaction = true
    }
    const changes = this.#changes
    this.#changes = []
    if (changes.length > 0) await this.#makeChanges(changes)
  }

  /** Changes of one table's types are made together. */
  async #makeChanges(changes: readonly TableChange[]): Promise<void> {
    const retyped = new Map<string, { table: Table; from: Map<string, ColumnType> }>()
    for (const change of changes) {
      if (change.kind !== 'retype') {
        for (const sql of this.dialect.statements(change)) await this.#run(sql)
        continue
      }
      const { table, column, from } = change
      const rebuild = retyped.get(table.name) ?? { table, from: new Map() }
      if (!rebuild.from.has(column.name)) rebuild.from.set(column.name, from)
      retyped.set(table.name, rebuild)
    }
    for (const [name, { table, from }] of retyped) await this.#rebuild(this.#latest.get(name) ?? table, from)
  }

  /**
   * Copies a table into one with other types. Not ALTER … USING: what its expression was cannot be read again from the
   * write-ahead log (DuckDB 1.5), so that a process killed behind the commit would leave a file that does not open.
   */
  async #rebuild(table: Table, from: ReadonlyMap<string, ColumnType>): Promise<void> {
    await this.#allow(memoryFor(table.columns.length, { bytes: 0, lines: 0 }))
    const old = this.#ref(table.name)
    const known = new Set(table.columns.map((c) => c.name))
    const strangers = (await this.#columnsWithTypes(table.name)).filter((c) => !known.has(c.name))
    const indexes = await this.#rows(
      `SELECT sql FROM duckdb_indexes() WHERE database_name = current_database() AND schema_name = ${literal(this.#schema)} AND table_name = ${literal(table.name)} AND sql IS NOT NULL`,
    )
    const copy = this.#ref('_millrace_rebuild')
    await this.#run(
      createSql(
        table,
        copy,
        strangers.map((c) => `${quote(c.name)} ${c.type}`),
      ),
    )
    const names = [...known, ...strangers.map((c) => c.name)].map(quote).join(', ')
    const values = [
      ...table.columns.map((c) => convertSql(quote(c.name), from.get(c.name) ?? c.type, c.type)),
      ...strangers.map((c) => quote(c.name)),
    ]
    await this.#run(`INSERT INTO ${copy} (${names}) SELECT ${values.join(', ')} FROM ${old}`)
    await this.#run(`DROP TABLE ${old}`)
    await this.#run(`ALTER TABLE ${copy} RENAME TO ${quote(table.name)}`)
    for (const [sql] of indexes) await this.#run(String(sql))
  }

  async #columnsWithTypes(table: string): Promise<readonly { readonly name: string; readonly type: string }[]> {
    const rows = await this.#rows(
      `SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() AND lower(schema_name) = lower(${literal(this.#schema)}) AND lower(table_name) = lower(${literal(table)}) ORDER BY column_index`,
    )
    return rows.map(([name, type]) => ({ name: String(name), type: String(type) }))
  }

  async #perform(work: Work): Promise<void> {
    if (work.kind === 'rows') await this.#merge(work.staged)
    else if (work.kind === 'rekey') await this.#mustBeUnique(work.change)
    else for (const sql of work.sql()) await this.#run(sql)
  }

  /** Moves staged rows into their table: rows with the same keys go first. */
  async #merge({ table, name, made }: Staged): Promise<void> {
    if (!made) return
    const stage = `temp.${quote(name)}`
    const target = this.#ref(table.name)
    const now = this.#latest.get(table.name) ?? table
    const as = table.columns.map((c, i) =>
      convertSql(`c${i}`, c.type, now.columns.find((n) => n.name === c.name)?.type ?? c.type),
    )
    if (table.keys.length > 0) {
      const at = table.keys.map((k) => table.columns.findIndex((c) => c.name === k))
      const keys = at.map((i) => `c${i}`).join(', ')
      const twice = await this.#rows(`SELECT 1 FROM ${stage} GROUP BY ${keys} HAVING count(*) > 1 LIMIT 1`)
      if (twice.length > 0)
        await this.#run(`DELETE FROM ${stage} WHERE rowid NOT IN (SELECT max(rowid) FROM ${stage} GROUP BY ${keys})`)
      const same = at.map((i) => `t.${quote((table.columns[i] as Column).name)} = s.k${i}`)
      await this.#run(
        `DELETE FROM ${target} t USING (SELECT ${at.map((i) => `${as[i]} AS k${i}`).join(', ')} FROM ${stage}) s WHERE ${same.join(' AND ')}`,
      )
    }
    await this.#run(
      `INSERT INTO ${target} (${table.columns.map((c) => quote(c.name)).join(', ')}) SELECT ${as.join(', ')} FROM ${stage}`,
    )
  }

  async #keepCatalog(catalog: readonly { readonly table: string; readonly entry: string }[]): Promise<void> {
    if (catalog.length === 0) return
    const name = this.#ref(catalogTable)
    await this.#run(`CREATE TABLE IF NOT EXISTS ${name} (table_name VARCHAR, entry VARCHAR)`)
    for (const { table, entry } of catalog) {
      await this.#run(`DELETE FROM ${name} WHERE table_name = ${literal(table)}`)
      await this.#run(`INSERT INTO ${name} VALUES (${literal(table)}, ${literal(entry)})`)
    }
  }

  async measure(table: Table): Promise<{ readonly rows: number; readonly fingerprint: string | undefined }> {
    const columns = table.columns.map((c) => quote(c.name)).join(', ')
    const [row] = await this.#all(
      `SELECT count(*)::VARCHAR, (coalesce(sum(hash(${columns})::HUGEINT), 0) % 18446744073709551616::HUGEINT)::VARCHAR, version() FROM ${this.#ref(table.name)}`,
    )
    return {
      rows: Number(row?.[0]),
      fingerprint: `duckdb-${row?.[2]}:${BigInt(String(row?.[1])).toString(16).padStart(16, '0')}`,
    }
  }

  /** What was not committed was never in the database: only the staging goes. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#reading
    this.#connection.closeSync()
    this.#instance.closeSync()
    for (const staged of this.#open.values()) if (staged.file !== undefined) this.#spool?.close(staged.file)
    this.#spool?.dispose()
  }

  #ref(table: string): string {
    return `${quote(this.#schema)}.${quote(table)}`
  }

  /** Where rows of this table, in this shape, are staged. A new shape begins a new staging table. */
  #staged(table: Table): Staged {
    this.#latest.set(table.name, table)
    const signature = signatureOf(table)
    const open = this.#open.get(table.name)
    if (open?.signature === signature) return open
    if (open !== undefined) this.#closeOpen(table.name)
    const shape = this.#shapes.get(signature) ?? lineShape(table)
    const staged: Staged = {
      table,
      signature,
      name: `stage_${this.#next++}`,
      shape,
      file: undefined,
      made: false,
      long: { bytes: 0, lines: 0 },
      direct: table.keys.length === 0 && table.path.length === 0 && !this.#awaiting.has(table.name),
    }
    this.#open.set(table.name, staged)
    if (!staged.direct) this.#addWork(table, { kind: 'rows', staged })
    return staged
  }

  /** Has it done by the commit, behind what waits already. */
  #addWork(table: Table, work: Work): void {
    this.#work.push(work)
    this.#awaiting.add(table.name)
  }

  #closeOpen(table: string): void {
    const staged = this.#open.get(table)
    if (staged === undefined) return
    this.#readFile(staged)
    this.#open.delete(table)
  }

  /** Has DuckDB read the staged file, behind those it reads already. Failures are thrown by the next call. */
  #readFile(staged: Staged): void {
    const { file } = staged
    if (file === undefined) return
    staged.file = undefined
    ;(this.#spool as Spool).close(file)
    this.#waiting++
    this.#queue.push({ staged, file })
    this.#reading = this.#reading.then(() => this.#readNext())
  }

  /** Reads what waits for one table in one statement: several files are read by several threads. */
  async #readNext(): Promise<void> {
    const first = this.#queue[0]
    if (first === undefined) return
    const count = this.#queue.findIndex((q) => q.staged !== first.staged || q.file.quotes !== first.file.quotes)
    const taken = this.#queue.splice(0, count < 0 ? this.#queue.length : count)
    const files = taken.map((q) => q.file)
    try {
      if (this.#failure === undefined) await this.#stage(first.staged, files)
    } catch (e) {
      this.#failure = translate(e, this.#path)
    } finally {
      this.#waiting -= taken.length
      for (const file of files) this.#spool?.remove(file)
    }
  }

  async #stage(staged: Staged, files: readonly SpoolFile[]): Promise<void> {
    const { shape, table, name, direct } = staged
    await this.#allow(memoryFor(table.columns.length, staged.long))
    if (direct) await this.#begin()
    else if (!staged.made) {
      await this.#run(
        `CREATE TEMP TABLE ${quote(name)} (${table.columns.map((c, i) => `c${i} ${typeName(c.type)}`).join(', ')})`,
      )
      staged.made = true
    }
    const now = this.#latest.get(table.name) ?? table
    const as = table.columns.map((c, i) =>
      convertSql(`c${i}`, c.type, now.columns.find((n) => n.name === c.name)?.type ?? c.type),
    )
    const target = direct
      ? `${this.#ref(table.name)} (${table.columns.map((c) => quote(c.name)).join(', ')})`
      : `temp.${quote(name)}`
    const from = readSql(shape, table, files)
    await this.#run(`INSERT INTO ${target} ${direct ? `SELECT ${as.join(', ')} FROM (${from})` : from}`)
  }

  async #mustBeUnique(change: TableChange & { readonly kind: 'rekey' }): Promise<void> {
    const { table, from } = change
    if (table.keys.length === 0 || (await this.columnsOf(table.name)) === undefined) return
    const there = new Set(await this.columnsOf(table.name))
    const keys = table.keys.map(quote)
    const bad = table.keys.every((k) => there.has(k))
      ? await this.#rows(
          `SELECT 1 FROM ${this.#ref(table.name)} GROUP BY ${keys.join(', ')} HAVING count(*) > 1 OR ${keys.map((k) => `${k} IS NULL`).join(' OR ')} LIMIT 1`,
        )
      : await this.#rows(`SELECT 1 FROM ${this.#ref(table.name)} LIMIT 1`)
    if (bad.length === 0) return
    throw new MillraceError('SCHEMA_CHANGE_REFUSED', {
      stream: table.substream,
      field: 'key_properties',
      to: table.keys.join(', '),
      from: from.join(', ') || '(none)',
      fix: 'Rows that are there have no values, or the same, in the new keys: rebuild the table from the beginning.',
    })
  }

  /** Gives DuckDB so much memory, if it has less. */
  async #allow(bytes: number): Promise<void> {
    if (this.#isFixed || bytes <= this.#memory) return
    await this.#run(`SET memory_limit = '${bytes}B'`)
    this.#memory = bytes
  }

  /** Asks what reads every value of a table: what is in it may be from runs that knew how long its rows are. */
  async #all(sql: string): Promise<readonly (readonly unknown[])[]> {
    for (;;) {
      try {
        return await this.#rows(sql)
      } catch (e) {
        const more = this.#isFixed || !isOutOfMemory(e) ? undefined : moreMemory(this.#memory)
        if (more === undefined) throw e
        await this.#allow(more)
      }
    }
  }

  async #run(sql: string): Promise<void> {
    await this.#connection.run(sql)
  }

  async #rows(sql: string): Promise<readonly (readonly unknown[])[]> {
    return await this.#guard(async () => (await this.#connection.runAndReadAll(sql)).getRowsJS())
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (e) {
      throw translate(e, this.#path)
    }
  }
}

/** A key's cell as SQL of its column's type. */
const cellLiteral = (cell: Cell, column: Column): string => {
  if (cell === null) return 'NULL'
  const isString = ['text', 'timestamp', 'date', 'time'].includes(column.type)
  return `CAST(${literal(isString ? String(JSON.parse(cell)) : cell)} AS ${typeName(column.type)})`
}
