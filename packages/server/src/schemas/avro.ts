/**
 * Records against Avro schemas. A record is JSON, as its publisher wrote it, and is held against the schema value by value, as the
 * validators of Avro's Python libraries do with what JSON became: a member of a union may stand as it is, or under the
 * name of its branch as in Avro's own JSON encoding. `bytes` and `fixed` are texts of characters up to U+00FF. Logical types say nothing;
 * a field that lacks is what its default says.
 */
import type { RecordCheck } from '../streams/types.ts'
import { isPlain, maxSchemaDepth, maxSubschemas, SchemaFault, Steps, TooManySteps } from './fault.ts'

/** What is wrong with a value and where; undefined: nothing. */
type Check = (value: unknown, path: string) => string | undefined

interface Type {
  readonly name: string
  check: Check
}

const isByteText = (v: unknown): v is string => typeof v === 'string' && !/[\u0100-\uffff]/.test(v)
const isWhole = (v: unknown, bits: 32n | 64n): boolean => {
  if (typeof v === 'bigint') return BigInt.asIntN(Number(bits), v) === v
  return (
    typeof v === 'number' &&
    Number.isInteger(v) &&
    Math.abs(v) <= 2 ** (Number(bits) - 1) &&
    v !== 2 ** (Number(bits) - 1)
  )
}

const primitives: Readonly<Record<string, (v: unknown) => boolean>> = {
  null: (v) => v === null,
  boolean: (v) => typeof v === 'boolean',
  int: (v) => isWhole(v, 32n),
  long: (v) => isWhole(v, 64n),
  float: (v) => typeof v === 'number' || typeof v === 'bigint',
  double: (v) => typeof v === 'number' || typeof v === 'bigint',
  bytes: isByteText,
  string: (v) => typeof v === 'string',
}

const isName = (v: unknown): v is string =>
  typeof v === 'string' && /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/.test(v)

class Reader {
  readonly #named = new Map<string, Type>()
  readonly #steps: Steps
  #count = 0

  constructor(steps: Steps) {
    this.#steps = steps
  }

  read(schema: unknown, namespace: string, depth: number): Type {
    if (++this.#count > maxSubschemas) throw new SchemaFault(`it has more than ${maxSubschemas} parts`)
    if (depth > maxSchemaDepth) throw new SchemaFault(`it is nested deeper than ${maxSchemaDepth} levels`)
    const type = this.#read(schema, namespace, depth)
    const { name } = type
    return { name, check: (v, path) => (this.#steps.take() ? type.check(v, path) : undefined) }
  }

  #read(schema: unknown, namespace: string, depth: number): Type {
    if (typeof schema === 'string') return this.#byName(schema, namespace)
    if (Array.isArray(schema)) return this.#union(schema, namespace, depth)
    if (!isPlain(schema)) throw new SchemaFault(`${JSON.stringify(schema)?.slice(0, 60)} is no Avro type`)
    const { type } = schema
    switch (type) {
      case 'record':
      case 'error':
        return this.#record(schema, namespace, depth)
      case 'enum':
        return this.#enum(schema, namespace)
      case 'fixed':
        return this.#fixed(schema, namespace)
      case 'array':
        return this.#array(schema['items'], namespace, depth)
      case 'map':
        return this.#map(schema['values'], namespace, depth)
      default:
        return this.read(type, namespace, depth + 1)
    }
  }

  #byName(name: string, namespace: string): Type {
    const primitive = Object.hasOwn(primitives, name) ? primitives[name] : undefined
    if (primitive !== undefined)
      return { name, check: (v, path) => (primitive(v) ? undefined : `${path} is no ${name}`) }
    const full = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
    const named = this.#named.get(full) ?? this.#named.get(name)
    if (named === undefined)
      throw new SchemaFault(`it names the type ${JSON.stringify(name.slice(0, 100))}, which it does not hold`)
    return { name: named.name, check: (v, path) => named.check(v, path) }
  }

  #union(branches: readonly unknown[], namespace: string, depth: number): Type {
    const types = branches.map((branch) => {
      if (Array.isArray(branch)) throw new SchemaFault('a union holds another at once')
      return this.read(branch, namespace, depth + 1)
    })
    if (types.length === 0) throw new SchemaFault('a union is empty')
    const names = types.map((t) => t.name)
    if (new Set(names).size < names.length) throw new SchemaFault('a union has two branches of one type')
    const check: Check = (v, path) => {
      if (types.some((t) => t.check(v, path) === undefined)) return undefined
      // { "branch": value }
      const [entry, ...more] = isPlain(v) ? Object.entries(v) : []
      const branch = entry === undefined || more.length > 0 ? undefined : types.find((t) => t.name === entry[0])
      if (entry !== undefined && branch?.check(entry[1], path) === undefined && branch !== undefined) return undefined
      return `${path} is none of ${names.join(', ')}`.slice(0, 300)
    }
    return { name: 'union', check }
  }

