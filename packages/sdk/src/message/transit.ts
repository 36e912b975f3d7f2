/**
 * Transit 0.8 in its JSON and JSON-verbose modes, as the 0.1 content type `transit` has it: one element a message, a
 * fresh cache for each. Reads both modes without being told, writes JSON mode.
 */
import { Decimal, type Json, type JsonObject } from './json.ts'
import { isComposite } from './transit-encode.ts'
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

export { decodeTransit } from './transit-decode.ts'
export { encodeTransit } from './transit-encode.ts'

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
  for (const key of Object.keys(value)) putMember(out, key, toJson((value as Record<string, unknown>)[key]))
  return out
}

const transitRecords = new WeakMap<JsonObject, unknown>()

/** Remembers what a record was in Transit, for when it is written as Transit again. */
export const keepTransit = (record: JsonObject, decoded: unknown): void => {
  transitRecords.set(record, decoded)
}

/** What a record was in Transit, with the instants and the rest that JSON has only texts for; undefined where it was JSON. */
export const keptTransit = (record: JsonObject): unknown => transitRecords.get(record)

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
    putMember(out, key, isSchema(property) ? fromJson(member, property) : member)
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
