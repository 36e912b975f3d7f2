/**
 * JSON Schemas of requests and answers, with the types they mean: one declaration is the check, the TypeScript type and the OpenAPI document. Only
 * what the API needs; plain objects, so that nothing is loaded for it.
 */
import type { FastifyTypeProvider } from 'fastify'

declare const meaning: unique symbol

/** A JSON Schema whose values are of type T. */
export type Schema<T> = { readonly [meaning]?: T } & Readonly<Record<string, unknown>>
/** What values of a schema are. */
export type Infer<S> = S extends Schema<infer T> ? T : never

interface Notes {
  readonly description?: string
  readonly examples?: readonly unknown[]
  readonly default?: unknown
}

export const text = (
  notes: Notes & {
    readonly minLength?: number
    readonly maxLength?: number
    readonly pattern?: string
    readonly format?: string
  } = {},
): Schema<string> => ({ type: 'string', ...notes })

export const whole = (
  notes: Notes & { readonly minimum?: number; readonly maximum?: number } = {},
): Schema<number> => ({
  type: 'integer',
  ...notes,
})

export const flag = (notes: Notes = {}): Schema<boolean> => ({ type: 'boolean', ...notes })

/** Any JSON value. */
export const anything = (notes: Notes = {}): Schema<unknown> => ({ ...notes })

export const oneOf = <const W extends string>(words: readonly W[], notes: Notes = {}): Schema<W> => ({
  type: 'string',
  enum: words,
  ...notes,
})

export const listOf = <T>(
  items: Schema<T>,
  notes: Notes & { readonly minItems?: number; readonly maxItems?: number } = {},
): Schema<readonly T[]> => ({ type: 'array', items, ...notes })

type Needed<P> = { readonly [K in keyof P]: Infer<P[K]> }
type Optional<P> = { readonly [K in keyof P]?: Infer<P[K]> | undefined }

/** An object with properties that it must have, and others that it may have; nothing else. */
export const object = <
  const P extends Readonly<Record<string, Schema<unknown>>>,
  const Q extends Readonly<Record<string, Schema<unknown>>> = Record<never, never>,
>(
  needed: P,
  optional?: Q,
  notes: Notes = {},
): Schema<Needed<P> & Optional<Q>> => ({
  type: 'object',
  properties: { ...needed, ...optional },
  required: Object.keys(needed),
  additionalProperties: false,
  ...notes,
})

/** Or null. */
export const orNull = <T>(schema: Schema<T>): Schema<T | null> => ({ anyOf: [schema, { type: 'null' }] })

/** Gives handlers the types of their schemas. */
export interface SchemaTypes extends FastifyTypeProvider {
  readonly validator: Infer<this['schema']>
  readonly serializer: Infer<this['schema']>
}
