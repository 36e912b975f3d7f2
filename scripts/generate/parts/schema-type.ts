import type { JsonSchema } from './openapi.ts'

/** A JSON Schema as a TypeScript type. Undefined: nothing is taken or answered. */
export const typeText = (schema: JsonSchema | undefined): string => {
  if (schema === undefined) return 'undefined'
  const {
    type,
    properties,
    required,
    items,
    anyOf,
    enum: words,
  } = schema as {
    readonly type?: string
    readonly properties?: Readonly<Record<string, JsonSchema>>
    readonly required?: readonly string[]
    readonly items?: JsonSchema
    readonly anyOf?: readonly JsonSchema[]
    readonly enum?: readonly string[]
  }
  if (words !== undefined) return words.map((w) => `'${w}'`).join(' | ')
  if (anyOf !== undefined) return anyOf.map(typeText).join(' | ')
  switch (type) {
    case 'string':
      return 'string'
    case 'integer':
    case 'number':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'null':
      return 'null'
    case 'array': {
      const inner = typeText(items)
      return `readonly ${/[ |]/.test(inner) && !inner.startsWith('{') ? `(${inner})` : inner}[]`
    }
    case 'object': {
      const fields = Object.entries(properties ?? {}).map(([name, one]) => {
        const isNeeded = required?.includes(name) === true
        const key = /^\w+$/.test(name) ? name : `'${name}'`
        return `readonly ${key}${isNeeded ? '' : '?'}: ${typeText(one)}${isNeeded ? '' : ' | undefined'}`
      })
      return fields.length === 0 ? 'object' : `{ ${fields.join('; ')} }`
    }
    default:
      return 'unknown'
  }
}
