import { isObject, type Json, type JsonObject } from '@millrace/sdk'

/** Says of a parsed value whether a schema that was inferred would stay as it is with it. May say no too often. */
export type Fits = (value: Json) => boolean

const instant =
  /^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?Z$/

/** Compiled once for each schema: records that fit, nearly all, cost a look and no inference. */
export const fitsOf = (schema: Json | undefined): Fits => {
  if (!isObject(schema ?? null)) return () => false
  const { type, format, properties, items } = schema as JsonObject
  const types = new Set([type ?? []].flat() as readonly string[])
  const isInstant = format === 'date-time'
  const inItems = fitsOf(items)
  const inProperties = new Map(
    isObject(properties ?? null) ? Object.entries(properties as JsonObject).map(([k, s]) => [k, fitsOf(s)]) : [],
  )
  const hasNull = types.has('null')
  const hasString = types.has('string')
  const hasBoolean = types.has('boolean')
  const hasNumber = types.has('number')
  const hasInteger = types.has('integer')
  const hasArray = types.has('array')
  const hasObject = types.has('object')
  return (value) => {
    switch (typeof value) {
      case 'string':
        return hasString && (!isInstant || (value.length <= 40 && instant.test(value)))
      case 'number':
        return hasNumber || (hasInteger && Number.isInteger(value))
      case 'boolean':
        return hasBoolean
    }
    if (value === null) return hasNull
    if (Array.isArray(value)) return hasArray && value.every(inItems)
    if (!hasObject) return false
    for (const key in value as JsonObject) {
      const fits = inProperties.get(key)
      if (fits === undefined || !fits((value as JsonObject)[key] as Json)) return false
    }
    return true
  }
}
