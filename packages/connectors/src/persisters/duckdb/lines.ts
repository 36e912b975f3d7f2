/** Rows as lines of JSON for read_json: a plain record's own bytes, everything else written anew. */
import type { RecordMessage } from '@millrace/sdk'
import type { Cell, ColumnType, RowEncoder, Table } from '../../sql/types.ts'
import { scaleOf } from '../../sql/column-types.ts'
import { literal, quote } from './dialect.ts'
import { type LongLines, longLineBytes } from './memory.ts'
import type { SpoolFile } from './spool.ts'

const FIRST_BYTES = 1 << 20
const NEWLINE = 10
const OPEN_BRACE = 123
/** read_json makes its buffers by the longest line it may meet. */
const MIN_OBJECT_BYTES = 1 << 20

/** What read_json is told a column is; JSON is read as text and cast, so that its digits may come as a string. */
const readType = (type: ColumnType): string => {
  switch (type) {
    case 'boolean':
      return 'BOOLEAN'
    case 'integer':
      return 'BIGINT'
    case 'bigint':
      return 'HUGEINT'
    case 'float':
      return 'DOUBLE'
    case 'timestamp':
      return 'TIMESTAMPTZ'
    case 'date':
      return 'DATE'
    case 'time':
      return 'TIME'
    default: {
      const scale = scaleOf(type)
      return scale === undefined ? 'VARCHAR' : `DECIMAL(38, ${scale})`
    }
  }
}

/** Under which keys the values of a table stand in its lines. */
export interface LineShape {
  /** One for each column. */
  readonly keys: readonly string[]
  /** Whether the keys are those of the records, so that a record's bytes are a line. */
  readonly raw: boolean
}

export const lineShape = (table: Table): LineShape => {
  // What is ours stands beside the fields of a record, also those that are left out: so it has names that no field has.
  const own = table.columns.map((c) => (c.path.length === 1 ? (c.path[0] as string) : `_millrace${c.name}`))
  const raw =
    table.columns.every((c) => c.path.length === 1 || c.metadata !== undefined) &&
    new Set(own.map((k) => k.toLowerCase())).size === own.length &&
    own.every((k) => /^[\x20-\x7e]+$/.test(k) && k.length < 200)
  return { keys: raw ? own : own.map((_, i) => `c${i}`), raw }
}

/** The query that reads files of lines, all of which hold JSON text in the same way; its columns are c0, c1, … of the table's types. */
export const readSql = (shape: LineShape, table: Table, files: readonly SpoolFile[]): string => {
  const columns: string[] = []
  const values: string[] = []
  for (const [i, key] of shape.keys.entries()) {
    const { type } = table.columns[i] as { type: ColumnType }
    // JSON written as a string must be read as text and cast, which costs another parse.
    const isJson = type === 'json' && files[0]?.quotes !== true
    columns.push(`${literal(key)}: ${literal(isJson ? 'JSON' : readType(type))}`)
    values.push(`${type === 'json' && !isJson ? `CAST(${quote(key)} AS JSON)` : quote(key)} AS c${i}`)
  }
  const objectBytes = Math.max(MIN_OBJECT_BYTES, ...files.map((f) => f.longest + 1024))
  return `SELECT ${values.join(', ')} FROM read_json([${files.map((f) => literal(f.path)).join(', ')}], format = 'newline_delimited', maximum_object_size = ${objectBytes}, columns = {${columns.join(', ')}})`
}

/** Gathers lines. */
export class LineWriter implements RowEncoder {
  readonly shape: LineShape
  readonly #table: Table
  readonly #starts: readonly string[]
  readonly #metadata: readonly string[]
  readonly #quoted: readonly boolean[]
  readonly #hasJson: boolean
  #bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES)
  #at = 0
  rows = 0
  /** Bytes of the longest line. */
  longest = 0
  readonly long: LongLines = { bytes: 0, lines: 0 }
  /** Whether a line has JSON text that is written as a string. */
  quotes = false

  constructor(table: Table, shape: LineShape) {
    this.#table = table
    this.shape = shape
    this.#starts = shape.keys.map((k) => `${JSON.stringify(k)}:`)
    this.#metadata = table.columns.flatMap((c, i) => (c.metadata === undefined ? [] : [this.#starts[i] as string]))
    // Exact digits and JSON text travel as JSON strings: read_json would turn them into doubles.
    this.#hasJson = table.columns.some((c) => c.type === 'json')
    this.#quoted = table.columns.map((c) => c.type === 'json' || c.type === 'bigint' || c.type.startsWith('decimal'))
  }

  raw(record: RecordMessage, spans: Int32Array, metadata: readonly Cell[]): void {
    const { buffer, from, to } = record
    if (!this.shape.raw) {
      this.#rewritten(record, spans, metadata)
      return
    }
    const begin = this.#at
    if (metadata.length === 0) {
      this.#room(to - from + 1)
      buffer.copy(this.#bytes, this.#at, from, to)
      this.#at += to - from
    } else {
      let head = '{'
      for (let i = 0; i < metadata.length; i++) if (metadata[i] !== null) head += `${this.#metadata[i]}${metadata[i]},`
      this.#text(head)
      this.#room(to - from + 1)
      const behind = buffer[from] === OPEN_BRACE ? from + 1 : from
      buffer.copy(this.#bytes, this.#at, behind, to)
      this.#at += to - behind
    }
    this.#end(begin)
  }

  /** The values of the record's bytes under the keys of the shape. */
  #rewritten({ buffer }: RecordMessage, spans: Int32Array, metadata: readonly Cell[]): void {
    const begin = this.#at
    let n = 0
    let comma = '{'
    for (let i = 0; i < this.#starts.length; i++) {
      const from = spans[i * 2] as number
      const cell = this.#table.columns[i]?.metadata === undefined ? null : (metadata[n++] as Cell)
      if (from < 0 && cell === null) continue
      this.#text(comma + (this.#starts[i] as string) + (cell ?? ''))
      comma = ','
      if (from < 0) continue
      const to = spans[i * 2 + 1] as number
      this.#room(to - from)
      buffer.copy(this.#bytes, this.#at, from, to)
      this.#at += to - from
    }
    this.#text(comma === '{' ? '{}' : '}')
    this.#end(begin)
  }

  cells(cells: readonly Cell[]): void {
    const begin = this.#at
    let line = '{'
    this.quotes ||= this.#hasJson
    for (let i = 0; i < cells.length; i++) {
      const cell = cells[i] as Cell
      if (cell === null) continue
      line += `${line === '{' ? '' : ','}${this.#starts[i]}${this.#quoted[i] === true ? JSON.stringify(cell) : cell}`
    }
    this.#text(`${line}}`)
    this.#end(begin)
  }

  #end(begin: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = NEWLINE
    const bytes = this.#at - begin
    if (bytes > this.longest) this.longest = bytes
    if (bytes >= longLineBytes) {
      this.long.bytes += bytes
      this.long.lines++
    }
    this.rows++
  }

  #text(text: string): void {
    this.#room(text.length * 3)
    this.#at += this.#bytes.write(text, this.#at)
  }

  #room(bytes: number): void {
    if (this.#at + bytes + 1 <= this.#bytes.length) return
    const bigger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes + 1))
    this.#bytes.copy(bigger, 0, 0, this.#at)
    this.#bytes = bigger
  }

  /** The lines so far. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }
}
