import { maxDepth } from './bytes.ts'
import { Decimal, exactNumber, isJsonNumber, parseExact } from './json.ts'
import { jsonFault } from './record.ts'
import { CACHE_SIZE, DIGITS, FIRST_DIGIT, isCacheable } from './transit-cache.ts'
import {
  Char,
  Instant,
  Keyword,
  Link,
  putMember,
  Tagged,
  TransitList,
  TransitMap,
  TransitSet,
  TransitSymbol,
  Uri,
  Uuid,
} from './transit-values.ts'

const MAP_MARKER = '^ '

/** Throws SyntaxError with a reason that does not quote the text: that may be private. */
const bad = (why: string): never => {
  throw new SyntaxError(why)
}

/** A tag on its own: what `~#name` decodes to, never handed out. */
class Tag {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/**
 * Decodes one element. Strings, booleans, null, arrays, maps with string keys and numbers become plain values;
 * integers beyond 2^53 `bigint`, decimals {@link Decimal}, bytes Uint8Array, and the rest the classes of
 * transit-values.ts. Throws SyntaxError where the text is not Transit or is nested deeper than {@link maxDepth}.
 */
export const decodeTransit = (text: string): unknown => {
  if (text.length >= maxDepth && isTextTooDeep(text)) bad(`nested deeper than ${maxDepth} levels`)
  let parsed: unknown
  try {
    parsed = parseExact(text)
  } catch (e) {
    throw new SyntaxError(jsonFault(e))
  }
  return new Decoder().value(parsed, false)
}

const isTextTooDeep = (text: string): boolean => {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 34) {
      for (i++; i < text.length && text.charCodeAt(i) !== 34; i++) if (text.charCodeAt(i) === 92) i++
    } else if (c === 91 || c === 123) {
      if (++depth > maxDepth) return true
    } else if (c === 93 || c === 125) depth--
  }
  return false
}

class Decoder {
  readonly #cache: unknown[] = []
  #next = 0

  value(raw: unknown, isKey: boolean): unknown {
    const v = this.#valueOrTag(raw, isKey)
    return v instanceof Tag ? bad('a tag without a value') : v
  }

  #valueOrTag(raw: unknown, isKey: boolean): unknown {
    if (typeof raw === 'string') return this.#string(raw, isKey)
    if (typeof raw !== 'object' || raw === null || raw instanceof Decimal) return raw
    return Array.isArray(raw) ? this.#array(raw) : this.#object(raw as Readonly<Record<string, unknown>>)
  }

  #string(s: string, isKey: boolean): unknown {
    if (s[0] === '^') return this.#cached(s)
    const value = s[0] === '~' ? decodeScalarText(s) : s
    if (isCacheable(s, isKey)) {
      if (this.#next === CACHE_SIZE) this.#next = 0
      this.#cache[this.#next++] = value
    }
    return value
  }

  #cached(code: string): unknown {
    if (code === MAP_MARKER) return bad('a map marker outside the beginning of an array')
    const a = code.charCodeAt(1) - FIRST_DIGIT
    const b = code.charCodeAt(2) - FIRST_DIGIT
    const isDigit = (d: number): boolean => d >= 0 && d < DIGITS
    const index =
      code.length === 2 && isDigit(a) ? a : code.length === 3 && isDigit(a) && isDigit(b) ? a * DIGITS + b : -1
    return index >= 0 && index < this.#cache.length ? this.#cache[index] : bad('an unknown cache code')
  }

  #array(raw: readonly unknown[]): unknown {
    if (raw.length === 0) return []
    if (raw[0] === MAP_MARKER) return this.#map(raw, 1, true)
    const first = this.#valueOrTag(raw[0], false)
    if (first instanceof Tag) {
      if (raw.length !== 2) return bad('a tag needs exactly one value')
      return this.#tagged(first.name, raw[1])
    }
    const out: unknown[] = [first]
    for (let i = 1; i < raw.length; i++) out.push(this.value(raw[i], false))
    return out
  }

  #object(raw: Readonly<Record<string, unknown>>): unknown {
    const keys = Object.keys(raw)
    const flat: unknown[] = []
    for (const key of keys) {
      if (keys.length === 1) {
        const decoded = this.#valueOrTag(key, true)
        if (decoded instanceof Tag) return this.#tagged(decoded.name, raw[key])
        return mapOf([[decoded, this.value(raw[key], false)]])
      }
      flat.push(key, raw[key])
    }
    return this.#map(flat, 0, true)
  }

  #map(flat: readonly unknown[], start: number, areKeys: boolean): unknown {
    if ((flat.length - start) % 2 !== 0) return bad('a map with a key and no value')
    const entries: (readonly [unknown, unknown])[] = []
    for (let i = start; i < flat.length; i += 2) {
      const key = this.value(flat[i], areKeys)
      entries.push([key, this.value(flat[i + 1], false)])
    }
    return mapOf(entries)
  }

  #tagged(tag: string, raw: unknown): unknown {
    if (tag === 'cmap') return Array.isArray(raw) ? this.#map(raw, 0, false) : bad('a cmap that is not an array')
    const rep = this.value(raw, false)
    switch (tag) {
      case "'":
      case 'array':
      case 'map':
        return rep
      case 'set':
        return Array.isArray(rep) ? new TransitSet(rep) : bad('a set that is not an array')
      case 'list':
        return Array.isArray(rep) ? new TransitList(rep) : bad('a list that is not an array')
      case 'link':
        return new Link(rep)
      case 'u':
        return Array.isArray(rep) ? uuidOfHalves(rep) : decodeScalar('u', String(rep))
      case '':
        return bad('a tag without a name')
    }
    if (tag.length > 1) return new Tagged(tag, rep)
    if (typeof rep === 'string' || typeof rep === 'number' || typeof rep === 'bigint')
      return decodeScalar(tag, String(rep))
    if (rep instanceof Decimal) return decodeScalar(tag, rep.text)
    return new Tagged(tag, rep)
  }
}

