/** How DuckDB writes a value of Parquet as JSON text without losing anything of it, and the schema of such values. */
import type { JsonObject } from '@millrace/sdk'
import { literal, quote } from '../../persisters/duckdb/dialect.ts'

/** A type of DuckDB's, as its client describes it. */
export interface ValueType {
  /** VARCHAR, INTEGER … without what stands in brackets. */
  readonly kind: string
  /** Of a decimal: its digits, and how many of them stand behind the point. */
  readonly width?: number
  readonly scale?: number
  /** Of a struct. */
  readonly fields?: readonly { readonly name: string; readonly type: ValueType }[]
  /** Of a list, of an array, of a map. */
  readonly inner?: ValueType
}

const wholes = new Set(
  ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT'].concat([
    'UHUGEINT',
    'BIGNUM',
  ]),
)
const naive = new Set(['TIMESTAMP', 'TIMESTAMP_S', 'TIMESTAMP_MS', 'TIMESTAMP_NS'])
const zoned = new Set(['TIMESTAMPTZ', 'TIMESTAMP WITH TIME ZONE'])

/** SQL for the JSON text of a value; null where the value is null. */
export const jsonSql = (value: string, type: ValueType, depth: number = 0): string => {
  const inside = (v: string, t: ValueType): string => `coalesce(${jsonSql(v, t, depth + 1)}, 'null')`
  const text = (v: string): string => `CAST(to_json(${v}) AS VARCHAR)`
  const { kind } = type
  // A decimal of which all digits stand behind the point comes without the zero before it.
  if (kind === 'DECIMAL' && type.width === type.scale)
    return `regexp_replace(CAST(${value} AS VARCHAR), '^(-?)[.]', '\\10.')`
  if (kind === 'BOOLEAN' || kind === 'DECIMAL' || wholes.has(kind)) return `CAST(${value} AS VARCHAR)`
  if (kind === 'FLOAT' || kind === 'DOUBLE')
    // What is no number in JSON is text, so that the record can be set aside for it. To DuckDB NaN is above 0 too.
    return `CASE WHEN isfinite(${value}) THEN CAST(${value} AS VARCHAR) WHEN isnan(${value}) THEN '"NaN"' WHEN ${value} > 0 THEN '"Infinity"' WHEN ${value} < 0 THEN '"-Infinity"' END`
  // Text of JSON has no line breaks but between its parts.
  if (kind === 'JSON') return `replace(replace(CAST(${value} AS VARCHAR), chr(10), ' '), chr(13), ' ')`
  if (kind === 'VARCHAR') return text(value)
  if (kind === 'BLOB') return text(`base64(${value})`)
  if (naive.has(kind))
    return `replace('"' || replace(CAST(${value} AS VARCHAR), ' ', 'T') || 'Z"', 'infinityZ', 'infinity')`
  if (zoned.has(kind)) return `'"' || replace(replace(CAST(${value} AS VARCHAR), ' ', 'T'), '+00', 'Z') || '"'`
  const element = `e${depth}`
  if (type.fields !== undefined) {
    const members = type.fields.map(
      (f) =>
        `${literal(`${JSON.stringify(f.name)}:`)}, ${inside(`struct_extract(${value}, ${literal(f.name)})`, f.type)}`,
    )
    return `CASE WHEN ${value} IS NOT NULL THEN concat('{', ${members.join(", ',', ")}, '}') END`
  }
  if (type.inner !== undefined && kind === 'MAP') {
    const key = text(`CAST(${element}.key AS VARCHAR)`)
    const entry = `${key} || ':' || ${inside(`${element}.value`, type.inner)}`
    return `'{' || array_to_string(list_transform(map_entries(${value}), lambda ${element}: ${entry}), ',') || '}'`
  }
  if (type.inner !== undefined)
    return `'[' || array_to_string(list_transform(${value}, lambda ${element}: ${inside(element, type.inner)}), ',') || ']'`
  return text(`CAST(${value} AS VARCHAR)`)
}

/** The schema of a value. */
export const schemaOfType = (type: ValueType): JsonObject => {
  const { kind } = type
  if (kind === 'BOOLEAN') return { type: ['null', 'boolean'] }
  if (wholes.has(kind)) return { type: ['null', 'integer'] }
  if (kind === 'FLOAT' || kind === 'DOUBLE') return { type: ['null', 'number'] }
  if (kind === 'DECIMAL')
    return type.scale === undefined || type.scale === 0
      ? { type: ['null', 'integer'] }
      : { type: ['null', 'number'], multipleOf: Number(`1e-${type.scale}`) }
  if (naive.has(kind) || zoned.has(kind)) return { type: ['null', 'string'], format: 'date-time' }
  if (kind === 'DATE') return { type: ['null', 'string'], format: 'date' }
  if (kind === 'TIME') return { type: ['null', 'string'], format: 'time' }
  if (kind === 'BLOB') return { type: ['null', 'string'], contentEncoding: 'base64' }
  if (kind === 'JSON') return {}
  if (type.fields !== undefined)
    return {
      type: ['null', 'object'],
      properties: Object.fromEntries(type.fields.map((f) => [f.name, schemaOfType(f.type)])),
    }
  if (type.inner !== undefined)
    return kind === 'MAP'
      ? { type: ['null', 'object'], additionalProperties: schemaOfType(type.inner) }
      : { type: ['null', 'array'], items: schemaOfType(type.inner) }
  return { type: ['null', 'string'] }
}

/** SQL for a whole line: a RECORD of these columns. */
export const lineSql = (
  prefix: string,
  columns: readonly { readonly name: string; readonly type: ValueType }[],
): string => {
  const members = columns.map(({ name, type }, i) => {
    const start = `${i === 0 ? '' : ','}${JSON.stringify(name)}:`
    return `${literal(start)}, coalesce(${jsonSql(quote(name), type)}, 'null')`
  })
  // concat makes the line in one go, where || would make a text of every beginning of it.
  return `concat(${[literal(`${prefix}{`), ...members, "'}}'", 'chr(10)'].join(', ')})`
}
