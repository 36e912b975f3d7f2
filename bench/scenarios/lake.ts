import { createReadStream, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { builtInPersisters, loadGate } from '@millrace/connectors'
import { runPersister, silentLogger } from '@millrace/sdk'
import { DuckDBInstance } from '@duckdb/node-api'
import type { DataFiles, Run, Scenario } from '../harness.ts'

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

/** The wide file into Parquet files, validated, as `millrace persister parquet` does. */
const persistParquet: Run = async (data) =>
  await inFolder(data, async (path) => {
    const persister = await builtInPersisters().get('parquet')
    const { books } = await runPersister(persister, {
      config: { ...defaultsOf(persister.config), path },
      input: createReadStream(data.wide, { highWaterMark: 256 * 1024 }),
      writeState: () => {},
      log: silentLogger,
      signal: new AbortController().signal,
      compileSchema: (await loadGate()).compileSchema,
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
    { name: 'parquet, validated, wide', run: persistParquet },
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
