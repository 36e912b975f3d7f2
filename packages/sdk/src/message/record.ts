import { MillraceError } from '../errors/error.ts'
import { isTooDeep, maxDepth, mayHaveLongNumber, skimMembers, textAt } from './bytes.ts'
import { encodeJson, exactNumber, type JsonObject, parseExact } from './json.ts'
import type { Version } from './types.ts'

const NO_BYTES: Buffer = Buffer.alloc(0)

/**
 * One RECORD. It keeps the bytes it came as and opens them only when somebody asks for a value: a record that is
 * passed on is never parsed and written again.
 *
 * `buffer`, `from` and `to` are the record's own bytes (the object, not the message around it) as they were read.
 */
export class RecordMessage {
  readonly type = 'RECORD' as const
  readonly stream: string
  /** Number of its line in the input, from 1. */
  readonly line: number
  readonly version: Version | undefined
  readonly timeExtracted: string | undefined
  /** The hash of the record as it was read (books/digest.ts), where books are kept. A mapped record keeps its source's. */
  hashHigh = 0
  hashLow = 0
  buffer: Buffer
  from: number
  to: number
  #plain: JsonObject | undefined
  #exact: JsonObject | undefined
  #source: RecordMessage | undefined

  constructor(
    stream: string,
    line: number,
    bytes: { readonly buffer: Buffer; readonly from: number; readonly to: number },
    meta?: { readonly version?: Version | undefined; readonly timeExtracted?: string | undefined },
  ) {
    this.stream = stream
    this.line = line
    this.buffer = bytes.buffer
    this.from = bytes.from
    this.to = bytes.to
    this.version = meta?.version
    this.timeExtracted = meta?.timeExtracted
  }

  /** A record that never was bytes: made by a map, a transit body or a test. Its values may be bigint or Decimal. */
  static of(
    stream: string,
    record: JsonObject,
    meta?: {
      readonly line?: number
      readonly version?: Version | undefined
      readonly timeExtracted?: string | undefined
    },
  ): RecordMessage {
    const m = new RecordMessage(stream, meta?.line ?? 0, { buffer: NO_BYTES, from: 0, to: 0 }, meta)
    m.#exact = record
    return m
  }

  /** The same record with other content, at the same place and with the same metadata. */
  with(record: JsonObject, stream: string = this.stream): RecordMessage {
    const m = RecordMessage.of(stream, record, this)
    m.hashHigh = this.hashHigh
    m.hashLow = this.hashLow
    m.#source = this.source
    return m
  }

  /** The same record with other content, given as its bytes. */
  withBytes(bytes: Buffer, stream: string = this.stream): RecordMessage {
    const m = new RecordMessage(stream, this.line, { buffer: bytes, from: 0, to: bytes.length }, this)
    m.hashHigh = this.hashHigh
    m.hashLow = this.hashLow
    m.#source = this.source
    return m
  }

  /**
   * Where the value of each member stands in `buffer`, in their order; of a name that comes twice the last, as JSON.parse has it.
   * Throws as `record` does.
   */
  members(): ReadonlyMap<string, { readonly from: number; readonly to: number }> {
    this.bytes()
    const found = new Map<string, { readonly from: number; readonly to: number }>()
    const end = skimMembers(this.buffer, this.from, this.to, (m) => found.set(m.key, m))
    // Says what is wrong with it.
    if (end < 0) void this.plain
    return found
  }

  /** The record as it came, where this is what a map made of it; else this one. */
  get source(): RecordMessage {
    return this.#source ?? this
  }

  /**
   * The values, exact: integers beyond 2^53 are bigint, decimals beyond a double are Decimal.
   * Throws MESSAGE_NOT_JSON or MESSAGE_TOO_DEEP.
   */
  get record(): JsonObject {
    if (this.#exact === undefined) {
      const plain = this.plain
      this.#exact =
        hasRoundedNumber(this.buffer, this.from, this.to) || hasExtremeNumber(plain, this.buffer, this.from, this.to)
          ? (parseExact(textAt(this.buffer, this.from, this.to)) as JsonObject)
          : plain
    }
    return this.#exact
  }

  /**
   * The values as JSON.parse gives them: for checks that need no digit beyond a double's. Throws as `record` does.
   */
  get plain(): JsonObject {
    if (this.#plain === undefined) {
      if (this.#exact !== undefined) this.#plain = JSON.parse(encodeJson(this.#exact)) as JsonObject
      else {
        if (this.to - this.from >= maxDepth && isTooDeep(this.buffer, this.from, this.to))
          throw new MillraceError('MESSAGE_TOO_DEEP', { line: this.line, maxDepth })
        try {
          this.#plain = JSON.parse(textAt(this.buffer, this.from, this.to)) as JsonObject
        } catch (e) {
          throw new MillraceError('MESSAGE_NOT_JSON', { line: this.line, why: jsonFault(e) }, { cause: e })
        }
      }
    }
    return this.#plain
  }

  /** Hands over values that the reader parsed already. `exact`: it is known that no number in them was rounded. */
  adopt(plain: JsonObject, exact: boolean = false): void {
    this.#plain = plain
    if (exact) this.#exact = plain
  }

  /** The record as compact JSON text in UTF-8. Costs nothing where it was read from bytes. */
  bytes(): Buffer {
    if (this.buffer.length === 0) {
      this.buffer = Buffer.from(encodeJson(this.#exact))
      this.from = 0
      this.to = this.buffer.length
    }
    return this.buffer.subarray(this.from, this.to)
  }

  /** Length of {@link bytes}. */
  get size(): number {
    return this.buffer.length === 0 ? this.bytes().length : this.to - this.from
  }
}

/** A short reason out of the engine's own words, without the text of the line: that may be private. */
export const jsonFault = (e: unknown): string => {
  const message = e instanceof Error ? e.message : String(e)
  const place = /at position (\d+)/.exec(message)
  if (/Unexpected end|Unterminated/.test(message)) return 'it ends in the middle'
  if (/control character/.test(message)) return `a control character in a string${place ? ` at byte ${place[1]}` : ''}`
  return place ? `unexpected text at character ${place[1]}` : 'unexpected text'
}

/** Whether [from, to) holds a number of many digits that a double does not hold. */
const hasRoundedNumber = (b: Buffer, from: number, to: number): boolean =>
  mayHaveLongNumber(b, from, to, (start, end) => {
    const text = b.toString('latin1', start, end)
    return typeof exactNumber(Number(text), text) === 'number'
  })

/** Numbers at the edge of a double (0, subnormal, infinite) may have been rounded there from something else. */
const hasExtremeNumber = (value: unknown, b: Buffer, from: number, to: number): boolean =>
  hasExponent(b, from, to) && hasEdgeValue(value)

/** Whether an e stands between a digit and a digit or sign. Bytes first: walking the values costs five times as much. */
const hasExponent = (b: Buffer, from: number, to: number): boolean => {
  for (let i = from + 1; i < to; i++) {
    if (((b[i] as number) | 32) !== 101) continue
    const before = b[i - 1] as number
    const after = b[i + 1] as number
    if (before >= 48 && before <= 57 && ((after >= 48 && after <= 57) || after === 43 || after === 45)) return true
  }
  return false
}

const hasEdgeValue = (value: unknown): boolean => {
  if (typeof value === 'number') {
    const size = Math.abs(value)
    return !(size >= 1e-292 && size <= 1e308)
  }
  if (typeof value !== 'object' || value === null) return false
  for (const key in value) if (hasEdgeValue((value as Record<string, unknown>)[key])) return true
  return false
}
