/**
 * Transit 0.8 in its JSON and JSON-verbose modes, as the 0.1 content type `transit` has it: one element a message, a
 * fresh cache for each. Reads both modes without being told, writes JSON mode.
 */
import { maxDepth } from './bytes.ts'
import { Decimal, exactNumber, isJsonNumber, type Json, type JsonObject, parseExact } from './json.ts'
import { jsonFault } from './record.ts'
import {
  Char,
  Instant,
  Keyword,
  Link,
  Tagged,
  TransitList,
  TransitMap,
  TransitSet,
  TransitSymbol,
  Uri,
  Uuid,
} from './transit-values.ts'

const CACHE_SIZE = 1936
const DIGITS = 44
const FIRST_DIGIT = 48
const MIN_CACHED_LENGTH = 4
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

const isCacheable = (s: string, isKey: boolean): boolean => {
  if (s.length < MIN_CACHED_LENGTH) return false
  if (isKey) return true
  if (s[0] !== '~') return false
  const c = s[1]
  return c === '#' || c === ':' || c === '$'
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
    put(out, key, value)
  }
  return out
}

const put = (out: Record<string, unknown>, key: string, value: unknown): void => {
  if (key === '__proto__')
    Object.defineProperty(out, key, { value, enumerable: true, configurable: true, writable: true })
  else out[key] = value
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

/**
 * Encodes one element in JSON mode. Takes what {@link decodeTransit} gives and any {@link Json}; members that are
 * undefined are left out. Throws RangeError where it is nested deeper than {@link maxDepth}.
 */
export const encodeTransit = (value: unknown): string => {
  const encoder = new Encoder()
  return isComposite(value) ? encoder.value(value, 1) : `["~#'",${encoder.quoted(value)}]`
}

const MAX_INT64 = 2n ** 63n
const fitsInt64 = (n: bigint): boolean => n >= -MAX_INT64 && n < MAX_INT64

/** Whether a value is written as more than one JSON string, number or word. */
const isComposite = (v: unknown): boolean => {
  if (typeof v !== 'object' || v === null) return false
  if (v instanceof Tagged) return v.tag.length > 1 || typeof v.rep !== 'string'
  return scalarText(v) === undefined
}

/** The text of a scalar that always goes out as a string, tag and all. */
const scalarText = (v: unknown): string | undefined => {
  if (v instanceof Decimal) return `~f${v.text}`
  if (v instanceof Instant) return v.text.length > 24 && !/^[-+]/.test(v.text) ? `~t${v.text}` : `~m${v.ms}`
  if (v instanceof Keyword) return `~:${v.name}`
  if (v instanceof TransitSymbol) return `~$${v.name}`
  if (v instanceof Uuid) return `~u${v.text}`
  if (v instanceof Uri) return `~r${v.text}`
  if (v instanceof Char) return `~c${v.text}`
  if (v instanceof Date) return `~m${v.getTime()}`
  if (v instanceof Uint8Array) return `~b${Buffer.from(v.buffer, v.byteOffset, v.byteLength).toString('base64')}`
  if (v instanceof Tagged && v.tag.length === 1 && typeof v.rep === 'string') return `~${v.tag}${v.rep}`
  return undefined
}

const escapeText = (s: string): string => {
  const c = s.charCodeAt(0)
  return c === 126 || c === 94 || c === 96 ? `~${s}` : s
}

class Encoder {
  readonly #codes = new Map<string, string>()

  quoted(value: unknown): string {
    this.#cached("~#'", false)
    return this.value(value, 1)
  }

  value(v: unknown, depth: number): string {
    if (depth > maxDepth) throw new RangeError(`nested deeper than ${maxDepth} levels`)
    switch (typeof v) {
      case 'string':
        return JSON.stringify(escapeText(v))
      case 'number':
        if (Number.isInteger(v) && !Number.isSafeInteger(v)) return `"~d${v}"`
        return Number.isFinite(v) ? String(v) : JSON.stringify(specialFloat(v))
      case 'bigint':
        return isSafe(v) ? String(v) : `"${integerText(v)}"`
      case 'boolean':
        return String(v)
      case 'object':
        return v === null ? 'null' : this.#object(v, depth)
      default:
        return 'null'
    }
  }

  #object(v: object, depth: number): string {
    if (Array.isArray(v)) return this.#list(v, depth)
    const scalar = scalarText(v)
    if (scalar !== undefined) return this.#cached(scalar, false)
    if (v instanceof TransitSet) return this.#tagged('set', () => this.#list(v.values, depth + 1))
    if (v instanceof Set) return this.#tagged('set', () => this.#list([...v], depth + 1))
    if (v instanceof TransitList) return this.#tagged('list', () => this.#list(v.values, depth + 1))
    if (v instanceof Link) return this.#tagged('link', () => this.value(v.members, depth + 1))
    if (v instanceof Tagged) return this.#tagged(v.tag, () => this.value(v.rep, depth + 1))
    if (v instanceof TransitMap || v instanceof Map) return this.#map([...(v instanceof Map ? v : v.entries)], depth)
    let out = '["^ "'
    for (const key of Object.keys(v)) {
      const member = (v as Record<string, unknown>)[key]
      if (member === undefined) continue
      out += `,${this.#cached(escapeText(key), true)}`
      out += `,${this.value(member, depth + 1)}`
    }
    return `${out}]`
  }

  #list(values: readonly unknown[], depth: number): string {
    let out = '['
    for (let i = 0; i < values.length; i++) out += `${i === 0 ? '' : ','}${this.value(values[i], depth + 1)}`
    return `${out}]`
  }

  #tagged(tag: string, rep: () => string): string {
    const tagText = this.#cached(`~#${tag}`, false)
    return `[${tagText},${rep()}]`
  }

  #map(entries: readonly (readonly [unknown, unknown])[], depth: number): string {
    if (entries.some(([key]) => isComposite(key)))
      return this.#tagged('cmap', () => this.#list(entries.flat(1), depth + 1))
    let out = '["^ "'
    for (const [key, member] of entries) {
      out += `,${this.#cached(keyText(key), true)}`
      out += `,${this.value(member, depth + 1)}`
    }
    return `${out}]`
  }

  /** The string as JSON, or its code where it was written before. */
  #cached(s: string, isKey: boolean): string {
    if (!isCacheable(s, isKey)) return JSON.stringify(s)
    const known = this.#codes.get(s)
    if (known !== undefined) return known
    if (this.#codes.size === CACHE_SIZE) this.#codes.clear()
    this.#codes.set(s, `"${codeOf(this.#codes.size)}"`)
    return JSON.stringify(s)
  }
}

