/** How column types follow from JSON Schema and from values, and how they widen. */
import { Decimal, isObject, type Json, type JsonObject } from '@millrace/sdk'
import type { ColumnType, Dialect } from './types.ts'

/** What numbers a database has. */
type NumberKinds = Pick<Dialect, 'exactDecimals' | 'anyDecimals'>

const MAX_REFS = 32
const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)
const BIGINT_LIMIT = 10n ** 38n

/** Whether a column of this type holds numbers with exact digits behind the point, at most `scale` of them. */
export const scaleOf = (type: ColumnType): number | undefined => {
  const m = /^decimal\(([0-9]+)\)$/.exec(type)
  return m === null ? undefined : Number(m[1])
}

/** The type that one value needs; undefined for null. */
export const typeOfValue = (value: Json): ColumnType | undefined => {
  switch (typeof value) {
    case 'boolean':
      return 'boolean'
    case 'string':
      return 'text'
    case 'number':
      return Number.isInteger(value) ? integerType(wholeOf(value)) : 'float'
    case 'bigint':
      return integerType(value)
    default:
      if (value === null) return undefined
      return value instanceof Decimal ? 'decimal' : 'json'
  }
}

/**
 * The whole number that a double stands for: a reader leaves a number a double where its shortest digits are those that
 * were written, so 1e25 is 10000000000000000000000000 and not what the double holds.
 */
export const wholeOf = (value: number): bigint => {
  if (Number.isSafeInteger(value)) return BigInt(value)
  const [digits = '', exponent = '0'] = String(value).split('e')
  const [whole = '', fraction = ''] = digits.split('.')
  return BigInt(whole + fraction) * 10n ** BigInt(Number(exponent) - fraction.length)
}

/** The smallest type that holds this integer. */
export const integerType = (value: bigint): ColumnType => {
  if (value >= INT64_MIN && value <= INT64_MAX) return 'integer'
  return value < BIGINT_LIMIT && value > -BIGINT_LIMIT ? 'bigint' : 'decimal'
}

const isNumeric = (t: ColumnType): boolean =>
  t === 'integer' || t === 'bigint' || t === 'float' || t.startsWith('decimal')

/**
 * The type of a column of type `has` that must also hold `wants`. What it holds already keeps its meaning:
 *
 * - integer → bigint → decimal; integer → float (→ decimal where it holds integers beyond 2^53: `beyondDouble`)
 * - float, bigint → decimal (digits) where both are needed
 * - date → timestamp → text
 * - json and text hold everything: a text column keeps objects as their JSON text
 * - boolean, number and object together: json; whatever else is mixed: text
 */
export const widen = (has: ColumnType, wants: ColumnType, beyondDouble: boolean = false): ColumnType => {
  if (has === wants || has === 'text' || has === 'json') return has
  if (isNumeric(has) && isNumeric(wants)) return widenNumber(has, wants, beyondDouble)
  if (has === 'date' && wants === 'timestamp') return 'timestamp'
  if (has === 'timestamp' && wants === 'date') return 'timestamp'
  if ((wants === 'json' || wants === 'boolean' || isNumeric(wants)) && (has === 'boolean' || isNumeric(has)))
    return 'json'
  return 'text'
}

const widenNumber = (has: ColumnType, wants: ColumnType, beyondDouble: boolean): ColumnType => {
  const pair = [has, wants]
  if (pair.includes('decimal')) return 'decimal'
  const scale = scaleOf(has) ?? scaleOf(wants)
  if (scale !== undefined) return pair.includes('integer') && scale <= 18 ? `decimal(${scale})` : 'decimal'
  if (pair.includes('float')) return pair.includes('bigint') || beyondDouble ? 'decimal' : 'float'
  return 'bigint'
}

/** The type of what may be one of several types. */
const union = (types: readonly ColumnType[]): ColumnType | undefined => {
  if (types.length === 0) return undefined
  if (types.includes('json')) return 'json'
  if (types.every(isNumeric) || types.length === 1) return types.reduce((a, b) => widen(a, b))
  if (types.every((t) => t === 'date' || t === 'timestamp')) return 'timestamp'
  return types.includes('text') || types.some((t) => t === 'date' || t === 'timestamp' || t === 'time')
    ? 'text'
    : 'json'
}

