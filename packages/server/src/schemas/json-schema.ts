/**
 * Records against JSON Schema, compiled by Ajv. Whoever owns a stream chooses its schema, so it is not trusted: its size is limited,
 * it refers to nothing outside itself, patterns are matched in time that grows with the text only, and every part of the schema that a
 * check goes through is counted. `format` says nothing here, as the drafts have it.
 */
import { type ErrorObject, Ajv, type Options } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { RE2JS } from 're2js'
import type { RecordCheck } from '../streams/types.ts'
import { isPlain, maxSchemaDepth, maxSubschemas, SchemaFault, Steps, TooManySteps } from './fault.ts'

const stepKeyword = 'millraceStep'
const uniqueKeyword = 'millraceUnique'
const maxPattern = 1_000

/** Keywords whose value is no schema, nor holds any. */
const notSchemas = new Set(['const', 'default', 'enum', 'examples', 'required', 'dependentRequired', 'type'])
/** Keywords whose value has schemas by name. */
const schemaMaps = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependencies',
])

/** A regular expression as Ajv wants it. Look-around and back references there are none: they are what takes for ever. */
const linearPattern = (pattern: string): { test: (text: string) => boolean } => {
  const quoted = JSON.stringify(pattern.slice(0, 80))
  if (pattern.length > maxPattern) throw new SchemaFault(`a pattern is longer than ${maxPattern} characters`)
  try {
    const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern))
    return { test: (text) => compiled.matcher(text).find() }
  } catch (e) {
    throw new SchemaFault(`the pattern ${quoted} cannot be used: ${e instanceof Error ? e.message : String(e)}`)
  }
}

/** A copy in which every part counts its steps, and whose texts are looked at where Ajv does not. */
class Copier {
  #count = 0

  copy(source: unknown, depth: number): unknown {
    if (typeof source === 'boolean') return source
    if (!isPlain(source)) throw new SchemaFault(`${JSON.stringify(source)?.slice(0, 60)} is no schema`)
    if (++this.#count > maxSubschemas) throw new SchemaFault(`it has more than ${maxSubschemas} parts`)
    if (depth > maxSchemaDepth) throw new SchemaFault(`it is nested deeper than ${maxSchemaDepth} levels`)
    const to: Record<string, unknown> = { [stepKeyword]: true }
    for (const [key, value] of Object.entries(source)) {
      if (key === '__proto__' || key === stepKeyword || key === uniqueKeyword) continue
      if (key === '$id' || key === '$anchor' || key === '$ref') checkReference(key, value)
      // Ajv's own takes time with the square of the array.
      if (key === 'uniqueItems') to[uniqueKeyword] = value === true
      else if (notSchemas.has(key) || typeof value !== 'object' || value === null) to[key] = value
      else if (schemaMaps.has(key)) to[key] = this.#map(value, depth)
      else to[key] = Array.isArray(value) ? value.map((v) => this.#maybe(v, depth)) : this.copy(value, depth + 1)
    }
    return to
  }

  #map(source: object, depth: number): unknown {
    if (!isPlain(source)) return source
    const entries = Object.entries(source).filter(([name]) => name !== '__proto__')
    return Object.fromEntries(entries.map(([name, value]) => [name, this.#maybe(value, depth)]))
  }

  #maybe(value: unknown, depth: number): unknown {
    return isPlain(value) ? this.copy(value, depth + 1) : value
  }
}

const checkReference = (key: string, value: unknown): void => {
  if (typeof value !== 'string' || /[\s<>"{}|\\^`]/.test(value))
    throw new SchemaFault(`${key} ${JSON.stringify(value)?.slice(0, 80)} is no reference to a place (RFC 3986)`)
}

const ajvOf = (draft: unknown, steps: Steps): Ajv => {
  const options: Options = {
    strict: false,
    logger: false,
    validateFormats: false,
    inlineRefs: false,
    ownProperties: true,
    code: { regExp: Object.assign((pattern: string) => linearPattern(pattern), { code: 'linearPattern' }) as never },
  }
  const name = typeof draft === 'string' ? draft : ''
  const ajv = /2020-12/.test(name)
    ? new Ajv2020(options)
    : /2019-09/.test(name)
      ? new Ajv2019(options)
      : new Ajv(options)
  ajv.addKeyword({ keyword: stepKeyword, validate: () => steps.take(), errors: false })
  ajv.addKeyword({
    keyword: uniqueKeyword,
    type: 'array',
    validate: (asked: boolean, items: readonly unknown[]) => !asked || areUnique(items),
    errors: false,
  })
  return ajv
}

/** Equal values have equal texts: the keys of objects in order. */
const areUnique = (items: readonly unknown[]): boolean => new Set(items.map(canonical)).size === items.length
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) =>
    isPlain(v) ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1))) : v,
  )

/** Where and what, without the value: it is somebody's data. */
const wordsOf = (errors: readonly ErrorObject[] | null | undefined): string => {
  const [first] = errors ?? []
  if (first === undefined) return 'does not conform'
  const place = first.instancePath === '' ? '(top)' : first.instancePath
  const message = first.keyword === uniqueKeyword ? 'must NOT have duplicate items' : (first.message ?? first.keyword)
  return `${place.slice(0, 200)} ${message.slice(0, 200)}`
}

/** The drafts' own schemas of schemas, without which a misspelt keyword would say nothing. */
const metaSchemas = /draft-0[67]\/schema#?$|2019-09\/schema#?$|2020-12\/schema#?$/

/** The check of a JSON Schema. Throws {@link SchemaFault}. */
export const jsonSchemaCheck = (schema: unknown): RecordCheck => {
  const steps = new Steps()
  const copy = new Copier().copy(schema, 0)
  if (isPlain(copy)) {
    const { $schema } = copy
    const known = $schema === undefined || (typeof $schema === 'string' && metaSchemas.test($schema))
    if (!known) throw new SchemaFault(`$schema ${JSON.stringify($schema)?.slice(0, 100)} is none of draft 6 to 2020-12`)
    if (typeof $schema === 'string' && /draft-06/.test($schema))
      Object.assign(copy, { $schema: 'http://json-schema.org/draft-07/schema#' })
  }
  const ajv = ajvOf(isPlain(copy) ? copy['$schema'] : undefined, steps)
  let validate: ReturnType<Ajv['compile']>
  try {
    validate = ajv.compile(copy as object)
  } catch (e) {
    if (e instanceof SchemaFault || e instanceof RangeError) throw e
    throw new SchemaFault(e instanceof Error ? (e.message.split('\n')[0] ?? e.name) : String(e), { cause: e })
  }
  return (body) => {
    steps.begin(body.length)
    try {
      const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()
      return validate(JSON.parse(text)) ? undefined : wordsOf(validate.errors)
    } catch (e) {
      if (e instanceof SyntaxError) return 'is not JSON'
      if (e instanceof RangeError || e instanceof TooManySteps) return 'takes too long to check against the schema'
      throw e
    }
  }
}
