/**
 * Finds the values of a record in its bytes, so that a plain record is loaded without ever being parsed. It is strict:
 * whatever is not plainly what its column holds makes it answer false, and the record is taken the exact way.
 */
import { isPlainTemporal } from './cells.ts'
import { scaleOf } from './column-types.ts'
import { asciiAt, utf8At } from './slices.ts'
import type { ColumnType, Dialect, Table } from './types.ts'

const QUOTE = 34
const BACKSLASH = 92
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93
const COLON = 58
const COMMA = 44
const MINUS = 45
const POINT = 46
const ZERO = 48
const NINE = 57
const SPACE = 32
const LOWER_U = 117

const MAX_NESTING = 64
/** A whole number of so many characters is exact in 64 bits; a broken one of so many digits in a double. */
const MAX_WHOLE = 18
const MAX_DOUBLE = 15

/** Longer ones are taken the exact way: a database may have a limit. */
const MAX_NUMBER = 1000

/** What a column takes, by the kind of the value. */
const TAKES_STRING = 1
const TAKES_WHOLE = 2
const TAKES_NUMBER = 4
const TAKES_BOOLEAN = 8
const TAKES_NESTED = 16
const TAKES_TIME = 32
const TAKES_SCALED = 64

const takes = (type: ColumnType, dialect: Dialect): number => {
  switch (type) {
    case 'text':
      return TAKES_STRING
    case 'timestamp':
    case 'date':
    case 'time':
      return dialect.temporalTypes ? TAKES_TIME : TAKES_STRING
    case 'integer':
      return TAKES_WHOLE
    case 'float':
      return TAKES_NUMBER
    case 'boolean':
      return TAKES_BOOLEAN
    case 'json':
      return TAKES_NESTED
    case 'decimal':
      return dialect.anyDecimals ? TAKES_NUMBER : 0
    default:
      // Other exact digits: their text is checked value by value.
      return scaleOf(type) === undefined ? 0 : TAKES_SCALED
  }
}

interface ExpectedKey {
  /** With its quotes. */
  readonly bytes: Uint8Array
  readonly text: string
  /** -1: a field that is left out. */
  readonly column: number
}

/** Scans the records of one table, as its columns are now. Remembers the order in which the last record had its fields. */
export class RecordScanner {
  /** Where each column's value begins and ends; -1 where the record has none. Overwritten by the next scan. */
  readonly spans: Int32Array
  /** Columns in which an integer beyond 2^53 was met. */
  readonly beyondDouble: Set<number> = new Set()
  readonly #takes: Uint8Array
  readonly #types: readonly ColumnType[]
  /** Digits that a column takes behind the point. */
  readonly #scales: readonly number[]
  readonly #columns = new Map<string, number>()
  readonly #keys: readonly number[]
  readonly #ignored: ReadonlySet<string>
  #order: ExpectedKey[] = []
  readonly #verbatim: boolean
  readonly #maxKeyBytes: number

  constructor(table: Table, ignored: ReadonlySet<string>, dialect: Dialect) {
    this.spans = new Int32Array(table.columns.length * 2)
    this.#takes = Uint8Array.from(table.columns, (c) => takes(c.type, dialect))
    this.#types = table.columns.map((c) => c.type)
    this.#scales = this.#types.map((type) => scaleOf(type) ?? 0)
    table.columns.forEach((c, i) => {
      if (c.path.length === 1) this.#columns.set(c.path[0] as string, i)
    })
    this.#keys = table.keys.map((k) => table.columns.findIndex((c) => c.name === k))
    this.#ignored = ignored
    this.#verbatim = dialect.loadsJsonVerbatim
    this.#maxKeyBytes = dialect.maxKeyBytes ?? Number.POSITIVE_INFINITY
  }

