import { createReadStream, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { builtInPersisters, builtInStreamers, loadGate } from '@millrace/connectors'
import { type Persister, runPersister, runStreamer, type Streamer, silentLogger } from '@millrace/sdk'
import { DuckDBInstance } from '@duckdb/node-api'
import type { DataFiles, Run, Scenario, Subject } from '../harness.ts'

const defaultsOf = (spec: Readonly<Record<string, { readonly default: unknown }>>): object =>
  Object.fromEntries(Object.entries(spec).map(([key, field]) => [key, field.default]))

const inFolder = async <T>(data: DataFiles, use: (dir: string) => Promise<T>): Promise<T> => {
  const dir = mkdtempSync(join(data.dir, 'lake-'))
  try {
    return await use(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** What is loaded before the clock starts, as DuckDB is. */
const loadPersister = async (): Promise<{ readonly persister: Persister; readonly gate: Gate }> => ({
  persister: await builtInPersisters().get('parquet'),
  gate: await loadGate(),
})
type Gate = Awaited<ReturnType<typeof loadGate>>

/** The wide file into Parquet files, validated, as `millrace persister parquet` does. */
const persistParquet: Run = async (data, prepared) =>
  await inFolder(data, async (path) => {
    const { persister, gate } = prepared as Awaited<ReturnType<typeof loadPersister>>
    const { books } = await runPersister(persister, {
      config: { ...defaultsOf(persister.config), path },
      input: createReadStream(data.wide, { highWaterMark: 256 * 1024 }),
      writeState: () => {},
      log: silentLogger,
      signal: new AbortController().signal,
      compileSchema: gate.compileSchema,
    })
    return Object.values(books).reduce((n, b) => n + b.stored.records, 0)
  })

const withDuckDb = async (sql: string): Promise<void> => {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  await connection.run(sql)
  connection.closeSync()
  instance.closeSync()
}

/** DuckDB by itself, finding the types, as somebody has it do who only wants the file as Parquet. */
const copyByDuckDb: Run = async (data) =>
  await inFolder(data, async (path) => {
    await withDuckDb(
      `copy (select unnest(record) from read_json('${data.wide}') where type = 'RECORD') to '${join(path, 'x.parquet')}' (format parquet, compression zstd)`,
    )
    return data.records
  })

export const parquetPersister: Scenario = {
  name: 'parquet',
  title: '→ parquet',
  subjects: [
    { name: 'DuckDB itself, copy (read_json) to, wide', run: copyByDuckDb },
    { name: 'parquet, validated, wide', prepare: loadPersister, run: persistParquet },
  ],
  claims: [
    {
      path: '→ parquet (wide)',
      subject: 'parquet, validated, wide',
      baseline: 'DuckDB itself, copy (read_json) to, wide',
      ratio: 0.5,
    },
  ],
}

interface Tables {
  readonly csv: string
  readonly parquet: string
}

/** The records of the wide file as a CSV and as a Parquet file, made by DuckDB. */
const tables = async (data: DataFiles): Promise<Tables> => {
  const made = { csv: join(data.dir, 'wide.csv'), parquet: join(data.dir, 'wide.parquet') }
  if (existsSync(made.csv) && existsSync(made.parquet)) return made
  const rows = `(select unnest(record) from read_json('${data.wide}') where type = 'RECORD')`
  await withDuckDb(
    `copy (select * replace (to_json(address) as address, to_json(tags) as tags) from ${rows}) to '${made.csv}' (format csv, header)`,
  )
  await withDuckDb(`copy ${rows} to '${made.parquet}' (format parquet, compression zstd)`)
  return made
}

const readByDuckDb = (kind: keyof Tables): Subject => ({
  name: `DuckDB itself, ${kind} into a table`,
  prepare: tables,
  run: async (data, prepared) => {
    await withDuckDb(`create table t as select * from '${(prepared as Tables)[kind]}'`)
    return data.records
  },
})

const readByFiles = (kind: keyof Tables): Subject => ({
  name: `files, ${kind}`,
  prepare: async (data) => ({ tables: await tables(data), streamer: await builtInStreamers().get('files') }),
  run: async (data, prepared) => {
    const { streamer, tables: made } = prepared as { readonly streamer: Streamer; readonly tables: Tables }
    let bytes = 0
    await runStreamer(streamer, {
      command: 'sync',
      config: { ...defaultsOf(streamer.config), path: [made[kind]] },
      log: silentLogger,
      signal: new AbortController().signal,
      write: (chunk) => {
        bytes += chunk.length
      },
    })
    if (bytes < data.records * 100) throw new Error('too little came')
    return data.records
  },
})

export const filesStreamer: Scenario = {
  name: 'files',
  title: '`files` streamer',
  subjects: (['csv', 'parquet'] as const).flatMap((kind) => [readByDuckDb(kind), readByFiles(kind)]),
  claims: (['csv', 'parquet'] as const).map((kind) => ({
    path: `\`files\`, ${kind}`,
    subject: `files, ${kind}`,
    baseline: `DuckDB itself, ${kind} into a table`,
    ratio: 0.5,
  })),
}
