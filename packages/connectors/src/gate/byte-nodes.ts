/**
 * The part of JSON Schema that can be checked on bytes: types, properties, required, items, formats, bounds and lengths.
 * A schema with anything else in it has no byte check; then every record is parsed and Ajv decides.
 */
import { isObject, type Json, type JsonObject } from '@millrace/sdk'
import { formats } from './formats.ts'
import { multipleCheck } from './keywords.ts'

export const STRING = 1
export const NUMBER = 2
export const INTEGER = 4
export const BOOLEAN = 8
export const NULL = 16
export const OBJECT = 32
export const ARRAY = 64
const ANY = 127

const typeBits: Readonly<Record<string, number>> = {
  string: STRING,
  number: NUMBER,
  integer: INTEGER,
  boolean: BOOLEAN,
  null: NULL,
  object: OBJECT,
  array: ARRAY,
}

/** One property of an object, with its name as it mostly stands in the bytes: in quotes, without escapes. */
export interface PropertyNode {
  readonly bytes: Uint8Array
  readonly node: ByteNode
  /** Its bit among the required properties; 0 where it is not required. */
  readonly bit: number
  /** A key property: null will not do. */
  readonly isKey: boolean
}

/** What a value must be. */
export interface ByteNode {
  /** The types allowed. */
  readonly types: number
  readonly isTime: boolean
  readonly format: ((text: string) => boolean) | undefined
  /** In characters; bytes are never fewer. */
  readonly maxLength: number
  readonly minimum: number
  readonly maximum: number
  /** Whether a number is a multiple of what it must be one of. */
  readonly isMultiple: ((value: number) => boolean) | undefined
  /** Whether numbers are bound by any of these. */
  readonly hasBounds: boolean
  readonly properties: ReadonlyMap<string, PropertyNode>
  /** All bits of the required properties. */
  readonly required: number
  /** What properties that are not named must be; undefined: there may be none. */
  readonly others: ByteNode | undefined
  readonly items: ByteNode | undefined
}

/** Keywords that decide about a value and that bytes alone do not decide here. */
const undecided = new Set(
  `$ref $dynamicRef $recursiveRef allOf oneOf not if then else dependentSchemas dependentRequired dependencies prefixItems
  additionalItems unevaluatedItems unevaluatedProperties contains minContains maxContains propertyNames patternProperties
  minProperties maxProperties minItems maxItems uniqueItems exclusiveMinimum exclusiveMaximum minLength pattern const
  enum nullable discriminator extends disallow divisibleBy exactMultipleOf exactUniqueItems $data`.split(/\s+/),
)

const maxDepth = 40
const maxRequired = 30

class Undecided extends Error {}
const undecidable = (): never => {
  throw new Undecided()
}

const blank: ByteNode = {
  types: ANY,
  isTime: false,
  format: undefined,
  maxLength: Infinity,
  minimum: -Infinity,
  maximum: Infinity,
  isMultiple: undefined,
  hasBounds: false,
  properties: new Map(),
  required: 0,
  others: undefined,
  items: undefined,
}

/** Any value at all. */
export const anyNode: ByteNode = (() => {
  const node: { -readonly [K in keyof ByteNode]: ByteNode[K] } = { ...blank }
  node.others = node
  node.items = node
  return node
})()

/** The node of a substream's schema with its key properties; undefined where bytes cannot decide. */
export const byteNodeOf = (schema: JsonObject, keys: readonly string[]): ByteNode | undefined => {
  try {
    const node = nodeOf(schema, keys, 0)
    return (node.types & OBJECT) === 0 ? undefined : { ...node, types: OBJECT }
  } catch (e) {
    if (e instanceof Undecided) return undefined
    throw e
  }
}

