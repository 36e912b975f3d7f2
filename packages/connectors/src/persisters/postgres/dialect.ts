import { scaleOf } from '../../sql/column-types.ts'
import type { Column, ColumnType, Dialect, Table, TableChange } from '../../sql/types.ts'

/** Bytes of a name; PostgreSQL cuts what is longer, without a word. */
export const MAX_NAME_BYTES = 63
/** An index takes no key of more than 2,704 bytes (a third of a page), its own fields among them. */
export const MAX_KEY_BYTES = 2600

/** The column of a staging table that says in which order its rows came. */
export const orderColumn = '_millrace_order'

export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A text as a SQL literal, whatever `standard_conforming_strings` is. */
export const literal = (text: string): string =>
  text.includes('\\') ? ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'` : `'${text.replaceAll("'", "''")}'`

export const typeName = (type: ColumnType): string => {
  switch (type) {
    case 'boolean':
      return 'boolean'
    case 'integer':
      return 'bigint'
    case 'bigint':
      return 'numeric(38)'
    case 'decimal':
      return 'numeric'
    case 'float':
      return 'double precision'
    case 'timestamp':
      return 'timestamptz'
    case 'date':
      return 'date'
    case 'time':
      return 'time'
    case 'json':
      return 'jsonb'
    case 'text':
      return 'text'
    default:
      return `numeric(38,${scaleOf(type) ?? 0})`
  }
}

/** The SQL that turns a value of one type into another. A double becomes a number by its shortest text, not rounded. */
export const convertSql = (expr: string, from: ColumnType, to: ColumnType): string => {
  if (from === to) return expr
  if (from === 'timestamp') return `to_char(${expr} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
  if (from === 'date' && to === 'timestamp') return `(${expr}::timestamp AT TIME ZONE 'UTC')`
  if (to === 'json') return `${expr}::text::jsonb`
  return from === 'float' && to !== 'text' ? `${expr}::text::${typeName(to)}` : `${expr}::${typeName(to)}`
}

const columnSql = (c: Column): string => `${quote(c.name)} ${typeName(c.type)}`

/** The dialect for tables in this schema. */
export const postgresDialect = (schema: string): Dialect => ({
  name: 'postgres',
  maxNameBytes: MAX_NAME_BYTES,
  reservesTable: () => false,
  // The hidden columns that every table has.
  reservesColumn: (name) => name === orderColumn || /^(oid|tableoid|xmin|cmin|xmax|cmax|ctid)$/.test(name),
  exactDecimals: true,
  anyDecimals: true,
  temporalTypes: true,
  loadsJsonVerbatim: true,
  loneSurrogatesInJson: false,
  nulCharacters: false,
  maxKeyBytes: MAX_KEY_BYTES,
  // https://www.postgresql.org/docs/current/datatype-numeric.html
  maxDigits: { whole: 131_072, fraction: 16_383 },
  quote,
  typeName,
  statements: (change) => statements(change, `${quote(schema)}.${quote(change.table.name)}`),
})

/** The columns by which a child table's rows are found. */
const linksOf = (table: Table): readonly Column[] =>
  table.columns.filter((c) => c.link !== undefined && !('index' in c.link))

const statements = (change: TableChange, table: string): readonly string[] => {
  switch (change.kind) {
    case 'create': {
      const { columns, keys } = change.table
      const key = keys.length === 0 ? [] : [`PRIMARY KEY (${keys.map(quote).join(', ')})`]
      const links = linksOf(change.table)
      return [
        `CREATE TABLE ${table} (${[...columns.map(columnSql), ...key].join(', ')})`,
        ...(links.length === 0 ? [] : [`CREATE INDEX ON ${table} (${links.map((c) => quote(c.name)).join(', ')})`]),
      ]
    }
    case 'add-column':
      return [`ALTER TABLE ${table} ADD COLUMN ${columnSql(change.column)}`]
    case 'retype': {
      const name = quote(change.column.name)
      return [
        `ALTER TABLE ${table} ALTER COLUMN ${name} TYPE ${typeName(change.column.type)} USING ${convertSql(name, change.from, change.column.type)}`,
      ]
    }
    case 'rekey': {
      const keys = change.table.keys.map(quote)
      return [
        ...(change.from.length === 0 ? [] : [`-- drop the primary key of ${table}`]),
        ...(keys.length === 0 ? [] : [`ALTER TABLE ${table} ADD PRIMARY KEY (${keys.join(', ')})`]),
      ]
    }
    default:
      return change satisfies never
  }
}
