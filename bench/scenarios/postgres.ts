/**
 * → PostgreSQL, against psql on the same server: `\copy` of the same rows as a CSV file, and for the upsert `\copy` into a
 * temporary table with the INSERT … ON CONFLICT that the persister uses. The server is the one on port 5432
 * of loopback, or the one that MILLRACE_BENCH_POSTGRES names.
 */
import { spawnSync } from 'node:child_process'
import { createReadStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { builtInPersisters, loadGate } from '@millrace/connectors'
import { type Persister, runPersister, silentLogger } from '@millrace/sdk'
import type { DataFiles, Scenario, Subject } from '../harness.ts'

const url = process.env['MILLRACE_BENCH_POSTGRES'] ?? 'postgresql://postgres@127.0.0.1:5432/postgres'

const columns = [
  'id bigint',
  'code text',
  'customer text',
  'email text',
  'note text',
  'status text',
  'amount double precision',
  'quantity bigint',
  'active boolean',
  'updated_at timestamptz',
  'address jsonb',
  'tags jsonb',
] as const
const names = columns.map((c) => c.split(' ')[0] as string)

const psql = (commands: readonly string[]): void => {
  const { status, stderr } = spawnSync(
    'psql',
    ['-X', '-q', '-v', 'ON_ERROR_STOP=1', url, ...commands.flatMap((c) => ['-c', c])],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`psql ended with ${status}: ${stderr}`)
}

/** A schema for one measurement. */
const freshSchema = (): string => {
  const schema = `bench_${process.pid}`
  psql([`DROP SCHEMA IF EXISTS ${schema} CASCADE`, `CREATE SCHEMA ${schema}`, 'CHECKPOINT'])
  return schema
}

const dropSchema = (prepared: unknown): void => psql([`DROP SCHEMA IF EXISTS ${(prepared as Prepared).schema} CASCADE`])

interface Prepared {
  readonly schema: string
  readonly csv: string
}

/** Loaded before the clock runs, as everywhere: how long a program takes to start is measured by itself. */
interface Loaded {
  readonly persister: Persister
  readonly gate: Awaited<ReturnType<typeof loadGate>>
}

/** The rows of a wide file as CSV. */
const writeCsv = (data: DataFiles, file: string): string => {
  const csv = join(data.dir, `rows-${process.pid}.csv`)
  const lines: string[] = []
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (!line.startsWith('{"type":"RECORD"')) continue
    const { record } = JSON.parse(line) as { record: Record<string, unknown> }
    lines.push(
      names
        .map((name) => {
          const v = record[name]
          if (v === null || v === undefined) return ''
          return `"${(typeof v === 'object' ? JSON.stringify(v) : String(v)).replaceAll('"', '""')}"`
        })
        .join(','),
    )
  }
  writeFileSync(csv, `${lines.join('\n')}\n`)
  return csv
}

const byHand = (name: string, file: (d: DataFiles) => string, upsert: 'unique' | 'repeats' | undefined): Subject => ({
  name,
  prepare: async (data): Promise<Prepared> => {
    const schema = freshSchema()
    psql([`CREATE TABLE ${schema}.orders (${columns.join(', ')}${upsert === undefined ? '' : ', PRIMARY KEY (id)'})`])
    return { schema, csv: writeCsv(data, file(data)) }
  },
  run: async (data, prepared) => {
    const { schema, csv } = prepared as Prepared
    const list = names.join(', ')
    const set = names.slice(1).map((n) => `${n} = excluded.${n}`)
    psql(
      upsert !== undefined
        ? [
            `CREATE TEMP TABLE staged (${columns.join(', ')}${upsert === 'repeats' ? ', n serial' : ''})`,
            `\\copy staged (${list}) FROM '${csv}' WITH (FORMAT csv)`,
            // Where a key may come twice; else the statement below does alone.
            ...(upsert === 'repeats'
              ? [
                  'DELETE FROM staged WHERE n IN (SELECT n FROM (SELECT n, row_number() OVER (PARTITION BY id ORDER BY n DESC) AS r FROM staged) s WHERE r > 1)',
                ]
              : []),
            `INSERT INTO ${schema}.orders SELECT ${list} FROM staged ON CONFLICT (id) DO UPDATE SET ${set.join(', ')}`,
          ]
        : [`\\copy ${schema}.orders FROM '${csv}' WITH (FORMAT csv)`],
    )
    return data.records
  },
  cleanUp: dropSchema,
})

const ours = (name: string, file: (d: DataFiles) => string, mode: 'append' | 'upsert'): Subject => ({
  name,
  prepare: async (): Promise<Prepared & Loaded> => ({
    schema: freshSchema(),
    csv: '',
    persister: await builtInPersisters().get('postgres'),
    gate: await loadGate(),
  }),
  run: async (data, prepared) => {
    const { schema, persister, gate } = prepared as Prepared & Loaded
    const defaults = Object.fromEntries(Object.entries(persister.config).map(([key, field]) => [key, field.default]))
    const { books } = await runPersister(persister, {
      config: { ...defaults, url, schema, mode },
      input: createReadStream(file(data), { highWaterMark: 256 * 1024 }),
      writeState: () => {},
      log: silentLogger,
      signal: new AbortController().signal,
      compileSchema: gate.compileSchema,
    })
    return Object.values(books).reduce((n, b) => n + b.stored.records, 0)
  },
  cleanUp: dropSchema,
})

const wide = (d: DataFiles): string => d.wide
const updates = (d: DataFiles): string => d.updates

export const postgresPersister: Scenario = {
  name: 'postgres',
  title: '→ postgres',
  subjects: [
    byHand('psql \\copy of CSV, wide', wide, undefined),
    ours('postgres, append, validated, wide', wide, 'append'),
    byHand('psql \\copy and INSERT … ON CONFLICT, wide', wide, 'unique'),
    ours('postgres, upsert, validated, wide', wide, 'upsert'),
    byHand('psql \\copy and INSERT … ON CONFLICT, updates', updates, 'repeats'),
    ours('postgres, upsert, validated, updates', updates, 'upsert'),
  ],
  claims: [
    {
      path: '→ postgres, append (wide)',
      subject: 'postgres, append, validated, wide',
      baseline: 'psql \\copy of CSV, wide',
      ratio: 0.8,
    },
    ...['wide', 'updates'].map((shape) => ({
      path: `→ postgres, upsert (${shape})`,
      subject: `postgres, upsert, validated, ${shape}`,
      baseline: `psql \\copy and INSERT … ON CONFLICT, ${shape}`,
      ratio: 0.8,
    })),
  ],
}
