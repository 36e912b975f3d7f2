/**
 * The `maps:` section of a pipeline: what happens to records between the reader and the persister. The order is fixed:
 * filter (on the record as it came), drop, mask, rename. Numbers stay exact and fields keep their order
 * (docs/reference/maps.md).
 */
import {
  type CompileMap,
  encodeJson,
  isObject,
  type Json,
  type JsonObject,
  MillraceError,
  nearest,
  parseExact,
  type RecordMessage,
  type SchemaMessage,
  type SubstreamMap,
} from '@millrace/sdk'
import { type Filter, FilterFault, readFilter } from './filter.ts'
import { type MaskKind, masked, maskedSchema, maskKinds } from './mask.ts'

/** The maps of one substream, read from the project file. */
interface SubstreamRules {
  readonly renameTo: string | undefined
  readonly rename: ReadonlyMap<string, string>
  readonly drop: ReadonlySet<string>
  readonly mask: ReadonlyMap<string, MaskKind>
  readonly salt: string
  readonly filter: ((schema: JsonObject) => Filter) | undefined
}

const settings = ['rename_to', 'rename', 'drop', 'mask', 'mask_salt', 'filter']

/** Reads the rules of one substream; enters what is wrong with them into `problems`. */
class RulesReader {
  readonly #where: string
  readonly #problems: string[]
  constructor(where: string, problems: string[]) {
    this.#where = where
    this.#problems = problems
  }

  read(rules: Json): SubstreamRules | undefined {
    if (!isObject(rules)) {
      this.#problem('must be an object')
      return undefined
    }
    for (const key of Object.keys(rules)) {
      if (settings.includes(key)) continue
      const near = nearest(key, settings)
      this.#problem(`has no "${key}"${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ''}`)
    }
    const drop = new Set(this.#drops(rules['drop']))
    const mask = new Map(this.#pairs(rules, 'mask') as [string, MaskKind][])
    for (const [field, kind] of mask) {
      if (!maskKinds.includes(kind)) this.#problem(`mask of ${field} must be one of ${maskKinds.join(', ')}`)
      if (drop.has(field)) this.#problem(`masks ${field} and drops it`)
    }
    const rename = new Map(this.#pairs(rules, 'rename'))
    for (const field of rename.keys()) if (drop.has(field)) this.#problem(`renames ${field} and drops it`)
    if (new Set(rename.values()).size < rename.size) this.#problem('renames two fields to one name')
    return {
      renameTo: this.#text(rules, 'rename_to'),
      rename,
      drop,
      mask,
      salt: this.#text(rules, 'mask_salt') ?? '',
      filter: this.#filter(this.#text(rules, 'filter')),
    }
  }

  #problem(why: string): void {
    this.#problems.push(`maps of ${this.#where} ${why}`)
  }

  #text(rules: JsonObject, key: string): string | undefined {
    const value = rules[key]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string' && value !== '') return value
    this.#problem(`need a text for ${key}`)
    return undefined
  }

  #drops(value: Json | undefined): readonly string[] {
    if (value === undefined || value === null) return []
    if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value as string[]
    this.#problem('need a list of field names for drop')
    return []
  }

  #pairs(rules: JsonObject, key: string): [string, string][] {
    const value = rules[key]
    if (value === undefined || value === null) return []
    if (isObject(value)) {
      const entries = Object.entries(value)
      if (entries.every(([, v]) => typeof v === 'string' && v !== '')) return entries as [string, string][]
    }
    this.#problem(`need field names with texts for ${key}`)
    return []
  }

  #filter(expression: string | undefined): SubstreamRules['filter'] {
    if (expression === undefined) return undefined
    try {
      return readFilter(expression)
    } catch (e) {
      if (!(e instanceof FilterFault)) throw e
      this.#problem(`have a filter that cannot be read: ${e.message}`)
      return undefined
    }
  }
}

