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

/** The object with `value` at the place; objects that are missing on the way are made. */
export const withValueAt = (object: JsonObject, [first, ...rest]: JsonPath, value: Json): JsonObject => {
  if (first === undefined) return object
  if (rest.length === 0) return { ...object, [first]: value }
  const inner = object[first]
  return { ...object, [first]: withValueAt(isObject(inner ?? null) ? (inner as JsonObject) : {}, rest, value) }
}
