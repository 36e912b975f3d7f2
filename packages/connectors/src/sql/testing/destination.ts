/** What the suite needs to know of a SQL destination, and the small tools with which it drives one. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createLogger,
  type JsonObject,
  type Logger,
  type Persister,
  type PersisterContext,
  type PersisterSession,
  RecordMessage,
  type SchemaMessage,
} from '@millrace/sdk'

/** A table as it really stands in the file; every value as text. */
export interface StoredTable {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly (string | null)[])[]
}

export interface Destination {
  readonly name: string
  /** Where its persister is, for a child process. */
  readonly module: string
  readonly persister: Persister
  /** What the database calls each type. */
  readonly types: Readonly<
    Record<
      | 'boolean'
      | 'integer'
      | 'bigint'
      | 'decimal'
      | 'decimal(2)'
      | 'float'
      | 'text'
      | 'timestamp'
      | 'date'
      | 'time'
      | 'json',
      string
    >
  >
  /** Set where it is no file but a place on a server, which a path names in this way. */
  readonly settings?: (path: string) => JsonObject
  /** What it does not keep as it came: NUL in text, the text of JSON (its meaning it does). */
  readonly loses?: readonly ('nul' | 'json-text')[]
  /** Reads a table with the database's own client; rows in the order of the first column, as numbers where it is one. */
  readonly read: (path: string, table: string) => Promise<StoredTable | undefined>
  /** Changes the file behind Millrace's back. */
  readonly execute: (path: string, sql: string) => Promise<void>
  /** Names of all tables. */
  readonly tables: (path: string) => Promise<readonly string[]>
}

/** The settings of a session. */
export const settingsOf = (destination: Destination, path: string): JsonObject => ({
  path,
  nested: 'json',
  mode: 'upsert',
  deletes: 'hard',
  metadata: false,
  schema: 'main',
  ...destination.settings?.(path),
})

/** The same JSON in one form, where the destination keeps its meaning only. */
export const asKept = (d: Destination, text: string | null | undefined): string | null => {
  if (text === null || text === undefined) return null
  if (d.loses?.includes('json-text') !== true || !/^[[{"]/.test(text)) return text
  return JSON.stringify(text.startsWith('"') ? JSON.parse(text) : sorted(text))
}

/** With digits and order of keys told apart from nothing: numbers become texts, keys are sorted. */
const sorted = (text: string): unknown =>
  JSON.parse(
    text.replaceAll(/("(?:[^"\\]|\\.)*")|(-?[0-9][-+.0-9eE]*)/g, (_, s?: string, n?: string) => s ?? `"#${n}"`),
    (_, v) =>
      typeof v === 'object' && v !== null && !Array.isArray(v)
        ? Object.fromEntries(Object.entries(v as object).sort(([a], [b]) => (a < b ? -1 : 1)))
        : v,
  )

/** A database file in a folder of its own, removed at the end. */
export class Place implements AsyncDisposable {
  readonly folder: string
  readonly path: string
  readonly destination: Destination
  readonly warnings: string[] = []
  readonly log: Logger

  private constructor(destination: Destination, folder: string) {
    this.destination = destination
    this.folder = folder
    this.path = join(folder, 'data.db')
    this.log = createLogger({ format: 'text', level: 'warn', write: (line) => this.warnings.push(line) })
  }

  static async make(destination: Destination): Promise<Place> {
    return new Place(destination, await mkdtemp(join(tmpdir(), 'millrace sql-é-')))
  }

  context(settings: JsonObject = {}): PersisterContext {
    const config = { ...settingsOf(this.destination, this.path), ...settings }
    return { config, log: this.log, signal: new AbortController().signal } as PersisterContext
  }

  async open(settings: JsonObject = {}): Promise<PersisterSession> {
    return await this.destination.persister.open(this.context(settings))
  }

  /** One run: declares, writes, flushes, closes. */
  async run(
    schema: SchemaMessage,
    records: readonly (JsonObject | string)[],
    settings: JsonObject = {},
  ): Promise<void> {
    await using session = await this.open(settings)
    await session.declare(schema)
    if (records.length > 0) await session.write(schema.stream, recordsOf(schema.stream, records))
    await session.flush()
  }

  async table(name: string): Promise<StoredTable> {
    const table = await this.destination.read(this.path, name)
    if (table === undefined) throw new Error(`there is no table ${name}`)
    return table
  }

  async rows(name: string): Promise<readonly (readonly (string | null)[])[]> {
    return (await this.table(name)).rows
  }

  async columnNames(name: string): Promise<readonly string[]> {
    return (await this.table(name)).columns.map((c) => c.name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

export const schemaOf = (
  stream: string,
  properties: JsonObject,
  keys: readonly string[] = ['id'],
  rest: JsonObject = {},
): SchemaMessage => ({
  type: 'SCHEMA',
  stream,
  schema: { type: 'object', properties, ...rest },
  keyProperties: keys,
  line: 1,
})

/** Records as a reader hands them over: text becomes bytes that nobody has opened, objects come as values. */
export const recordsOf = (
  stream: string,
  records: readonly (JsonObject | string)[],
  meta: { readonly version?: number | bigint; readonly timeExtracted?: string } = {},
): readonly RecordMessage[] =>
  records.map((r, i) => {
    if (typeof r !== 'string') return RecordMessage.of(stream, r, { line: i + 2, ...meta })
    const buffer = Buffer.from(`xx${r}yy`)
    return new RecordMessage(stream, i + 2, { buffer, from: 2, to: buffer.length - 2 }, meta)
  })
