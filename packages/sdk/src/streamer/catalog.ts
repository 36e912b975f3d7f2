/**
 * The catalog: what a streamer offers, as Singer programs write it, and what somebody chose of it.
 *
 * Selection follows the Singer SDK: a stream without an opinion is read when it is `selected-by-default` (or has no
 * metadata at all), a field without an opinion follows its parent, `automatic` fields are always kept, `unsupported` ones
 * never. `selected` may be the text "true" or "false". STRUCTURE files of 2017 (`is_synced`) are read as well.
 */
import { MillraceError } from '../errors/error.ts'
import { isObject, type Json, type JsonObject } from '../message/json.ts'
import type { MethodChoice, ReplicationMethod, Substream, SubstreamInfo } from './types.ts'

/** A substream, whose schema may be known to the catalog only: see `findSchema`. */
type Offered = SubstreamInfo & Pick<Partial<Substream>, 'findSchema'>

/** A substream that may be read in several ways. */
type Choosable<S> = Offered & { readonly choose?: (choice: MethodChoice) => S }

/** The Singer catalog of these substreams, with the standard metadata. */
export const discoverCatalog = (
  substreams: readonly (SubstreamInfo & Partial<Pick<Substream, 'choose'>>)[],
): JsonObject => ({
  streams: substreams.map((s) => ({
    tap_stream_id: s.name,
    stream: s.name,
    schema: s.schema,
    key_properties: s.keyProperties,
    ...(s.replicationKey === undefined ? {} : { replication_key: s.replicationKey }),
    replication_method: methodOf(s),
    metadata: [
      {
        breadcrumb: [],
        metadata: {
          inclusion: 'available',
          'selected-by-default': s.selectedByDefault ?? true,
          'table-key-properties': s.keyProperties,
          // A word of ours; other programs pass over it.
          ...(s.versioned === true ? { versioned: true } : {}),
          ...(s.choose === undefined ? { 'forced-replication-method': methodOf(s) } : {}),
          ...(s.replicationKey === undefined
            ? {}
            : { 'valid-replication-keys': [s.replicationKey], 'replication-key': s.replicationKey }),
        },
      },
      ...Object.keys(propertiesOf(s.schema)).map((field) => ({
        breadcrumb: ['properties', field],
        metadata: { inclusion: isAutomatic(s, field) ? 'automatic' : 'available' },
      })),
    ],
  })),
})

const methodOf = (s: SubstreamInfo): string =>
  s.replicationMethod ?? (s.replicationKey === undefined ? 'FULL_TABLE' : 'INCREMENTAL')

const isAutomatic = (s: SubstreamInfo, field: string): boolean =>
  s.keyProperties.includes(field) || s.replicationKey === field || s.automatic?.includes(field) === true

const propertiesOf = (schema: JsonObject): JsonObject => (isObject(schema['properties']) ? schema['properties'] : {})

/** What is kept of an object: by field, either all of it or a part. Fields that are not named are kept where `others`. */
export interface Keep {
  readonly others: boolean
  readonly fields: ReadonlyMap<string, Keep | boolean>
}

/** A substream that was chosen. */
export interface Selected<S = SubstreamInfo> {
  readonly name: string
  /** As the catalog wants it to be read. */
  readonly substream: S
  /** Top-level fields kept; undefined where nothing is dropped. */
  readonly fields: ReadonlySet<string> | undefined
  /** What is kept at every level; undefined where nothing is dropped. */
  readonly keep: Keep | undefined
  /** The method somebody asked for, where it is not the substream's own. */
  readonly fullTable: boolean
}

/** What was chosen, in the order of the substreams. */
export interface Selection<S = SubstreamInfo> {
  readonly selected: readonly Selected<S>[]
  /** Names in the catalog that the streamer does not have. */
  readonly unknown: readonly string[]
}

/** What a catalog (or a STRUCTURE file) chooses of these substreams; without one, what is selected by default. Throws CATALOG_INVALID. */
export const selectionOf = <S extends Choosable<S>>(
  catalog: JsonObject | undefined,
  substreams: readonly S[],
): Selection<S> => {
  if (catalog === undefined)
    return { selected: substreams.filter((s) => s.selectedByDefault !== false).map((s) => whole(s)), unknown: [] }
  const streams = catalog['streams']
  if (Array.isArray(streams)) return fromCatalog(streams as readonly Json[], substreams)
  return fromStructure(catalog, substreams)
}

const whole = <S extends Offered>(substream: S): Selected<S> => ({
  name: substream.name,
  substream,
  fields: undefined,
  keep: undefined,
  fullTable: false,
})

const invalid = (why: string): MillraceError => new MillraceError('CATALOG_INVALID', { why })

