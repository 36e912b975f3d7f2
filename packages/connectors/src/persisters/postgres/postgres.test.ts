import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { after, describe } from 'node:test'
import type { Destination } from '../../sql/testing/destination.ts'
import { sqlDestinationSuite } from '../../sql/testing/suite.ts'
import { findPostgres, type TestDatabase } from '../../testing/services/postgres.ts'
import { literal, quote } from './dialect.ts'
import { postgres } from './index.ts'

const server = await findPostgres()

/** Each place of the suite is a schema. */
const schemaOf = (path: string): string => `place_${createHash('sha256').update(path).digest('hex').slice(0, 12)}`

const destinationIn = (db: TestDatabase): Destination => ({
  name: 'postgres',
  module: join(import.meta.dirname, 'index.ts'),
  persister: postgres,
  settings: (path) => ({ url: db.url, schema: schemaOf(path) }),
  loses: ['nul', 'json-text'],
  types: {
    boolean: 'boolean',
    integer: 'bigint',
    bigint: 'numeric(38,0)',
    decimal: 'numeric',
    'decimal(2)': 'numeric(38,2)',
    float: 'double precision',
    text: 'text',
    timestamp: 'timestamp with time zone',
    date: 'date',
    time: 'time without time zone',
    json: 'jsonb',
  },
  read: async (path, table) => {
    const columns = await db.query(
      `SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
        WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
      [`${schemaOf(path)}.${quote(table)}`],
    )
    if (columns.length === 0) return undefined
    const names = columns.map((c) => quote(String(c['name'])))
    const rows = await db.query(
      `SET TIME ZONE 'UTC'; SELECT ARRAY[${names.map((n) => `${n}::text`).join(', ')}] AS row FROM ${schemaOf(path)}.${quote(table)} ORDER BY ${names[0]}`,
    )
    return {
      columns: columns.map((c) => ({ name: String(c['name']), type: String(c['type']) })),
      rows: rows.map((r) => r['row'] as (string | null)[]),
    }
  },
  execute: async (path, sql) => {
    await db.query(`SET search_path = ${schemaOf(path)}; ${sql}`)
  },
  tables: async (path) =>
    (
      await db.query(
        `SELECT relname::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = ${literal(schemaOf(path))}::regnamespace`,
      )
    ).map((r) => String(r['name'])),
})

const db = server.skip === false ? await server.database() : undefined

describe('postgres', { skip: server.skip }, () => {
  if (db === undefined) return
  after(async () => {
    await db[Symbol.asyncDispose]()
  })
  sqlDestinationSuite(destinationIn(db))
})
