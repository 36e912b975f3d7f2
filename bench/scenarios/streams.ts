/** The log of streams: appends that are durable when they are answered, and reading them again. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { RecordBatch, SqliteEngine, streamName } from '@millrace/engine'
import type { DataFiles, Scenario, Subject } from '../harness.ts'

const perCall = 1_000
const singles = 20_000
const writers = 64

/** The bare records of the wide file, a line each, cut into calls of 1,000. */
const calls = (data: DataFiles): readonly Buffer[] => {
  const lines: string[] = []
  for (const line of readFileSync(data.wide, 'utf8').split('\n'))
    if (line.startsWith('{"type":"RECORD"'))
      lines.push(line.slice(line.indexOf('"record":') + 9, line.lastIndexOf(',"time_extracted"')))
  const out: Buffer[] = []
  for (let i = 0; i < lines.length; i += perCall) out.push(Buffer.from(`${lines.slice(i, i + perCall).join('\n')}\n`))
  return out
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
    return data.records
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
    return data.records
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

export const streams: Scenario = {
  name: 'streams',
  title: 'The log of streams (326 B a record)',
  subjects: [toFile, append, read, single(1), single(writers)],
  claims: [
    {
      path: 'sqlite engine: append, against a plain file',
      subject: append.name,
      baseline: toFile.name,
      ratio: 0.5,
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
