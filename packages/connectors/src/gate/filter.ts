/**
 * Filters by expression: CEL, the Common Expression Language. It has no loops without end, no side effects, and its
 * regular expressions take time in proportion to the text (docs/decisions/0004-filter-expressions.md).
 */
import { createRequire } from 'node:module'
import { Decimal, isObject, type Json, type JsonObject } from '@millrace/sdk'
import type * as Cel from '@bufbuild/cel'

/** Loaded (75 ms) with the first filter. */
const load = createRequire(import.meta.url)
let loaded: { readonly cel: typeof Cel; readonly env: Cel.CelEnv } | undefined
const celWithEnv = (): NonNullable<typeof loaded> => {
  if (loaded === undefined) {
    const cel = load('@bufbuild/cel') as typeof Cel
    loaded = { cel, env: cel.celEnv() }
  }
  return loaded
}

/** Why an expression cannot be used or gave no answer, in words without a value. */
export class FilterFault extends Error {}

/** An expression that was read. `record` is the record before any other map, `schema` says which numbers are whole. */
export type Filter = (record: JsonObject) => boolean

const typesOf = (schema: Json | undefined): readonly Json[] => (isObject(schema) ? [schema['type'] ?? []].flat() : [])

/** Values as CEL knows them: a number is a double, but one that its schema calls an integer is an int. */
type Convert = (value: Json) => unknown

const plainNumber: Convert = (value) => (value instanceof Decimal ? Number(value.text) : value)

const converterOf = (schema: Json | undefined, depth: number): Convert => {
  const types = typesOf(schema)
  const isWhole = types.includes('integer') && !types.includes('number')
  const properties = isObject(schema) && isObject(schema['properties']) ? schema['properties'] : {}
  const items = isObject(schema) && isObject(schema['items']) ? schema['items'] : undefined
  const fields = new Map(
    depth > 20 ? [] : Object.entries(properties).map(([name, of]) => [name, converterOf(of, depth + 1)]),
  )
  const item: Convert | undefined = items === undefined || depth > 20 ? undefined : converterOf(items, depth + 1)
  const convert: Convert = (value) => {
    if (typeof value === 'number') return isWhole && Number.isInteger(value) ? BigInt(value) : value
    if (typeof value !== 'object' || value === null || value instanceof Decimal) return plainNumber(value)
    if (Array.isArray(value)) return value.map(item ?? anything)
    const to: Record<string, unknown> = Object.create(null)
    for (const key of Object.keys(value)) to[key] = (fields.get(key) ?? anything)((value as JsonObject)[key] as Json)
    return Object.setPrototypeOf(to, Object.prototype)
  }
  return convert
}

const anything: Convert = (value) => {
  if (typeof value !== 'object' || value === null || value instanceof Decimal) return plainNumber(value)
  if (Array.isArray(value)) return value.map(anything)
  const to: Record<string, unknown> = Object.create(null)
  for (const key of Object.keys(value)) to[key] = anything((value as JsonObject)[key] as Json)
  return Object.setPrototypeOf(to, Object.prototype)
}

/**
 * What went wrong with a record, without its values: the engine's words may quote them, so only those known not to are
 * told. Names that stand in the expression are the user's own.
 */
const reasonOf = (e: unknown, expression: string): string => {
  const said = firstLine(e)
  const field = /^field not found: (.*)$/.exec(said)?.[1]
  if (field !== undefined) return expression.includes(field) ? said : 'field not found'
  return /^(found no matching overload|type mismatch|int (divide|modulus) by zero)/.test(said)
    ? said
    : 'a function in it cannot be applied to the value it got'
}

const firstLine = (e: unknown): string =>
  (e instanceof Error ? e.message : String(e)).split('\n')[0]?.slice(0, 200) ?? ''

/** Reads an expression; answers what makes a filter of it for a schema. Throws {@link FilterFault}. */
export const readFilter = (expression: string): ((schema: JsonObject) => Filter) => {
  const { cel, env } = celWithEnv()
  let plan: ReturnType<typeof Cel.plan>
  try {
    plan = cel.plan(env, cel.parse(expression))
  } catch (e) {
    throw new FilterFault(firstLine(e).replace(/^<input>:/, 'at '))
  }
  return (schema) => {
    const convert = converterOf(schema, 0)
    return (record) => {
      const answer = plan({ record: convert(record) as Cel.CelInput })
      if (typeof answer === 'boolean') return answer
      if (cel.isCelError(answer)) throw new FilterFault(reasonOf(answer, expression))
      throw new FilterFault('the answer is neither true nor false')
    }
  }
}
