/** One schema for files of one substream that have each their own. */
import { isObject, type Json, type JsonObject } from '@millrace/sdk'

/** A schema that allows what either does; the same object where the first allows it all. */
export const joined = (a: JsonObject, b: JsonObject): JsonObject => {
  const left = isObject(a['properties'] ?? null) ? (a['properties'] as JsonObject) : {}
  const right = isObject(b['properties'] ?? null) ? (b['properties'] as JsonObject) : {}
  let properties: Record<string, Json> | undefined
  for (const [name, schema] of Object.entries(right)) {
    const had = left[name]
    const both = had === undefined ? schema : join(had, schema)
    if (had !== undefined && JSON.stringify(had) === JSON.stringify(both)) continue
    properties ??= { ...left }
    properties[name] = both
  }
  return properties === undefined ? a : { ...a, properties }
}

const join = (a: Json, b: Json): Json => {
  if (JSON.stringify(a) === JSON.stringify(b) || !isObject(a) || !isObject(b)) return a
  // A schema that says nothing allows everything.
  if (a['type'] === undefined || b['type'] === undefined) return a['type'] === undefined && !('anyOf' in a) ? a : {}
  const types = [...new Set([a['type'], b['type']].flat() as string[])]
  const plain = types.filter((t) => t !== 'integer' || !types.includes('number'))
  const same = (key: string): JsonObject =>
    JSON.stringify(a[key]) === JSON.stringify(b[key]) && a[key] !== undefined ? { [key]: a[key] as Json } : {}
  const nested =
    isObject(a['properties'] ?? null) && isObject(b['properties'] ?? null)
      ? { properties: joined(a, b)['properties'] as Json }
      : {}
  return { type: plain, ...same('format'), ...same('multipleOf'), ...same('items'), ...nested }
}
