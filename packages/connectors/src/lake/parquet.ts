/**
 * Parquet files as the shared SQL session sees them: a database in which every table is a row of files.
 *
 * Rows wait as lines in a file; once there are many, DuckDB makes a Parquet file of them on its own threads while the
 * next ones are written. Nothing of that is visible. A commit waits for the last of them and hands them all to the place.
 * A table that changes begins a new file, so that a file has one schema.
 */
import { closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, sep } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { MillraceError } from '@millrace/sdk'
import { folderOf, type LakeNames } from '../object-store/names.ts'
import { duckdbDialect, literal, quote } from '../persisters/duckdb/dialect.ts'
import { translate } from '../persisters/duckdb/failures.ts'
import { type LineShape, LineWriter, lineShape, readSql } from '../persisters/duckdb/lines.ts'
import type { SpoolFile } from '../persisters/duckdb/spool.ts'
import type { ColumnType, Dialect, RowEncoder, SqlDatabase, Table } from '../sql/types.ts'
import { type Partition, partitionColumns } from './partitions.ts'
import type { Finished, LakePlace } from './place.ts'

/** A file is made of so many bytes of lines. Memory goes with it, and so do row groups. */
const PART_BYTES = 48 << 20
const ROW_GROUP_ROWS = 122_880
/** Parts that may wait to be made into files. */
const MAX_WAITING = 2
const MEMORY = '384MB'

/** Parquet has no 128-bit integers (DuckDB would write doubles): decimals of 38 digits hold as much. */
const columnSql = (name: string, type: ColumnType): string =>
  type === 'bigint' ? `CAST(${name} AS DECIMAL(38, 0))` : name

/** DuckDB's dialect, but for what files have not: names that are taken, and types. */
export const parquetDialect: Dialect = {
  ...duckdbDialect('main'),
  name: 'parquet',
  reservesTable: () => false,
  reservesColumn: () => false,
}

interface Part {
  readonly table: Table
  readonly shape: LineShape
  readonly spool: SpoolFile
  rows: number
}

export interface ParquetOptions {
  readonly place: LakePlace
  readonly names: LakeNames
  readonly partitions: readonly Partition[]
}

export class ParquetFiles implements SqlDatabase {
  readonly dialect: Dialect = parquetDialect
  readonly #options: ParquetOptions
  readonly #instance: DuckDBInstance
  readonly #connection: DuckDBConnection
  readonly #open = new Map<string, Part>()
  #making: Promise<void> = Promise.resolve()
  #waiting = 0
  #failure: { readonly reason: unknown } | undefined
  #finished: Finished[] = []
  #next = 0
  #closed = false

  private constructor(options: ParquetOptions, instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#options = options
    this.#instance = instance
    this.#connection = connection
  }

  /** Owns the place from now on. */
  static async open(options: ParquetOptions): Promise<ParquetFiles> {
    const { place } = options
    try {
      const instance = await DuckDBInstance.create(':memory:', {
        memory_limit: MEMORY,
        threads: String(Math.min(4, availableParallelism())),
        temp_directory: place.scratch,
      })
      const connection = await instance.connect()
      await connection.run("SET TimeZone = 'UTC'")
      return new ParquetFiles(options, instance, connection)
    } catch (e) {
      await place[Symbol.asyncDispose]()
      throw translate(e, place.what)
    }
  }

  /** Files remember nothing of tables: each session begins with what it is told. */
  async readCatalog(): Promise<readonly string[]> {
    return []
  }

  async columnsOf(): Promise<readonly string[] | undefined> {
    return undefined
  }

  /** A table that is different is written into a file of its own; see {@link #part}. */
  async change(): Promise<void> {}

  encoder(table: Table): RowEncoder {
    return new LineWriter(table, this.#part(table)?.shape ?? lineShape(table))
  }

  /** The part that rows of this table, as it is now, go into; what was of another shape is finished. */
  #part(table: Table): Part | undefined {
    const part = this.#open.get(table.name)
    if (part === undefined || part.table === table || sameColumns(part.table, table)) return part
    this.#make(part)
    return undefined
  }

