/**
 * Selection: what of a catalog is read. Later entries win over earlier ones. Where every entry says `false`, the rest
 * stays as the streamer selects it by default; as soon as one entry selects something, only what is selected is read.
 */
import { isObject, type Json, type JsonObject, nearest } from '@millrace/sdk'
import { globTest } from './glob.ts'
import type { Selection } from './pipeline.ts'

/** What is wanted of one substream: undefined leaves it to the streamer's default. */
export type Wanted = boolean | readonly string[] | undefined

/** What a selection wants of a substream. */
export const wantedOf = (select: Selection, substream: string): Wanted => {
  let wanted: Wanted = Object.values(select).some((v) => v !== false) ? false : undefined
  for (const [pattern, value] of Object.entries(select)) if (globTest(pattern)(substream)) wanted = value
  return wanted
}

/** Whether a list of field patterns takes a field. Only `!` patterns: all but those; else only those named. */
export const takesField = (patterns: readonly string[], field: string): boolean => {
  let takes = patterns.every((p) => p.startsWith('!'))
  for (const pattern of patterns) {
    const not = pattern.startsWith('!')
    if (globTest(not ? pattern.slice(1) : pattern)(field)) takes = !not
  }
  return takes
}

/**
 * A Singer catalog with `selected` written into its metadata, and what of the selection named nothing in it (one line
 * of text each, with near names). The catalog given is not changed.
 */
export const applySelection = (
  catalog: JsonObject,
  select: Selection,
): { readonly catalog: JsonObject; readonly problems: readonly string[] } => {
  const entries = (Array.isArray(catalog['streams']) ? (catalog['streams'] as readonly Json[]) : []).filter(isObject)
  const names = entries.map(entryName)
  const problems: string[] = []
  for (const [pattern, value] of Object.entries(select)) {
    const matched = entries.filter((e) => globTest(pattern)(entryName(e)))
    if (matched.length === 0) problems.push(`select.${pattern}: no substream is called so${suggestion(pattern, names)}`)
    if (typeof value === 'boolean') continue
    for (const field of value) {
      const fields = matched.flatMap(fieldsOf)
      const plain = field.replace(/^!/, '')
      if (matched.length > 0 && fields.length > 0 && !fields.some(globTest(plain)))
        problems.push(`select.${pattern}: no field is called "${plain}"${suggestion(plain, fields)}`)
    }
  }
  return {
    catalog: { ...catalog, streams: entries.map((e) => selectEntry(e, wantedOf(select, entryName(e)))) },
    problems,
  }
}

/**
 * What of a catalog with its selection is not selected, by the names that messages may bear: `false` for a whole substream,
 * else its fields. For a program that may write what was not asked of it. Keys, and what a tap always sends, are selected.
 */
export const unselectedOf = (catalog: JsonObject): JsonObject => {
  const entries = (Array.isArray(catalog['streams']) ? (catalog['streams'] as readonly Json[]) : []).filter(isObject)
  const found = new Map<string, false | readonly string[]>()
  const ids = new Set(entries.map(entryName))
  const note = (name: string, of: false | readonly string[]): void => {
    const other = found.get(name)
    // Of entries that share a name, what one of them takes is not left out.
    if (other === undefined || other === false) found.set(name, of)
    else if (of !== false)
      found.set(
        name,
        of.filter((field) => other.includes(field)),
      )
  }
  for (const entry of entries) {
    const of = unselectedIn(entry)
    note(entryName(entry), of)
    const stream = String(entry['stream'] ?? '')
    if (stream !== '' && !ids.has(stream)) note(stream, of)
  }
  return Object.fromEntries([...found].filter(([, of]) => of === false || of.length > 0))
}

const unselectedIn = (entry: JsonObject): false | readonly string[] => {
  const of = new Map<string, JsonObject>()
  for (const item of Array.isArray(entry['metadata']) ? (entry['metadata'] as readonly Json[]) : [])
    if (isObject(item) && isObject(item['metadata'])) of.set(JSON.stringify(item['breadcrumb']), item['metadata'])
  const top = of.get('[]') ?? {}
  if (top['selected'] === false) return false
  const always = new Set(
    [
      entry['key_properties'],
      top['table-key-properties'],
      top['view-key-properties'],
      top['valid-replication-keys'],
      [entry['replication_key'] ?? null, top['replication-key'] ?? null],
    ].flatMap((names) => (Array.isArray(names) ? names.map(String) : [])),
  )
  return fieldsOf(entry).filter((field) => {
    const metadata = of.get(JSON.stringify(['properties', field]))
    return metadata?.['selected'] === false && metadata['inclusion'] !== 'automatic' && !always.has(field)
  })
}

const entryName = (entry: JsonObject): string => String(entry['tap_stream_id'] ?? entry['stream'] ?? '')

const fieldsOf = (entry: JsonObject): readonly string[] => {
  const schema = entry['schema']
  const properties = isObject(schema) ? schema['properties'] : undefined
  return isObject(properties) ? Object.keys(properties) : []
}

const suggestion = (typed: string, known: readonly string[]): string => {
  const near = nearest(typed, [...new Set(known)])
  return near.length > 0
    ? `; did you mean ${near.join(' or ')}?`
    : known.length > 0
      ? ` (there are ${known.join(', ')})`
      : ''
}

const selectEntry = (entry: JsonObject, wanted: Wanted): JsonObject => {
  if (wanted === undefined) return entry
  const metadata = new Map<string, { breadcrumb: readonly Json[]; metadata: Record<string, Json> }>()
  for (const item of Array.isArray(entry['metadata']) ? (entry['metadata'] as readonly Json[]) : []) {
    if (!isObject(item) || !Array.isArray(item['breadcrumb'])) continue
    const breadcrumb = item['breadcrumb'] as readonly Json[]
    metadata.set(JSON.stringify(breadcrumb), {
      breadcrumb,
      metadata: isObject(item['metadata']) ? { ...item['metadata'] } : {},
    })
  }
  const mark = (breadcrumb: readonly string[], selected: boolean): void => {
    const key = JSON.stringify(breadcrumb)
    const found = metadata.get(key) ?? { breadcrumb, metadata: {} }
    found.metadata['selected'] = selected
    metadata.set(key, found)
  }
  mark([], wanted !== false)
  if (typeof wanted !== 'boolean')
    for (const field of fieldsOf(entry)) mark(['properties', field], takesField(wanted, field))
  return { ...entry, metadata: [...metadata.values()] }
}
