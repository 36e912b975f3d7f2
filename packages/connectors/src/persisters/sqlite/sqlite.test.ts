import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Destination } from '../../sql/testing/destination.ts'
import { sqlDestinationSuite } from '../../sql/testing/suite.ts'
import { sqlite } from './index.ts'

const withDatabase = <T>(path: string, use: (db: DatabaseSync) => T): T => {
  const db = new DatabaseSync(path, { timeout: 1000 })
  try {
    return use(db)
  } finally {
    db.close()
  }
}

const destination: Destination = {
  name: 'sqlite',
  module: join(import.meta.dirname, 'index.ts'),
  persister: sqlite,
  types: {
    boolean: 'BOOLEAN',
    integer: 'INTEGER',
    bigint: 'TEXT',
    decimal: 'TEXT',
    'decimal(2)': 'REAL',
    float: 'REAL',
    text: 'TEXT',
    timestamp: 'TEXT',
    date: 'TEXT',
    time: 'TEXT',
    json: 'TEXT',
  },
  read: async (path, table) =>
    existsSync(path)
      ? withDatabase(path, (db) => {
          const columns = db.prepare('SELECT name, type FROM pragma_table_info(?)').all(table) as {
            name: string
            type: string
          }[]
          if (columns.length === 0) return undefined
          const select = db.prepare(`SELECT * FROM "${table.replaceAll('"', '""')}" ORDER BY 1`)
          select.setReadBigInts(true)
          select.setReturnArrays(true)
          const rows = (select.all() as unknown as unknown[][]).map((r) =>
            r.map((v) => (v === null ? null : String(v))),
          )
          return { columns: columns.map((c) => ({ name: c.name, type: c.type })), rows }
        })
      : undefined,
  execute: async (path, sql) => withDatabase(path, (db) => db.exec(sql)),
  tables: async (path) =>
    withDatabase(path, (db) =>
      db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .all()
        .map((r) => String(r['name'])),
    ),
}

sqlDestinationSuite(destination)
