/** Rows as lines of COPY's text format, made from the bytes of records: https://www.postgresql.org/docs/current/sql-copy.html */
import type { RecordMessage } from '@millrace/sdk'
import { asciiAt } from '../../sql/slices.ts'
import type { Cell, ColumnType, RowEncoder, Table } from '../../sql/types.ts'
import { MAX_KEY_BYTES } from './dialect.ts'
import type { RecordRows } from './record-rows.ts'

const FIRST_BYTES = 320 * 1024
const TAB = 9
const NEWLINE = 10
const CARRIAGE_RETURN = 13
const SPACE = 32
const QUOTE = 34
const SLASH = 47
const BACKSLASH = 92
const LOWER_N = 110
const LOWER_R = 114
const LOWER_T = 116
const LOWER_U = 117
const UPPER_N = 78

/** How a cell's JSON text becomes COPY's: as it stands, a string without its quotes, JSON with its backslashes doubled. */
const PLAIN = 0
const STRING = 1
const JSON_TEXT = 2

const formOf = (type: ColumnType): number => {
  switch (type) {
    case 'text':
    case 'timestamp':
    case 'date':
    case 'time':
      return STRING
    case 'json':
      return JSON_TEXT
    default:
      return PLAIN
  }
}

/** Counts the staged rows of a transaction: the order in which rows with the same key came. */
export interface RowCounter {
  next: number
}

/** The column of the only key of a table, where that is a whole number; else -1. */
export const wholeKeyOf = ({ keys, columns }: Table): number =>
  keys.length === 1 ? columns.findIndex((c) => c.name === keys[0] && c.type === 'integer') : -1

/** The same lines, each with a number at the end, from `from` on. */
export const numberLines = (lines: Buffer, from: number): Buffer => {
  const parts: Buffer[] = []
  // No value holds a newline: COPY writes it as \\n.
  for (let at = 0, n = from; at < lines.length; n++) {
    const end = lines.indexOf(NEWLINE, at)
    parts.push(lines.subarray(at, end), Buffer.from(`\t${n}\n`))
    at = end + 1
  }
  return Buffer.concat(parts)
}

const MINUS = 45
const ZERO = 48
/** A whole number of so many characters is exact in a double. */
const MAX_DIGITS = 15

/** Lines that go one way. Those that {@link RecordRows} wrote last are still in its area. */
export class CopyLines {
  readonly area: 0 | 1
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  at = 0
  rows = 0
  /** The keys of the first row and the last, where they are whole numbers. */
  first: number = Number.NaN
  last: number = Number.NEGATIVE_INFINITY
  /** Whether each key was higher than the one before: then no two are equal. */
  rises = true

  constructor(area: 0 | 1) {
    this.area = area
  }

  get lines(): Buffer {
    return this.bytes.subarray(0, this.at)
  }

  /** Makes room for so many bytes more. */
  room(bytes: number): void {
    if (this.at + bytes + 1 <= this.bytes.length) return
    const bigger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.at + bytes + 1))
    this.bytes.copy(bigger, 0, 0, this.at)
    this.bytes = bigger
  }

  append(rows: Buffer): void {
    if (rows.length === 0) return
    this.room(rows.length)
    this.bytes.set(rows, this.at)
    this.at += rows.length
  }

  saw(key: number): void {
    if (this.rows === 1) this.first = key
    // Also where it is no number.
    if (!(key > this.last)) this.rises = false
    this.last = key
  }
}

/** The rows of one batch. They are of no use once another one of the same table was begun. */
export class CopyWriter implements RowEncoder {
  /** Rows that replace none, and rows that may, which have their number at the end. */
  readonly direct: CopyLines = new CopyLines(0)
  readonly staged: CopyLines = new CopyLines(1)
  readonly #forms: Uint8Array
  readonly #isMetadata: readonly boolean[]
  readonly #counter: RowCounter
  /** The column of the only key, where that is a whole number; else -1. */
  readonly #key: number
  /** The highest key so far: rows with a higher one replace none. */
  #highest: number
  readonly #keys: readonly number[]
  readonly #open: () => RecordRows
  #records: RecordRows | undefined
  /** Where the present row goes. */
  #lines: CopyLines = this.direct
  #bytes: Buffer = this.direct.bytes
  #at = 0