  async load(table: Table, rows: RowEncoder): Promise<void> {
    const lines = rows as LineWriter
    let part = this.#part(table)
    try {
      if (this.#closed)
        throw new MillraceError('DESTINATION_REFUSED', {
          what: this.#options.place.what,
          why: 'this session was ended',
        })
      if (part === undefined) {
        part = { table, shape: lines.shape, spool: this.#spool(), rows: 0 }
        this.#open.set(table.name, part)
      }
      const bytes = lines.bytes()
      for (let at = 0; at < bytes.length; ) at += writeSync(part.spool.fd, bytes, at)
      part.spool.bytes += bytes.length
      part.spool.longest = Math.max(part.spool.longest, lines.longest)
      part.spool.quotes ||= lines.quotes
      part.rows += lines.rows
    } catch (e) {
      throw translate(e, this.#options.place.what)
    }
    if (part.spool.bytes >= PART_BYTES) this.#make(part)
    while (this.#waiting > MAX_WAITING) await this.#making
    this.#mustBeWell()
  }

  #spool(): SpoolFile {
    const path = join(this.#options.place.scratch, `${this.#next++}.ndjson`)
    return { path, fd: openSync(path, 'wx', 0o600), bytes: 0, longest: 0, quotes: false }
  }

  #mustBeWell(): void {
    if (this.#failure !== undefined) throw translate(this.#failure.reason, this.#options.place.what)
  }

  /** Has DuckDB make a file of a part, behind those it makes already. Failures are thrown by the next call. */
  #make(part: Part): void {
    this.#open.delete(part.table.name)
    closeSync(part.spool.fd)
    this.#waiting++
    this.#making = this.#making.then(async () => {
      try {
        if (this.#failure === undefined) this.#finished.push(...(await this.#copy(part)))
      } catch (reason) {
        this.#failure ??= { reason }
      } finally {
        this.#waiting--
        rmSync(part.spool.path, { force: true })
      }
    })
  }

  async #copy({ table, shape, spool, rows }: Part): Promise<readonly Finished[]> {
    const { names, partitions, place } = this.#options
    const by = partitionColumns(table, partitions)
    const values = table.columns.map((c, i) => `${columnSql(`c${i}`, c.type)} AS ${quote(c.name)}`)
    const rowsSql = `SELECT ${values.join(', ')} FROM (${readSql(shape, table, [spool])})`
    const made = by.flatMap((p) => (p.sql === undefined ? [] : [`${p.sql} AS ${quote(p.name)}`]))
    const query = made.length === 0 ? rowsSql : `SELECT *, ${made.join(', ')} FROM (${rowsSql})`
    const to = join(place.scratch, `${this.#next++}.tmp`)
    const options = ['FORMAT parquet', 'COMPRESSION zstd', 'COMPRESSION_LEVEL 1', `ROW_GROUP_SIZE ${ROW_GROUP_ROWS}`]
    const folder = folderOf('', table.substream)
    if (by.length === 0) {
      await this.#connection.run(`COPY (${query}) TO ${literal(to)} (${options.join(', ')})`)
      return [{ file: to, substream: table.substream, name: `${folder}/${names.next()}.parquet`, rows }]
    }
    options.push(`PARTITION_BY (${by.map((p) => quote(p.name)).join(', ')})`, 'WRITE_PARTITION_COLUMNS true')
    await this.#connection.run(`COPY (${query}) TO ${literal(to)} (${options.join(', ')})`)
    const files = readdirSync(to, { recursive: true, withFileTypes: true }).filter((f) => f.isFile())
    const finished: Finished[] = []
    for (const f of files) {
      const file = join(f.parentPath, f.name)
      const path = relative(to, f.parentPath).split(sep).join('/')
      const name = `${folder}/${path}/${names.next()}.parquet`
      finished.push({ file, substream: table.substream, name, rows: await this.#rowsIn(file) })
    }
    return finished
  }

  async #rowsIn(file: string): Promise<number> {
    const result = await this.#connection.runAndReadAll(`SELECT num_rows FROM parquet_file_metadata(${literal(file)})`)
    return Number(result.getRowsJS()[0]?.[0] ?? 0)
  }

  /** Rows in files cannot be removed. */
  async removeGroups(): Promise<void> {}
  async retire(): Promise<void> {}
  async purge(): Promise<void> {}

  async commit(): Promise<void> {
    for (const part of [...this.#open.values()]) this.#make(part)
    await this.#making
    this.#mustBeWell()
    const finished = this.#finished
    this.#finished = []
    await this.#options.place.publish(finished)
  }

  /** Evidence is of files, not of tables: see LakePlace. */
  async measure(): Promise<{ readonly rows: number; readonly fingerprint: undefined }> {
    return { rows: 0, fingerprint: undefined }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#making
    for (const part of this.#open.values()) closeSync(part.spool.fd)
    this.#connection.closeSync()
    this.#instance.closeSync()
    await this.#options.place[Symbol.asyncDispose]()
  }
}

const sameColumns = (a: Table, b: Table): boolean =>
  a.columns.length === b.columns.length &&
  a.columns.every((c, i) => {
    const d = b.columns[i]
    return d !== undefined && c.name === d.name && c.type === d.type && c.path.join('\0') === d.path.join('\0')
  })
