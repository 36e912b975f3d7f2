import { scaleOf } from '../../sql/column-types.ts'
import type { ColumnType, Dialect, Table, TableChange } from '../../sql/types.ts'

export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A text as a SQL literal. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

export const typeName = (type: ColumnType): string => {
  switch (type) {
    case 'boolean':
      return 'BOOLEAN'
    case 'integer':
      return 'BIGINT'
    case 'bigint':
      return 'HUGEINT'
    case 'float':
      return 'DOUBLE'
    case 'timestamp':
      return 'TIMESTAMPTZ'
    case 'date':
      return 'DATE'
    case 'time':
      return 'TIME'
    case 'json':
      return 'JSON'
    default: {
      const scale = scaleOf(type)
      return scale === undefined ? 'VARCHAR' : `DECIMAL(38, ${scale})`
    }
  }
}

/** The SQL that turns a value of one type into another. */
export const convertSql = (expr: string, from: ColumnType, to: ColumnType): string => {
  if (from === to) return expr
  if (from === 'timestamp') return `strftime(${expr} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')`
  if (to === 'json') return `CAST(CAST(${expr} AS VARCHAR) AS JSON)`
  return `CAST(${expr} AS ${typeName(to)})`
}

/** The dialect for tables in this schema of the database. */
export const duckdbDialect = (schema: string): Dialect => ({
  name: 'duckdb',
  maxNameBytes: 200,
  // Views of its own, found before any table of that name.
  reservesTable: (name) => /^(sqlite|duckdb|pragma|pg)_/i.test(name),
  // The hidden row id: a column of that name would hide it.
  reservesColumn: (name) => name.toLowerCase() === 'rowid',
  exactDecimals: true,
  anyDecimals: false,
  temporalTypes: true,
  loadsJsonVerbatim: false,
  loneSurrogatesInJson: false,
  nulCharacters: true,
  quote,
  typeName,
  statements: (change) => statements(change, `${quote(schema)}.${quote(change.table.name)}`),
})

/** The statement that makes a table under this (quoted) name. */
export const createSql = (table: Table, name: string, extra: readonly string[] = []): string =>
  `CREATE TABLE ${name} (${[...table.columns.map((c) => `${quote(c.name)} ${typeName(c.type)}`), ...extra].join(', ')})`

const statements = (change: TableChange, table: string): readonly string[] => {
  switch (change.kind) {
    case 'create':
      return [
        `CREATE TABLE ${table} (${change.table.columns.map((c) => `${quote(c.name)} ${typeName(c.type)}`).join(', ')})`,
      ]
    case 'add-column':
      return [`ALTER TABLE ${table} ADD COLUMN ${quote(change.column.name)} ${typeName(change.column.type)}`]
    case 'retype':
      return [
        `-- rebuild ${table}: ${quote(change.column.name)} ${typeName(change.from)} becomes ${typeName(change.column.type)}`,
      ]
    case 'rekey':
      // Keys are no constraint here: an index would cost more than the load (docs/reference/sql-destinations.md).
      return []
    default:
      return change satisfies never
  }
}
