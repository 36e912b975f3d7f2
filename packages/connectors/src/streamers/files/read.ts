/** Reading the files of one substream, one after the other, with the schema widening as records ask for it. */
import {
  bookmark,
  inferSchema,
  isObject,
  type Json,
  type JsonObject,
  type Logger,
  MillraceError,
  schemaChange,
  type Yielded,
} from '@millrace/sdk'
import { type Block, type BlockOptions, marksOf, readBlocks } from './blocks.ts'
import {
  type Columns,
  columnNames,
  columnsSchema,
  type ColumnType,
  type Dialect,
  detectDelimiter,
  refuseRagged,
  rowsOf,
  typeOfSchema,
  cellValue,
  widen as widenType,
  widenColumns,
} from './csv-rows.ts'
import { CsvLines } from './csv-lines.ts'
import { jsonBlock } from './json-lines.ts'
import { type FilePosition, positionsOf, startOf, versionOf } from './positions.ts'
import { joined } from './schemas.ts'
import { type Fits, fitsOf } from './fits.ts'
import type { ParquetSource } from './parquet.ts'
import type { FilesSettings } from './settings.ts'
import type { SourceFile } from './sources.ts'

/** Its library of 60 MB is loaded by those only who have such a file. */
const openParquet = async (file: SourceFile): Promise<ParquetSource> =>
  await (await import('./parquet.ts')).ParquetSource.open(file)

/** The schema is made from the beginning of so many files of a substream, so many bytes of each. */
const sampleFiles = 10
const sampleBytes = 64 * 1024
/** A bookmark comes after so many records, or milliseconds, or at the end. */
const bookmarkRecords = 10_000
const bookmarkMs = 2000

export interface ReadContext {
  readonly bookmark: Json | undefined
  readonly schema: JsonObject
  readonly signal: AbortSignal
  readonly log: Logger
}

const givenProperties = (settings: FilesSettings): JsonObject => {
  const { properties } = settings.schema
  return isObject(properties ?? null) ? (properties as JsonObject) : {}
}

/** The schema of a substream, by the beginnings of its files and what was given. */
export const schemaOfGroup = async (group: readonly SourceFile[], settings: FilesSettings): Promise<JsonObject> => {
  const given = givenProperties(settings)
  const fixed = new Set(Object.keys(given))
  let columns: Columns = {}
  let inferred: JsonObject | undefined
  for (const file of group.slice(0, sampleFiles)) {
    if (file.format === 'parquet') {
      using source = await openParquet(file)
      inferred = inferred === undefined ? source.schema : joined(inferred, source.schema)
      continue
    }
    const head = await firstBlock(file, settings)
    if (head === undefined) continue
    if (file.format === 'jsonl') {
      // Half a line at the end of the sample says nothing.
      if (head.terminated)
        inferred = inferSchema(
          jsonBlock(head, file.substream, file.path).records.map((m) => m.record),
          inferred,
        )
      continue
    }
    const table = tableOf(head, settings, file)
    columns = widenColumns(
      columns,
      table.names,
      rowsOf(head, table.dialect, file.path).slice(table.hasHeader ? 1 : 0),
      fixed,
    )
  }
  const schema = Object.keys(columns).length > 0 || inferred === undefined ? columnsSchema(columns, given) : inferred
  return { ...schema, properties: { ...(schema['properties'] as JsonObject), ...given } }
}

const blockOptions = (file: SourceFile, settings: FilesSettings): BlockOptions => ({
  compression: file.compression,
  encoding: settings.encoding,
  quote: file.format === 'csv' && settings.quote !== '' ? settings.quote.charCodeAt(0) : undefined,
  from: 0,
  fromLine: 1,
})

const firstBlock = async (file: SourceFile, settings: FilesSettings): Promise<Block | undefined> => {
  for await (const block of readBlocks(file, { ...blockOptions(file, settings), chunkBytes: sampleBytes })) return block
  return undefined
}

