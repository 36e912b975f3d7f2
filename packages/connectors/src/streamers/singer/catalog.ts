/**
 * The catalog as a tap is given it: every stream and every field with `selected` written out, since taps differ in what they
 * take from silence. Where a catalog chooses nothing at all, everything is chosen that the tap does not keep back.
 */
import { isObject, type Json, type JsonObject } from '@millrace/sdk'

type Metadata = Map<string, { readonly breadcrumb: readonly Json[]; metadata: Record<string, Json> }>

export interface CatalogOptions {
  /** Metadata to set by stream (a name, or a pattern with `*`): `{"orders": {"replication-method": "INCREMENTAL"}}`. */
  readonly metadata: JsonObject
  /** For old taps, which get --properties: the choice also stands in the schemas. */
  readonly inSchemas: boolean
}

/** The catalog with every choice written out. The one given is not changed. */
export const chosenCatalog = (catalog: JsonObject, options: CatalogOptions): JsonObject => {
  const entries = (Array.isArray(catalog['streams']) ? (catalog['streams'] as readonly Json[]) : []).filter(isObject)
  const isChosen = entries.some((entry) => opinionOn(entry, topOf(metadataOf(entry))) === true)
  return { ...catalog, streams: entries.map((entry) => chosenEntry(entry, !isChosen, options)) }
}

const chosenEntry = (
  entry: JsonObject,
  otherwise: boolean,
  { metadata: given, inSchemas }: CatalogOptions,
): JsonObject => {
  const metadata = metadataOf(entry)
  const top = topOf(metadata)
  const selected =
    opinionOn(entry, top) ??
    (top['inclusion'] === 'unsupported' ? false : (truth(top['selected-by-default']) ?? otherwise))
  mark(metadata, [], { selected })
  for (const [pattern, values] of Object.entries(given))
    if (isObject(values) && (matches(pattern, nameOf(entry)) || matches(pattern, String(entry['stream'] ?? ''))))
      mark(metadata, [], values)
  const schema = isObject(entry['schema']) ? entry['schema'] : {}
  const fields = isObject(schema['properties']) ? schema['properties'] : {}
  const choices = new Map<string, boolean>()
  for (const [field, property] of Object.entries(fields)) {
    const breadcrumb = ['properties', field]
    const own = metadata.get(JSON.stringify(breadcrumb))?.metadata ?? {}
    const inclusion = own['inclusion'] ?? (isObject(property) ? property['inclusion'] : undefined)
    const choice =
      inclusion === 'automatic' ||
      (truth(own['selected']) ?? (inclusion === 'unsupported' ? false : (truth(own['selected-by-default']) ?? true)))
    choices.set(field, choice)
    mark(metadata, breadcrumb, { selected: choice })
  }
  const shown = { ...entry, metadata: [...metadata.values()] }
  if (!inSchemas) return shown
  return {
    ...shown,
    selected,
    schema: {
      ...schema,
      selected,
      properties: Object.fromEntries(
        Object.entries(fields).map(([field, property]) => [
          field,
          isObject(property) ? { ...property, selected: choices.get(field) ?? true } : property,
        ]),
      ),
    },
  }
}

const nameOf = (entry: JsonObject): string => String(entry['tap_stream_id'] ?? entry['stream'] ?? '')

const metadataOf = (entry: JsonObject): Metadata => {
  const metadata: Metadata = new Map()
  for (const item of Array.isArray(entry['metadata']) ? (entry['metadata'] as readonly Json[]) : []) {
    if (!isObject(item) || !Array.isArray(item['breadcrumb'])) continue
    const breadcrumb = item['breadcrumb'] as readonly Json[]
    metadata.set(JSON.stringify(breadcrumb), {
      breadcrumb,
      metadata: isObject(item['metadata']) ? { ...item['metadata'] } : {},
    })
  }
  return metadata
}

const topOf = (metadata: Metadata): JsonObject => metadata.get('[]')?.metadata ?? {}

const mark = (metadata: Metadata, breadcrumb: readonly string[], values: JsonObject): void => {
  const key = JSON.stringify(breadcrumb)
  const found = metadata.get(key) ?? { breadcrumb, metadata: {} }
  Object.assign(found.metadata, values)
  metadata.set(key, found)
}

/** What somebody chose for a stream, wherever its generation keeps that; undefined where nobody did. */
const opinionOn = (entry: JsonObject, top: JsonObject): boolean | undefined =>
  truth(top['selected']) ??
  truth(entry['selected']) ??
  truth(isObject(entry['schema']) ? entry['schema']['selected'] : undefined)

/** `true`, or the text "true", as samples have it. */
const truth = (value: Json | undefined): boolean | undefined =>
  typeof value === 'boolean' ? value : value === 'true' ? true : value === 'false' ? false : undefined

const matches = (pattern: string, name: string): boolean =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((p) => p.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
    's',
  ).test(name)
