import { isObject, type Json, type JsonObject } from '../message/json.ts'

/**
 * A place in a JSON value: a JSON pointer (RFC 6901: `/data/items`, `/a~1b`), or names with points (`data.items`,
 * `$.data.items`). Empty, `$` and `/` mean the whole.
 */
export type JsonPath = readonly string[]

export const jsonPath = (text: string): JsonPath => {
  if (text === '' || text === '$' || text === '/') return []
  if (text.startsWith('/'))
    return text
      .slice(1)
      .split('/')
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  return text
    .replace(/^\$\.?/, '')
    .replace(/\[\*\]$/, '')
    .split('.')
}

/** The value at the place, or undefined. A number names an item of an array. */
export const valueAt = (value: Json | undefined, path: JsonPath): Json | undefined => {
  let v = value
  for (const part of path) {
    if (Array.isArray(v)) v = (v as readonly Json[])[Number(part)]
    else if (v !== undefined && isObject(v)) v = Object.hasOwn(v, part) ? v[part] : undefined
    else return undefined
  }
  return v
}

/** The object with `value` at the place; objects that are missing on the way are made. A number names an item of an array that is there. */
export const withValueAt = (object: JsonObject, path: JsonPath, value: Json): JsonObject =>
  path.length === 0 ? object : (withValue(object, path, value) as JsonObject)

const withValue = (before: Json | undefined, [first, ...rest]: JsonPath, value: Json): Json => {
  if (first === undefined) return value
  if (Array.isArray(before) && /^\d{1,6}$/.test(first)) {
    const items = [...(before as readonly Json[])]
    items[Math.min(Number(first), items.length)] = withValue(items[Number(first)], rest, value)
    return items
  }
  const object = before !== undefined && isObject(before) ? before : {}
  return { ...object, [first]: withValue(Object.hasOwn(object, first) ? object[first] : undefined, rest, value) }
}