  /** `highest` is the highest key that is there already; `open` makes what takes plain records of this table. */
  constructor(
    table: Table,
    options: { readonly counter: RowCounter; readonly highest: number; readonly open: () => RecordRows },
  ) {
    this.#forms = Uint8Array.from(table.columns, (c) => formOf(c.type))
    this.#isMetadata = table.columns.map((c) => c.metadata !== undefined)
    this.#counter = options.counter
    this.#open = options.open
    this.#keys = table.keys.map((k) => table.columns.findIndex((c) => c.name === k))
    this.#key = wholeKeyOf(table)
    this.#highest = options.highest
  }

  get rows(): number {
    return this.direct.rows + this.staged.rows
  }

  /** The highest key, with those that were there already. */
  get highest(): number {
    return this.#highest
  }

  /** All rows are then in {@link CopyLines.lines}. */
  finish(): void {
    this.#flush(this.direct)
    this.#flush(this.staged)
  }

  plain(record: RecordMessage, metadata: readonly Cell[]): boolean {
    let rows = this.#records
    if (rows === undefined) {
      rows = this.#records = this.#open()
      rows.begin()
    }
    if (!rows.scan(record, metadata)) return false
    let keyBytes = 0
    for (const key of this.#keys) {
      if (rows.from(key) < 0) return false
      keyBytes += rows.to(key) - rows.from(key)
    }
    if (keyBytes > MAX_KEY_BYTES) return false
    const key = this.#key
    const lines = this.#linesOf(key < 0 ? Number.NaN : wholeAt(rows.bytes, rows.from(key), rows.to(key)))
    if (rows.isFull(lines.area)) this.#flush(lines)
    rows.write(lines.area, lines === this.direct ? -1 : this.#counter.next++)
    return true
  }

  /** Where a row with this key goes; not a number: it may replace another one. */
  #linesOf(key: number): CopyLines {
    const hasKeys = this.#keys.length > 0
    const isNew = !hasKeys || key > this.#highest
    if (isNew && hasKeys) this.#highest = key
    const lines = isNew ? this.direct : this.staged
    lines.rows++
    lines.saw(key)
    return lines
  }

  #flush(lines: CopyLines): void {
    if (this.#records !== undefined) lines.append(this.#records.take(lines.area))
  }