const codeOf = (index: number): string => {
  const digit = (d: number): string => String.fromCharCode(FIRST_DIGIT + d)
  const high = Math.floor(index / DIGITS)
  return `^${high === 0 ? '' : digit(high)}${digit(index % DIGITS)}`
}

const specialFloat = (v: number): string => (Number.isNaN(v) ? '~zNaN' : v > 0 ? '~zINF' : '~z-INF')
const isSafe = (v: bigint): boolean => v >= BigInt(Number.MIN_SAFE_INTEGER) && v <= BigInt(Number.MAX_SAFE_INTEGER)
const integerText = (v: bigint): string => `${fitsInt64(v) ? '~i' : '~n'}${v}`

/** A scalar in key position, where everything is text. */
const keyText = (key: unknown): string => {
  switch (typeof key) {
    case 'string':
      return escapeText(key)
    case 'number':
      return Number.isSafeInteger(key) ? `~i${key}` : Number.isFinite(key) ? `~d${key}` : specialFloat(key)
    case 'bigint':
      return integerText(key)
    case 'boolean':
      return key ? '~?t' : '~?f'
    default:
      return scalarText(key) ?? '~_'
  }
}

/**
 * A decoded element as JSON: instants as RFC 3339 UTC text, sets and lists as arrays, keywords, symbols, uuids, uris and
 * characters as text, bytes as base64, NaN and infinities as the texts "NaN", "Infinity" and "-Infinity", an unknown
 * tag as its value. A map with other keys than strings is an object of their texts, or an array of pairs where a key is
 * composite or two keys have one text.
 */
export const toJson = (value: unknown): Json => {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value !== 'object') return value === undefined ? null : (value as Json)
  if (value === null || value instanceof Decimal) return value
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof TransitSet || value instanceof TransitList) return value.values.map(toJson)
  if (value instanceof Instant || value instanceof Uuid || value instanceof Uri || value instanceof Char)
    return value.text
  if (value instanceof Keyword || value instanceof TransitSymbol) return value.name
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  if (value instanceof Tagged) return toJson(value.rep)
  if (value instanceof Link) return toJson(value.members)
  if (value instanceof TransitMap) return mapToJson(value)
  const out: Record<string, Json> = {}
  for (const key of Object.keys(value)) put(out, key, toJson((value as Record<string, unknown>)[key]))
  return out
}

const mapToJson = ({ entries }: TransitMap): Json => {
  const out = new Map<string, Json>()
  for (const [key, value] of entries) {
    const json = isComposite(key) ? undefined : toJson(key)
    const text = typeof json === 'string' ? json : String(json)
    if (json === undefined || out.has(text)) return entries.map(([k, v]) => [toJson(k), toJson(v)])
    out.set(text, toJson(value))
  }
  return Object.fromEntries(out)
}

/**
 * JSON as Transit has it: the texts of fields that `schema` calls `date-time` become instants, where the text of the
 * instant is the same text again (UTC, milliseconds); everything else stays as it is. Throws nothing.
 */
export const fromJson = (value: Json, schema?: JsonObject): unknown => {
  if (schema === undefined || value === null) return value
  if (typeof value === 'string') return schema['format'] === 'date-time' ? (instantLike(value) ?? value) : value
  if (typeof value !== 'object' || value instanceof Decimal) return value
  if (Array.isArray(value)) {
    const items = schema['items']
    return isSchema(items) && mayHoldInstants(items) ? value.map((v: Json) => fromJson(v, items)) : value
  }
  const properties = schema['properties']
  if (!isSchema(properties) || !mayHoldInstants(schema)) return value
  const out: Record<string, unknown> = {}
  for (const [key, member] of Object.entries(value as JsonObject)) {
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined
    put(out, key, isSchema(property) ? fromJson(member, property) : member)
  }
  return out
}

const isSchema = (v: Json | undefined): v is JsonObject => typeof v === 'object' && v !== null && !Array.isArray(v)

const knownToHold = new WeakMap<JsonObject, boolean>()
const mayHoldInstants = (schema: JsonObject): boolean => {
  let known = knownToHold.get(schema)
  if (known === undefined) {
    const { format, items, properties } = schema as { format?: Json; items?: Json; properties?: Json }
    known =
      format === 'date-time' ||
      (isSchema(items) && mayHoldInstants(items)) ||
      (isSchema(properties) && Object.values(properties).some((p) => isSchema(p) && mayHoldInstants(p)))
    knownToHold.set(schema, known)
  }
  return known
}

const instantLike = (text: string): Instant | undefined => {
  if (text.length !== 24 || text[23] !== 'Z') return undefined
  const ms = Date.parse(text)
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text ? new Instant(ms) : undefined
}
