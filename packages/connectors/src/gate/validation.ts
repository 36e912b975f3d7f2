/**
 * Checks records against the schema of their substream: JSON Schema, drafts 4 to 2020-12, compiled by Ajv.
 *
 * A schema comes with the data and is not trusted: its size is limited, it refers to nothing outside itself, its patterns
 * cannot take for ever (patterns.ts), and a check that goes round in circles is stopped (docs/decisions/0003).
 */
import { createRequire } from 'node:module'
import {
  type CompileSchema,
  encodeJson,
  isMillraceError,
  type JsonObject,
  MillraceError,
  type RecordCheck,
  type SchemaMessage,
  type Violation,
} from '@millrace/sdk'
import type { Ajv, FuncKeywordDefinition, Options } from 'ajv'
import { compileByteCheck } from './byte-check.ts'
import { formats } from './formats.ts'
import { areUnique, multipleCheck } from './keywords.ts'
import { type Dialect, type NormalSchema, normalSchema, stepKeyword } from './normal-schema.ts'
import { safePattern } from './patterns.ts'
import { violationOf } from './violations.ts'

/** Longest text of a schema, in characters. */
const maxSchemaLength = 8 * 1024 * 1024
/**
 * Checks are kept for a schema that comes back, the one used longest ago goes first: so many characters of schemas in
 * all. A compiled check takes some hundred times the memory of its schema's text.
 */
const maxKeptLength = 128 * 1024
/** How often one record's check may follow a reference. */
const maxSteps = 2_000_000

type AjvClass = new (options: Options) => Ajv
type Checked = { (data: unknown): boolean; errors?: Parameters<typeof violationOf>[0] }

/** Ajv takes 40 ms to load, so it is loaded with the first schema or record that needs it, and only the draft that it needs. */
const load = createRequire(import.meta.url)
const classes = new Map<Dialect, AjvClass>()
const ajvFor = (dialect: Dialect): AjvClass => {
  let found = classes.get(dialect)
  if (found === undefined) {
    if (dialect === '2020-12') found = (load('ajv/dist/2020') as { readonly Ajv2020: AjvClass }).Ajv2020
    else if (dialect === '2019-09') found = (load('ajv/dist/2019') as { readonly Ajv2019: AjvClass }).Ajv2019
    else found = (load('ajv') as { readonly Ajv: AjvClass }).Ajv
    classes.set(dialect, found)
  }
  return found
}

/** Counts the references that one check follows. */
interface Steps {
  left: number
}

class TooManySteps extends Error {}

const newAjv = (normal: NormalSchema, steps: Steps): Ajv => {
  const ajv = new (ajvFor(normal.dialect))({
    meta: false,
    validateSchema: false,
    addUsedSchema: false,
    inlineRefs: false,
    strict: false,
    strictNumbers: false,
    logger: false,
    messages: false,
    ownProperties: normal.hasInheritedNames,
    code: { regExp: Object.assign((pattern: string) => safePattern(pattern), { code: 'safePattern' }) as never },
  })
  for (const [name, { check }] of Object.entries(formats)) ajv.addFormat(name, check)
  const keyword = (definition: FuncKeywordDefinition): void => {
    ajv.addKeyword({ errors: false, ...definition })
  }
  keyword({
    keyword: 'exactMultipleOf',
    type: 'number',
    schemaType: 'number',
    compile: (of: number) => multipleCheck(of),
  })
  keyword({
    keyword: 'exactUniqueItems',
    type: 'array',
    schemaType: 'boolean',
    validate: (_: unknown, items: unknown[]) => areUnique(items),
  })
  keyword({
    keyword: stepKeyword,
    validate: () => {
      if (--steps.left < 0) throw new TooManySteps()
      return true
    },
  })
  return ajv
}

const fault = (message: SchemaMessage, why: string, cause?: unknown): MillraceError =>
  new MillraceError('SCHEMA_INVALID', { line: message.line, stream: message.stream, why: why.slice(0, 300) }, { cause })

const wordsOf = (e: unknown): string => {
  if (e instanceof RangeError) return 'it is too large or nested too deep'
  return e instanceof Error ? (e.message.split('\n')[0] ?? e.name) : String(e)
}

const attempt = <T>(message: SchemaMessage, work: () => T): T => {
  try {
    return work()
  } catch (e) {
    throw fault(message, wordsOf(e), e)
  }
}

/** The check of a schema alone; throws at a record whose check does not end. */
const checkOf = (normal: NormalSchema, message: SchemaMessage): RecordCheck => {
  const steps: Steps = { left: maxSteps }
  const validate = attempt(message, () => newAjv(normal, steps).compile(normal.schema) as Checked)
  const { stream, line } = message
  if (!normal.hasRefs) return (record) => (validate(record) ? undefined : violationOf(validate.errors))
  const check: RecordCheck = (record) => {
    steps.left = maxSteps
    try {
      return validate(record) ? undefined : violationOf(validate.errors)
    } catch (e) {
      if (isMillraceError(e)) throw e
      if (e instanceof RangeError || e instanceof TooManySteps)
        throw new MillraceError(
          'SCHEMA_INVALID',
          { line, stream, why: 'its references go round in circles' },
          { cause: e },
        )
      throw e
    }
  }
  check({})
  return check
}

/** Every key property must be there and not null: without it a record has no identity. */
const withKeys = (check: RecordCheck, keys: readonly string[]): RecordCheck => {
  if (keys.length === 0) return check
  const rule = 'is a key property and must not be missing or null'
  return (record) => {
    for (const key of keys) {
      const value = record[key]
      if (value === undefined || value === null || (typeof value === 'function' && !Object.hasOwn(record, key)))
        return { field: key, rule }
    }
    return check(record)
  }
}

/**
 * Where bytes decide, Ajv compiles a schema only for the first record in doubt: most substreams never have one. Bytes
 * decide nothing of a schema that Ajv would refuse, so a bad one is still refused when it comes.
 */
const makeCheck = (text: string, message: SchemaMessage): RecordCheck => {
  const normal = attempt(message, () => normalSchema(JSON.parse(text) as JsonObject, text))
  const bytes = compileByteCheck(message.schema, message.keyProperties)
  const make = (): RecordCheck => withKeys(checkOf(normal, message), message.keyProperties)
  let careful = bytes === undefined ? make() : undefined
  const check = (record: JsonObject): Violation | undefined => {
    careful ??= make()
    return careful(record)
  }
  return Object.assign(check, bytes)
}

const kept = new Map<string, RecordCheck>()
let keptLength = 0

/**
 * The check of a substream's records: they must fit its schema, and have all their key properties. Compiled once for
 * each distinct schema. Formats and keywords that are not known say nothing. Throws SCHEMA_INVALID.
 */
export const compileSchema: CompileSchema = (message) => {
  const text = encodeJson(message.schema)
  if (text.length > maxSchemaLength) throw fault(message, `it is longer than ${maxSchemaLength} characters`)
  const mark = `${encodeJson([message.stream, message.keyProperties])}${text}`
  let check = kept.get(mark)
  if (check === undefined) {
    check = makeCheck(text, message)
  } else {
    kept.delete(mark)
    keptLength -= mark.length
  }
  kept.set(mark, check)
  keptLength += mark.length
  for (const oldest of kept.keys()) {
    if (keptLength <= maxKeptLength || oldest === mark) break
    keptLength -= oldest.length
    kept.delete(oldest)
  }
  return check
}
