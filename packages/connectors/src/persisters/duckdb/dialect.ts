import { scaleOf } from '../../sql/column-types.ts'
import type { ColumnType, Dialect, TableChange } from '../../sql/types.ts'

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
  reservesTable: () => false,
  // The hidden row id: a column of that name would hide it.
  reservesColumn: (name) => name.toLowerCase() === 'rowid',
  exactDecimals: true,
  temporalTypes: true,
  loadsJsonVerbatim: false,
  loneSurrogatesInJson: false,
  quote,
  typeName,
  statements: (change) => statements(change, `${quote(schema)}.${quote(change.table.name)}`),
})

const statements = (change: TableChange, table: string): readonly string[] => {
  switch (change.kind) {
    case 'create':
      return [
        `CREATE TABLE ${table} (${change.table.columns.map((c) => `${quote(c.name)} ${typeName(c.type)}`).join(', ')})`,
      ]
    case 'add-column':
      return [`ALTER TABLE ${table} ADD COLUMN ${quote(change.column.name)} ${typeName(change.column.type)}`]
    case 'retype': {
      const { column, from } = change
      const name = quote(column.name)
      return [
        `ALTER TABLE ${table} ALTER COLUMN ${name} SET DATA TYPE ${typeName(column.type)} USING ${convertSql(name, from, column.type)}`,
      ]
    }
    case 'rekey':
      // Keys are no constraint here: an index would cost more than the load (docs/reference/sql-destinations.md).
      return []
    default:
      return change satisfies never
  }
}
