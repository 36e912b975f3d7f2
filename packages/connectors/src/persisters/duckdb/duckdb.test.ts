import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { Destination } from '../../sql/testing/destination.ts'
import { sqlDestinationSuite } from '../../sql/testing/suite.ts'
import { duckdb } from './index.ts'
import { literal, quote } from './dialect.ts'

const query = async (
  path: string,
  sql: (columns: readonly string[]) => string,
  columnsOf?: string,
): Promise<readonly (readonly (string | null)[])[]> => {
  const instance = await DuckDBInstance.create(path)
  const connection = await instance.connect()
  try {
    await connection.run("SET TimeZone = 'UTC'")
    const names =
      columnsOf === undefined
        ? []
        : (
            await connection.runAndReadAll(
              `SELECT column_name FROM duckdb_columns() WHERE table_name = ${literal(columnsOf)} ORDER BY column_index`,
            )
          )
            .getRowsJS()
            .map((r) => String(r[0]))
    return (await connection.runAndReadAll(sql(names))).getRowsJS() as (string | null)[][]
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

const destination: Destination = {
  name: 'duckdb',
  module: join(import.meta.dirname, 'index.ts'),
  persister: duckdb,
  types: {
    boolean: 'BOOLEAN',
    integer: 'BIGINT',
    bigint: 'HUGEINT',
    decimal: 'VARCHAR',
    'decimal(2)': 'DECIMAL(38,2)',
    float: 'DOUBLE',
    text: 'VARCHAR',
    timestamp: 'TIMESTAMP WITH TIME ZONE',
    date: 'DATE',
    time: 'TIME',
    json: 'JSON',
  },
  read: async (path, table) => {
    if (!existsSync(path)) return undefined
    const columns = await query(
      path,
      () =>
        `SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ${literal(table)} ORDER BY column_index`,
    )
    if (columns.length === 0) return undefined
    const rows = await query(
      path,
      (names) =>
        `SELECT ${names.map((n) => `CAST(${quote(n)} AS VARCHAR)`).join(', ')} FROM ${quote(table)} ORDER BY ${quote(names[0] ?? '')}`,
      table,
    )
    return { columns: columns.map(([name, type]) => ({ name: String(name), type: String(type) })), rows }
  },
  execute: async (path, sql) => {
    await query(path, () => sql)
  },
  tables: async (path) => (await query(path, () => 'SELECT table_name FROM duckdb_tables()')).map((r) => String(r[0])),
}

sqlDestinationSuite(destination)