/** Sets a field of a new object; `__proto__` is a name like any other. */
const put = (to: Record<string, Json>, key: string, value: Json): void => {
  if (key === '__proto__')
    Object.defineProperty(to, key, { value, enumerable: true, configurable: true, writable: true })
  else to[key] = value
}

/** The schema as the persister gets it. Throws CONFIG_INVALID where a rule would take the record's identity away. */
const mappedSchema = (rules: SubstreamRules, schema: SchemaMessage, isOwn: boolean): SchemaMessage => {
  // Rules for all substreams name fields that some of them have.
  const problems: string[] = isOwn ? [...unknownFields(rules, schema.schema)] : []
  for (const key of schema.keyProperties) {
    if (rules.drop.has(key)) problems.push(`drop key property ${key}`)
    const kind = rules.mask.get(key)
    if (kind === 'redact' || kind === 'last4')
      problems.push(`mask key property ${key} by ${kind}, so that records would replace each other (hash does not)`)
  }
  const rename = (name: string): string => rules.rename.get(name) ?? name
  const { properties, required } = schema.schema
  const to: Record<string, Json> = {}
  if (isObject(properties)) {
    for (const [name, of] of Object.entries(properties)) {
      if (rules.drop.has(name)) continue
      const kind = rules.mask.get(name)
      if (Object.hasOwn(to, rename(name))) problems.push(`rename a field to ${rename(name)}, which is there already`)
      put(to, rename(name), kind === undefined ? of : maskedSchema(kind, of))
    }
  }
  if (problems.length > 0)
    throw new MillraceError('CONFIG_INVALID', {
      what: `maps of ${schema.stream}`,
      problems,
      fix: 'Change `maps:` in millrace.yaml; see docs/reference/maps.md.',
    })
  return {
    ...schema,
    stream: rules.renameTo ?? schema.stream,
    schema: {
      ...schema.schema,
      ...(isObject(properties) ? { properties: to } : {}),
      ...(Array.isArray(required)
        ? {
            required: required
              .filter((n) => typeof n === 'string' && !rules.drop.has(n) && rules.mask.get(n) !== 'redact')
              .map((n) => rename(String(n))),
          }
        : {}),
    },
    keyProperties: schema.keyProperties.map(rename),
    ...(schema.bookmarkProperties === undefined
      ? {}
      : { bookmarkProperties: schema.bookmarkProperties.filter((n) => !rules.drop.has(n)).map(rename) }),
  }
}

/** Fields that rules name and the schema does not have: a misspelt mask would let the field through in clear. */
const unknownFields = (rules: SubstreamRules, schema: JsonObject): readonly string[] => {
  const { properties, additionalProperties, patternProperties } = schema
  // Without a list of fields, or where others are expected beside it, nothing can be said.
  if (!isObject(properties) || Object.keys(properties).length === 0) return []
  if (additionalProperties === true || isObject(additionalProperties) || isObject(patternProperties)) return []
  const known = Object.keys(properties)
  return [...namedFields(rules)]
    .filter(([field]) => !Object.hasOwn(properties, field))
    .map(([field, verb]) => {
      const near = nearest(field, known)
      return `${verb} ${field}, a field that it does not have${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ''}`
    })
}

const namedFields = (rules: SubstreamRules): ReadonlyMap<string, string> =>
  new Map([
    ...[...rules.rename.keys()].map((f) => [f, 'rename'] as const),
    ...[...rules.drop].map((f) => [f, 'drop'] as const),
    ...[...rules.mask.keys()].map((f) => [f, 'mask'] as const),
  ])