const nodeOf = (schema: Json | undefined, keys: readonly string[], depth: number): ByteNode => {
  if (schema === undefined || schema === true) return anyNode
  if (!isObject(schema) || depth > maxDepth) return undecidable()
  for (const keyword of Object.keys(schema)) if (undecided.has(keyword)) return undecidable()
  const own = plainNode(schema, keys, depth)
  const branches = schema['anyOf']
  if (branches === undefined) return own
  // Only the common form: alternatives of different types, with nothing beside them.
  if (!Array.isArray(branches) || own.types !== ANY || own.hasBounds || own.format !== undefined || keys.length > 0)
    return undecidable()
  if (['properties', 'required', 'items', 'additionalProperties', 'maxLength'].some((k) => k in schema))
    return undecidable()
  return branches.map((b) => nodeOf(b as Json, [], depth + 1)).reduce(eitherOf)
}

/** Two nodes that share no type, as one. */
const eitherOf = (a: ByteNode, b: ByteNode): ByteNode => {
  const wide = (n: ByteNode): number => ((n.types & (NUMBER | INTEGER)) !== 0 ? n.types | NUMBER | INTEGER : n.types)
  if ((wide(a) & wide(b)) !== 0) return undecidable()
  const of = (type: number): ByteNode => ((b.types & type) !== 0 ? b : a)
  const [text, number, object, array] = [of(STRING), of(NUMBER | INTEGER), of(OBJECT), of(ARRAY)]
  return {
    types: a.types | b.types,
    isTime: text.isTime,
    format: text.format,
    maxLength: text.maxLength,
    minimum: number.minimum,
    maximum: number.maximum,
    isMultiple: number.isMultiple,
    hasBounds: number.hasBounds,
    properties: object.properties,
    required: object.required,
    others: object.others,
    items: array.items,
  }
}

const typesOf = (type: Json | undefined): number => {
  if (type === undefined) return ANY
  let types = 0
  for (const name of Array.isArray(type) ? type : [type]) types |= typeBits[String(name)] ?? undecidable()
  return types
}

const plainNode = (schema: JsonObject, keys: readonly string[], depth: number): ByteNode => {
  const { format, minimum, maximum, multipleOf, maxLength, required, properties, additionalProperties, items } = schema
  const bound = (v: Json | undefined, none: number): number =>
    v === undefined ? none : typeof v === 'number' ? v : undecidable()
  if (required !== undefined && !(Array.isArray(required) && required.every((r) => typeof r === 'string')))
    return undecidable()
  if (properties !== undefined && !isObject(properties)) return undecidable()
  if (Array.isArray(items)) return undecidable()
  const others = additionalProperties === false ? undefined : nodeOf(additionalProperties, [], depth + 1)
  const needed = [...new Set([...((required as readonly string[] | undefined) ?? []), ...keys])]
  if (needed.length > maxRequired) return undecidable()
  const nodes = new Map<string, PropertyNode>()
  for (const name of new Set([...Object.keys(properties ?? {}), ...needed])) {
    const at = needed.indexOf(name)
    const known = properties !== undefined && Object.hasOwn(properties, name)
    const node = known ? nodeOf(properties[name], [], depth + 1) : (others ?? undecidable())
    nodes.set(name, {
      bytes: new Uint8Array(Buffer.from(JSON.stringify(name))),
      node,
      bit: at < 0 ? 0 : 1 << at,
      isKey: keys.includes(name),
    })
  }
  return {
    types: typesOf(schema['type']),
    isTime: format === 'date-time',
    format: typeof format === 'string' && Object.hasOwn(formats, format) ? formats[format]?.check : undefined,
    maxLength: bound(maxLength, Infinity),
    minimum: bound(minimum, -Infinity),
    maximum: bound(maximum, Infinity),
    isMultiple: multipleOf === undefined ? undefined : multipleCheck(bound(multipleOf, 0)),
    hasBounds: minimum !== undefined || maximum !== undefined || multipleOf !== undefined,
    properties: nodes,
    required: (1 << needed.length) - 1,
    others,
    items: nodeOf(items, [], depth + 1),
  }
}
