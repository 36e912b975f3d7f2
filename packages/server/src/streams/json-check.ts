/**
 * Whether bytes are JSON (RFC 8259), without making anything of them: what is published as JSON is handed out as JSON, put
 * between the brackets of an answer as it came. One pass, no recursion, nothing allocated but a stack of bits.
 */
import { isUtf8 } from 'node:buffer'
import type { RecordBatch } from '@millrace/engine'
import { checkJsonLines } from '@millrace/sdk'

/** Deeper than this is refused: readers would have to follow. */
export const maxJsonDepth = 1_000

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/** The place of the first record that is no JSON; undefined where all are. `isAsked` says which are to be looked at. */
export const firstNotJson = (batch: RecordBatch, isAsked: (i: number) => boolean): number | undefined => {
  if (sound.has(batch) || areJsonLines(batch)) return undefined
  for (let i = 0; i < batch.count; i++) if (isAsked(i) && !isJson(batch.body(i))) return i
  return undefined
}

const sound = new WeakSet<RecordBatch>()
/** Says of a batch that each of its records was found to be JSON: it is not looked at again. */
export const noteJson = (batch: RecordBatch): void => void sound.add(batch)

/** Whether all are JSON, lines as they came: all in one pass. False says nothing. */
const areJsonLines = (batch: RecordBatch): boolean => {
  if (batch.gap !== 1 || batch.count < 2) return false
  try {
    const { ends } = checkJsonLines(batch.bytes.subarray(0, batch.contentEnd))
    return ends.length === batch.count && ends.every((end, i) => end === batch.ends[i])
  } catch {
    return false
  }
}

/** Whether the bytes are one JSON value in UTF-8. */
export const isJson = (b: Uint8Array): boolean => isUtf8(b) && new Scan(b).isOneValue()

const isSpace = (c: number | undefined): boolean => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09
const isDigit = (c: number | undefined): boolean => c !== undefined && c >= ZERO && c <= NINE
const isHex = (c: number | undefined): boolean => {
  const lower = (c ?? 0) | 0x20
  return isDigit(c) || (lower >= 0x61 && lower <= 0x66)
}

class Scan {
  readonly #b: Uint8Array
  #at = 0
  /** What is open: 1 an object, 0 an array. */
  readonly #open: (0 | 1)[] = []

  constructor(b: Uint8Array) {
    this.#b = b
  }

  isOneValue(): boolean {
    for (;;) {
      if (!this.#value()) return false
      // Behind a value: close what ends here, until there is a comma or nothing more is open.
      for (;;) {
        this.#space()
        const inside = this.#open.at(-1)
        if (inside === undefined) return this.#at === this.#b.length
        const c = this.#b[this.#at++]
        if (c === COMMA) {
          if (inside === 1 && !this.#key()) return false
          break
        }
        if (c !== (inside === 1 ? CLOSE_OBJECT : CLOSE_ARRAY)) return false
        this.#open.pop()
      }
    }
  }

  /** A value that has no parts, or the openings of one that has, up to its first part without any. */
  #value(): boolean {
    for (;;) {
      this.#space()
      const c = this.#b[this.#at]
      if (c === QUOTE) return this.#text()
      if (c !== OPEN_OBJECT && c !== OPEN_ARRAY) return c === MINUS || isDigit(c) ? this.#number() : this.#word(c)
      this.#at++
      this.#space()
      if (this.#b[this.#at] === (c === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY)) {
        this.#at++
        return true
      }
      if (this.#open.push(c === OPEN_OBJECT ? 1 : 0) > maxJsonDepth) return false
      if (c === OPEN_OBJECT && !this.#key()) return false
    }
  }

  #key(): boolean {
    this.#space()
    if (this.#b[this.#at] !== QUOTE || !this.#text()) return false
    this.#space()
    return this.#b[this.#at++] === COLON
  }

  #space(): void {
    while (isSpace(this.#b[this.#at])) this.#at++
  }

  #text(): boolean {
    const b = this.#b
    let at = this.#at + 1
    for (; at < b.length; at++) {
      const c = b[at] as number
      if (c === QUOTE) {
        this.#at = at + 1
        return true
      }
      if (c < 0x20) return false
      if (c === BACKSLASH) {
        const escaped = b[++at]
        if (escaped === 0x75) {
          for (let i = 1; i <= 4; i++) if (!isHex(b[at + i])) return false
          at += 4
        } else if (escaped === undefined || !escapes.has(escaped)) return false
      }
    }
    return false
  }

  #number(): boolean {
    const b = this.#b
    if (b[this.#at] === MINUS) this.#at++
    if (b[this.#at] === ZERO) this.#at++
    else if (!this.#digits()) return false
    if (b[this.#at] === DOT) {
      this.#at++
      if (!this.#digits()) return false
    }
    if (((b[this.#at] ?? 0) | 0x20) === 0x65) {
      this.#at++
      if (b[this.#at] === PLUS || b[this.#at] === MINUS) this.#at++
      if (!this.#digits()) return false
    }
    return true
  }

  #digits(): boolean {
    const from = this.#at
    while (isDigit(this.#b[this.#at])) this.#at++
    return this.#at > from
  }

  #word(c: number | undefined): boolean {
    const word = words.get(c ?? 0)
    if (word === undefined) return false
    for (const letter of word) if (this.#b[this.#at++] !== letter) return false
    return true
  }
}

const escapes: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'))
const words: ReadonlyMap<number, Uint8Array> = new Map(
  ['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]),
)
