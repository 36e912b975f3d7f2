/**
 * Settings, declared once. A declaration gives the type, the check, `--help`, the environment's names, what is secret,
 * and the reference page.
 *
 *     config: { token: text({ doc: 'API token', env: ['GITHUB_TOKEN'], secret: true }),
 *               pageSize: whole({ doc: 'Rows a call', default: 100, min: 1, max: 100 }) }
 */
import { isObject, type Json, type JsonObject } from '../message/json.ts'

interface FieldBase {
  /** One sentence; ends up in --help and in the reference. */
  readonly doc: string
  /** Environment variables that may give it, first wins, beside the general TAP_NAME_KEY or TARGET_NAME_KEY. */
  readonly env?: readonly string[]
  /** Other keys accepted in a configuration file: names of older generations. */
  readonly aliases?: readonly string[]
  /** Never printed and never logged. */
  readonly secret?: boolean
  /** Shown in the reference and in --help. */
  readonly example?: string
}

/** A declared setting of type T. `parse` takes what a file, a flag or the environment gave and throws a reason. */
export interface Field<T> extends FieldBase {
  readonly kind: 'text' | 'whole' | 'number' | 'flag' | 'choice' | 'list' | 'json' | 'bytes'
  readonly required: boolean
  readonly default: T | undefined
  /** What is accepted, in words: "a whole number from 1 to 100". */
  readonly accepts: string
  readonly choices?: readonly string[]
  readonly parse: (raw: unknown) => T
  /** JSON Schema of the setting, for editors. */
  readonly jsonSchema: JsonObject
}

// biome-ignore lint/suspicious/noExplicitAny: a spec holds fields of any type; ConfigOf takes the types out again
export type ConfigSpec = { readonly [key: string]: Field<any> }
export type ConfigOf<C extends ConfigSpec> = { readonly [K in keyof C]: C[K] extends Field<infer T> ? T : never }

/** A setting that may be left out has a default, or `optional: true` and is then undefined. */
type Presence<T> =
  | { readonly default: T; readonly optional?: never }
  | { readonly optional: true; readonly default?: never }
  | {
      readonly default?: never
      readonly optional?: never
    }
type Value<T, O> = O extends { readonly optional: true } ? T | undefined : T

const make = <T>(
  options: FieldBase & { readonly default?: T; readonly optional?: boolean },
  rest: Pick<Field<T>, 'kind' | 'accepts' | 'parse'> & {
    readonly jsonSchema: JsonObject
    readonly choices?: readonly string[]
  },
): Field<T> => {
  const { doc, env, aliases, secret, example } = options
  return {
    doc,
    ...(env === undefined ? {} : { env }),
    ...(aliases === undefined ? {} : { aliases }),
    ...(secret === undefined ? {} : { secret }),
    ...(example === undefined ? {} : { example }),
    required: options.default === undefined && options.optional !== true,
    default: options.default,
    ...rest,
    jsonSchema: { ...rest.jsonSchema, description: doc },
  }
}

const fail = (accepts: string): never => {
  throw new Error(`must be ${accepts}`)
}

/** Any text. */
export const text = <O extends FieldBase & Presence<string>>(options: O): Field<Value<string, O>> =>
  make<string>(options, {
    kind: 'text',
    accepts: 'text',
    jsonSchema: { type: 'string' },
    parse: (raw) => (typeof raw === 'string' ? raw : typeof raw === 'number' ? String(raw) : fail('text')),
  }) as Field<Value<string, O>>

interface Range {
  readonly min?: number
  readonly max?: number
}
const within = (kind: string, { min, max }: Range): string =>
  min !== undefined && max !== undefined
    ? `${kind} from ${min} to ${max}`
    : min !== undefined
      ? `${kind} of at least ${min}`
      : max !== undefined
        ? `${kind} of at most ${max}`
        : kind
const rangeSchema = ({ min, max }: Range): JsonObject => ({
  ...(min === undefined ? {} : { minimum: min }),
  ...(max === undefined ? {} : { maximum: max }),
})
const numeric = (raw: unknown, accepts: string, range: Range, isRight: (n: number) => boolean): number => {
  const n = typeof raw === 'number' ? raw : typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : Number.NaN
  return isRight(n) && n >= (range.min ?? -Infinity) && n <= (range.max ?? Infinity) ? n : fail(accepts)
}

