/**
 * The log of streams: appends that are durable when they are answered, and reading them again. Beside it a plain file, and what
 * `node:sqlite` and zstd do at least where blocks of records are rows.
 */
import { randomUUID } from 'node:crypto'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { offset, RecordBatch, SqliteEngine, type StreamLog, streamName } from '@millrace/engine'
import type { DataFiles, Scenario, Subject } from '../harness.ts'

const perCall = 1_000
/** The file so many times over: a cold process would be most of it. */
const passes = 4
const singles = 20_000
const ids = 2_000_000
const asked = 200_000
const writers = 64

/** The bare records of the wide file, a line each, cut into calls of 1,000; several times over. */
const calls = (data: DataFiles): readonly Buffer[] => {
  const lines: string[] = []
  for (const line of readFileSync(data.wide, 'utf8').split('\n'))
    if (line.startsWith('{"type":"RECORD"'))
      lines.push(line.slice(line.indexOf('"record":') + 9, line.lastIndexOf(',"time_extracted"')))
  const out: Buffer[] = []
  for (let i = 0; i < lines.length; i += perCall) out.push(Buffer.from(`${lines.slice(i, i + perCall).join('\n')}\n`))
  return Array.from({ length: passes }, () => out).flat()
}

const now = (): Date => new Date()
const open = async (data: DataFiles): Promise<SqliteEngine> =>
  await SqliteEngine.open({ path: join(mkdtempSync(join(data.dir, 'streams-')), 'streams.db'), now })

interface Prepared {
  readonly engine: SqliteEngine
  readonly input: readonly Buffer[]
}
const prepare = async (data: DataFiles): Promise<Prepared> => ({ engine: await open(data), input: calls(data) })

const toFile: Subject = {
  name: 'plain file, one fdatasync for 1,000 records',
  prepare: async (data) => ({
    fd: openSync(join(mkdtempSync(join(data.dir, 'plain-')), 'log'), 'w'),
    input: calls(data),
  }),
  run: async (data, prepared) => {
    const { fd, input } = prepared as { readonly fd: number; readonly input: readonly Buffer[] }
    for (const bytes of input) {
      writeSync(fd, bytes)
      fdatasyncSync(fd)
    }
    closeSync(fd)
    return data.records * passes
  },
}

/** One thread, a row a block of 1,000 records, compressed, a commit a block: what MEASURED it by. */
const bareAppend = (path: string, input: readonly Buffer[]): DatabaseSync => {
  const db = new DatabaseSync(path)
  db.exec('pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 4000')
  db.exec('create table block (first integer primary key, body blob not null) strict')
  const insert = db.prepare('insert into block values (?, ?)')
  const params = { [constants.ZSTD_c_compressionLevel]: 1 }
  input.forEach((bytes, i) => {
    insert.run(i * perCall, zstdCompressSync(bytes, { params, chunkSize: bytes.length, pledgedSrcSize: bytes.length }))
  })
  return db
}
interface Bare {
  readonly path: string
  readonly input: readonly Buffer[]
  readonly db: DatabaseSync
}
const barePath = (data: DataFiles): string => join(mkdtempSync(join(data.dir, 'bare-')), 'bare.db')

const toSqlite: Subject = {
  name: 'node:sqlite by hand, append',
  prepare: async (data) => ({ path: barePath(data), input: calls(data) }),
  run: async (data, prepared) => {
    const { path, input } = prepared as Bare
    bareAppend(path, input).close()
    return data.records * passes
  },
}

const fromSqlite: Subject = {
  name: 'node:sqlite by hand, sequential read',
  prepare: async (data) => ({ db: bareAppend(barePath(data), calls(data)) }),
  run: async (data, prepared) => {
    const { db } = prepared as Bare
    for (const { body } of db.prepare('select body from block order by first').iterate())
      zstdDecompressSync(body as Uint8Array, { chunkSize: 512 * 1024 })
    return data.records * passes
  },
}

const append: Subject = {
  name: 'sqlite engine, append, 1,000 records a call',
  prepare,
  run: async (data, prepared) => {
    const { engine, input } = prepared as Prepared
    const log = await engine.create(streamName('s'))
    for (const bytes of input) await log.append(RecordBatch.lines(bytes))
    await engine[Symbol.asyncDispose]()
    return data.records * passes
  },
}

const read: Subject = {
  name: 'sqlite engine, sequential read',
  prepare: async (data) => {
    const { engine, input } = await prepare(data)
    const log = await engine.create(streamName('s'))
    for (const bytes of input) await log.append(RecordBatch.lines(bytes))
    return engine
  },
  run: async (_data, prepared) => {
    const log = await (prepared as SqliteEngine).open(streamName('s'))
    let records = 0
    let at = await log.place({ from: 'first' })
    for (;;) {
      const stored = await log.read({ from: 'offset', offset: at })
      if (stored.length === 0) return records
      for (const { records: batch } of stored) {
        records += batch.count
        at = (at + BigInt(batch.count)) as typeof at
      }
    }
  },
}

