/** Whatever floods the input, only so much of it waits in memory for the next flush. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { DeadLetter } from '../books/types.ts'
import { silentLogger } from '../log/logger.ts'
import { dials } from '../testing/dials.ts'
import { runPersister } from './run.ts'
import type { PersisterRunOptions } from './run-types.ts'

const MiB = 1024 * 1024

/** One line a chunk, made when it is asked for. */
async function* made(count: number, line: (i: number) => string): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield Buffer.from(`${line(i)}\n`)
}

const run = async (input: AsyncIterable<Uint8Array>, options: Partial<PersisterRunOptions> = {}) => {
  const d = dials({ opensRecords: false })
  const letters: DeadLetter[][] = []
  const states: string[] = []
  const told: string[] = []
  const tell = (message: string): void => {
    told.push(message)
  }
  const result = await runPersister(d.persister, {
    config: {},
    input,
    writeState: (line) => {
      states.push(line)
    },
    log: { ...silentLogger, warn: tell, info: tell },
    signal: new AbortController().signal,
    flushMs: 1e9,
    keepDeadLetters: async (l) => {
      letters.push([...l])
    },
    ...options,
  })
  return { calls: d.calls, letters, states, told, result }
}

describe('what waits for a flush', () => {
  it('is bounded over all substreams, where many take turns', async () => {
    const text = 'x'.repeat(10_000)
    const { calls, result } = await run(
      made(5_000, (i) => `{"type":"RECORD","stream":"s${i % 100}","record":{"id":${i},"text":"${text}"}}`),
    )
    // 50 MB came. No substream has a batch of its own full, but together they must not wait.
    const before = calls.slice(0, calls.indexOf('flush')).filter((c) => c.startsWith('write'))
    assert.ok(before.length >= 300, `${before.length} batches were written`)
    assert.equal(
      Object.values(result.books).reduce((n, b) => n + b.stored.records, 0),
      5_000,
    )
  })

  it('is bounded in states, which may be large', async () => {
    const text = 'x'.repeat(MiB / 2)
    const { states } = await run(made(100, (i) => `{"type":"STATE","value":{"i":${i},"t":"${text}"}}`))
    assert.ok(states.length >= 5, `${states.length} states were released`)
    assert.match(states.at(-1) ?? '', /"i":99/)
  })

  it('is bounded in lines that cannot be read', async () => {
    const text = 'x'.repeat(100_000)
    const { letters } = await run(
      made(200, () => text),
      { onInvalid: 'dead-letter' },
    )
    assert.equal(letters.flat().length, 200)
    assert.ok(Math.max(...letters.map((l) => l.length)) < 100)
  })

  it('is bounded in bad records, whose schema is one text for all of them', async () => {
    const doc = 'x'.repeat(100_000)
    const schema = `{"type":"SCHEMA","stream":"s","schema":{"description":"${doc}"},"key_properties":[]}`
    const { letters } = await run(
      made(200, (i) => (i === 0 ? schema : `{"type":"RECORD","stream":"s","record":{"id":${i}}}`)),
      { onInvalid: 'dead-letter', compileSchema: () => () => ({ field: 'id', rule: 'is bad' }) },
    )
    assert.equal(letters.flat().length, 199)
    assert.ok(Math.max(...letters.map((l) => l.length)) < 100)
  })

  it('is told of once each, and of a flood of different things not to its end', async () => {
    const { told } = await run(made(1_000, (i) => `{"type":"NEW_${i}"}`))
    assert.ok(told.length > 50 && told.length <= 101, `${told.length} lines`)
    assert.match(told.at(-1) ?? '', /not told any more/)
  })
})
