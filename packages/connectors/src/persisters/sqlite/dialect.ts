import type { Column, ColumnType, Dialect, Table, TableChange } from '../../sql/types.ts'

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** The declared types are chosen by their affinity: nothing that is text is ever turned into a number. */
const typeName = (type: ColumnType): string => {
  switch (type) {
    case 'boolean':
      return 'BOOLEAN'
    case 'integer':
      return 'INTEGER'
    case 'float':
      return 'REAL'
    default:
      return 'TEXT'
  }
}

const columnSql = (c: Column, keys: readonly string[]): string =>
  `${quote(c.name)} ${typeName(c.type)}${keys.includes(c.name) ? ' NOT NULL' : ''}`

/** The statement that makes a table. One whole-number key is the row's own id: rows then need no index beside. */
export const createSql = (table: Table, name: string = table.name, extra: readonly string[] = []): string => {
  const [only] = table.keys
  const rowId = table.keys.length === 1 && table.columns.some((c) => c.name === only && c.type === 'integer')
  const columns = table.columns.map((c) =>
    rowId && c.name === only ? `${quote(c.name)} INTEGER PRIMARY KEY NOT NULL` : columnSql(c, table.keys),
  )
  const key = table.keys.length > 0 && !rowId ? [`PRIMARY KEY (${table.keys.map(quote).join(', ')})`] : []
  return `CREATE TABLE ${quote(name)} (${[...columns, ...extra, ...key].join(', ')})`
}

const isText = (type: ColumnType): boolean => typeName(type) === 'TEXT'
const isNumberText = (type: ColumnType): boolean => type === 'bigint' || type.startsWith('decimal')

/** The SQL that turns a value of one type into another; `expr` itself where they are stored alike. */
export const convertSql = (expr: string, from: ColumnType, to: ColumnType): string => {
  if (from === 'boolean') return `CASE ${expr} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END`
  if (from === 'integer') return to === 'float' ? `CAST(${expr} AS REAL)` : `CAST(${expr} AS TEXT)`
  if (from === 'float') return `millrace_number(${expr})`
  return isText(from) && to === 'json' && !isNumberText(from) && from !== 'json' ? `json_quote(${expr})` : expr
}

const statements = (change: TableChange): readonly string[] => {
  const table = quote(change.table.name)
  switch (change.kind) {
    case 'create':
      return [createSql(change.table)]
    case 'add-column':
      return [`ALTER TABLE ${table} ADD COLUMN ${columnSql(change.column, [])}`]
    case 'retype':
      return [`-- rebuild ${table}: ${quote(change.column.name)} ${change.from} becomes ${change.column.type}`]
    case 'rekey':
      return [`-- rebuild ${table}: PRIMARY KEY (${change.table.keys.map(quote).join(', ')})`]
    default:
      return change satisfies never
  }
}

export const sqliteDialect: Dialect = {
  name: 'sqlite',
  maxNameBytes: 200,
  reservesTable: (name) => /^sqlite_/i.test(name),
  reservesColumn: () => false,
  exactDecimals: false,
  anyDecimals: false,
  temporalTypes: false,
  loadsJsonVerbatim: true,
  loneSurrogatesInJson: true,
  nulCharacters: true,
  quote,
  typeName,
  statements,
}
