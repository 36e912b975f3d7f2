/** The session that all SQL destinations share: schemas become tables, records rows, a flush one transaction. */
import {
  type Evidence,
  inferSchema,
  isObject,
  type Json,
  type JsonObject,
  type Logger,
  type MessageOf,
  MillraceError,
  type PersisterSession,
  type RecordMessage,
  RejectedRecords,
  type SchemaMessage,
} from '@millrace/sdk'
import { catalogTable, readEntries } from './catalog.ts'
import { evolve, type EvolveOptions, metadataNames, newTable, rekey, samePath } from './evolve.ts'
import { fold, Names } from './names.ts'
import { type EncodedBatch, RowMaker } from './rows.ts'
import type { SqlSettings } from './settings.ts'
import type { Cell, Column, Dialect, MetadataName, SqlDatabase, Table, TableChange } from './types.ts'
import { type WantedColumn, type WantedTable, wantedTables } from './wanted.ts'

/** Each pass over a batch makes the table wide enough for one more kind of value; there are fewer kinds than this. */
const MAX_PASSES = 24

/** The tables of one substream, as they are now. */
interface Tables {
  readonly main: Table
  readonly children: readonly Table[]
}

interface Substream extends Tables {
  readonly wanted: readonly WantedTable[]
  readonly rows: RowMaker
}

/** What is known of a destination's tables, and what changes they need. Shared by sessions and plans: it executes nothing. */
export class TablePlanner {
  readonly #catalog: Map<string, Table>
  readonly #names: Names
  readonly #settings: SqlSettings
  readonly #options: EvolveOptions

