/** Whatever floods the input, only so much of it waits in memory for the next flush. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { DeadLetter } from '../books/types.ts'
import { silentLogger } from '../log/logger.ts'
import { dials } from '../testing/dials.ts'
import { runPersister } from './run.ts'
import type { PersisterRunOptions } from './run-types.ts'

/** One line a chunk, made when it is asked for. */
async function* made(count: number, line: (i: number) => string): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield Buffer.from(`${line(i)}\n`)
}

const quiet = {
  config: {},
  log: { ...silentLogger, warn: () => {}, info: () => {} },
  signal: new AbortController().signal,
  flushMs: 1e9,
}

/** Records at even places, their states behind them. */
const inTurns = (i: number): string =>
  i % 2 === 0 ? `{"type":"RECORD","stream":"s","record":{"id":${i}}}` : `{"type":"STATE","value":${i}}`

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

  it('keeps only some of very many states, the newest always, and is not slowed by them', async () => {
    const d = dials()
    const lines = made(20_000, inTurns)
    const states: string[] = []
    await runPersister(d.persister, {
      ...quiet,
      input: lines,
      writeState: (s) => {
        states.push(s)
      },
    })
    assert.deepEqual(states, ['19999\n'])
    assert.equal(d.calls.filter((c) => c === 'flush').length, 1)
  })

  it('still has a state from before a bad record when very many were read behind it', async () => {
    const d = dials({ reject: (r) => r.record['id'] === 10_000 })
    const lines = made(20_000, inTurns)
    const states: string[] = []
    // One batch for all: the record is refused only after every state was read.
    const run = runPersister(d.persister, {
      ...quiet,
      input: lines,
      writeState: (s) => {
        states.push(s)
      },
      batchRecords: 1e6,
    })
    await assert.rejects(run, { code: 'VALUE_NOT_STORABLE' })
    const state = Number(states.at(-1))
    assert.ok(state < 10_000 && state > 5_000, `state ${state}`)
    assert.equal(d.durable.get('s')?.length, 5_000)
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
