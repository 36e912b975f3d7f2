/** The fields of one record, as places in its bytes: what they are, and where, without parsing their values. */
import { MillraceError, type RecordMessage } from '@millrace/sdk'

const QUOTE = 34
const BACKSLASH = 92
const COMMA = 44
const COLON = 58
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93

/** What a value is: text without and with escapes, an object or array, a number or truth value, or null. */
export const kinds = { none: 0, text: 1, escaped: 2, nested: 3, bare: 4, null: 5 } as const

const isSpace = (c: number | undefined): boolean => c === 32 || c === 9 || c === 13 || c === 10

/** A key as it stood at this place in the record before: mostly it stands there again. */
interface Guess {
  readonly raw: Buffer
  readonly column: number
}

/**
 * Finds the fields of records. `begin`, `end` and `kind` hold, for each column, where its value is; for text these are
 * the bytes between its quotes. Of a field that comes twice the last one counts.
 */
export class MemberScanner {
  begin: Int32Array = new Int32Array(0)
  end: Int32Array = new Int32Array(0)
  kind: Uint8Array = new Uint8Array(0)
  #columns = new Map<string, number>()
  #guesses: (Guess | undefined)[] = []
  #escaped = false

  /** Takes the columns by their names. */
  setColumns(names: readonly string[]): void {
    this.#columns = new Map(names.map((name, i) => [name, i]))
    this.#guesses = []
    this.begin = new Int32Array(names.length)
    this.end = new Int32Array(names.length)
    this.kind = new Uint8Array(names.length)
  }

  /**
   * Scans one record; answers the names of fields that have no column, undefined where every one has.
   * Throws MESSAGE_NOT_JSON.
   */
  scan(record: RecordMessage): string[] | undefined {
    if (record.buffer.length === 0) record.bytes()
    const b = record.buffer
    const stop = record.to
    this.kind.fill(kinds.none)
    let unknown: string[] | undefined
    let i = this.#space(b, record.from, stop)
    if (b[i] !== OPEN_BRACE) throw this.#fault(record)
    i = this.#space(b, i + 1, stop)
    if (b[i] === CLOSE_BRACE) return undefined
    for (let place = 0; ; place++) {
      if (b[i] !== QUOTE) throw this.#fault(record)
      const keyFrom = i + 1
      i = this.#text(b, keyFrom, stop)
      const column = this.#column(b, keyFrom, i - 1, place)
      if (typeof column === 'string') {
        unknown ??= []
        unknown.push(column)
      }
      i = this.#space(b, i, stop)
      if (b[i] !== COLON) throw this.#fault(record)
      i = this.#space(b, i + 1, stop)
      const valueFrom = i
      const kind = this.#kindAt(b[i])
      i = this.#value(b, i, stop, record)
      if (typeof column === 'number') {
        const isText = kind === kinds.text
        this.kind[column] = isText && this.#escaped ? kinds.escaped : kind
        this.begin[column] = isText ? valueFrom + 1 : valueFrom
        this.end[column] = isText ? i - 1 : i
      }
      i = this.#space(b, i, stop)
      if (b[i] === CLOSE_BRACE) return unknown
      if (b[i] !== COMMA) throw this.#fault(record)
      i = this.#space(b, i + 1, stop)
    }
  }

  #fault(record: RecordMessage): MillraceError {
    return new MillraceError('MESSAGE_NOT_JSON', { line: record.line, why: 'unexpected text in the record' })
  }

  #space(b: Buffer, from: number, stop: number): number {
    let i = from
    while (i < stop && isSpace(b[i])) i++
    return i
  }

  /** The place behind the closing quote of the text whose inside begins at `from`; notes whether it has escapes. */
  #text(b: Buffer, from: number, stop: number): number {
    let i = from
    let escaped = false
    while (i < stop) {
      const c = b[i] as number
      if (c === QUOTE) break
      if (c === BACKSLASH) {
        escaped = true
        i++
      }
      i++
    }
    this.#escaped = escaped
    return i + 1
  }

  #kindAt(c: number | undefined): number {
    if (c === QUOTE) return kinds.text
    if (c === OPEN_BRACE || c === OPEN_BRACKET) return kinds.nested
    return c === 110 ? kinds.null : kinds.bare
  }

  #value(b: Buffer, from: number, stop: number, record: RecordMessage): number {
    const first = b[from]
    if (first === QUOTE) return this.#text(b, from + 1, stop)
    if (first === OPEN_BRACE || first === OPEN_BRACKET) {
      let depth = 0
      let i = from
      while (i < stop) {
        const c = b[i] as number
        if (c === QUOTE) {
          i = this.#text(b, i + 1, stop)
          continue
        }
        if (c === OPEN_BRACE || c === OPEN_BRACKET) depth++
        else if ((c === CLOSE_BRACE || c === CLOSE_BRACKET) && --depth === 0) return i + 1
        i++
      }
      throw this.#fault(record)
    }
    let i = from
    while (i < stop && b[i] !== COMMA && b[i] !== CLOSE_BRACE && !isSpace(b[i])) i++
    if (!isNumber(b, from, i)) {
      const word = b.toString('latin1', from, i)
      if (word !== 'true' && word !== 'false' && word !== 'null') throw this.#fault(record)
    }
    return i
  }

  /** The column of a key, or its name where it has none. */
  #column(b: Buffer, from: number, to: number, place: number): number | string {
    const guess = this.#guesses[place]
    if (guess !== undefined && guess.raw.length === to - from) {
      const { raw } = guess
      let i = raw.length - 1
      while (i >= 0 && raw[i] === b[from + i]) i--
      if (i < 0) return guess.column
    }
    const raw = b.toString('utf8', from, to)
    const name = this.#escaped ? unescaped(raw) : raw
    const column = this.#columns.get(name)
    if (column === undefined) return name
    this.#guesses[place] = { raw: Buffer.from(b.subarray(from, to)), column }
    return column
  }
}

const isDigit = (c: number | undefined): boolean => c !== undefined && c >= 48 && c <= 57

/** Whether [from, to) is a JSON number (RFC 8259 §6). */
const isNumber = (b: Buffer, from: number, to: number): boolean => {
  let i = b[from] === 45 ? from + 1 : from
  if (b[i] === 48) i++
  else {
    const first = i
    while (i < to && isDigit(b[i])) i++
    if (i === first) return false
  }
  if (i < to && b[i] === 46) {
    const first = ++i
    while (i < to && isDigit(b[i])) i++
    if (i === first) return false
  }
  if (i < to && (b[i] === 101 || b[i] === 69)) {
    i++
    if (b[i] === 43 || b[i] === 45) i++
    const first = i
    while (i < to && isDigit(b[i])) i++
    if (i === first) return false
  }
  return i === to
}

/** The text that stands between quotes. Throws MESSAGE_NOT_JSON. */
export const unescaped = (raw: string): string => {
  try {
    return JSON.parse(`"${raw}"`) as string
  } catch (e) {
    throw new MillraceError('MESSAGE_NOT_JSON', { why: 'an escape that JSON does not have' }, { cause: e })
  }
}
