import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { builtInPersisters, loadGate } from '@millrace/connectors'
import { type Persister, runPersister, silentLogger } from '@millrace/sdk'
import { DuckDBInstance } from '@duckdb/node-api'
import type { DataFiles, Run, Scenario, Subject } from '../harness.ts'
import { splitAndParse } from './reader.ts'

interface Prepared {
  readonly persister: Persister
  readonly gate: Awaited<ReturnType<typeof loadGate>> | undefined
  readonly dir: string
}

/** One of our persisters over a file, as `millrace persister` runs it. Its code is loaded before the clock starts. */
const persist = (
  name: string,
  file: (d: DataFiles) => string,
  settings: { readonly validate: boolean; readonly config?: object; readonly passes?: number },
): Pick<Extract<Subject, { run: unknown }>, 'prepare' | 'run' | 'cleanUp'> => ({
  prepare: async (data): Promise<Prepared> => ({
    persister: await builtInPersisters().get(name),
    gate: settings.validate ? await loadGate() : undefined,
    dir: mkdtempSync(join(data.dir, 'out-')),
  }),
  run: async (data, prepared) => {
    const { persister, gate, dir } = prepared as Prepared
    const path = name === 'sqlite' || name === 'duckdb' ? join(dir, `out.${name}`) : dir
    const { books } = await runPersister(persister, {
      config: { ...defaultsOf(persister.config), path, ...settings.config },
      input: over(file(data), settings.passes ?? 1),
      writeState: () => {},
      log: silentLogger,
      signal: new AbortController().signal,
      ...(gate === undefined ? {} : { compileSchema: gate.compileSchema }),
    })
    return Object.values(books).reduce((n, b) => n + b.stored.records, 0)
  },
  cleanUp: (prepared) => rmSync((prepared as Prepared).dir, { recursive: true, force: true }),
})

async function* over(file: string, passes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let pass = 0; pass < passes; pass++) yield* createReadStream(file, { highWaterMark: 256 * 1024 })
}

const defaultsOf = (spec: Readonly<Record<string, { readonly default: unknown }>>): object =>
  Object.fromEntries(Object.entries(spec).map(([key, field]) => [key, field.default]))

const columns = [
  'id',
  'code',
  'customer',
  'email',
  'note',
  'status',
  'amount',
  'quantity',
  'active',
  'updated_at',
  'address',
  'tags',
] as const

/** The typed rows that a wide file holds, ready to be bound. */
const typedRows = (file: (d: DataFiles) => string) => async (data: DataFiles) => {
  const rows: SQLInputValue[][] = []
  for (const line of readFileSync(file(data), 'utf8').split('\n')) {
    if (!line.startsWith('{"type":"RECORD"')) continue
    const { record } = JSON.parse(line) as { record: Record<string, unknown> }
    rows.push(
      columns.map((c) => {
        const v = record[c]
        return typeof v === 'object' && v !== null
          ? JSON.stringify(v)
          : typeof v === 'boolean'
            ? Number(v)
            : (v as SQLInputValue)
      }),
    )
  }
  return rows
}

const insertByHand = async (data: DataFiles, prepared: unknown): Promise<number> => {
  const rows = prepared as SQLInputValue[][]
  const dir = mkdtempSync(join(data.dir, 'hand-'))
  const db = new DatabaseSync(join(dir, 'hand.sqlite'))
  db.exec('pragma journal_mode = wal; pragma synchronous = full')
  db.exec(
    'create table orders (id integer primary key, code text, customer text, email text, note text, status text, amount real, quantity integer, active integer, updated_at text, address text, tags text)',
  )
  const set = columns.slice(1).map((c) => `${c} = excluded.${c}`)
  const insert = db.prepare(
    `insert into orders values (${columns.map(() => '?').join(', ')}) on conflict (id) do update set ${set.join(', ')}`,
  )
  for (let at = 0; at < rows.length; at += 10_000) {
    db.exec('begin')
    for (const row of rows.slice(at, at + 10_000)) insert.run(...row)
    db.exec('commit')
  }
  db.close()
  rmSync(dir, { recursive: true, force: true })
  return rows.length
}

/** DuckDB loading the same file itself: read_json of the RECORD lines, then a table, or delete and insert by key. */
const loadByDuckDb =
  (file: (d: DataFiles) => string, upsert: boolean): Run =>
  async (data) => {
    const dir = mkdtempSync(join(data.dir, 'duck-'))
    const instance = await DuckDBInstance.create(join(dir, 'hand.duckdb'))
    const connection = await instance.connect()
    const record = `struct(id bigint, code varchar, customer varchar, email varchar, note varchar, status varchar, amount double, quantity bigint, active boolean, updated_at timestamptz, address json, tags json)`
    const source = `(select unnest(record) from read_json('${file(data)}', format = 'newline_delimited', columns = {type: 'varchar', record: '${record}'}) where type = 'RECORD')`
    await connection.run(
      'create table orders (id bigint, code varchar, customer varchar, email varchar, note varchar, status varchar, amount double, quantity bigint, active boolean, updated_at timestamptz, address json, tags json)',
    )
    if (upsert) {
      await connection.run(`create temp table staged as select * from ${source}`)
      await connection.run('begin')
      await connection.run('delete from orders where id in (select id from staged)')
      await connection.run('insert into orders select distinct on (id) * from staged')
      await connection.run('commit')
    } else await connection.run(`insert into orders select * from ${source}`)
    await connection.run('checkpoint')
    connection.closeSync()
    instance.closeSync()
    rmSync(dir, { recursive: true, force: true })
    return data.records
  }

