import { createHash } from 'node:crypto'
import { after, describe } from 'node:test'
import type { JsonObject } from '@millrace/sdk'
import { persisterSuite } from '@millrace/sdk/testing'
import { findPostgres } from '../../testing/services/postgres.ts'
import { quote } from './dialect.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

const schemaOf = (dir: string): string => `suite_${createHash('sha256').update(dir).digest('hex').slice(0, 12)}`

const db = server.skip === false ? await server.database() : undefined

describe('postgres', { skip: server.skip }, () => {
  if (db === undefined) return
  after(async () => {
    await db[Symbol.asyncDispose]()
  })
  persisterSuite('postgres', {
    persister: postgres,
    config: (dir) => ({ url: db.url, schema: schemaOf(dir) }),
    read: async (dir) => {
      const columns = await db.query(
        `SELECT c.relname::text AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relkind = 'r' AND c.relname <> '_millrace_catalog' AND c.relnamespace = to_regnamespace($1) GROUP BY 1`,
        [schemaOf(dir)],
      )
      const tables = new Map<string, readonly JsonObject[]>()
      for (const table of columns) {
        const names = table['columns'] as string[]
        const list = names.map((n) => `${quote(n)}::text`).join(', ')
        const rows = await db.query(
          `SELECT ARRAY[${list}] AS row FROM ${schemaOf(dir)}.${quote(String(table['name']))}`,
        )
        tables.set(
          String(table['name']),
          rows.map((r) => {
            const row: Record<string, string | null> = Object.create(null)
            for (const [i, v] of (r['row'] as (string | null)[]).entries()) row[names[i] as string] = v
            return row as JsonObject
          }),
        )
      }
      return tables
    },
    remote: true,
    module: new URL('./index.ts', import.meta.url),
  })
})