  #begin(key: number): void {
    const lines = this.#linesOf(key)
    this.#flush(lines)
    this.#lines = lines
    this.#bytes = lines.bytes
    this.#at = lines.at
  }

  raw(record: RecordMessage, spans: Int32Array, metadata: readonly Cell[]): void {
    const { buffer } = record
    this.#records?.learn(spans)
    const forms = this.#forms
    const key = this.#key
    this.#begin(key < 0 ? Number.NaN : wholeAt(buffer, spans[key * 2] as number, spans[key * 2 + 1] as number))
    // No byte becomes more than two; a null is two bytes, a separator one.
    this.#room((record.to - record.from) * 2 + forms.length * 3)
    let meta = 0
    for (let i = 0; i < forms.length; i++) {
      const from = spans[i * 2] as number
      if (from >= 0) {
        const to = spans[i * 2 + 1] as number
        const form = forms[i] as number
        if (form === STRING) this.#string(buffer, from + 1, to - 1)
        else if (form === PLAIN) this.#plain(buffer, from, to)
        else this.#json(buffer, from, to)
      } else if (this.#isMetadata[i] === true) {
        this.#cell(metadata[meta] as Cell, i)
        this.#room((record.to - record.from) * 2 + forms.length * 3)
      } else this.#null()
      if (this.#isMetadata[i] === true) meta++
      this.#bytes[this.#at++] = TAB
    }
    this.#end()
  }

  cells(cells: readonly Cell[]): void {
    const key = this.#key < 0 ? null : (cells[this.#key] as Cell)
    this.#begin(key !== null && key.length <= MAX_DIGITS ? Number(key) : Number.NaN)
    for (let i = 0; i < cells.length; i++) {
      this.#cell(cells[i] as Cell, i)
      this.#room(1)
      this.#bytes[this.#at++] = TAB
    }
    this.#end()
  }

  /** Ends the row: its number behind the last tab, or a newline in the place of that. */
  #end(): void {
    if (this.#lines === this.direct) this.#bytes[this.#at - 1] = NEWLINE
    else {
      this.#room(12)
      this.#number(this.#counter.next++)
      this.#bytes[this.#at++] = NEWLINE
    }
    this.#lines.bytes = this.#bytes
    this.#lines.at = this.#at
  }

  /** A whole number from 0 on. */
  #number(n: number): void {
    const out = this.#bytes
    let digits = 1
    for (let power = 10; power <= n; power *= 10) digits++
    this.#at += digits
    for (let at = this.#at, rest = n; digits > 0; digits--) {
      const tenth = Math.floor(rest / 10)
      out[--at] = ZERO + rest - tenth * 10
      rest = tenth
    }
  }

  #null(): void {
    this.#bytes[this.#at++] = BACKSLASH
    this.#bytes[this.#at++] = UPPER_N
  }

  #plain(b: Buffer, from: number, to: number): void {
    const out = this.#bytes
    let at = this.#at
    for (let i = from; i < to; i++) out[at++] = b[i] as number
    this.#at = at
  }

  /** A JSON string's inside: COPY has JSON's own escapes but for \" \/ and \u. */
  #string(b: Buffer, from: number, to: number): void {
    const out = this.#bytes
    let at = this.#at
    for (let i = from; i < to; i++) {
      const c = b[i] as number
      if (c !== BACKSLASH) {
        out[at++] = c
        continue
      }
      const next = b[++i] as number
      if (next === QUOTE || next === SLASH) out[at++] = next
      else if (next === LOWER_U) {
        this.#at = at
        this.#character(Number.parseInt(asciiAt(b, i + 1, i + 5), 16))
        at = this.#at
        i += 4
      } else {
        out[at++] = BACKSLASH
        out[at++] = next
      }
    }
    this.#at = at
  }

  /** One character of the first plane, no half of a pair. */
  #character(code: number): void {
    const escaped = escapes[code]
    if (escaped !== undefined && escaped !== 0) {
      this.#bytes[this.#at++] = BACKSLASH
      this.#bytes[this.#at++] = escaped
    } else this.#at += this.#bytes.write(String.fromCharCode(code), this.#at)
  }

  #json(b: Buffer, from: number, to: number): void {
    const out = this.#bytes
    let at = this.#at
    for (let i = from; i < to; i++) {
      const c = b[i] as number
      if (c === BACKSLASH) out[at++] = BACKSLASH
      // Outside a string these are space, and inside none of them can be.
      out[at++] = Math.max(c, SPACE)
    }
    this.#at = at
  }

  #cell(cell: Cell, column: number): void {
    if (cell === null) {
      this.#room(2)
      this.#null()
      return
    }
    const form = this.#forms[column]
    const text = form === STRING ? (JSON.parse(cell) as string) : cell
    const escaped = form !== PLAIN && /[\\\t\n\r]/.test(text) ? text.replaceAll(/[\\\t\n\r]/g, escapeOf) : text
    this.#room(escaped.length * 3)
    this.#at += this.#bytes.write(escaped, this.#at)
  }

  #room(bytes: number): void {
    const lines = this.#lines
    lines.at = this.#at
    lines.room(bytes)
    this.#bytes = lines.bytes
  }
}

/** A whole number's value; no number where it is too long to be sure. */
const wholeAt = (b: Buffer, from: number, to: number): number => {
  if (to - from > MAX_DIGITS) return Number.NaN
  let n = 0
  for (let i = b[from] === MINUS ? from + 1 : from; i < to; i++) n = n * 10 + (b[i] as number) - ZERO
  return b[from] === MINUS ? -n : n
}

/** Characters that COPY must be told with a backslash, and what stands behind it. */
const escapes: Uint8Array = new Uint8Array(128)
escapes[TAB] = LOWER_T
escapes[NEWLINE] = LOWER_N
escapes[CARRIAGE_RETURN] = LOWER_R
escapes[BACKSLASH] = BACKSLASH

const escapeOf = (c: string): string => `\\${String.fromCharCode(escapes[c.charCodeAt(0)] as number)}`