/** The same with nothing told beforehand: DuckDB finds the types itself, as somebody who only wants the file in a table has it do. */
const loadByDuckDbAlone =
  (file: (d: DataFiles) => string, upsert: boolean): Run =>
  async (data) => {
    const dir = mkdtempSync(join(data.dir, 'duck-'))
    const instance = await DuckDBInstance.create(join(dir, 'alone.duckdb'))
    const connection = await instance.connect()
    const source = `(select unnest(record) from read_json('${file(data)}') where type = 'RECORD')`
    if (upsert) {
      await connection.run(`create temp table staged as select * from ${source}`)
      await connection.run('create table orders as select * from staged limit 0')
      await connection.run('begin')
      await connection.run('delete from orders where id in (select id from staged)')
      await connection.run('insert into orders select distinct on (id) * from staged')
      await connection.run('commit')
    } else await connection.run(`create table orders as select * from ${source}`)
    await connection.run('checkpoint')
    connection.closeSync()
    instance.closeSync()
    rmSync(dir, { recursive: true, force: true })
    return data.records
  }

const wide = (d: DataFiles): string => d.wide
const updates = (d: DataFiles): string => d.updates
const narrow = (d: DataFiles): string => d.narrow

/** The file so many times over: passed on as bytes it takes so little time that a cold process would be most of it. */
const passes = 4

export const jsonlPersister: Scenario = {
  name: 'jsonl',
  title: `→ jsonl (the file ${passes} times over)`,
  subjects: [
    { name: 'split + JSON.parse, wide', run: splitAndParse(wide, passes) },
    { name: 'jsonl, not validated, wide', ...persist('jsonl', wide, { validate: false, passes }) },
    { name: 'jsonl, validated, wide', ...persist('jsonl', wide, { validate: true, passes }) },
    { name: 'split + JSON.parse, narrow', run: splitAndParse(narrow, passes) },
    { name: 'jsonl, not validated, narrow', ...persist('jsonl', narrow, { validate: false, passes }) },
    { name: 'jsonl, validated, narrow', ...persist('jsonl', narrow, { validate: true, passes }) },
  ],
  claims: ['wide', 'narrow'].flatMap((shape) => [
    {
      path: `→ jsonl, not validated (${shape})`,
      subject: `jsonl, not validated, ${shape}`,
      baseline: `split + JSON.parse, ${shape}`,
      ratio: 3,
    },
    {
      path: `→ jsonl, validated (${shape})`,
      subject: `jsonl, validated, ${shape}`,
      baseline: `split + JSON.parse, ${shape}`,
      ratio: 0.6,
    },
  ]),
}

const byHand = (shape: 'wide' | 'updates'): Subject => ({
  name: `node:sqlite, same rows from an array, ${shape}`,
  prepare: typedRows(shape === 'wide' ? wide : updates),
  run: insertByHand,
})

export const sqlitePersister: Scenario = {
  name: 'sqlite',
  title: '→ sqlite',
  subjects: [
    byHand('wide'),
    { name: 'sqlite, upsert, validated, wide', ...persist('sqlite', wide, { validate: true }) },
    byHand('updates'),
    { name: 'sqlite, upsert, validated, updates', ...persist('sqlite', updates, { validate: true }) },
  ],
  claims: ['wide', 'updates'].map((shape) => ({
    path: `→ sqlite, upsert (${shape})`,
    subject: `sqlite, upsert, validated, ${shape}`,
    baseline: `node:sqlite, same rows from an array, ${shape}`,
    ratio: 0.6,
  })),
}

export const duckdbPersister: Scenario = {
  name: 'duckdb',
  title: '→ duckdb',
  subjects: [
    ...(['wide', 'updates'] as const).flatMap((shape) => {
      const file = shape === 'wide' ? wide : updates
      return [
        { name: `DuckDB itself, read_json, delete and insert, ${shape}`, run: loadByDuckDbAlone(file, true) },
        { name: `DuckDB itself, types given, delete and insert, ${shape}`, run: loadByDuckDb(file, true) },
        { name: `duckdb, upsert, validated, ${shape}`, ...persist('duckdb', file, { validate: true }) },
      ]
    }),
    { name: 'DuckDB itself, read_json, wide', run: loadByDuckDbAlone(wide, false) },
    { name: 'DuckDB itself, types given, wide', run: loadByDuckDb(wide, false) },
    {
      name: 'duckdb, append, validated, wide',
      ...persist('duckdb', wide, { validate: true, config: { mode: 'append' } }),
    },
  ],
  claims: [
    ...['wide', 'updates'].map((shape) => ({
      path: `→ duckdb, upsert (${shape})`,
      subject: `duckdb, upsert, validated, ${shape}`,
      baseline: `DuckDB itself, read_json, delete and insert, ${shape}`,
      ratio: 0.4,
    })),
    {
      path: '→ duckdb, append (wide)',
      subject: 'duckdb, append, validated, wide',
      baseline: 'DuckDB itself, read_json, wide',
      ratio: 0.5,
    },
  ],
}
