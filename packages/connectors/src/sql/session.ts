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
import { readEntries } from './catalog.ts'
import { metadataColumn, samePath } from './evolve.ts'
import { fold } from './names.ts'
import { TablePlanner, type Tables } from './planner.ts'
import { type EncodedBatch, RowMaker } from './rows.ts'
import type { SqlSettings } from './settings.ts'
import type { Cell, MetadataName, SqlDatabase, Table, TableChange } from './types.ts'
import { type WantedTable, wantedTables } from './wanted.ts'

/** Each pass over a batch makes the table wide enough for one more kind of value; there are fewer kinds than this. */
const MAX_PASSES = 24

interface Substream extends Tables {
  readonly wanted: readonly WantedTable[]
  readonly rows: RowMaker
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

export class SqlSession implements PersisterSession {
  readonly #db: SqlDatabase
  readonly #settings: SqlSettings
  readonly #log: Logger
  readonly #planner: TablePlanner
  readonly #substreams = new Map<string, Substream>()
  readonly #declared = new Map<string, SchemaMessage>()
  /** Substreams whose tables are ours until the next commit. */
  readonly #entered = new Set<string>()
  /** Substreams without a schema: their first batch tells what their records look like. */
  readonly #unknown = new Map<string, SchemaMessage>()
  readonly #seen = new Set<string>()
  readonly #warned = new Set<string>()
  readonly #written = new Set<string>()
  /** Substreams of which this session has taken records. */
  readonly #filled = new Set<string>()
  /** Whether this session made the table of a substream; false where it changed one that was there. */
  readonly #made = new Map<string, boolean>()
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
    await this.#enter(message.stream)
    const wanted = wantedTables(message, this.#settings, this.#db.dialect)
    for (const w of wanted) await this.#compareWithDatabase(message.stream, w.path)
    const { main, children, changes } = this.#planner.declare(message, wanted)
    for (const change of changes) if (change.kind === 'create') await this.#mustBeFree(change.table)
    if (changes.length > 0 && !this.#made.has(message.stream))
      this.#made.set(
        message.stream,
        changes.some((c) => c.kind === 'create' && c.table.name === main.name),
      )
    await this.#apply(changes, [main, ...children])
    this.#substreams.set(message.stream, this.#substream({ main, children }, wanted))
    this.#declared.set(message.stream, message)
    this.#written.add(message.stream)
  }

  mayRefuse(message: SchemaMessage): boolean {
    return this.#planner.rekeys(message)
  }

  /** Where another run changed the tables of a substream meanwhile, they are taken as they are now. */
  async #enter(substream: string): Promise<boolean> {
    if (this.#db.enter === undefined || this.#entered.has(substream)) return false
    const entries = await this.#db.enter(substream)
    this.#entered.add(substream)
    if (entries === undefined) return false
    for (const table of readEntries(entries)) {
      this.#planner.keep(table)
      this.#seen.delete(table.name)
    }
    return true
  }

  /** The same for a substream that was declared. */
  async #reenter(substream: string): Promise<void> {
    const message = this.#declared.get(substream)
    if (message !== undefined && (await this.#enter(substream))) await this.declare(message)
  }

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    this.#now = new Date().toISOString()
    this.#batchedAt ??= this.#now
    const unknown = this.#unknown.get(substream)
    if (unknown !== undefined)
      await this.declare({ ...unknown, schema: inferSchema(readable(records)), inferred: false })
    await this.#reenter(substream)
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
        this.#filled.add(substream)
        return
      }
      this.#sequence = sequence
      if (pass >= MAX_PASSES)
        throw new MillraceError('INTERNAL', { why: `the table of ${substream} does not become wide enough` })
      await this.#widen(s, batch)
    }
  }

  async activateVersion(message: MessageOf<'ACTIVATE_VERSION'>): Promise<void> {
    await this.#reenter(message.stream)
    const s = this.#substreams.get(message.stream)
    if (s === undefined) return
    const column = metadataColumn(s.main, '_sdc_table_version')
    if (column === undefined) {
      // Of a table without rows there is nothing that could go.
      if (await this.#mayHaveRows(message.stream, s.main))
        this.#warnOnce(message.stream, '', 'ACTIVATE_VERSION has no effect: no record ever carried a version')
      return
    }
    const deletedAt = this.#settings.deletes === 'soft' ? new Date().toISOString() : undefined
    await this.#db.retire(s.main, s.children, { column: column.name, active: message.version }, deletedAt)
  }

  /** A table that this session made or changed need not be in the database as it is planned yet: it is not asked for. */
  async #mayHaveRows(substream: string, table: Table): Promise<boolean> {
    if (this.#filled.has(substream)) return true
    const made = this.#made.get(substream)
    return made === undefined ? (await this.#db.measure(table)).rows > 0 : !made
  }

  async flush(): Promise<void> {
    if (this.#settings.deletes === 'hard')
      for (const name of this.#written) {
        if (!this.#purges(name)) continue
        await this.#reenter(name)
        const s = this.#substreams.get(name) as Substream
        await this.#db.purge(s.main, s.children)
      }
    await this.#db.commit([...this.#dirty.values()].map((t) => ({ table: t.name, entry: JSON.stringify(t) })))
    this.#dirty.clear()
    this.#entered.clear()
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

  /** Whether the records of a substream themselves say which rows are deleted. */
  #purges(substream: string): boolean {
    const { main } = this.#substreams.get(substream) as Substream
    return main.columns.some((c) => c.name === '_sdc_deleted_at' && c.metadata === undefined)
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
