/**
 * JSON values as Millrace keeps them. A number that a double holds exactly is a `number`; an integer beyond that is a
 * `bigint`; any other is a {@link Decimal}, which keeps its digits as text. So no value is ever rounded.
 */
export type Json = null | boolean | number | string | bigint | Decimal | readonly Json[] | JsonObject
export type JsonObject = { readonly [key: string]: Json }

/** A number that a double would round: its source text, written back digit for digit. */
export class Decimal {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  /** Read by JSON.stringify: the digits go out as they came in. */
  toJSON(): unknown {
    return rawJSON(this.text)
  }
  toString(): string {
    return this.text
  }
}

// JSON.rawJSON and the reviver's third argument are in Node 24 and not yet in the library types.
const json = JSON as unknown as {
  rawJSON(text: string): unknown
  parse(text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown): unknown
}
const rawJSON = (text: string): unknown => json.rawJSON(text)

/** Whether text is a JSON number (RFC 8259 §6). */
export const isJsonNumber = (text: string): boolean => /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/.test(text)

/**
 * Parses JSON without rounding: numbers that a double cannot hold come back as `bigint` or {@link Decimal}.
 * Several times slower than JSON.parse, so it is used only for text in which such a number may be.
 * Throws SyntaxError as JSON.parse does.
 */
export const parseExact = (text: string): Json =>
  mayRound.test(text)
    ? (json.parse(text, (_key, value, context) =>
        typeof value === 'number' && context.source !== undefined ? exactNumber(value, context.source) : value,
      ) as Json)
    : (JSON.parse(text) as Json)

/** Sixteen digits (and a point) in a row, or an exponent: elsewhere a double holds every number. */
const mayRound = /[0-9.]{16}|[0-9][eE][-+0-9]/

/** The value of a number's source text: a number where that loses nothing, else bigint or Decimal. */
export const exactNumber = (value: number, source: string): number | bigint | Decimal => {
  if (source.length <= 15 && Number.isFinite(value) && (value !== 0 || !/[1-9]/.test(source)) && !/[eE]/.test(source))
    return value
  // A double beyond 2^53 may print the very digits of its source and still be another integer: 4611686018427388000.
  if (/^-?[0-9]+$/.test(source)) return Number.isSafeInteger(value) ? value : BigInt(source)
  return Number.isFinite(value) && sameDecimal(String(value), source) ? value : new Decimal(source)
}

/** Whether two decimal texts name the same number: 1.50e1 is 15. */
const sameDecimal = (a: string, b: string): boolean => normalDecimal(a) === normalDecimal(b)

const normalDecimal = (text: string): string => {
  const m = /^(-?)([0-9]+)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]+))?$/.exec(text)
  if (m === null) return text
  const fraction = m[3] ?? ''
  const digits = ((m[2] ?? '') + fraction).replace(/^0+/, '')
  const trimmed = digits.replace(/0+$/, '')
  if (trimmed === '') return '0'
  return `${m[1]}${trimmed}e${Number(m[4] ?? 0) - fraction.length + digits.length - trimmed.length}`
}

/**
 * Writes a value as compact JSON; bigint and {@link Decimal} as their digits, lone surrogates as \u escapes.
 * Throws TypeError where the value has a cycle and RangeError where it is nested too deep.
 */
export const encodeJson = (value: unknown): string => {
  try {
    return JSON.stringify(value)
  } catch (e) {
    if (!(e instanceof TypeError)) throw e
    return JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? rawJSON(String(v)) : v))
  }
}

/** Whether a value is a JSON object (not null, array or Decimal). */
export const isObject = (v: unknown): v is JsonObject =>
  typeof v === 'object' && v !== null && !Array.isArray(v) && !(v instanceof Decimal)
