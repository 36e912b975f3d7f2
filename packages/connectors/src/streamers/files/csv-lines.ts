/**
 * The rows of regular CSV as lines of RECORDs, byte by byte: no cell becomes a value of JavaScript. Whatever is not plainly
 * what its column holds (a cell of another type, a ragged row, a stray quote, control characters) makes it answer
 * undefined, and the block is read by csv-rows.ts, which knows what to do or to say.
 */
import { isUtf8 } from 'node:buffer'
import { EncodedRecords } from '@millrace/sdk'
import type { Block } from './blocks.ts'
import type { ColumnType, Dialect } from './csv-rows.ts'

const TAB = 9
const NEWLINE = 10
const RETURN = 13
const QUOTE = 34
const MINUS = 45
const POINT = 46
const ZERO = 48
const COLON = 58
const BACKSLASH = 92
const LOWER_T = 116
/** How JSON writes the control characters that text has now and then. */
const escapes: Readonly<Record<number, number>> = { 9: LOWER_T, 10: 110, 13: 114 }

/** What a byte is inside text. */
const PLAIN = 0
const ESCAPED = 1
const SPECIAL = 2

const nullBytes = Buffer.from('null')
const trueBytes = Buffer.from('true')
const falseBytes = Buffer.from('false')

/** Writes lines of one substream, for columns of these types. */
export class CsvLines {
  readonly #before: Buffer
  /** `{"a":`, `,"b":` … */
  readonly #keys: readonly Buffer[]
  readonly #types: readonly ColumnType[]
  readonly #delimiter: number
  readonly #quote: number
  readonly #null: Buffer
  readonly #kinds: Uint8Array
  readonly #rowBytes: number
  #out: Buffer = Buffer.alloc(0)
  #at = 0

