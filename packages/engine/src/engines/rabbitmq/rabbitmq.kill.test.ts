/** What was acknowledged is there, once and in order, for every reader, though the broker goes away again and again (promises 2, 3 and 4). */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { startBroker } from '@millrace/sdk/testing'
import { RecordBatch } from '../../record-batch.ts'
import type { StreamLog } from '../../stream-log.ts'
import { streamName } from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { TestEngines } from './testing/brokers.ts'

const broker = await startBroker()
const s = streamName('s')
const restarts = 2

/** Follows a stream and keeps the numbers of each writer; fails where an offset is left out. */
const follow = async (log: StreamLog, until: (seen: ReadonlyMap<string, number[]>) => boolean) => {
  const seen = new Map<string, number[]>()
  const stop = new AbortController()
  let next = 0n
  for await (const batches of log.follow({ from: 'first' }, { signal: stop.signal })) {
    for (const { first, records } of batches) {
      assert.equal(first, next, 'an offset was left out')
      next = first + BigInt(records.count)
      for (const { body } of records.records()) {
        const [id = '', number] = Buffer.from(body).toString().split(' ')
        const numbers = seen.get(id) ?? []
        seen.set(id, numbers)
        numbers.push(Number(number))
      }
    }
    if (until(seen)) stop.abort()
  }
  return seen
}

describe('streams on a broker that goes away', { skip: broker.skip }, () => {
  if (broker.skip !== false) return
  const engines = new TestEngines(broker.url)
  after(async () => {
    await engines[Symbol.asyncDispose]()
    await broker[Symbol.asyncDispose]()
  })

  it(`keeps every acknowledged record of three writers in two processes' engines through ${restarts} ends of the broker`, {
    timeout: 300_000,
  }, async () => {
    const prefix = engines.prefix()
    await using one = await engines.open({ prefix })
    await using two = await engines.open({ prefix })
    await using watching = await engines.open({ prefix })
    await (await one.create(s))[Symbol.asyncDispose]()
    let goesOn = true
    const more = new Waiters()
    const acknowledged = new Map<string, number>()
    /** A writer appends records by their number, one to seven in an append. */
    const write = async (id: string, log: StreamLog): Promise<number> => {
      let number = 0
      for (let seq = 0n; goesOn; seq++) {
        const count = 1 + (Number(seq) % 7)
        const records = Array.from({ length: count }, (_, i) => ({ body: Buffer.from(`${id} ${number + i}`) }))
        const done = await log.append(RecordBatch.of(records), { writer: { id, seq } })
        assert.equal(done.isRepeated, false)
        number += count
        acknowledged.set(id, number)
        more.wake()
      }
      return number
    }
    const logs = await Promise.all([one, one, two].map((engine) => engine.open(s)))
    const writers = logs.map((log, i) => write(`w${i}`, log))
    let isDone = false
    const isAll = (seen: ReadonlyMap<string, number[]>): boolean =>
      isDone && [...acknowledged].every(([id, count]) => (seen.get(id)?.length ?? 0) >= count)
    const readers = await Promise.all([one, two, watching].map((engine) => engine.open(s)))
    const follows = readers.map((log) => follow(log, isAll))
    const progress = async (count: number): Promise<void> => {
      const begun = new Map(acknowledged)
      while ([0, 1, 2].some((i) => (acknowledged.get(`w${i}`) ?? 0) < (begun.get(`w${i}`) ?? 0) + count))
        await more.wait(new AbortController().signal)
    }
    for (let i = 0; i < restarts; i++) {
      await progress(50)
      await (i % 2 === 0 ? broker.kill() : broker.stop())
      await broker.start()
    }
    await progress(50)
    goesOn = false
    const totals = await Promise.all(writers)
    isDone = true
    // Wakes the followers, so that they look whether that was all.
    const log = logs[0] as StreamLog
    await log.append(RecordBatch.of([{ body: Buffer.from('end 0') }]))
    for (const seen of await Promise.all(follows))
      for (const [i, total] of totals.entries())
        assert.deepEqual(seen.get(`w${i}`), [...Array(total).keys()], `records of w${i}`)
  })
})
