/** Types of PostgreSQL as JSON Schema, of their values (values.ts). */
import type { JsonObject } from '@millrace/sdk'

/** A column as the catalog of the server has it; of a domain, the type below it. */
export interface Column {
  readonly name: string
  /** pg_type.typname; of an array, that of its elements. */
  readonly type: string
  /** pg_type.typtype: b base, c composite, e enum, r range, m multirange. */
  readonly kind: string
  /** pg_attribute.atttypmod, or pg_type.typtypmod of the domain: what the type was given in brackets; -1: nothing. */
  readonly modifier: number
  readonly isArray: boolean
  /** Whether its JSON can be told from its text: it came with the server, or is an enum, and no cast to json says otherwise. */
  readonly isText: boolean
  readonly isNullable: boolean
  /** Made by the server out of others: the log of changes does not bring it. */
  readonly isGenerated: boolean
}

const texts = new Set(
  'text varchar bpchar char name uuid inet cidr macaddr macaddr8 xml bytea bit varbit interval money timetz tsvector tsquery pg_lsn oid regclass regproc regtype xid cid tid point line lseg box path polygon circle citext ltree'.split(
    ' ',
  ),
)

/** More digits than SQL destinations keep in a number of a fixed scale. */
const maxFixedDigits = 38

/**
 * The schema of numeric(precision, scale). The modifier holds both, the scale in 11 bits with a sign; it may be below 0 and above
 * the precision since PostgreSQL 15. Without a modifier, or with more digits than are kept so, any digits are to be expected.
 */
const numericSchema = (modifier: number): JsonObject => {
  const precision = ((modifier - 4) >> 16) & 0xffff
  const scale = (((modifier - 4) & 0x7ff) ^ 0x400) - 0x400
  if (modifier >= 0 && scale <= 0) return { type: 'integer' }
  return modifier >= 0 && Math.max(precision, scale) <= maxFixedDigits
    ? { type: 'number', multipleOf: Number(`1e-${scale}`) }
    : { type: 'number', format: 'singer.decimal' }
}

/** Types that know values beyond all others, or none at all, which JSON has as text. */
const unbounded = new Set(['timestamp', 'timestamptz', 'date', 'numeric', 'float4', 'float8'])

/** Whether a column may hold infinity or NaN as its value. */
export const isUnbounded = ({ type, kind, isArray }: Pick<Column, 'type' | 'kind' | 'isArray'>): boolean =>
  !isArray && kind === 'b' && unbounded.has(type)

/** Columns whose infinities become null, where that is wanted; those of `keys` never. */
export const nulledIn = (
  { columns }: { readonly columns: readonly Column[] },
  keys: readonly string[],
  { nullsInfinity }: { readonly nullsInfinity: boolean },
): ReadonlySet<string> =>
  new Set(nullsInfinity ? columns.filter((c) => isUnbounded(c) && !keys.includes(c.name)).map((c) => c.name) : [])

/** The words of the server for such values, whatever their type. */
export const infinities: readonly string[] = ['infinity', '-infinity', 'Infinity', '-Infinity', 'NaN']

const valueSchema = ({ type, kind, modifier }: Column): JsonObject => {
  if (kind === 'c') return { type: 'object' }
  if (kind !== 'b') return { type: 'string' }
  switch (type) {
    case 'int2':
    case 'int4':
    case 'int8':
      return { type: 'integer' }
    case 'numeric':
      return numericSchema(modifier)
    case 'float4':
    case 'float8':
      return { type: 'number' }
    case 'bool':
      return { type: 'boolean' }
    case 'timestamp':
    case 'timestamptz':
      return { type: 'string', format: 'date-time' }
    case 'date':
      return { type: 'string', format: 'date' }
    case 'time':
      return { type: 'string', format: 'time' }
    default:
      // JSON itself, and types of extensions, some of which become objects.
      return texts.has(type) ? { type: 'string' } : {}
  }
}

const orNull = (schema: JsonObject): JsonObject =>
  typeof schema['type'] === 'string' ? { ...schema, type: ['null', schema['type']] } : schema

/** The schema of a column's values. Arrays may hold null, and arrays: a dimension is no part of a type. */
export const schemaOf = (column: Column): JsonObject => {
  const schema = column.isArray ? { type: 'array', items: {} } : valueSchema(column)
  return column.isNullable ? orNull(schema) : schema
}

/** Types of the server that have no order (no default operator class of btree). */
const unordered = new Set(
  'json jsonpath xml point line lseg box path polygon circle xid cid aclitem txid_snapshot pg_snapshot refcursor'.split(
    ' ',
  ),
)

/** Why rows cannot be read in the order of this column, from a value of it on; undefined: they can. */
export const whyNoOrder = ({ type, kind, isArray }: Column): string | undefined => {
  if (isArray) return 'holds arrays, of which none is kept as the place to go on from'
  if (kind === 'c' || type === 'jsonb')
    return `is of type ${type}, of which no value is kept as the place to go on from`
  return kind === 'b' && unordered.has(type) ? `is of type ${type}, which has no order` : undefined
}

/** `"a""b"` */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Text as a literal that is read the same whatever standard_conforming_strings says. */
export const quoteText = (text: string): string => ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