  constructor(catalog: readonly Table[], settings: SqlSettings, dialect: Dialect) {
    this.#catalog = new Map(catalog.map((t) => [identity(t.substream, t.path), t]))
    this.#names = new Names(
      dialect,
      (name) => dialect.reservesTable(name) || fold(name) === catalogTable,
      catalog.map((t) => t.name),
    )
    this.#settings = settings
    const metadata = settings.metadata
      ? metadataNames
      : settings.deletes === 'soft'
        ? (['_sdc_deleted_at'] as const)
        : []
    this.#options = { dialect, metadata }
  }

  find(substream: string, path: readonly string[]): Table | undefined {
    return this.#catalog.get(identity(substream, path))
  }

  keep(table: Table): void {
    this.#catalog.set(identity(table.substream, table.path), table)
  }

  forget(table: Table): void {
    this.#catalog.delete(identity(table.substream, table.path))
    this.#names.release(table.name)
  }

  /** The tables that a schema asks for, and the steps to them. */
  declare(
    message: SchemaMessage,
    wanted: readonly WantedTable[],
  ): Tables & { readonly changes: readonly TableChange[] } {
    const keys = this.#settings.mode === 'append' ? [] : message.keyProperties
    const [top, ...arrays] = wanted as readonly [WantedTable, ...WantedTable[]]
    const existing = this.find(message.stream, [])
    const main =
      existing === undefined
        ? newTable({ name: this.#names.claim(message.stream), substream: message.stream, keys }, top, this.#options)
        : rekey(evolve(existing, top.columns, this.#options), keys)
    const changes = [...main.changes]
    const children = arrays.map((w) => {
      const old = this.find(message.stream, w.path)
      const name = old?.name ?? this.#names.claim(`${main.table.name}__${w.path.join('__')}`)
      const child =
        old === undefined
          ? newTable({ name, substream: message.stream, keys: [], parent: main.table }, w, {
              ...this.#options,
              metadata: [],
            })
          : this.widen(old, w.columns, main.table)
      changes.push(...child.changes)
      return child.table
    })
    if (children.length > 0 && changes.some((c) => c.kind === 'rekey'))
      throw refused(
        main.table,
        existing?.keys ?? [],
        'Child tables hang on the key properties: rebuild the destination from the beginning.',
      )
    return { main: main.table, children, changes }
  }

  /** A table made wide enough; a child's links follow the keys of its parent. */
  widen(
    table: Table,
    wanted: readonly WantedColumn[],
    parent?: Table,
    also: readonly MetadataName[] = [],
  ): { readonly table: Table; readonly changes: readonly TableChange[] } {
    const metadata = parent === undefined ? [...this.#options.metadata, ...also] : []
    const next = evolve(table, wanted, { ...this.#options, metadata })
    if (parent === undefined) return next
    const changes = [...next.changes]
    const columns = next.table.columns.map((c): Column => {
      const link = c.link
      if (link === undefined || 'index' in link) return c
      const key = parent.columns.find((k) => samePath(k.path, [link.parentKey]))
      return key === undefined || key.type === c.type ? c : { ...c, type: key.type }
    })
    const changed = { ...next.table, columns }
    columns.forEach((column, i) => {
      const from = (next.table.columns[i] as Column).type
      if (column.type !== from) changes.push({ kind: 'retype', table: changed, column, from })
    })
    return changes.length === 0
      ? { table, changes }
      : { table: changed, changes: changes.map((c) => ({ ...c, table: changed })) }
  }
}

/** The values of those records that can be read; the others are rejected where they are encoded. */
const readable = (records: readonly RecordMessage[]): readonly JsonObject[] =>
  records.flatMap((r) => {
    try {
      return [r.record]
    } catch {
      return []
    }
  })

const identity = (substream: string, path: readonly string[]): string => JSON.stringify([substream, path])

const refused = (table: Table, from: readonly string[], fix: string): MillraceError =>
  new MillraceError('SCHEMA_CHANGE_REFUSED', {
    stream: table.substream,
    field: 'key_properties',
    to: table.keys.join(', ') || '(none)',
    from: from.join(', ') || '(none)',
    fix,
  })

export class SqlSession implements PersisterSession {
  readonly #db: SqlDatabase
  readonly #settings: SqlSettings
  readonly #log: Logger
  readonly #planner: TablePlanner
  readonly #substreams = new Map<string, Substream>()
  /** Substreams without a schema: their first batch tells what their records look like. */
  readonly #unknown = new Map<string, SchemaMessage>()
  readonly #seen = new Set<string>()
  readonly #warned = new Set<string>()
  readonly #written = new Set<string>()
  readonly #dirty = new Map<string, Table>()
  #sequence = 0
  #now = ''
  #batchedAt: string | undefined

  private constructor(db: SqlDatabase, settings: SqlSettings, log: Logger, catalog: readonly Table[]) {
    this.#db = db
    this.#settings = settings
    this.#log = log
    this.#planner = new TablePlanner(catalog, settings, db.dialect)
  }

  /** Reads what the destination remembers. Owns the database from now on. */
  static async open(db: SqlDatabase, settings: SqlSettings, log: Logger): Promise<SqlSession> {
    try {
      return new SqlSession(db, settings, log, readEntries(await db.readCatalog()))
    } catch (e) {
      await db[Symbol.asyncDispose]()
      throw e
    }
  }

  async declare(message: SchemaMessage): Promise<void> {
    if (message.inferred === true && !isObject(message.schema['properties'])) {
      this.#unknown.set(message.stream, message)
      return
    }
    this.#unknown.delete(message.stream)
    const wanted = wantedTables(message, this.#settings, this.#db.dialect)
    for (const w of wanted) await this.#compareWithDatabase(message.stream, w.path)
    const { main, children, changes } = this.#planner.declare(message, wanted)
    for (const change of changes) if (change.kind === 'create') await this.#mustBeFree(change.table)
    await this.#apply(changes, [main, ...children])
    this.#substreams.set(message.stream, this.#substream({ main, children }, wanted))
    this.#written.add(message.stream)
  }

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    this.#now = new Date().toISOString()
    this.#batchedAt ??= this.#now
    const unknown = this.#unknown.get(substream)
    if (unknown !== undefined)
      await this.declare({ ...unknown, schema: inferSchema(readable(records)), inferred: false })
    for (let pass = 0; ; pass++) {
      const s = this.#substreams.get(substream)
      if (s === undefined) throw new MillraceError('RECORD_WITHOUT_SCHEMA', { stream: substream })
      const sequence = this.#sequence
      const batch = s.rows.encode(
        records,
        this.#db.encoder(s.main),
        s.children.map((c) => this.#db.encoder(c)),
        this.#stamp,
      )
      for (const field of batch.ignored)
        this.#warnOnce(substream, field, 'the schema forbids this field: it is left out')
      if (batch.rejected.length > 0) {
        this.#sequence = sequence
        throw new RejectedRecords(batch.rejected)
      }
      if (!this.#mustChange(batch)) {
        await this.#load(s, batch)
        return
      }
      this.#sequence = sequence
      if (pass >= MAX_PASSES)
        throw new MillraceError('INTERNAL', { why: `the table of ${substream} does not become wide enough` })
      await this.#widen(s, batch)
    }
  }

  async activateVersion(message: MessageOf<'ACTIVATE_VERSION'>): Promise<void> {
    const s = this.#substreams.get(message.stream)
    if (s === undefined) return
    if (!s.main.columns.some((c) => c.name === '_sdc_table_version')) {
      this.#warnOnce(message.stream, '', 'ACTIVATE_VERSION has no effect: no record ever carried a version')
      return
    }
    const deletedAt = this.#settings.deletes === 'soft' ? new Date().toISOString() : undefined
    await this.#db.retire(s.main, s.children, message.version, deletedAt)
  }

  async flush(): Promise<void> {
    if (this.#settings.deletes === 'hard')
      for (const name of this.#written) {
        const s = this.#substreams.get(name) as Substream
        if (s.main.columns.some((c) => c.name === '_sdc_deleted_at' && c.metadata === undefined))
          await this.#db.purge(s.main, s.children)
      }
    await this.#db.commit([...this.#dirty.values()].map((t) => ({ table: t.name, entry: JSON.stringify(t) })))
    this.#dirty.clear()
    this.#batchedAt = undefined
  }

  async evidence(): Promise<readonly Evidence[]> {
    const all: Evidence[] = []
    for (const name of this.#written) {
      const s = this.#substreams.get(name) as Substream
      all.push(await measureTables(this.#db, s))
    }
    return all
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db[Symbol.asyncDispose]()
  }

  #substream(tables: Tables, wanted: readonly WantedTable[]): Substream {
    const closedOf = (path: readonly string[]): boolean => wanted.find((w) => samePath(w.path, path))?.closed ?? false
    const children = tables.children.map((table) => ({ table, closed: closedOf(table.path) }))
    return {
      ...tables,
      wanted,
      rows: new RowMaker(tables.main, { dialect: this.#db.dialect, closed: closedOf([]), children }),
    }
  }

  /** Somebody may have dropped a table or a column since: then it is made again. */
  async #compareWithDatabase(substream: string, path: readonly string[]): Promise<void> {
    const table = this.#planner.find(substream, path)
    if (table === undefined || this.#seen.has(table.name)) return
    const names = await this.#db.columnsOf(table.name)
    if (names === undefined) {
      this.#planner.forget(table)
      return
    }
    this.#seen.add(table.name)
    const there = new Set(names.map(fold))
    const columns = table.columns.filter((c) => there.has(fold(c.name)))
    if (columns.length < table.columns.length)
      this.#planner.keep({ ...table, columns, keys: table.keys.filter((k) => there.has(fold(k))) })
  }

  async #mustBeFree(table: Table): Promise<void> {
    if ((await this.#db.columnsOf(table.name)) === undefined) return
    throw new MillraceError('DESTINATION_REFUSED', {
      what: `table ${table.name}`,
      why: 'it is there already and Millrace did not make it',
      fix: 'Rename or drop that table, write to another database, or rename the stream in a map.',
    })
  }

  async #apply(changes: readonly TableChange[], tables: readonly Table[]): Promise<void> {
    for (const change of changes)
      if (change.kind !== 'create')
        this.#log.info('table changes', {
          table: change.table.name,
          change: change.kind,
          column: 'column' in change ? change.column.name : undefined,
        })
    if (changes.length > 0) await this.#db.change(changes)
    for (const table of tables) {
      if (this.#planner.find(table.substream, table.path) === table) continue
      this.#planner.keep(table)
      this.#seen.add(table.name)
      this.#dirty.set(table.name, table)
    }
  }

  #mustChange(batch: EncodedBatch): boolean {
    return batch.versioned || batch.wants.length > 0 || batch.childWants.some((w) => w.length > 0)
  }

  async #widen(s: Substream, batch: EncodedBatch): Promise<void> {
    const main = this.#planner.widen(s.main, batch.wants, undefined, batch.versioned ? ['_sdc_table_version'] : [])
    const children = s.children.map((c, i) => this.#planner.widen(c, batch.childWants[i] ?? [], main.table))
    const changes = [...main.changes, ...children.flatMap((c) => c.changes)]
    for (const change of changes)
      if (change.kind === 'add-column' && change.column.metadata === undefined)
        this.#warnOnce(
          s.main.substream,
          change.column.path.join('.'),
          'the schema does not name this field: a column was added',
        )
      else if (change.kind === 'retype')
        this.#warnOnce(
          s.main.substream,
          change.column.path.join('.'),
          `a value does not fit: the column was ${change.from} and is now ${change.column.type}`,
        )
    const tables = { main: main.table, children: children.map((c) => c.table) }
    await this.#apply(changes, [tables.main, ...tables.children])
    this.#substreams.set(s.main.substream, this.#substream(tables, s.wanted))
  }

  async #load(s: Substream, batch: EncodedBatch): Promise<void> {
    let main = s.main
    if ([...batch.beyondDouble].some((i) => main.columns[i]?.beyondDouble !== true)) {
      main = {
        ...main,
        columns: main.columns.map((c, i) => (batch.beyondDouble.has(i) ? { ...c, beyondDouble: true } : c)),
      }
      await this.#apply([], [main])
      this.#substreams.set(main.substream, { ...s, main })
    }
    if (batch.rows.rows > 0) await this.#db.load(main, batch.rows)
    for (const [i, child] of s.children.entries()) {
      await this.#db.removeGroups(child, child.columns.slice(0, s.main.keys.length), batch.groups)
      const rows = batch.childRows[i]
      if (rows !== undefined && rows.rows > 0) await this.#db.load(child, rows)
    }
  }

  readonly #stamp = (name: MetadataName, record: RecordMessage): Cell => {
    switch (name) {
      case '_sdc_extracted_at':
        return this.#extractedAt(record.timeExtracted)
      case '_sdc_received_at':
        return JSON.stringify(this.#now)
      case '_sdc_batched_at':
        return JSON.stringify(this.#batchedAt)
      case '_sdc_sequence':
        this.#sequence = Math.max(this.#sequence + 1, Date.now() * 1000)
        return String(this.#sequence)
      case '_sdc_table_version':
        return record.version === undefined ? null : String(record.version)
      default:
        return null
    }
  }

  /** A time that cannot be read is left out: it describes the record and is no part of it. */
  #extractedAt(text: string | undefined): Cell {
    return text === undefined ||
      Number.isNaN(Date.parse(text)) ||
      !/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[^"\\]*(Z|[-+][0-9:]+)$/.test(text) ||
      text.length > 32
      ? null
      : JSON.stringify(text.replace(/(\.[0-9]{6})[0-9]+/, '$1'))
  }

  #warnOnce(substream: string, field: string, message: string): void {
    const key = JSON.stringify([substream, field, message])
    if (this.#warned.has(key)) return
    this.#warned.add(key)
    this.#log.warn(message, { substream, field: field.slice(0, 200) })
  }
}

/** Evidence of a substream: rows and fingerprint of its table, and of its child tables by name. */
export const measureTables = async (db: SqlDatabase, tables: Tables): Promise<Evidence> => {
  const { rows, fingerprint } = await db.measure(tables.main)
  const children: { [name: string]: Json } = {}
  for (const child of tables.children) {
    const m = await db.measure(child)
    children[child.name] = { rows: m.rows, ...(m.fingerprint === undefined ? {} : { fingerprint: m.fingerprint }) }
  }
  const marks: JsonObject = {
    table: tables.main.name,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(tables.children.length === 0 ? {} : { children }),
  }
  return { substream: tables.main.substream, rows, marks }
}

/** Reads a marks object that {@link measureTables} made. */
export const marksOf = (
  marks: JsonObject,
): { readonly table: string; readonly fingerprint: string | undefined; readonly children: JsonObject } => ({
  table: String(marks['table'] ?? ''),
  fingerprint: typeof marks['fingerprint'] === 'string' ? marks['fingerprint'] : undefined,
  children: isObject(marks['children']) ? marks['children'] : {},
})