/** A plain object where every key is a string, else a TransitMap. `__proto__` is a key like any other. */
const mapOf = (entries: readonly (readonly [unknown, unknown])[]): unknown => {
  const out: Record<string, unknown> = {}
  for (const [key, value] of entries) {
    if (typeof key !== 'string') return new TransitMap(entries)
    putMember(out, key, value)
  }
  return out
}

const decodeScalarText = (s: string): unknown => {
  const c = s[1]
  if (c === undefined) return bad('a ~ with nothing behind it')
  if (c === '~' || c === '^' || c === '`') return s.slice(1)
  if (c === '#') return new Tag(s.slice(2))
  return decodeScalar(c, s.slice(2))
}

const integer = /^[-+]?[0-9]+$/
const wholeDate = /^-?[0-9]+$/
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const specialFloats: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['INF', Number.POSITIVE_INFINITY],
  ['-INF', Number.NEGATIVE_INFINITY],
])
/** Longest number of a ~n or ~i: BigInt's time grows with the square of it. */
const MAX_DIGITS = 100_000

const decodeScalar = (tag: string, text: string): unknown => {
  switch (tag) {
    case '_':
      return null
    case 's':
      return text
    case '?':
      return text === 't' || text === 'true'
        ? true
        : text === 'f' || text === 'false'
          ? false
          : bad('a boolean that is neither t nor f')
    case 'i':
    case 'n':
      // transit-js writes a float key as ~i1.5.
      if (tag === 'i' && isJsonNumber(text)) return exactNumber(Number(text), text)
      if (!integer.test(text) || text.length > MAX_DIGITS) return bad('an integer that is none')
      return exactInteger(text)
    case 'd': {
      const plain = jsonNumberText(text)
      return plain === undefined
        ? (specialFloats.get(text) ?? bad('a float that is none'))
        : exactNumber(Number(plain), plain)
    }
    case 'f': {
      const plain = jsonNumberText(text)
      return plain === undefined ? new Tagged('f', text) : new Decimal(plain)
    }
    case 'z':
      return specialFloats.get(text) ?? bad('an unknown special float')
    case 'm':
      return wholeDate.test(text) ? instantOf(Number(text)) : bad('an instant that is not whole milliseconds')
    case 't':
      return instantOfText(text)
    case 'u':
      return uuid.test(text) ? new Uuid(text.toLowerCase()) : bad('a uuid that is none')
    case 'r':
      return new Uri(text)
    case 'c':
      return new Char(text)
    case ':':
      return new Keyword(text)
    case '$':
      return new TransitSymbol(text)
    case 'b':
      return base64.test(text) ? new Uint8Array(Buffer.from(text, 'base64')) : bad('bytes that are not base64')
    default:
      return new Tagged(tag, text)
  }
}

const exactInteger = (text: string): number | bigint => {
  const n = Number(text)
  return Number.isSafeInteger(n) ? n : BigInt(text.replace(/^\+/, ''))
}

/** A decimal's text as JSON has it: no plus in front, digits on both sides of the point. Undefined for NaN and such. */
const jsonNumberText = (text: string): string | undefined => {
  const m = /^([-+]?)([0-9]*)(?:\.([0-9]*))?([eE][-+]?[0-9]+)?$/.exec(text)
  if (m === null || `${m[2]}${m[3] ?? ''}` === '') return undefined
  const whole = (m[2] as string).replace(/^0+(?=[0-9])/, '') || '0'
  return `${m[1] === '-' ? '-' : ''}${whole}${m[3] ? `.${m[3]}` : ''}${m[4] ?? ''}`
}

const MAX_INSTANT_MS = 8.64e15
const instantOf = (ms: number): Instant =>
  Math.abs(ms) <= MAX_INSTANT_MS ? new Instant(ms) : bad('an instant beyond the calendar')

const instantOfText = (text: string): Instant => {
  const m =
    /^[-+]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.([0-9]+))?(Z|[-+][0-9]{2}:[0-9]{2})$/.exec(text)
  const ms = m === null ? Number.NaN : Date.parse(text)
  if (m === null || Number.isNaN(ms)) return bad('an instant that is not RFC 3339')
  const fraction = m[1] ?? ''
  if (!/[1-9]/.test(fraction.slice(3))) return new Instant(ms)
  return new Instant(ms, `${new Date(ms).toISOString().slice(0, -5)}.${fraction}Z`)
}

/** A UUID from its two signed 64-bit halves. */
const uuidOfHalves = (halves: readonly unknown[]): Uuid => {
  const [hi, lo] = halves
  const isWhole = (n: unknown): n is number | bigint => typeof n === 'bigint' || Number.isInteger(n)
  if (halves.length !== 2 || !isWhole(hi) || !isWhole(lo)) return bad('a uuid that is none')
  const hex = [hi, lo].map((n) => BigInt.asUintN(64, BigInt(n)).toString(16).padStart(16, '0')).join('')
  return new Uuid(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'))
}