/** A whole number. */
export const whole = <O extends FieldBase & Range & Presence<number>>(options: O): Field<Value<number, O>> => {
  const accepts = within('a whole number', options)
  return make<number>(options, {
    kind: 'whole',
    accepts,
    jsonSchema: { type: 'integer', ...rangeSchema(options) },
    parse: (raw) => numeric(raw, accepts, options, Number.isSafeInteger),
  }) as Field<Value<number, O>>
}

/** A number. */
export const number = <O extends FieldBase & Range & Presence<number>>(options: O): Field<Value<number, O>> => {
  const accepts = within('a number', options)
  return make<number>(options, {
    kind: 'number',
    accepts,
    jsonSchema: { type: 'number', ...rangeSchema(options) },
    parse: (raw) => numeric(raw, accepts, options, Number.isFinite),
  }) as Field<Value<number, O>>
}

/** Yes or no. Text from a flag or the environment: true, false, yes, no, 1, 0, on, off. */
export const flag = <O extends FieldBase & Presence<boolean>>(options: O): Field<Value<boolean, O>> =>
  make<boolean>(options, {
    kind: 'flag',
    accepts: 'true or false',
    jsonSchema: { type: 'boolean' },
    parse: (raw) => {
      if (typeof raw === 'boolean') return raw
      const word = String(raw).toLowerCase()
      if (['true', 'yes', '1', 'on', ''].includes(word)) return true
      if (['false', 'no', '0', 'off'].includes(word)) return false
      return fail('true or false')
    },
  }) as Field<Value<boolean, O>>

/** One of a few words. */
export const choice = <const W extends readonly string[], O extends FieldBase & Presence<W[number]>>(
  words: W,
  options: O,
): Field<Value<W[number], O>> => {
  const accepts = `one of ${words.join(', ')}`
  return make<W[number]>(options, {
    kind: 'choice',
    accepts,
    choices: words,
    jsonSchema: { enum: words },
    parse: (raw) => (words.includes(String(raw)) ? String(raw) : fail(accepts)),
  }) as Field<Value<W[number], O>>
}

/** A list of texts. A single text is split at commas. */
export const list = <O extends FieldBase & Presence<readonly string[]>>(
  options: O,
): Field<Value<readonly string[], O>> =>
  make<readonly string[]>(options, {
    kind: 'list',
    accepts: 'a list of texts (or one text with commas)',
    jsonSchema: { type: ['array', 'string'], items: { type: 'string' } },
    parse: (raw) => {
      if (Array.isArray(raw) && raw.every((v) => typeof v === 'string')) return raw as string[]
      if (typeof raw !== 'string') return fail('a list of texts (or one text with commas)')
      return raw
        .split(',')
        .map((s) => s.trim())
        .filter((s) => s !== '')
    },
  }) as Field<Value<readonly string[], O>>

/** Any JSON object; text is parsed. */
export const json = <O extends FieldBase & Presence<JsonObject>>(options: O): Field<Value<JsonObject, O>> =>
  make<JsonObject>(options, {
    kind: 'json',
    accepts: 'a JSON object',
    jsonSchema: { type: 'object' },
    parse: (raw) => {
      let value: unknown = raw
      if (typeof raw === 'string') {
        try {
          value = JSON.parse(raw)
        } catch {
          return fail('a JSON object')
        }
      }
      return isObject(value) ? (value as { readonly [key: string]: Json }) : fail('a JSON object')
    },
  }) as Field<Value<JsonObject, O>>

const units: { readonly [unit: string]: number } = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
}

/** A size in bytes; text may have a unit (64MiB, 10 MB). */
export const bytes = <O extends FieldBase & Range & Presence<number>>(options: O): Field<Value<number, O>> => {
  const accepts = within('a size in bytes, such as 64MiB,', options).replace(/,$/, '')
  return make<number>(options, {
    kind: 'bytes',
    accepts,
    jsonSchema: { type: ['integer', 'string'] },
    parse: (raw) => {
      const m = /^\s*([0-9.]+)\s*([a-zA-Z]*)\s*$/.exec(String(raw))
      const unit = units[(m?.[2] ?? '?').toLowerCase()]
      const size = m === null || unit === undefined ? Number.NaN : Math.round(Number(m[1]) * unit)
      return numeric(size, accepts, options, Number.isSafeInteger)
    },
  }) as Field<Value<number, O>>
}
