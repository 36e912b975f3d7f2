import {
  isObject,
  type Json,
  type JsonObject,
  MillraceError,
  pruneSchema,
  type PlannedSchema,
  selectionOf,
} from '@millrace/sdk'

/** The SCHEMA messages that a streamer would begin with, out of its catalog: fields that are not selected are left out. Throws CATALOG_INVALID. */
export const catalogSchemas = (catalog: JsonObject): readonly PlannedSchema[] => {
  const entries = catalog['streams']
  if (!Array.isArray(entries)) throw new MillraceError('CATALOG_INVALID', { why: 'it has no list "streams"' })
  return (entries as readonly Json[]).filter(isObject).filter(isSelected).map(schemaOf)
}

const topMetadata = (entry: JsonObject): JsonObject => {
  const metadata = Array.isArray(entry['metadata']) ? (entry['metadata'] as readonly Json[]) : []
  const top = metadata.find((m) => isObject(m) && Array.isArray(m['breadcrumb']) && m['breadcrumb'].length === 0)
  return isObject(top) && isObject(top['metadata']) ? top['metadata'] : {}
}

/** Whether a substream is read: what somebody chose, else what the streamer does by default. */
export const isSelected = (entry: JsonObject): boolean => {
  const top = topMetadata(entry)
  const chosen = top['selected'] ?? entry['selected'] ?? top['selected-by-default']
  return chosen !== false && chosen !== 'false'
}

/** The name of a catalog's entry. */
export const substreamOf = (entry: JsonObject): string => String(entry['tap_stream_id'] ?? entry['stream'] ?? '')

/** The key properties of a catalog's entry, wherever it keeps them. */
export const keysOf = (entry: JsonObject): readonly string[] => {
  const keys = entry['key_properties'] ?? topMetadata(entry)['table-key-properties']
  return Array.isArray(keys) ? keys.map(String) : []
}

const schemaOf = (entry: JsonObject): PlannedSchema => ({
  type: 'SCHEMA',
  stream: String(entry['stream'] ?? substreamOf(entry)),
  schema: selectedSchema(entry, isObject(entry['schema']) ? entry['schema'] : { type: 'object' }),
  keyProperties: keysOf(entry),
  ...(topMetadata(entry)['versioned'] === true ? { versioned: true } : {}),
  line: 0,
})

const selectedSchema = (entry: JsonObject, schema: JsonObject): JsonObject => {
  const name = substreamOf(entry)
  const key = entry['replication_key']
  const info = {
    name,
    schema,
    keyProperties: keysOf(entry),
    ...(typeof key === 'string' ? { replicationKey: key } : {}),
  }
  return pruneSchema(schema, selectionOf({ streams: [entry] }, [info]).selected[0]?.keep)
}