/** Follows local references and merges `allOf`, so that the members of a schema stand in one object. */
export const resolveSchema = (schema: Json | undefined, root: JsonObject, depth: number = 0): JsonObject => {
  if (!isObject(schema) || depth > MAX_REFS) return {}
  let s: JsonObject = schema
  const ref = s['$ref']
  if (typeof ref === 'string' && ref.startsWith('#')) {
    const { $ref: _, ...rest } = s
    s = { ...resolveSchema(pointer(root, ref.slice(1)), root, depth + 1), ...rest }
  }
  if (Array.isArray(s['allOf'])) {
    const { allOf, ...rest } = s
    let properties: JsonObject = {}
    let merged: JsonObject = {}
    for (const part of [...(allOf as readonly Json[]).map((p) => resolveSchema(p, root, depth + 1)), rest]) {
      if (isObject(part['properties'])) properties = { ...properties, ...part['properties'] }
      merged = { ...merged, ...part }
    }
    s = Object.keys(properties).length > 0 ? { ...merged, properties } : merged
  }
  return s
}

const pointer = (root: JsonObject, path: string): Json | undefined => {
  let at: Json | undefined = root
  for (const part of path.split('/').slice(1)) {
    if (!isObject(at)) return undefined
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    at = Object.hasOwn(at, key) ? at[key] : undefined
  }
  return at
}

/**
 * The column type of a property's schema: undefined where it allows nothing but null. A schema that says nothing about
 * types gives json.
 */
export const typeOfSchema = (
  schema: Json | undefined,
  root: JsonObject,
  numbers: NumberKinds,
): ColumnType | undefined => {
  const types = new Set<ColumnType>()
  const says = collect(schema, root, numbers, types, 0)
  return says ? union([...types]) : 'json'
}

/** Adds the types a schema allows; answers whether it says anything about them. */
const collect = (
  schema: Json | undefined,
  root: JsonObject,
  numbers: NumberKinds,
  out: Set<ColumnType>,
  depth: number,
): boolean => {
  const s = resolveSchema(schema, root)
  const named = s['type']
  if (named !== undefined) {
    const list = Array.isArray(named) ? named : [named]
    for (const name of list) {
      // Draft 3 and some taps put schemas into the list of types.
      if (isObject(name)) collect(name, root, numbers, out, depth + 1)
      else addNamed(String(name), s, numbers, out)
    }
    return true
  }
  const values =
    'const' in s ? [s['const'] as Json] : Array.isArray(s['enum']) ? (s['enum'] as readonly Json[]) : undefined
  if (values !== undefined) {
    for (const v of values) {
      const t = typeOfValue(v)
      if (t !== undefined) out.add(t)
    }
    return true
  }
  for (const word of ['anyOf', 'oneOf']) {
    const branches = s[word]
    if (!Array.isArray(branches) || depth > MAX_REFS) continue
    let all = branches.length > 0
    for (const branch of branches as readonly Json[]) if (!collect(branch, root, numbers, out, depth + 1)) all = false
    return all
  }
  if (isObject(s['properties']) || s['items'] !== undefined) {
    out.add('json')
    return true
  }
  if (typeof s['format'] === 'string' && stringType(s) !== 'text') {
    out.add(stringType(s))
    return true
  }
  return false
}

const addNamed = (name: string, s: JsonObject, numbers: NumberKinds, out: Set<ColumnType>): void => {
  if (name === 'boolean') out.add('boolean')
  else if (name === 'integer') out.add('integer')
  else if (name === 'number') out.add(numberType(s, numbers))
  else if (name === 'string') out.add(stringType(s))
  else if (name !== 'null') out.add('json')
}

const stringType = (s: JsonObject): ColumnType => {
  switch (s['format']) {
    case 'date-time':
      return 'timestamp'
    case 'date':
      return 'date'
    case 'time':
      return 'time'
    case 'singer.decimal':
    case 'x-singer.decimal':
      return 'decimal'
    default:
      return 'text'
  }
}

/** `multipleOf: 0.01` asks for two digits behind the point, the format `singer.decimal` for any. */
const numberType = (s: JsonObject, { exactDecimals, anyDecimals }: NumberKinds): ColumnType => {
  const step = s['multipleOf']
  if (s['format'] === 'singer.decimal') return anyDecimals ? 'decimal' : 'float'
  if (!exactDecimals || (typeof step !== 'number' && !(step instanceof Decimal))) return 'float'
  const m = /^1(?:e-([0-9]+))?$|^0\.(0*1)$/.exec(String(step))
  if (m === null) return 'float'
  const scale = m[1] !== undefined ? Number(m[1]) : (m[2]?.length ?? 0)
  return scale <= 18 ? `decimal(${scale})` : 'decimal'
}
