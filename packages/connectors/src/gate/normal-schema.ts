/**
 * Any JSON Schema from draft 4 to 2020-12, as one that Ajv compiles without surprises: only keywords that say something,
 * every `$ref` to a definition of its own, no name that leads out of the schema. What is only clumsy is mended, what
 * cannot be meant is refused.
 */
import type { JsonObject } from '@millrace/sdk'

/** Which generation of keywords counts. Drafts 4 to 7 differ only in what is mended here. */
export type Dialect = 'draft-04' | 'draft-07' | '2019-09' | '2020-12'

/** What a schema became. */
export interface NormalSchema {
  readonly dialect: Dialect
  readonly schema: JsonObject
  /** Whether it has references, so that a check can be without end. */
  readonly hasRefs: boolean
  /** Whether it names a field as every object has it, such as `constructor`. */
  readonly hasInheritedNames: boolean
}

/** The reason, in words, why a schema cannot be used. */
export class SchemaFault extends Error {}

const maxSubschemas = 100_000
const maxNesting = 200
/** Properties that are checked in one function. */
const maxTogether = 200
/** The keyword by which steps are counted in schemas with references. */
export const stepKeyword = 'millraceStep'

type Plain = Readonly<Record<string, unknown>>
const isPlain = (v: unknown): v is Plain => typeof v === 'object' && v !== null && !Array.isArray(v)

const oneSchema = new Set([
  'additionalItems',
  'additionalProperties',
  'contains',
  'else',
  'if',
  'not',
  'propertyNames',
  'then',
  'unevaluatedItems',
  'unevaluatedProperties',
])
const schemaLists = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
const schemaMaps = new Set(['properties', 'patternProperties', 'dependentSchemas'])
const plainKeywords = new Set([
  'const',
  'dependentRequired',
  'enum',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'format',
  'maxContains',
  'maxItems',
  'maxLength',
  'maxProperties',
  'maximum',
  'minContains',
  'minItems',
  'minLength',
  'minProperties',
  'minimum',
  'multipleOf',
  'pattern',
  'uniqueItems',
])
const notInDraft4 = new Set(['const', 'contains', 'propertyNames', 'if', 'then', 'else'])
const since2019 = new Set([
  'dependentSchemas',
  'dependentRequired',
  'unevaluatedItems',
  'unevaluatedProperties',
  'minContains',
  'maxContains',
])
const typeNames = new Set(['null', 'boolean', 'object', 'array', 'number', 'integer', 'string'])

/** Tells the draft by `$schema`; where it has none, by keywords that only one draft has. */
const dialectOf = (root: Plain, text: string): Dialect => {
  const named = typeof root['$schema'] === 'string' ? root['$schema'] : ''
  if (/draft-0?[34]\b/.test(named)) return 'draft-04'
  if (/draft-0?[67]\b/.test(named)) return 'draft-07'
  if (/2019-09/.test(named)) return '2019-09'
  if (/20(20|2[1-9])-\d\d/.test(named)) return '2020-12'
  if (/"(prefixItems|\$dynamicRef)":/.test(text)) return '2020-12'
  if (/"(\$recursiveRef|unevaluatedProperties|unevaluatedItems|dependentSchemas|dependentRequired)":/.test(text))
    return '2019-09'
  return 'draft-07'
}

/** Makes one schema normal. For one call. */
class Normalizer {
  readonly dialect: Dialect
  readonly #root: Plain
  readonly #definitions: Record<string, unknown> = {}
  readonly #names = new Map<unknown, string>()
  readonly #waiting: { readonly name: string; readonly source: unknown }[] = []
  #anchors: Map<string, unknown> | undefined
  #count = 0
  #parts = 0
  hasInheritedNames = false

  constructor(root: Plain, text: string) {
    this.#root = root
    this.dialect = dialectOf(root, text)
  }

  run(): JsonObject {
    const schema = this.#copy(this.#root, '(top)', 0) as Record<string, unknown>
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      const copy = this.#copy(next.source, `(${next.name})`, 0)
      this.#definitions[next.name] =
        typeof copy === 'boolean'
          ? copy
          : this.#isOld && '$ref' in copy
            ? { allOf: [copy], [stepKeyword]: true }
            : { ...copy, [stepKeyword]: true }
    }
    return (
      Object.keys(this.#definitions).length > 0 ? { ...schema, definitions: this.#definitions } : schema
    ) as JsonObject
  }

  get hasRefs(): boolean {
    return this.#names.size > 0
  }

