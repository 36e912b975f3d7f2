import {
  type ConfigOf,
  definePersister,
  isMillraceError,
  isObject,
  MillraceError,
  type Persister,
  type PersisterSession,
  type RecordMessage,
  RejectedRecords,
  type SchemaMessage,
} from '@millrace/sdk'
import { compressionSuffix } from '../../file-output/compression.ts'
import { evidenceOf, verifyFiles } from '../../file-output/evidence.ts'
import { OutputFolder } from '../../file-output/folder.ts'
import { fileNameFor } from '../../file-output/names.ts'
import type { OutputFile } from '../../file-output/output-file.ts'
import { checkFolder, fileSettings } from '../../file-output/settings.ts'
import { Dialect, dialectSettings } from './dialect.ts'
import { MemberScanner } from './members.ts'

const settings = { ...fileSettings, ...dialectSettings }
type Config = ConfigOf<typeof settings>

/** So many parts mean that the names of fields are data. */
const maxParts = 1_000
const maxColumns = 20_000
/** The buffer for one batch, at first; and the longest that is kept for the next. */
const firstBytes = 2 * 1024 * 1024
const keptBytes = 32 * 1024 * 1024

/** What the session knows of one substream. */
interface Table {
  /** Columns that its latest schema asks for. */
  wanted: readonly string[]
  part: number
  file: OutputFile | undefined
  columns: readonly string[]
  readonly scanner: MemberScanner
}

/**
 * Writes records as lines of CSV. A file keeps its columns from its first line to its last: where fields come that it
 * has no column for, writing goes on in the next part (`orders~2.csv`), which has all columns so far and the new ones.
 */
class CsvSession implements PersisterSession {
  readonly #config: Config
  readonly #dialect: Dialect
  readonly #folder: OutputFolder
  #buffer: Buffer = Buffer.allocUnsafeSlow(firstBytes)
  readonly #tables = new Map<string, Table>()

  constructor(config: Config, dialect: Dialect, folder: OutputFolder) {
    this.#config = config
    this.#dialect = dialect
    this.#folder = folder
  }