  private constructor(substream: string, names: readonly string[], types: readonly ColumnType[], dialect: Dialect) {
    this.#before = Buffer.from(`{"type":"RECORD","stream":${JSON.stringify(substream)},"record":`)
    this.#keys = names.map((name, i) => Buffer.from(`${i === 0 ? '{' : ','}${JSON.stringify(name)}:`))
    this.#types = types
    this.#delimiter = dialect.delimiter.charCodeAt(0)
    this.#quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0)
    this.#null = Buffer.from(dialect.nullText)
    this.#kinds = Uint8Array.from({ length: 256 }, (_, c) =>
      c < 32 || c === this.#delimiter || c === this.#quote ? SPECIAL : c === BACKSLASH || c === QUOTE ? ESCAPED : PLAIN,
    )
    // Each value at most null or two quotes beside its bytes.
    this.#rowBytes = this.#before.length + this.#keys.reduce((n, k) => n + k.length + 4, 3)
  }

  /** Undefined where the dialect or a column is not of a kind that can be written so. */
  static for(
    substream: string,
    names: readonly string[],
    types: readonly (ColumnType | undefined)[],
    dialect: Dialect,
  ): CsvLines | undefined {
    const isByte = (s: string): boolean => s.length === 1 && s.charCodeAt(0) < 128 && s.charCodeAt(0) !== BACKSLASH
    const known = types.filter((t) => t !== undefined && t !== 'unknown') as ColumnType[]
    if (!isByte(dialect.delimiter) || !(dialect.quote === '' || isByte(dialect.quote))) return undefined
    if (known.length !== names.length || names.length === 0) return undefined
    return new CsvLines(substream, names, known, dialect)
  }

  /** The lines of a block; undefined where it is not regular throughout. */
  encode(block: Block): EncodedRecords | undefined {
    const b = block.bytes
    if (block.inQuotes || !isUtf8(b)) return undefined
    const rows = block.lines - block.line + 2
    const most = b.length * 2 + rows * this.#rowBytes
    if (this.#out.length < most) this.#out = Buffer.allocUnsafeSlow(most)
    this.#at = 0
    const hasReturns = b.indexOf(RETURN) >= 0 && b[b.indexOf(NEWLINE) - 1] === RETURN
    let count = 0
    for (let i = 0; i < b.length; ) {
      if (b[i] === NEWLINE && !hasReturns) {
        i++
        continue
      }
      if (b[i] === RETURN && b[i + 1] === NEWLINE && hasReturns) {
        i += 2
        continue
      }
      i = this.#row(b, i, hasReturns)
      if (i < 0) return undefined
      count++
    }
    // A copy of what there is: room for the most there may be is made once, not for every block.
    const lines = Buffer.allocUnsafeSlow(this.#at)
    this.#out.copy(lines, 0, 0, this.#at)
    return new EncodedRecords(lines, count, { before: this.#before.length, after: 1 })
  }

  /** Writes one row; answers where the next begins, or -1. */
  #row(b: Buffer, from: number, hasReturns: boolean): number {
    const last = this.#types.length - 1
    this.#copy(this.#before)
    let i = from
    for (let column = 0; column <= last; column++) {
      this.#copy(this.#keys[column] as Buffer)
      i = this.#cell(b, i, this.#types[column] as ColumnType)
      if (i < 0) return -1
      if (column < last) {
        if (b[i] !== this.#delimiter) return -1
        i++
      }
    }
    this.#out[this.#at++] = 125
    this.#out[this.#at++] = 125
    this.#out[this.#at++] = NEWLINE
    if (i >= b.length) return i
    if (hasReturns) return b[i] === RETURN && b[i + 1] === NEWLINE ? i + 2 : -1
    return b[i] === NEWLINE ? i + 1 : -1
  }

  /** Writes a cell's value; answers where the cell ends, or -1. */
  #cell(b: Buffer, from: number, type: ColumnType): number {
    const c = b[from]
    if (c === this.#quote && from < b.length) return this.#quoted(b, from + 1, type)
    const nullText = this.#null
    if (nullText.length === 0 ? this.#ends(b, from) : startsWith(b, from, nullText)) {
      const end = from + nullText.length
      if (this.#ends(b, end)) {
        this.#copy(nullBytes)
        return end
      }
    }
    if (type === 'text') return this.#text(b, from)
    const end = valueEnd(b, from, type)
    if (end < 0 || !this.#ends(b, end)) return -1
    this.#value(b, from, end, type)
    return end
  }

  #ends(b: Buffer, at: number): boolean {
    const c = b[at]
    return at >= b.length || c === this.#delimiter || c === NEWLINE || (c === RETURN && b[at + 1] === NEWLINE)
  }

  #text(b: Buffer, from: number): number {
    const out = this.#out
    const kinds = this.#kinds
    const length = b.length
    let at = this.#at
    let i = from
    out[at++] = QUOTE
    for (; i < length; i++) {
      const c = b[i] as number
      const kind = kinds[c]
      if (kind === PLAIN) out[at++] = c
      else if (kind === ESCAPED) {
        out[at++] = BACKSLASH
        out[at++] = c
      } else if (c === TAB && c !== this.#delimiter) {
        out[at++] = BACKSLASH
        out[at++] = LOWER_T
      } else break
    }
    if (!this.#ends(b, i)) return -1
    out[at++] = QUOTE
    this.#at = at
    return i
  }

  /** A cell in quotes; `from` is behind the first. */
  #quoted(b: Buffer, from: number, type: ColumnType): number {
    const out = this.#out
    const kinds = this.#kinds
    const quote = this.#quote
    const isText = type === 'text'
    const begin = this.#at
    let at = begin
    let i = from
    out[at++] = QUOTE
    for (; ; i++) {
      if (i >= b.length) return -1
      const c = b[i] as number
      if (c === quote) {
        if (b[i + 1] !== quote) break
        i++
      } else if (kinds[c] === PLAIN) {
        out[at++] = c
        continue
      } else if (c < 32) {
        const letter = escapes[c]
        if (letter === undefined) return -1
        out[at++] = BACKSLASH
        out[at++] = letter
        continue
      }
      if (c === QUOTE || c === BACKSLASH) out[at++] = BACKSLASH
      out[at++] = c
    }
    if (!this.#ends(b, i + 1)) return -1
    if (!isText) {
      if (valueEnd(b, from, type) !== i) return -1
      this.#value(b, from, i, type)
      return i + 1
    }
    out[at++] = QUOTE
    this.#at = at
    return i + 1
  }

  #value(b: Buffer, from: number, end: number, type: ColumnType): void {
    const isText = type === 'date' || type === 'date-time'
    const out = this.#out
    let at = this.#at
    if (isText) out[at++] = QUOTE
    for (let i = from; i < end; i++) out[at++] = b[i] as number
    if (isText) out[at++] = QUOTE
    this.#at = at
  }

  #copy(bytes: Buffer): void {
    const out = this.#out
    let at = this.#at
    for (let i = 0; i < bytes.length; i++) out[at++] = bytes[i] as number
    this.#at = at
  }
}

const startsWith = (b: Buffer, at: number, text: Buffer): boolean => {
  for (let i = 0; i < text.length; i++) if (b[at + i] !== text[i]) return false
  return true
}

/** Where a value of this type ends that begins here, by the rules of csv-rows.ts; -1 where there is none. */
const valueEnd = (b: Buffer, from: number, type: ColumnType): number => {
  switch (type) {
    case 'integer':
      return integerEnd(b, from, false)
    case 'number': {
      const end = integerEnd(b, from, true)
      if (end < 0) return -1
      if (b[end] !== POINT) return b[from] === MINUS && b[from + 1] === ZERO ? -1 : end
      const digits = digitsEnd(b, end + 1)
      return digits === end + 1 ? -1 : digits
    }
    case 'boolean':
      return startsWith(b, from, trueBytes) ? from + 4 : startsWith(b, from, falseBytes) ? from + 5 : -1
    case 'date':
      return dayEnd(b, from)
    case 'date-time':
      return instantEnd(b, from)
    default:
      return -1
  }
}

const isDigit = (c: number | undefined): boolean => c !== undefined && c >= ZERO && c <= 57

const digitsEnd = (b: Buffer, from: number): number => {
  let i = from
  while (isDigit(b[i])) i++
  return i
}

/** `0`, or digits that do not begin with one. */
const integerEnd = (b: Buffer, from: number, minusZero: boolean): number => {
  const i = b[from] === MINUS ? from + 1 : from
  if (b[i] === ZERO) return i > from && !minusZero ? -1 : i + 1
  const end = digitsEnd(b, i)
  return end === i ? -1 : end
}

/** Two digits from `min` to `max`. */
const isTwo = (b: Buffer, at: number, min: number, max: number): boolean => {
  if (!isDigit(b[at]) || !isDigit(b[at + 1])) return false
  const n = ((b[at] as number) - ZERO) * 10 + (b[at + 1] as number) - ZERO
  return n >= min && n <= max
}

const dayEnd = (b: Buffer, at: number): number =>
  isTwo(b, at, 0, 99) &&
  isTwo(b, at + 2, 0, 99) &&
  b[at + 4] === MINUS &&
  isTwo(b, at + 5, 1, 12) &&
  b[at + 7] === MINUS &&
  isTwo(b, at + 8, 1, 31)
    ? at + 10
    : -1

const instantEnd = (b: Buffer, at: number): number => {
  const day = dayEnd(b, at)
  if (day < 0 || b[day] !== 84 || !isTwo(b, day + 1, 0, 23) || b[day + 3] !== COLON) return -1
  if (!isTwo(b, day + 4, 0, 59) || b[day + 6] !== COLON || !isTwo(b, day + 7, 0, 59)) return -1
  let i = day + 9
  if (b[i] === POINT) {
    const end = digitsEnd(b, i + 1)
    if (end === i + 1) return -1
    i = end
  }
  if (b[i] === 90) return i + 1
  const isOffset = (b[i] === MINUS || b[i] === 43) && isTwo(b, i + 1, 0, 99) && b[i + 3] === COLON
  return isOffset && isTwo(b, i + 4, 0, 99) ? i + 6 : -1
}
