import { Decimal, isObject, type Json, type JsonObject } from '../message/json.ts'

/**
 * What is wrong with a value by the plain part of JSON Schema that streamers use: type, properties, required, items,
 * enum, anyOf. For the suites; the gate of a run checks everything.
 */
export const violationOf = (schema: JsonObject, value: Json, path: string = ''): string | undefined => {
  const at = path === '' ? 'the record' : path
  const branches = schema['anyOf']
  if (Array.isArray(branches) && !branches.some((b) => isObject(b) && violationOf(b, value, path) === undefined))
    return `${at} fits no branch`
  const values = schema['enum']
  if (Array.isArray(values) && !values.includes(value)) return `${at} is not one of the values`
  const types = schema['type'] === undefined ? undefined : [schema['type']].flat()
  if (types !== undefined && !types.some((t) => hasType(value, t as string)))
    return `${at} is not ${types.join(' or ')}`
  if (Array.isArray(value)) {
    const items = schema['items']
    if (!isObject(items)) return undefined
    for (const [i, v] of value.entries()) {
      const inner = violationOf(items, v, `${path}[${i}]`)
      if (inner !== undefined) return inner
    }
    return undefined
  }
  if (!isObject(value)) return undefined
  const required = schema['required']
  if (Array.isArray(required))
    for (const name of required) if (!Object.hasOwn(value, String(name))) return `${at} has no ${name}`
  const properties = schema['properties']
  if (!isObject(properties)) return undefined
  for (const [name, v] of Object.entries(value)) {
    const inner = properties[name]
    const found =
      isObject(inner) && Object.hasOwn(properties, name)
        ? violationOf(inner, v, path === '' ? name : `${path}.${name}`)
        : undefined
    if (found !== undefined) return found
  }
  return undefined
}

const hasType = (value: Json, type: string): boolean => {
  switch (type) {
    case 'null':
      return value === null
    case 'boolean':
      return typeof value === 'boolean'
    case 'string':
      return typeof value === 'string'
    case 'integer':
      return typeof value === 'bigint' || Number.isInteger(value)
    case 'number':
      return typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isObject(value)
    default:
      return false
  }
}