  /** A type with a name may be used inside itself, so it is known before it is read. */
  #declare(
    schema: Readonly<Record<string, unknown>>,
    namespace: string,
  ): { readonly type: Type; readonly inner: string } {
    const { name, aliases } = schema
    const own = typeof schema['namespace'] === 'string' ? schema['namespace'] : namespace
    if (!isName(name) || (own !== '' && !isName(own)))
      throw new SchemaFault(`${JSON.stringify(name)?.slice(0, 100)} is no name of a type`)
    const full = name.includes('.') || own === '' ? name : `${own}.${name}`
    if (this.#named.has(full)) throw new SchemaFault(`it has two types called ${full}`)
    const type: Type = { name: full, check: () => undefined }
    this.#named.set(full, type)
    if (aliases !== undefined && !(Array.isArray(aliases) && aliases.every(isName)))
      throw new SchemaFault(`the aliases of ${full} are no names`)
    return { type, inner: full.includes('.') ? full.slice(0, full.lastIndexOf('.')) : '' }
  }

  #record(schema: Readonly<Record<string, unknown>>, namespace: string, depth: number): Type {
    const { type, inner } = this.#declare(schema, namespace)
    const { fields } = schema
    if (!Array.isArray(fields)) throw new SchemaFault(`the record ${type.name} has no list of fields`)
    const known = new Set<string>()
    const read = fields.map((field: unknown) => {
      const name = isPlain(field) ? field['name'] : undefined
      if (!isPlain(field) || !isName(name) || name.includes('.') || known.has(name))
        throw new SchemaFault(`a field of ${type.name} has no name of its own`)
      known.add(name)
      return { name, of: this.read(field['type'], inner, depth + 1), hasDefault: 'default' in field }
    })
    type.check = (v, path) => {
      if (!isPlain(v)) return `${path} is no record`
      for (const { name, of, hasDefault } of read) {
        if (!Object.hasOwn(v, name)) {
          if (hasDefault || of.check(null, path) === undefined) continue
          return `${path}.${name} is missing`
        }
        const wrong = of.check(v[name], `${path}.${name}`)
        if (wrong !== undefined) return wrong
      }
      return undefined
    }
    return type
  }

  #enum(schema: Readonly<Record<string, unknown>>, namespace: string): Type {
    const { type } = this.#declare(schema, namespace)
    const { symbols } = schema
    if (!Array.isArray(symbols) || !symbols.every(isName))
      throw new SchemaFault(`the enum ${type.name} has no list of symbols`)
    const all = new Set<unknown>(symbols)
    type.check = (v, path) => (all.has(v) ? undefined : `${path} is no symbol of ${type.name}`)
    return type
  }

  #fixed(schema: Readonly<Record<string, unknown>>, namespace: string): Type {
    const { type } = this.#declare(schema, namespace)
    const { size } = schema
    if (!Number.isSafeInteger(size) || Number(size) < 0) throw new SchemaFault(`the fixed ${type.name} has no size`)
    type.check = (v, path) =>
      isByteText(v) && v.length === size ? undefined : `${path} has not the ${size} bytes of ${type.name}`
    return type
  }

  #array(items: unknown, namespace: string, depth: number): Type {
    const of = this.read(items, namespace, depth + 1)
    const check: Check = (v, path) => {
      if (!Array.isArray(v)) return `${path} is no array`
      for (const [i, one] of v.entries()) {
        const wrong = of.check(one, `${path}[${i}]`)
        if (wrong !== undefined) return wrong
      }
      return undefined
    }
    return { name: 'array', check }
  }

  #map(values: unknown, namespace: string, depth: number): Type {
    const of = this.read(values, namespace, depth + 1)
    const check: Check = (v, path) => {
      if (!isPlain(v)) return `${path} is no map`
      for (const [key, one] of Object.entries(v)) {
        const wrong = of.check(one, `${path}.${key.slice(0, 50)}`)
        if (wrong !== undefined) return wrong
      }
      return undefined
    }
    return { name: 'map', check }
  }
}

/** Whole numbers that a double does not hold come as bigints. */
const parse = (text: string): unknown =>
  /\d{16}/.test(text)
    ? JSON.parse(text, function (this: unknown, _key: string, value: unknown, context?: { readonly source?: string }) {
        const source = context?.source
        return typeof value === 'number' &&
          source !== undefined &&
          /^-?\d+$/.test(source) &&
          !Number.isSafeInteger(value)
          ? BigInt(source)
          : value
      } as (this: unknown, key: string, value: unknown) => unknown)
    : JSON.parse(text)

/** The check of an Avro schema. Throws {@link SchemaFault}. */
export const avroCheck = (schema: unknown): RecordCheck => {
  const steps = new Steps()
  const type = new Reader(steps).read(schema, '', 0)
  return (body) => {
    steps.begin(body.length)
    try {
      return type
        .check(parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()), '(top)')
        ?.slice(0, 300)
    } catch (e) {
      if (e instanceof SyntaxError) return 'is not JSON'
      if (e instanceof RangeError || e instanceof TooManySteps) return 'takes too long to check against the schema'
      throw e
    }
  }
}
