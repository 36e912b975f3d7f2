import { readdirSync, existsSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { JsonObject } from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { parquet } from './index.ts'

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** The rows of all files by folder, as texts. Each is read behind an x: the client drops a byte order mark. */
const read = async (dir: string): Promise<Rows> => {
  const rows = new Map<string, JsonObject[]>()
  if (!existsSync(dir)) return rows
  const db = await DuckDBInstance.create(':memory:')
  const connection = await db.connect()
  await connection.run("SET TimeZone = 'UTC'")
  for (const file of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!file.isFile() || !file.name.endsWith('.parquet')) continue
    const from = `read_parquet('${join(file.parentPath, file.name).replaceAll("'", "''")}', hive_partitioning = false)`
    const described = await connection.runAndReadAll(`describe select * from ${from}`)
    const names = described.getRowsJS().map((r) => String(r[0]))
    const all = await connection.runAndReadAll(
      `select ${names.map((c) => `'x' || ${quoted(c)}::text`).join()} from ${from}`,
    )
    const folder = relative(dir, file.parentPath).split(sep)[0] as string
    const substream = decodeURIComponent(folder.replaceAll('%u', '%25u'))
    const held = rows.get(substream) ?? []
    for (const values of all.getRowsJS()) {
      const row: Record<string, string | null> = Object.create(null)
      for (const [i, name] of names.entries()) row[name] = values[i] === null ? null : String(values[i]).slice(1)
      held.push(row)
    }
    rows.set(substream, held)
  }
  connection.closeSync()
  db.closeSync()
  return rows
}

persisterSuite('parquet', {
  persister: parquet,
  config: (dir) => ({ path: dir }),
  read,
  module: new URL('./index.ts', import.meta.url),
  kills: 6,
  // Its files of the suite's records are too small to fill one: see parquet.test.ts.
  remote: true,
})