  async declare(schema: SchemaMessage): Promise<void> {
    const { properties } = schema.schema
    const wanted = isObject(properties) ? Object.keys(properties) : []
    const table = this.#tables.get(schema.stream)
    if (table !== undefined) {
      table.wanted = wanted
      if (wanted.some((c) => !table.columns.includes(c))) table.file = undefined
      return
    }
    const last = this.#folder.parts(schema.stream).at(-1)
    const scanner = new MemberScanner()
    this.#tables.set(schema.stream, {
      wanted,
      part: last?.part ?? 0,
      file: undefined,
      columns: last?.columns ?? [],
      scanner,
    })
  }

  /** Sees to a part that has these columns, begun with its header. */
  async #open(substream: string, table: Table, fields: readonly string[]): Promise<OutputFile> {
    const columns = [...new Set([...table.columns, ...table.wanted, ...fields])]
    if (columns.length > maxColumns)
      throw new MillraceError('SCHEMA_CHANGE_REFUSED', {
        stream: substream,
        field: '(all)',
        from: `a table of ${table.columns.length} columns`,
        to: `one of more than ${maxColumns}`,
        fix: 'The names of its fields are data. Map them, or use jsonl.',
      })
    const last = this.#folder.parts(substream).at(-1)
    const fits = last?.columns?.length === columns.length && last.dialect === this.#dialect.mark
    let part = fits ? last.part : (last?.part ?? 0) + 1
    let file: OutputFile | undefined
    while (file === undefined) {
      if (part > maxParts)
        throw new MillraceError('SCHEMA_CHANGE_REFUSED', {
          stream: substream,
          field: fields[0] ?? '(none)',
          from: `one of ${maxParts} parts with other columns`,
          to: 'a column',
          fix: 'The names of its fields are data. Map them, or use jsonl.',
        })
      file = await this.#folder.file(substream, part, {
        about: { columns, dialect: this.#dialect.mark },
        adopts: false,
      })
      if (file === undefined) part++
    }
    table.file = file
    table.part = part
    table.columns = columns
    table.scanner.setColumns(columns)
    if (file.isEmpty && this.#dialect.header && columns.length > 0)
      await this.#folder.write(file, this.#dialect.headerLine(columns), 0)
    return file
  }

  /** Fields of these records that have no column yet. */
  #newFields(table: Table, records: readonly RecordMessage[]): readonly string[] {
    const scanner = new MemberScanner()
    scanner.setColumns([...new Set([...table.columns, ...table.wanted])])
    const fields = new Set<string>()
    for (const record of records) {
      if (fields.size > maxColumns) break
      try {
        for (const name of scanner.scan(record) ?? []) fields.add(name)
      } catch (e) {
        // Told when the record is written.
        if (!isMillraceError(e)) throw e
      }
    }
    return [...fields]
  }

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    if (!this.#tables.has(substream))
      await this.declare({ type: 'SCHEMA', stream: substream, schema: {}, keyProperties: [], line: 0 })
    const table = this.#tables.get(substream) as Table
    table.file ??= await this.#open(substream, table, this.#newFields(table, records))
    let length = this.#encode(table, records)
    if (length === undefined) {
      await this.#open(substream, table, this.#newFields(table, records))
      length = this.#encode(table, records) ?? 0
    }
    await this.#folder.write(table.file, this.#buffer.subarray(0, length), records.length)
    if (this.#buffer.length > keptBytes) this.#buffer = Buffer.allocUnsafeSlow(firstBytes)
  }

  /**
   * Writes the lines of a whole batch into the buffer; answers their length, or undefined where a field has no column.
   * Nothing is in the file yet: where records cannot be stored it throws {@link RejectedRecords}.
   */
  #encode(table: Table, records: readonly RecordMessage[]): number | undefined {
    const { scanner, columns } = table
    const rejected: { readonly record: RecordMessage; readonly error: Error }[] = []
    let at = 0
    for (const record of records) {
      try {
        if (scanner.scan(record) !== undefined) return undefined
        if (columns.length === 0)
          throw new MillraceError('VALUE_NOT_STORABLE', {
            field: '(none)',
            why: 'a record without fields is no line of CSV',
          })
        const end = at + this.#dialect.room(record.size, columns.length)
        if (end > this.#buffer.length) this.#grow(at, end)
        at = this.#dialect.row(this.#buffer, at, record.buffer, scanner, columns)
      } catch (e) {
        if (!isMillraceError(e)) throw e
        const details = { ...e.details, line: record.line, stream: record.stream }
        rejected.push({ record, error: new MillraceError(e.code, details, { cause: e }) })
      }
    }
    if (rejected.length > 0) throw new RejectedRecords(rejected)
    return at
  }

  #grow(used: number, needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length))
    this.#buffer.copy(larger, 0, 0, used)
    this.#buffer = larger
  }

  async flush(): Promise<void> {
    await this.#folder.commit()
  }

  async finish(): Promise<void> {
    if (this.#config.mode === 'replace') {
      for (const [substream, table] of this.#tables)
        if (table.file === undefined) await this.#open(substream, table, [])
      await this.flush()
    }
    await this.#folder.finish()
  }

  async evidence(): ReturnType<NonNullable<PersisterSession['evidence']>> {
    return await evidenceOf(this.#config.path, this.#folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]()
  }
}

/** A folder of CSV files, one for each substream (docs/reference/files.md). */
export const csv: Persister = definePersister({
  name: 'csv',
  doc: 'Appends records to CSV files, one file for each substream.',
  config: settings,
  reference: { page: 'files.md' },
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  async open({ config, log, startsOver = false }) {
    const dialect = new Dialect(config)
    return new CsvSession(config, dialect, await OutputFolder.open({ ...config, startsOver, extension: 'csv', log }))
  },
  check: async ({ config }) => {
    new Dialect(config)
    await checkFolder(config.path)
  },
  verify: async ({ config }, evidence) => await verifyFiles(config.path, evidence),
  plan: async ({ config }, schemas) =>
    schemas.map(({ stream }) => {
      const name = fileNameFor(stream, 1, `csv${compressionSuffix[config.compression]}`, () => undefined)
      return `${config.mode === 'append' ? 'append to' : 'replace'} ${config.path}/${name}, or its last part`
    }),
})