  get #isOld(): boolean {
    return this.dialect === 'draft-04' || this.dialect === 'draft-07'
  }

  #copy(source: unknown, place: string, depth: number): boolean | Record<string, unknown> {
    if (++this.#count > maxSubschemas) throw new SchemaFault(`it has more than ${maxSubschemas} parts`)
    if (depth > maxNesting) throw new SchemaFault(`it is nested deeper than ${maxNesting} levels`)
    if (typeof source === 'boolean') return source
    if (!isPlain(source)) throw new SchemaFault(`${place} is no schema`)
    const ref = source['$ref'] ?? source['$dynamicRef'] ?? source['$recursiveRef']
    if (typeof ref === 'string') {
      const target = { $ref: `#/definitions/${this.#nameOf(ref)}` }
      if (this.#isOld) return target
      return { allOf: [target, this.#keywords(source, place, depth)] }
    }
    return this.#keywords(source, place, depth)
  }

  #keywords(source: Plain, place: string, depth: number): Record<string, unknown> {
    const to: Record<string, unknown> = {}
    for (const [key, value] of Object.entries(source)) {
      if ((value === null && key !== 'const') || (this.dialect === 'draft-04' && notInDraft4.has(key))) continue
      if (this.#isOld && since2019.has(key)) continue
      const here = `${place}.${key}`
      if (oneSchema.has(key)) to[key] = this.#copy(value, here, depth + 1)
      else if (schemaLists.has(key)) {
        if (!Array.isArray(value) || value.length === 0) throw new SchemaFault(`${here} must be a list of schemas`)
        if (key !== 'prefixItems' || this.dialect === '2020-12')
          to[key] = value.map((v) => this.#copy(v, here, depth + 1))
      } else if (schemaMaps.has(key)) to[key] = this.#map(value, here, depth)
      else if (plainKeywords.has(key)) to[key] = value
    }
    this.#protoProperty(source['properties'], to, place, depth)
    this.#items(source, to, place, depth)
    this.#dependencies(source['dependencies'], to, place, depth)
    this.#types(source['type'], to, place)
    this.#mend(source, to)
    this.#split(to)
    return to
  }

  #map(value: unknown, place: string, depth: number): Record<string, unknown> {
    if (!isPlain(value)) throw new SchemaFault(`${place} must be an object`)
    const to: Record<string, unknown> = {}
    for (const [name, schema] of Object.entries(value)) {
      if (name in Object.prototype) this.hasInheritedNames = true
      if (name !== '__proto__') to[name] = this.#copy(schema, `${place}.${name}`, depth + 1)
    }
    return to
  }

  /** Ajv passes over a property `__proto__`, but not over a pattern that means it. */
  #protoProperty(properties: unknown, to: Record<string, unknown>, place: string, depth: number): void {
    const of = isPlain(properties) ? Object.entries(properties).find(([name]) => name === '__proto__') : undefined
    if (of === undefined) return
    const schema = this.#copy(of[1], `${place}.properties.__proto__`, depth + 1)
    to['patternProperties'] = { ...(to['patternProperties'] as Plain | undefined), '^__proto__$': schema }
  }

  /** `items` is a schema or, until 2019, a list; then `additionalItems` is for the rest. */
  #items(source: Plain, to: Record<string, unknown>, place: string, depth: number): void {
    const { items } = source
    if (items === undefined || items === null) {
      delete to['additionalItems']
      return
    }
    if (!Array.isArray(items)) {
      to['items'] = this.#copy(items, `${place}.items`, depth + 1)
      delete to['additionalItems']
      return
    }
    const list = items.map((v) => this.#copy(v, `${place}.items`, depth + 1))
    if (this.dialect !== '2020-12') {
      if (list.length > 0) to['items'] = list
      return
    }
    if (list.length > 0) to['prefixItems'] = list
    if (to['additionalItems'] !== undefined) to['items'] = to['additionalItems']
    delete to['additionalItems']
  }

  #dependencies(value: unknown, to: Record<string, unknown>, place: string, depth: number): void {
    if (!isPlain(value)) return
    const dependencies: Record<string, unknown> = {}
    for (const [name, of] of Object.entries(value)) {
      if (name === '__proto__') continue
      dependencies[name] = Array.isArray(of) ? of : this.#copy(of, `${place}.dependencies`, depth + 1)
    }
    to['dependencies'] = dependencies
  }

  #types(value: unknown, to: Record<string, unknown>, place: string): void {
    if (value === undefined || value === null) return
    const types = Array.isArray(value) ? value : [value]
    if (types.includes('any')) return
    const wrong = types.find((t) => typeof t !== 'string' || !typeNames.has(t))
    if (wrong !== undefined || types.length === 0)
      throw new SchemaFault(
        `${place} has the type ${JSON.stringify(wrong ?? []).slice(0, 60)}, which JSON Schema does not know`,
      )
    const unique = [...new Set(types)]
    to['type'] = unique.length === 1 ? unique[0] : unique
  }

  /** What older drafts and hasty streamers write. */
  #mend(source: Plain, to: Record<string, unknown>): void {
    for (const [exclusive, limit] of [
      ['exclusiveMinimum', 'minimum'],
      ['exclusiveMaximum', 'maximum'],
    ] as const) {
      if (typeof to[exclusive] !== 'boolean') continue
      const isExclusive = to[exclusive] === true && typeof to[limit] === 'number'
      delete to[exclusive]
      if (!isExclusive) continue
      to[exclusive] = to[limit]
      delete to[limit]
    }
    const { required } = source
    if (Array.isArray(required)) {
      const names = [...new Set(required)].filter((n) => typeof n === 'string')
      if (names.some((n) => n in Object.prototype)) this.hasInheritedNames = true
      if (names.length > 0) to['required'] = names
    }
    if (typeof to['format'] !== 'string') delete to['format']
    // Ajv's own are inexact with decimals, and slow with the square of the array.
    const { multipleOf, uniqueItems } = to
    delete to['multipleOf']
    delete to['uniqueItems']
    if (typeof multipleOf === 'number') to['exactMultipleOf'] = multipleOf
    if (uniqueItems === true) to['exactUniqueItems'] = true
  }

  /** Ajv nests the code of one property in that of the one before; too many of them exhaust the stack. */
  #split(to: Record<string, unknown>): void {
    const properties = Object.entries((to['properties'] ?? {}) as Plain)
    if (properties.length <= maxTogether) return
    const parts: unknown[] = []
    for (let i = 0; i < properties.length; i += maxTogether) {
      const name = `p${this.#parts++}`
      this.#definitions[name] = { properties: Object.fromEntries(properties.slice(i, i + maxTogether)) }
      parts.push({ $ref: `#/definitions/${name}` })
    }
    to['properties'] = Object.fromEntries(properties.map(([name]) => [name, true]))
    to['allOf'] = [...((to['allOf'] as unknown[] | undefined) ?? []), ...parts]
  }

  /** The name of the definition that a reference means. */
  #nameOf(ref: string): string {
    const target = this.#target(ref)
    if (target === undefined)
      throw new SchemaFault(`it refers to ${JSON.stringify(ref.slice(0, 100))}, which it does not hold`)
    let name = this.#names.get(target)
    if (name === undefined) {
      name = `d${this.#names.size}`
      this.#names.set(target, name)
      this.#waiting.push({ name, source: target })
    }
    return name
  }

  #target(ref: string): unknown {
    const hash = ref.indexOf('#')
    const base = hash < 0 ? ref : ref.slice(0, hash)
    const fragment = hash < 0 ? '' : ref.slice(hash + 1)
    const root = base === '' || base === this.#idOf(this.#root) ? this.#root : this.#anchored(base)
    if (fragment === '' || root === undefined) return root
    if (!fragment.startsWith('/')) return this.#anchored(fragment)
    let at: unknown = root
    for (const part of fragment.slice(1).split('/')) {
      const key = unescapePointer(part)
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
      at = (at as Plain)[key]
    }
    return at
  }

  #idOf(schema: Plain): string | undefined {
    const id = schema['$id'] ?? schema['id']
    return typeof id === 'string' ? id.replace(/#$/, '') : undefined
  }

  /** Schemas by `$anchor`, `$dynamicAnchor` and by `$id` (`#name`, or the text as it stands). */
  #anchored(name: string): unknown {
    if (this.#anchors === undefined) {
      this.#anchors = new Map()
      const waiting: unknown[] = [this.#root]
      for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
        if (Array.isArray(at)) waiting.push(...at.filter((v) => typeof v === 'object' && v !== null))
        if (!isPlain(at)) continue
        for (const key of ['$anchor', '$dynamicAnchor', '$id', 'id']) {
          const given = at[key]
          if (typeof given === 'string') this.#anchors.set(given.replace(/^#|#$/g, ''), at)
        }
        waiting.push(...Object.values(at).filter((v) => typeof v === 'object' && v !== null))
      }
    }
    return this.#anchors.get(name)
  }
}

const unescapePointer = (part: string): string => {
  let text = part
  try {
    text = decodeURIComponent(part)
  } catch {
    // A stray % means itself.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** Makes a schema (as JSON.parse gave it, with its text) normal. Throws {@link SchemaFault}. */
export const normalSchema = (root: Plain, text: string): NormalSchema => {
  const normalizer = new Normalizer(root, text)
  const schema = normalizer.run()
  const types = [schema['type'] ?? 'object'].flat()
  if (!types.includes('object')) throw new SchemaFault(`its top must be an object, not ${types.join(' or ')}`)
  return {
    dialect: normalizer.dialect,
    schema,
    hasRefs: normalizer.hasRefs,
    hasInheritedNames: normalizer.hasInheritedNames,
  }
}