const truth = (v: Json | undefined): boolean | undefined => {
  if (typeof v === 'boolean') return v
  if (typeof v !== 'string') return undefined
  const word = v.toLowerCase()
  return word === 'true' ? true : word === 'false' ? false : undefined
}

const fromCatalog = <S extends Choosable<S>>(entries: readonly Json[], substreams: readonly S[]): Selection<S> => {
  const byName = new Map<string, JsonObject>()
  for (const entry of entries) {
    if (!isObject(entry)) throw invalid('an entry of "streams" is not an object')
    const name = entry['tap_stream_id'] ?? entry['stream']
    if (typeof name !== 'string') throw invalid('an entry of "streams" has no "tap_stream_id"')
    byName.set(name, entry)
  }
  const known = new Set(substreams.map((s) => s.name))
  const selected: Selected<S>[] = []
  for (const s of substreams) {
    const entry = byName.get(s.name)
    if (entry === undefined) continue
    const chosen = fromEntry(entry, s)
    if (chosen !== undefined) selected.push(chosen)
  }
  return { selected, unknown: [...byName.keys()].filter((n) => !known.has(n)) }
}

const fromEntry = <S extends Choosable<S>>(entry: JsonObject, substream: S): Selected<S> | undefined => {
  const metadata = new Map<string, JsonObject>()
  const list = entry['metadata'] ?? []
  if (!Array.isArray(list)) throw invalid(`the metadata of ${substream.name} is not a list`)
  for (const item of list as readonly Json[]) {
    if (!isObject(item) || !Array.isArray(item['breadcrumb']) || !isObject(item['metadata']))
      throw invalid(`the metadata of ${substream.name} has an entry without breadcrumb and metadata`)
    metadata.set(pathKey(item['breadcrumb'] as readonly Json[]), item['metadata'])
  }
  const top = metadata.get(pathKey([])) ?? {}
  const schema = isObject(entry['schema']) ? entry['schema'] : {}
  const isSelected =
    truth(top['selected']) ??
    truth(entry['selected']) ??
    truth(schema['selected']) ??
    truth(top['selected-by-default']) ??
    metadata.size === 0
  if (!isSelected) return undefined
  const info = substream.choose?.(choiceOf(top, substream.name)) ?? substream
  const offered = info.findSchema === undefined ? info.schema : schema
  const keep = keepOf(offered, [], true, metadata, (field) => isAutomatic(info, field))
  const fullTable = top['replication-method'] === 'FULL_TABLE' && methodOf(info) !== 'FULL_TABLE'
  return chosenFields(info, offered, keep, fullTable)
}

const methods: readonly ReplicationMethod[] = ['FULL_TABLE', 'INCREMENTAL', 'LOG_BASED']

/** What somebody wrote into the metadata of a substream about the way to read it. */
const choiceOf = (top: JsonObject, name: string): MethodChoice => {
  const { 'replication-method': method, 'replication-key': key, 'view-key-properties': keys } = top
  if (method !== undefined && method !== null && !methods.includes(method as ReplicationMethod))
    throw invalid(`the replication-method of ${name} is none of ${methods.join(', ')}`)
  if (key !== undefined && key !== null && typeof key !== 'string')
    throw invalid(`the replication-key of ${name} is not the name of a field`)
  if (keys !== undefined && keys !== null && !(Array.isArray(keys) && keys.every((k) => typeof k === 'string')))
    throw invalid(`the view-key-properties of ${name} are not a list of names`)
  return {
    method: (method as ReplicationMethod | null | undefined) ?? undefined,
    replicationKey: key ?? undefined,
    viewKeys: (keys as readonly string[] | null | undefined) ?? undefined,
  }
}

const chosenFields = <S extends Offered>(
  substream: S,
  schema: JsonObject,
  keep: Keep | true,
  fullTable: boolean,
): Selected<S> => {
  if (keep === true) return { ...whole(substream), fullTable }
  const fields = new Set(Object.keys(propertiesOf(schema)).filter((f) => (keep.fields.get(f) ?? keep.others) !== false))
  return { name: substream.name, substream, fields, keep, fullTable }
}

const pathKey = (breadcrumb: readonly Json[]): string => JSON.stringify(breadcrumb)

