import { maxDepth } from './bytes.ts'
import { Decimal } from './json.ts'
import { CACHE_SIZE, DIGITS, FIRST_DIGIT, isCacheable } from './transit-cache.ts'
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
export const isComposite = (v: unknown): boolean => {
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
