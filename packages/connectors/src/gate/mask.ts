/** How a field is hidden: three ways, none of which can be turned back without the value or a guess at it. */
import { createHash } from 'node:crypto'
import { encodeJson, type Json } from '@millrace/sdk'

/** `hash`: the same value gives the same text. `redact`: null. `last4`: the end of a long text. */
export const maskKinds = ['hash', 'redact', 'last4'] as const
export type MaskKind = (typeof maskKinds)[number]

/** A text as it is, a number by its digits, anything else as compact JSON. */
const textOf = (value: Json): string => (typeof value === 'string' ? value : encodeJson(value))

/** Shorter than this, four characters would be too much of the value. */
const shortestShown = 9

/** The masked value; null stays null. */
export const masked = (value: Json, kind: MaskKind, salt: string): Json => {
  if (value === null) return null
  switch (kind) {
    case 'redact':
      return null
    case 'hash':
      return createHash('sha256').update(salt).update(textOf(value)).digest('hex')
    case 'last4': {
      const characters = [...textOf(value)]
      return `****${characters.length < shortestShown ? '' : characters.slice(-4).join('')}`
    }
    default:
      return kind satisfies never
  }
}

/** JSON Schema of a masked field. */
export const maskedSchema = (kind: MaskKind, schema: Json): Json => {
  if (kind !== 'redact') return { type: ['null', 'string'] }
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return {}
  const type = (schema as { readonly [key: string]: Json })['type']
  if (typeof type !== 'string' && !Array.isArray(type)) return {}
  return { ...schema, type: [...new Set(['null', ...[type].flat()])] as readonly Json[] }
}
