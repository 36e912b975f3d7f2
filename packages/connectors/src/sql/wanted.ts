/** Which tables and columns a schema asks for. */
import { isObject, type Json, type JsonObject, type SchemaMessage } from '@millrace/sdk'
import { resolveSchema, typeOfSchema } from './column-types.ts'
import type { SqlSettings } from './settings.ts'
import type { ColumnType, Dialect } from './types.ts'

/** Objects deeper than this stay JSON where they are flattened: a recursive schema has no end. */
export const maxFlattenDepth = 8

export interface WantedColumn {
  readonly path: readonly string[]
  readonly type: ColumnType
}

export interface WantedTable {
  /** Where its array stands; empty for the substream's own table. */
  readonly path: readonly string[]
  readonly columns: readonly WantedColumn[]
  /** Whether the schema forbids fields it does not name. */
  readonly closed: boolean
}

/** The tables of a substream: its own first, then those of its arrays of objects where they are asked for. */
export const wantedTables = (
  message: SchemaMessage,
  settings: SqlSettings,
  dialect: Dialect,
): readonly WantedTable[] => {
  const root = message.schema
  const top = resolveSchema(root, root)
  const children: WantedTable[] = []
  const withChildren =
    settings.nested === 'child-tables' && settings.mode === 'upsert' && message.keyProperties.length > 0
  const columns: WantedColumn[] = []
  for (const [name, schema] of propertiesOf(top, root)) {
    const element = withChildren ? elementOf(schema, root) : undefined
    if (element === undefined) {
      addColumns([name], schema, { root, dialect, flatten: settings.nested === 'flatten' }, columns)
      continue
    }
    const inside: WantedColumn[] = []
    for (const [key, s] of propertiesOf(element, root)) addColumns([key], s, { root, dialect, flatten: false }, inside)
    children.push({ path: [name], columns: inside, closed: isClosed(element) })
  }
  for (const key of message.keyProperties)
    if (!columns.some((c) => c.path.length === 1 && c.path[0] === key)) columns.push({ path: [key], type: 'text' })
  return [{ path: [], columns, closed: isClosed(top) }, ...children]
}

const isClosed = (s: JsonObject): boolean => s['additionalProperties'] === false && isObject(s['properties'])

/** The properties of an object's schema, also those of its branches. */
const propertiesOf = (s: JsonObject, root: JsonObject): ReadonlyMap<string, Json> => {
  const all = new Map<string, Json>()
  if (isObject(s['properties']))
    for (const name of Object.keys(s['properties'])) all.set(name, s['properties'][name] as Json)
  for (const word of ['anyOf', 'oneOf']) {
    const branches = s[word]
    if (!Array.isArray(branches)) continue
    for (const branch of branches as readonly Json[]) {
      const properties = resolveSchema(branch, root)['properties']
      if (isObject(properties))
        for (const name of Object.keys(properties)) if (!all.has(name)) all.set(name, properties[name] as Json)
    }
  }
  return all
}

/** The kinds a schema names, without null. */
const kindsOf = (s: JsonObject): readonly string[] => {
  const type = s['type']
  const list = Array.isArray(type) ? type.map(String) : type === undefined ? [] : [String(type)]
  return list.filter((t) => t !== 'null')
}

/** The schema of the elements of an array of objects; undefined for anything else. */
const elementOf = (schema: Json, root: JsonObject): JsonObject | undefined => {
  const s = resolveSchema(schema, root)
  if (kindsOf(s).join() !== 'array') return undefined
  const items = resolveSchema(s['items'], root)
  return kindsOf(items).join() === 'object' && isObject(items['properties']) ? items : undefined
}

const addColumns = (
  path: readonly string[],
  schema: Json,
  how: { readonly root: JsonObject; readonly dialect: Dialect; readonly flatten: boolean },
  out: WantedColumn[],
): void => {
  const s = resolveSchema(schema, how.root)
  const inner = s['properties']
  if (
    how.flatten &&
    path.length < maxFlattenDepth &&
    kindsOf(s).join() === 'object' &&
    isObject(inner) &&
    Object.keys(inner).length > 0
  ) {
    for (const key of Object.keys(inner)) addColumns([...path, key], inner[key] as Json, how, out)
    return
  }
  const type = typeOfSchema(s, how.root, how.dialect)
  // A property that can only be null gets its column with its first value.
  if (type !== undefined) out.push({ path, type })
}