/** What is kept below `path`, or true where that is everything. */
const keepOf = (
  schema: JsonObject,
  path: readonly string[],
  parent: boolean,
  metadata: ReadonlyMap<string, JsonObject>,
  automatic: (field: string) => boolean,
): Keep | true => {
  const fields = new Map<string, Keep | boolean>()
  let drops = false
  for (const [name, raw] of Object.entries(propertiesOf(schema))) {
    const at = [...path, 'properties', name]
    const own = metadata.get(pathKey(at)) ?? {}
    const inclusion = own['inclusion']
    const isKept =
      (path.length === 0 && automatic(name)) ||
      inclusion === 'automatic' ||
      (inclusion !== 'unsupported' && (truth(own['selected']) ?? truth(own['selected-by-default']) ?? parent))
    if (!isKept) {
      drops = true
      fields.set(name, false)
      continue
    }
    const inner = isObject(raw) ? innerOf(raw, at) : undefined
    const below = inner === undefined ? true : keepOf(inner.schema, inner.path, true, metadata, () => false)
    if (below !== true) drops = true
    fields.set(name, below)
  }
  return drops ? { others: parent, fields } : true
}

/** The object inside a property: its own, or that of its array's items. */
const innerOf = (
  schema: JsonObject,
  path: readonly string[],
): { readonly schema: JsonObject; readonly path: readonly string[] } | undefined => {
  if (isObject(schema['properties'])) return { schema, path }
  const items = schema['items']
  return isObject(items) ? innerOf(items, [...path, 'items']) : undefined
}

/** Selection by a STRUCTURE file: nodes with `is_synced`, tables under databases or at the top. */
const fromStructure = <S extends Offered>(file: JsonObject, substreams: readonly S[]): Selection<S> => {
  const nodes = isObject(file['structure']) && !('is_synced' in file) ? file['structure'] : file
  const tables = new Map<string, JsonObject>()
  const collect = (map: JsonObject, isWanted: boolean): void => {
    for (const [name, node] of Object.entries(map)) {
      if (!isObject(node) || truth(node['is_synced']) === undefined)
        throw invalid(`it has no "streams", and as a STRUCTURE its node "${name}" has no "is_synced"`)
      const here = isWanted && truth(node['is_synced']) === true
      if (node['type'] === 'database' && isObject(node['children'])) collect(node['children'], here)
      else tables.set(name, here ? node : { ...node, is_synced: false })
    }
  }
  collect(nodes, true)
  const known = new Set(substreams.map((s) => s.name))
  const selected: Selected<S>[] = []
  for (const s of substreams) {
    const node = tables.get(s.name)
    if (node === undefined || truth(node['is_synced']) !== true) continue
    const children = node['children']
    if (!isObject(children)) {
      selected.push(whole(s))
      continue
    }
    const fields = new Map<string, boolean>()
    for (const field of Object.keys(s.findSchema === undefined ? propertiesOf(s.schema) : children)) {
      const child = children[field]
      if (child !== undefined && (!isObject(child) || truth(child['is_synced']) === undefined))
        throw invalid(`as a STRUCTURE its node "${s.name}.${field}" has no "is_synced"`)
      fields.set(field, isAutomatic(s, field) || (isObject(child) && truth(child['is_synced']) === true))
    }
    const drops = [...fields.values()].includes(false)
    selected.push(chosenFields(s, s.schema, drops ? { others: false, fields } : true, false))
  }
  return { selected, unknown: [...tables.keys()].filter((n) => !known.has(n)) }
}

/** The schema without what is not kept. */
export const pruneSchema = (schema: JsonObject, keep: Keep | undefined): JsonObject => {
  if (keep === undefined) return schema
  const properties = schema['properties']
  if (!isObject(properties))
    return isObject(schema['items']) ? { ...schema, items: pruneSchema(schema['items'], keep) } : schema
  const kept: Record<string, Json> = {}
  for (const [name, inner] of Object.entries(properties)) {
    const part = keep.fields.get(name) ?? keep.others
    if (part !== false) put(kept, name, part === true || !isObject(inner) ? inner : pruneSchema(inner, part))
  }
  const required = schema['required']
  return {
    ...schema,
    properties: kept,
    ...(Array.isArray(required)
      ? { required: required.filter((n) => typeof n === 'string' && Object.hasOwn(kept, n)) }
      : {}),
  }
}

/** The value without what is not kept. */
export const pruneValue = (value: Json, keep: Keep): Json => {
  if (Array.isArray(value)) return value.map((v: Json) => pruneValue(v, keep))
  if (!isObject(value)) return value
  const kept: Record<string, Json> = {}
  for (const name of Object.keys(value)) {
    const part = keep.fields.get(name) ?? keep.others
    if (part === false) continue
    const inner = value[name] as Json
    put(kept, name, part === true ? inner : pruneValue(inner, part))
  }
  return kept
}

/** Sets a member, also one that is called __proto__. */
const put = (target: Record<string, Json>, name: string, value: Json): void => {
  if (name === '__proto__')
    Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
  else target[name] = value
}