/** The record with fields dropped, masked and renamed. What is not masked keeps its bytes: no number is written anew. */
const mappedRecord = (rules: SubstreamRules, record: RecordMessage, stream: string): RecordMessage => {
  const members = record.members()
  const { buffer } = record
  const pieces: Buffer[] = []
  const targets = new Set<string>()
  let isChanged = false
  for (const [name, { from, to }] of members) {
    if (rules.drop.has(name)) {
      isChanged = true
      continue
    }
    const kind = rules.mask.get(name)
    const target = rules.rename.get(name) ?? name
    isChanged ||= kind !== undefined || target !== name
    if (targets.has(target))
      throw new MillraceError('VALUE_NOT_STORABLE', {
        line: record.line,
        stream: record.stream,
        field: target,
        why: 'a map renames another field to it, and the record has both',
      })
    targets.add(target)
    pieces.push(
      Buffer.from(`${pieces.length === 0 ? '{' : ','}${encodeJson(target)}:`),
      kind === undefined
        ? buffer.subarray(from, to)
        : Buffer.from(encodeJson(masked(parseExact(buffer.toString('utf8', from, to)), kind, rules.salt))),
    )
  }
  if (!isChanged) return record
  return record.withBytes(
    pieces.length === 0 ? Buffer.from('{}') : Buffer.concat([...pieces, Buffer.from('}')]),
    stream,
  )
}

const mapOf = (rules: SubstreamRules, message: SchemaMessage, isOwn: boolean): SubstreamMap => {
  const schema = mappedSchema(rules, message, isOwn)
  const filter = rules.filter?.(message.schema)
  const changes = rules.rename.size + rules.drop.size + rules.mask.size > 0
  return {
    schema,
    hidden: new Set(rules.mask.keys()),
    apply: (record) => {
      if (filter !== undefined) {
        try {
          if (!filter(record.record)) return undefined
        } catch (e) {
          if (!(e instanceof FilterFault)) throw e
          throw new MillraceError('VALUE_NOT_STORABLE', {
            line: record.line,
            stream: record.stream,
            field: '(the filter)',
            why: `it gives no answer for this record: ${e.message}`,
          })
        }
      }
      // A record that stays as it is keeps its bytes; its new substream is in the schema.
      return changes ? mappedRecord(rules, record, schema.stream) : record
    },
  }
}

/** A map that drops these fields, where they are there. */
export const leaveOut = (fields: readonly string[], schema: SchemaMessage): SubstreamMap =>
  mapOf(
    {
      renameTo: undefined,
      rename: new Map(),
      drop: new Set(fields),
      mask: new Map(),
      salt: '',
      filter: undefined,
    },
    schema,
    false,
  )

const twoInOne = (one: string, other: string, target: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    what: 'maps',
    problems: [
      `${one} and ${other} would both arrive as ${target}, where records with equal keys would replace each other`,
    ],
    fix: 'Change rename_to so that each substream has a name of its own; a view at the destination can join them.',
  })

/**
 * Makes the maps of a pipeline from the `maps:` section of its project file. The rules of a substream's own name count,
 * else those under `*`. Throws CONFIG_INVALID with everything that is wrong.
 */
export const compileMaps = (config: JsonObject): CompileMap => {
  const problems: string[] = []
  const rules = new Map<string, SubstreamRules>()
  for (const [name, of] of Object.entries(config)) {
    const read = new RulesReader(name === '*' ? 'all substreams (*)' : name, problems).read(of)
    if (read !== undefined) rules.set(name, read)
  }
  if (rules.get('*')?.renameTo !== undefined)
    problems.push('maps of all substreams (*) must not have rename_to: they would become one')
  if (problems.length > 0)
    throw new MillraceError('CONFIG_INVALID', {
      what: 'maps',
      problems,
      fix: 'See docs/reference/maps.md for every setting.',
    })
  const sources = new Map<string, string>()
  const came = new Set<string>()
  const compile = (schema: SchemaMessage): SubstreamMap | undefined => {
    came.add(schema.stream)
    const own = rules.get(schema.stream) ?? rules.get('*')
    const target = own?.renameTo ?? schema.stream
    const source = sources.get(target)
    if (source !== undefined && source !== schema.stream) throw twoInOne(source, schema.stream, target)
    sources.set(target, schema.stream)
    return own === undefined ? undefined : mapOf(own, schema, rules.has(schema.stream))
  }
  return Object.assign(compile, {
    unmatched: () => (came.size === 0 ? [] : [...rules.keys()].filter((name) => name !== '*' && !came.has(name))),
  })
}
