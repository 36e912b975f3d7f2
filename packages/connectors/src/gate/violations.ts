/** From Ajv's finding to what a person is told: the field by its path, the rule in words, never the value. */
import type { Violation } from '@millrace/sdk'
import type { ErrorObject } from 'ajv'
import { formats } from './formats.ts'

const maxFieldLength = 200

/** `/address/zip` as `address.zip`; characters that would break a line are written as escapes. */
const pathOf = (pointer: string, last?: string): string => {
  const parts =
    pointer === ''
      ? []
      : pointer
          .slice(1)
          .split('/')
          .map((p) => p.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (last !== undefined) parts.push(last)
  const path = parts.join('.')
  const whole = path.length > maxFieldLength ? `${path.slice(0, maxFieldLength)}…` : path
  return /[\p{Cc}\p{Zl}\p{Zp}]/u.test(whole) ? JSON.stringify(whole).slice(1, -1) : whole
}

const plural = (n: unknown, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

/** The words for a keyword; given the keyword's parameters, none of which is a value of the record. */
const sayings: Readonly<Record<string, (params: Record<string, unknown>) => string>> = {
  type: ({ type }) => `must be ${(Array.isArray(type) ? type : String(type).split(',')).join(' or ')}`,
  required: () => 'is missing',
  dependencies: () => 'is missing, though another field needs it',
  dependentRequired: () => 'is missing, though another field needs it',
  additionalProperties: () => 'is not in the schema, which allows no other fields',
  unevaluatedProperties: () => 'is not in the schema, which allows no other fields',
  propertyNames: () => 'has a name that the schema does not allow',
  enum: () => 'must be one of the values that the schema lists',
  const: () => 'must be the one value that the schema allows',
  format: ({ format }) => `must be ${formats[String(format)]?.say ?? String(format)}`,
  pattern: ({ pattern }) => `must match the pattern ${String(pattern).slice(0, 100)}`,
  minLength: ({ limit }) => `must have at least ${plural(limit, 'character')}`,
  maxLength: ({ limit }) => `must have at most ${plural(limit, 'character')}`,
  minItems: ({ limit }) => `must have at least ${plural(limit, 'item')}`,
  maxItems: ({ limit }) => `must have at most ${plural(limit, 'item')}`,
  minProperties: ({ limit }) => `must have at least ${plural(limit, 'field')}`,
  maxProperties: ({ limit }) => `must have at most ${plural(limit, 'field')}`,
  minimum: ({ limit }) => `must be at least ${limit}`,
  maximum: ({ limit }) => `must be at most ${limit}`,
  exclusiveMinimum: ({ limit }) => `must be more than ${limit}`,
  exclusiveMaximum: ({ limit }) => `must be less than ${limit}`,
  exactMultipleOf: () => 'must be a multiple of what the schema says',
  exactUniqueItems: () => 'must have no two equal items',
  anyOf: () => 'fits none of the forms that the schema allows',
  oneOf: () => 'must fit exactly one of the forms of the schema',
  not: () => 'has a form that the schema forbids',
  if: () => 'does not fit the condition of the schema',
  contains: () => 'has not the items that the schema demands',
  'false schema': () => 'is forbidden by the schema',
}

const fieldBehind = (error: ErrorObject): string | undefined => {
  const params = error.params as Record<string, unknown>
  const name =
    params['missingProperty'] ?? params['additionalProperty'] ?? params['unevaluatedProperty'] ?? params['propertyName']
  return typeof name === 'string' ? name : undefined
}

/** The finding that says most: the last one, which is the whole where forms were tried; one of its parts if all the forms but one want null. */
const telling = (errors: readonly ErrorObject[]): ErrorObject => {
  const last = errors.at(-1) as ErrorObject
  if (last.keyword !== 'anyOf' && last.keyword !== 'oneOf') return last
  const parts = errors.filter((e) => e !== last && !(e.keyword === 'type' && e.params['type'] === 'null'))
  return parts.length === 1 ? (parts[0] as ErrorObject) : last
}

/** What a failed check says. */
export const violationOf = (errors: readonly ErrorObject[] | null | undefined): Violation => {
  if (errors === null || errors === undefined || errors.length === 0)
    return { field: '', rule: 'does not fit the schema' }
  const error = telling(errors)
  const say = sayings[error.keyword]
  return {
    field: pathOf(error.instancePath, fieldBehind(error)),
    rule: say?.(error.params as Record<string, unknown>) ?? `does not fit the keyword ${error.keyword.slice(0, 40)}`,
  }
}