/** How a CSV file is to be read. */
interface Table {
  readonly dialect: Dialect
  readonly names: readonly string[]
  readonly hasHeader: boolean
}

const tableOf = (head: Block, settings: FilesSettings, file: SourceFile): Table => {
  const { quote, nullText } = settings
  const delimiter =
    settings.delimiter === 'auto'
      ? detectDelimiter(head.bytes.toString(), quote)
      : settings.delimiter.replace(/^(\\t|tab)$/, '\t')
  const dialect = { delimiter, quote, nullText }
  const hasHeader = settings.header
  const first = rowsOf(firstLines(head, quote), dialect, file.path)[0] ?? []
  return { dialect, hasHeader, names: hasHeader ? columnNames(first) : first.map((_, i) => `column_${i + 1}`) }
}

/** The first row of a block and nothing else. */
const firstLines = (block: Block, quote: string): Block => {
  const q = quote === '' ? -1 : quote.charCodeAt(0)
  let inQuotes = false
  let begun = false
  for (let i = 0; i < block.bytes.length; i++) {
    const c = block.bytes[i] as number
    if (c === q) inQuotes = !inQuotes
    if (c !== 10 && c !== 13) begun = true
    if (c === 10 && !inQuotes && begun) return { ...block, bytes: block.bytes.subarray(0, i + 1) }
  }
  return block
}

/** Reads what is new in the files of a substream. */
export async function* readGroup(
  group: readonly SourceFile[],
  settings: FilesSettings,
  ctx: ReadContext,
): AsyncGenerator<Yielded, void, undefined> {
  const reading = new GroupReading(group, settings, ctx)
  yield* reading.widenedBefore()
  for (const file of group) {
    const known = reading.positions.get(file.path)
    if (file.format === 'parquet') {
      const from = await startOf(file, known, false, ctx.log)
      if (from !== undefined) yield* reading.parquet(file, from.offset)
      if (ctx.signal.aborted) break
      continue
    }
    const resumable = file.compression === 'none' && settings.encoding === 'utf-8'
    const start = await startOf(file, known, resumable, ctx.log)
    if (start === undefined) continue
    yield* reading.file(file, start, resumable)
    if (ctx.signal.aborted) break
  }
  yield bookmark(reading.value())
}

class GroupReading {
  readonly positions: Map<string, FilePosition>
  readonly #settings: FilesSettings
  readonly #ctx: ReadContext
  readonly #given: JsonObject
  readonly #fixed: ReadonlySet<string>
  readonly #isCsv: boolean
  #columns: Columns
  #schema: JsonObject
  #declaredText: string
  #fits: Fits
  #lines: { readonly table: Table; readonly columns: Columns; readonly writer: CsvLines | undefined } | undefined
  #since = 0
  #bookmarkAt = performance.now()

  constructor(group: readonly SourceFile[], settings: FilesSettings, ctx: ReadContext) {
    this.#settings = settings
    this.#ctx = ctx
    this.#given = givenProperties(settings)
    this.#fixed = new Set(Object.keys(this.#given))
    this.#isCsv = group.some((f) => f.format === 'csv')
    this.#schema = ctx.schema
    this.#fits = fitsOf(ctx.schema)
    this.#declaredText = JSON.stringify(ctx.schema)
    this.#columns = columnsOf(ctx.schema)
    // Files that are gone are forgotten.
    const present = new Set(group.map((f) => f.path))
    this.positions = new Map([...positionsOf(ctx.bookmark)].filter(([path]) => present.has(path)))
  }

