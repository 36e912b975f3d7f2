import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { JsonObject } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { duckdb } from './index.ts'

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Rows as texts. Each is read behind an x: the client drops a byte order mark at the beginning of a text. */
const read = async (dir: string): Promise<Rows> => {
  const rows = new Map<string, JsonObject[]>()
  const file = join(dir, 'x.duckdb')
  if (!existsSync(file)) return rows
  const db = await DuckDBInstance.create(file)
  const connection = await db.connect()
  const columns = await connection.runAndReadAll(
    "select table_name, list(column_name) from information_schema.columns where table_schema = 'main' group by all",
  )
  for (const [table, names] of columns.getRowsJson() as [string, string[]][]) {
    if (/millrace/.test(table)) continue
    const list = names.map((c) => `'x' || ${quoted(c)}::text`).join()
    const all = await connection.runAndReadAll(`select ${list} from ${quoted(table)}`)
    rows.set(
      table,
      all.getRowsJson().map((values) => {
        const row: Record<string, string | null> = Object.create(null)
        for (const [i, name] of names.entries()) row[name] = values[i] === null ? null : String(values[i]).slice(1)
        return row
      }),
    )
  }
  connection.closeSync()
  db.closeSync()
  return rows
}

persisterSuite('duckdb', {
  persister: duckdb,
  config: (dir) => ({ path: join(dir, 'x.duckdb') }),
  read,
  module: new URL('./index.ts', import.meta.url),
})