  /** Whether the record at [from, to) can be loaded as it stands; its values are then in `spans`. */
  scan(b: Uint8Array, from: number, to: number): boolean {
    const spans = this.spans
    spans.fill(-1)
    let i = from + 1
    let position = 0
    if (b[from] !== OPEN_BRACE) return false
    while ((b[i] as number) <= SPACE && i < to) i++
    if (b[i] === CLOSE_BRACE) return false
    for (;;) {
      const expected = this.#order[position]
      let column: number
      if (expected !== undefined && startsWith(b, i, expected.bytes)) {
        column = expected.column
        i += expected.bytes.length
        position++
      } else {
        const end = plainStringEnd(b, i, to)
        if (end < 0) return false
        const next = this.#lookUp(b, i, end, position)
        if (next < 0) return false
        position = next
        column = (this.#order[position - 1] as ExpectedKey).column
        i = end
      }
      while ((b[i] as number) <= SPACE && i < to) i++
      if (b[i] !== COLON) return false
      i++
      while ((b[i] as number) <= SPACE && i < to) i++
      const end = this.#value(b, i, to, column)
      if (end < 0 || end >= to) return false
      if (column >= 0 && b[i] !== 110) {
        if (spans[column * 2] !== -1) return false
        spans[column * 2] = i
        spans[column * 2 + 1] = end
      }
      i = end
      while ((b[i] as number) <= SPACE && i < to) i++
      if (b[i] === COMMA) {
        i++
        while ((b[i] as number) <= SPACE && i < to) i++
        continue
      }
      if (b[i] !== CLOSE_BRACE || i + 1 !== to) return false
      let keyBytes = 0
      for (const key of this.#keys) {
        if (spans[key * 2] === -1) return false
        keyBytes += (spans[key * 2 + 1] as number) - (spans[key * 2] as number)
      }
      return keyBytes <= this.#maxKeyBytes
    }
  }

  /** Finds a key that did not come where it was expected; answers the position behind it, or -1 for an unknown field. */
  #lookUp(b: Uint8Array, from: number, end: number, position: number): number {
    const text = utf8At(b, from + 1, end - 1)
    for (let p = 0; p < this.#order.length; p++)
      if ((this.#order[p] as ExpectedKey).text === text) return p < position ? -1 : p + 1
    const column = this.#columns.get(text) ?? (this.#ignored.has(text) ? -1 : undefined)
    if (column === undefined) return -1
    this.#order.splice(position, 0, { bytes: Uint8Array.prototype.slice.call(b, from, end), text, column })
    return position + 1
  }

  /** Where the value ends, if its column takes it as it stands; else -1. */
  #value(b: Uint8Array, from: number, to: number, column: number): number {
    const may = column < 0 ? 63 : (this.#takes[column] as number)
    const c = b[from] as number
    if (c === QUOTE) {
      const end = stringEnd(b, from, to)
      if (end < 0 || (may & (TAKES_STRING | TAKES_TIME)) === 0) return -1
      if ((may & TAKES_STRING) === 0) {
        if (this.#types[column] === 'timestamp' && isUsualTimestamp(b, from, end)) return end
        const text = asciiAt(b, from + 1, end - 1)
        return isPlainTemporal(this.#types[column] as ColumnType, text) ? end : -1
      }
      return end
    }
    if (c === MINUS || (c >= ZERO && c <= NINE)) {
      const end = numberEnd(b, from, to)
      if (end > 0 && (may & TAKES_WHOLE) !== 0) return this.#wholeEnd(from, end, column)
      const last = Math.abs(end)
      if (last > 1 && (may & TAKES_SCALED) !== 0) return this.#scaledEnd(b, from, last, column)
      return last > 1 && (may & TAKES_NUMBER) !== 0 && isExactDouble(b, from, last) ? last : -1
    }
    if (c === OPEN_BRACE || c === OPEN_BRACKET) {
      if ((may & TAKES_NESTED) === 0) return -1
      return this.#nested(b, from, to, 0)
    }
    if (c === 110) return word(b, from, 'null') ? from + 4 : -1
    if ((may & TAKES_BOOLEAN) === 0) return -1
    if (c === 116) return word(b, from, 'true') ? from + 4 : -1
    return word(b, from, 'false') ? from + 5 : -1
  }

  /** Short enough that also what makes a double of it has all of its digits. */
  #scaledEnd(b: Uint8Array, from: number, end: number, column: number): number {
    if (end - from > MAX_DOUBLE) return -1
    let i = from
    while (i < end && b[i] !== POINT) i++
    return end - i - 1 <= (this.#scales[column] as number) ? end : -1
  }

  #wholeEnd(from: number, end: number, column: number): number {
    if (end - from > MAX_WHOLE) return -1
    if (end - from > MAX_DOUBLE && column >= 0) this.beyondDouble.add(column)
    return end
  }

  /** Where an object or array ends, or -1 where it is not well formed or holds a number too long to be sure of. */
  #nested(b: Uint8Array, from: number, to: number, depth: number): number {
    const close = b[from] === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET
    if (depth > MAX_NESTING) return -1
    let i = from + 1
    while ((b[i] as number) <= SPACE && i < to) i++
    if (b[i] === close) return i + 1
    for (;;) {
      if (close === CLOSE_BRACE) {
        i = b[i] === QUOTE ? stringEnd(b, i, to) : -1
        if (i < 0) return -1
        while ((b[i] as number) <= SPACE && i < to) i++
        if (b[i] !== COLON) return -1
        i++
        while ((b[i] as number) <= SPACE && i < to) i++
      }
      const c = b[i] as number
      if (c === QUOTE) i = stringEnd(b, i, to)
      else if (c === OPEN_BRACE || c === OPEN_BRACKET) i = this.#nested(b, i, to, depth + 1)
      else if (c === MINUS || (c >= ZERO && c <= NINE)) {
        const end = Math.abs(numberEnd(b, i, to))
        i = end > 1 && end - i < MAX_NUMBER && (this.#verbatim || isExactDouble(b, i, end)) ? end : -1
      } else if (c === 116) i = word(b, i, 'true') ? i + 4 : -1
      else if (c === 102) i = word(b, i, 'false') ? i + 5 : -1
      else i = c === 110 && word(b, i, 'null') ? i + 4 : -1
      if (i < 0) return -1
      while ((b[i] as number) <= SPACE && i < to) i++
      if (i >= to) return -1
      if (b[i] === close) return i + 1
      if (b[i] !== COMMA) return -1
      i++
      while ((b[i] as number) <= SPACE && i < to) i++
    }
  }
}

const startsWith = (b: Uint8Array, at: number, pattern: Uint8Array): boolean => {
  for (let i = 0; i < pattern.length; i++) if (b[at + i] !== pattern[i]) return false
  return true
}

/** Whether reading a number into a double and writing it again gives the same text. */
const isExactDouble = (b: Uint8Array, from: number, end: number): boolean => {
  if (end - from <= MAX_DOUBLE) return true
  const text = asciiAt(b, from, end)
  return String(Number(text)) === text
}

/** Whether the string is a time such as 2024-01-31T23:59:59.123456Z: what nearly all are, told without a pattern. */
const isUsualTimestamp = (b: Uint8Array, from: number, end: number): boolean => {
  const length = end - from - 2
  if (length < 20 || length > 27 || length === 21 || b[end - 2] !== 90) return false
  const at = from + 1
  if (b[at + 4] !== MINUS || b[at + 7] !== MINUS || b[at + 10] !== 84 || b[at + 13] !== COLON || b[at + 16] !== COLON)
    return false
  if (length > 20 && b[at + 19] !== POINT) return false
  return (
    two(b, at) + two(b, at + 2) > 0 &&
    inside(two(b, at + 5), 1, 12) &&
    inside(two(b, at + 8), 1, 28) &&
    inside(two(b, at + 11), 0, 23) &&
    inside(two(b, at + 14), 0, 59) &&
    inside(two(b, at + 17), 0, 59) &&
    digitsOnly(b, at + 20, end - 2)
  )
}

/** Two digits as a number; no number where they are not digits. */
const two = (b: Uint8Array, at: number): number => {
  const tens = (b[at] as number) - ZERO
  const ones = (b[at + 1] as number) - ZERO
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

const inside = (n: number, min: number, max: number): boolean => n >= min && n <= max

const digitsOnly = (b: Uint8Array, from: number, end: number): boolean => {
  for (let i = from; i < end; i++) if ((b[i] as number) < ZERO || (b[i] as number) > NINE) return false
  return true
}

const word = (b: Uint8Array, at: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (b[at + i] !== text.charCodeAt(i)) return false
  return true
}

/** Bytes that a string's text does not simply go on with: its end, an escape, a control character. */
const stops = Uint8Array.from({ length: 256 }, (_, c) => (c === QUOTE || c === BACKSLASH || c < SPACE ? 1 : 0))

/** Where a string without escapes ends, behind its quote; -1 where it has one. */
const plainStringEnd = (b: Uint8Array, from: number, to: number): number => {
  if (b[from] !== QUOTE) return -1
  let i = from + 1
  while (i < to && stops[b[i] as number] === 0) i++
  return b[i] === QUOTE ? i + 1 : -1
}

/** Where a string ends; -1 where it is not well formed or has the escape of a surrogate or of NUL. */
const stringEnd = (b: Uint8Array, from: number, to: number): number => {
  let i = from + 1
  for (;;) {
    while (i < to && stops[b[i] as number] === 0) i++
    if (i >= to) return -1
    const c = b[i] as number
    if (c === QUOTE) return i + 1
    if (c !== BACKSLASH) return -1
    if (b[i + 1] !== LOWER_U) {
      if (!isShortEscape(b[i + 1])) return -1
      i += 2
      continue
    }
    for (let k = 2; k < 6; k++) if (!isHex(b[i + k])) return -1
    // D8–DF: half of a surrogate pair; whether the other half follows is seen where the text is decoded.
    if (((b[i + 2] as number) | 32) === 100 && (b[i + 3] as number) >= 56) return -1
    // NUL, which not every database takes.
    if (b[i + 2] === ZERO && b[i + 3] === ZERO && b[i + 4] === ZERO && b[i + 5] === ZERO) return -1
    i += 6
  }
}

const isShortEscape = (c: number | undefined): boolean =>
  c === QUOTE || c === BACKSLASH || c === 47 || c === 98 || c === 102 || c === 110 || c === 114 || c === 116

const isHex = (c: number | undefined): boolean =>
  c !== undefined && ((c >= ZERO && c <= NINE) || ((c | 32) >= 97 && (c | 32) <= 102))

/**
 * Where a number ends: positive where it is whole, negative where it has a fraction, -1 where it has an exponent or is
 * not a JSON number.
 */
const numberEnd = (b: Uint8Array, from: number, to: number): number => {
  let i = b[from] === MINUS ? from + 1 : from
  const first = b[i] as number
  if (!(first >= ZERO && first <= NINE)) return -1
  i++
  if (first !== ZERO) while (i < to && (b[i] as number) >= ZERO && (b[i] as number) <= NINE) i++
  const c = b[i] as number
  if (c !== POINT) return (c | 32) === 101 || (c >= ZERO && c <= NINE) ? -1 : i
  const point = i++
  while (i < to && (b[i] as number) >= ZERO && (b[i] as number) <= NINE) i++
  return i === point + 1 || ((b[i] as number) | 32) === 101 ? -1 : -i
}