  value(): JsonObject {
    return {
      files: Object.fromEntries(this.positions) as unknown as JsonObject,
      ...(this.#isCsv ? { columns: this.#columns } : { schema: this.#schema }),
    }
  }

  /** What an earlier run learned of the records, where the beginnings of the files do not show it. */
  *widenedBefore(): Generator<Yielded, void, undefined> {
    const before = this.#ctx.bookmark
    if (!isObject(before ?? null)) return
    const { columns, schema } = before as JsonObject
    if (!this.#isCsv && isObject(schema ?? null)) {
      this.#learn(schema as JsonObject)
      yield* this.#declared()
    }
    if (!this.#isCsv || !isObject(columns ?? null)) return
    let next = this.#columns
    for (const [name, type] of Object.entries(columns as JsonObject)) {
      if (this.#fixed.has(name) || typeof type !== 'string') continue
      const wider = widenType(next[name] ?? 'unknown', type as ColumnType)
      if (wider !== next[name]) next = { ...next, [name]: wider }
    }
    if (next !== this.#columns) yield* this.#widened(next)
  }

  async *file(
    file: SourceFile,
    start: { readonly offset: number; readonly lines: number },
    resumable: boolean,
  ): AsyncGenerator<Yielded, void, undefined> {
    const options = { ...blockOptions(file, this.#settings), from: start.offset, fromLine: start.lines + 1 }
    let table: Table | undefined
    let covered = { offset: start.offset, lines: start.lines }
    for await (const block of readBlocks(file, options)) {
      try {
        if (file.format === 'jsonl') yield* this.#json(block, file)
        else {
          table ??= tableOf(
            start.offset === 0 ? block : ((await firstBlock(file, this.#settings)) ?? block),
            this.#settings,
            file,
          )
          yield* this.#csv(block, file, table)
        }
      } catch (e) {
        if (block.terminated || !resumable || file.format === 'csv' || !(e instanceof MillraceError)) throw e
        // Somebody may still be writing that line.
        this.#ctx.log.warn('the last line of a file ends in the middle and is left for the next run', {
          file: file.path,
          line: block.line,
        })
        break
      }
      // A last line without its newline may be continued: then it is read again.
      if (block.terminated) covered = { offset: block.end, lines: block.lines }
      if (!resumable) {
        // It counts only whole.
        if (this.#ctx.signal.aborted) return
        continue
      }
      if (this.#ctx.signal.aborted || this.#isDue()) {
        await this.#cover(file, covered, resumable, block.terminated)
        yield this.#bookmark()
      }
      if (this.#ctx.signal.aborted) return
    }
    await this.#cover(file, covered, resumable, false)
    if (this.#isDue()) yield this.#bookmark()
  }

  /** Parquet is not appended to: a place in it is a number of rows of this version of the file. */
  async *parquet(file: SourceFile, from: number): AsyncGenerator<Yielded, void, undefined> {
    using source = await openParquet(file)
    this.#learn(joined(this.#schema, source.schema))
    yield* this.#declared()
    let rows = from
    for await (const records of source.records(from)) {
      yield records
      rows += records.count
      this.#since += records.count
      if (!this.#ctx.signal.aborted && !this.#isDue()) continue
      const at = { size: file.size, modifiedMs: 0, offset: rows, lines: rows, marks: versionOf(file) }
      this.positions.set(file.path, at)
      yield this.#bookmark()
      if (this.#ctx.signal.aborted) return
    }
    const { size, modifiedMs, etag } = file
    const mark = etag === undefined ? {} : { etag }
    this.positions.set(file.path, { size, modifiedMs, offset: rows, lines: rows, marks: versionOf(file), ...mark })
  }

  /** Enters how far a file was read; in its middle, with a size that says that there is more. */
  async #cover(
    file: SourceFile,
    at: { readonly offset: number; readonly lines: number },
    resumable: boolean,
    isMiddle: boolean,
  ): Promise<void> {
    this.positions.set(file.path, {
      size: isMiddle ? at.offset : file.size,
      modifiedMs: isMiddle ? 0 : file.modifiedMs,
      ...at,
      marks: resumable ? await marksOf(file.origin, at.offset) : '',
      ...(file.etag === undefined || isMiddle ? {} : { etag: file.etag }),
    })
  }

  #isDue(): boolean {
    return this.#since >= bookmarkRecords || performance.now() - this.#bookmarkAt >= bookmarkMs
  }

  #bookmark(): Yielded {
    this.#since = 0
    this.#bookmarkAt = performance.now()
    return bookmark(this.value())
  }

  *#json(block: Block, file: SourceFile): Generator<Yielded, void, undefined> {
    const { records, encoded } = jsonBlock(block, file.substream, file.path)
    if (records.length === 0) return
    const fits = this.#fits
    if (!records.every((m) => fits(m.plain)))
      this.#learn(
        inferSchema(
          records.map((m) => m.record),
          this.#schema,
        ),
      )
    yield* this.#declared()
    this.#since += encoded.count
    yield encoded
  }

  *#csv(block: Block, file: SourceFile, table: Table): Generator<Yielded, void, undefined> {
    const { names, dialect, hasHeader } = table
    // The block with the header is read the careful way, whatever it holds.
    const plain = block.line === 1 ? undefined : this.#linesFor(file, table)?.encode(block)
    if (plain !== undefined) {
      this.#since += plain.count
      if (plain.count > 0) yield plain
      return
    }
    const rows = rowsOf(block, dialect, file.path)
    if (block.inQuotes)
      throw new MillraceError('SOURCE_MALFORMED', {
        source: file.path,
        line: block.line,
        why: 'a quote that opens in this record is never closed',
      })
    if (rows.some((r) => r.length !== names.length)) refuseRagged(block, dialect, names.length, file.path)
    if (hasHeader && block.line === 1) rows.shift()
    if (rows.length === 0) return
    yield* this.#widened(widenColumns(this.#columns, names, rows, this.#fixed))
    const types = this.#typesOf(names)
    this.#since += rows.length
    yield rows.map((row) => {
      const record: Record<string, Json> = {}
      for (let i = 0; i < names.length; i++)
        record[names[i] as string] = cellValue(row[i] as string | null, types[i] as ColumnType)
      return record
    })
  }

  #typesOf(names: readonly string[]): readonly ColumnType[] {
    return names.map((n) => (this.#fixed.has(n) ? typeOfSchema(this.#given[n]) : (this.#columns[n] ?? 'text')))
  }

  /** What writes the rows of a table as lines, as its columns are now. */
  #linesFor(file: SourceFile, table: Table): CsvLines | undefined {
    const { names, dialect } = table
    const made = this.#lines
    if (made?.table === table && made.columns === this.#columns) return made.writer
    const isKnown = names.every((n) => this.#fixed.has(n) || Object.hasOwn(this.#columns, n))
    const writer = isKnown ? CsvLines.for(file.substream, names, this.#typesOf(names), dialect) : undefined
    this.#lines = { table, columns: this.#columns, writer }
    return writer
  }

  #learn(next: JsonObject): void {
    if (next === this.#schema) return
    this.#schema = { ...next, properties: { ...(next['properties'] as JsonObject), ...this.#given } }
    this.#fits = fitsOf(this.#schema)
  }

  /** The schema, where it is not the one that was written last. */
  *#declared(): Generator<Yielded, void, undefined> {
    const text = JSON.stringify(this.#schema)
    if (text === this.#declaredText) return
    this.#declaredText = text
    yield schemaChange(this.#schema)
  }

  *#widened(next: Columns): Generator<Yielded, void, undefined> {
    if (next === this.#columns) return
    // A column without a value so far is declared as text, and cannot become less afterwards.
    this.#columns = Object.fromEntries(Object.entries(next).map(([n, t]) => [n, t === 'unknown' ? 'text' : t]))
    yield schemaChange(columnsSchema(this.#columns, this.#given))
  }
}

const columnsOf = (schema: JsonObject): Columns =>
  Object.fromEntries(
    Object.entries(schema['properties'] as JsonObject).map(([name, s]) => {
      const { format } = s as { readonly format?: Json }
      const type = typeOfSchema(s)
      return [name, type === 'text' && (format === 'date' || format === 'date-time') ? format : type]
    }),
  )