const single = (concurrency: number): Subject => ({
  name: `sqlite engine, one record a call, ${concurrency} ${concurrency === 1 ? 'writer' : 'writers'}`,
  prepare,
  run: async (_data, prepared) => {
    const { engine } = prepared as Prepared
    const log = await engine.create(streamName('s'))
    const body = Buffer.from('x'.repeat(326))
    const count = concurrency === 1 ? singles / 20 : singles
    let left = count
    const write = async (): Promise<void> => {
      while (left-- > 0) await log.append(RecordBatch.of([{ body }]))
    }
    await Promise.all(Array.from({ length: concurrency }, write))
    return count
  },
})

interface Keyed {
  readonly log: StreamLog
  readonly keys: readonly string[]
}

/** Small records with ids in no order. */
const keyed = async (data: DataFiles): Promise<Keyed> => {
  const log = await (await open(data)).create(streamName('s'))
  const keys = Array.from({ length: ids }, () => randomUUID())
  for (let i = 0; i < ids; i += perCall)
    await log.append(
      RecordBatch.of(
        keys
          .slice(i, i + perCall)
          .map((key, k) => ({ key, body: Buffer.from(`{"id":${i + k},"value":${k / 7},"ok":true}`) })),
      ),
    )
  return { log, keys }
}

const buildIndex: Subject = {
  name: `sqlite engine, the first find in ${ids / 1e6} M ids in no order (makes the index)`,
  prepare: keyed,
  run: async (_data, prepared) => {
    await (prepared as Keyed).log.find('none', { limit: 1 })
    return ids
  },
}

/** Records here and there, 64 at once. */
const points = (name: string, read: (keyed: Keyed, i: number) => Promise<boolean>): Subject => ({
  name,
  prepare: async (data) => {
    const made = await keyed(data)
    await made.log.find('none', { limit: 1 })
    // Blocks that are read for the first time are another measurement.
    for (let i = 0; i < ids; i += perCall) await made.log.get([offset(i)])
    return made
  },
  run: async (_data, prepared) => {
    let left = asked
    const one = async (): Promise<void> => {
      while (left-- > 0)
        if (!(await read(prepared as Keyed, Math.floor(Math.random() * ids)))) throw new Error('another record came')
    }
    await Promise.all(Array.from({ length: writers }, one))
    return asked
  },
})
const byOffset = points('sqlite engine, point read by offset, 2 M small records, in the cache', async ({ log }, i) => {
  const [found] = await log.get([offset(i)])
  return found?.offset === offset(i)
})
const byKey = points(
  'sqlite engine, find and read by record id, 2 M ids in no order, in the cache',
  async ({ log, keys }, i) => {
    const places = await log.find(keys[i] as string, { limit: 1 })
    const [found] = await log.get(places)
    return found?.key === keys[i]
  },
)

export const streams: Scenario = {
  name: 'streams',
  title: `The log of streams (326 B a record; the file ${passes} times over)`,
  subjects: [toFile, toSqlite, append, fromSqlite, read, single(1), single(writers), buildIndex, byKey, byOffset],
  claims: [
    {
      path: 'sqlite engine: append, against a plain file',
      subject: append.name,
      baseline: toFile.name,
      ratio: 0.5,
    },
    // 700,000 and 2,000,000 records/s were asked for on a machine where the same by hand made 930,000 and 2,900,000.
    {
      path: 'sqlite engine: append, against node:sqlite by hand',
      subject: append.name,
      baseline: toSqlite.name,
      ratio: 0.75,
    },
    {
      path: 'sqlite engine: read, against node:sqlite by hand',
      subject: read.name,
      baseline: fromSqlite.name,
      ratio: 0.69,
    },
    {
      path: 'sqlite engine: find and read by record id, at least 50,000/s',
      subject: byKey.name,
      baseline: 50_000,
      ratio: 1,
    },
    {
      path: 'sqlite engine: point read by offset, at least 100,000/s',
      subject: byOffset.name,
      baseline: 100_000,
      ratio: 1,
    },
    { path: 'sqlite engine: append, at least 700,000 records/s', subject: append.name, baseline: 700_000, ratio: 1 },
    { path: 'sqlite engine: read, at least 2,000,000 records/s', subject: read.name, baseline: 2_000_000, ratio: 1 },
    {
      path: 'sqlite engine: 64 writers, one record a call, against one',
      subject: single(writers).name,
      baseline: single(1).name,
      ratio: 20,
    },
  ],
}
