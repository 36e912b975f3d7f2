/** What was acknowledged is there, once and in order, for every reader, though the broker goes away again and again (promises 2, 3 and 4). */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { isMillraceError } from '@millrace/sdk'
import { startBroker } from '@millrace/sdk/testing'
import { RecordBatch } from '../../record-batch.ts'
import type { StreamLog } from '../../stream-log.ts'
import { offset, type StoredBatch, streamName } from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { TestEngines } from './testing/brokers.ts'

const broker = await startBroker()
const s = streamName('s')
const restarts = 4

/** The broker was away for longer than it is waited for. */
const isUnavailable = (e: unknown): boolean => isMillraceError(e) && e.code === 'LOG_UNAVAILABLE'

/** Follows a stream and keeps the numbers of each writer; fails where an offset is left out. */
const follow = async (log: StreamLog, until: (seen: ReadonlyMap<string, number[]>) => boolean) => {
  const seen = new Map<string, number[]>()
  const stop = new AbortController()
  let next = 0n
  const take = ({ first, records }: StoredBatch): void => {
    assert.equal(first, next, 'an offset was left out')
    next = first + BigInt(records.count)
    for (const { body } of records.records()) {
      const [id = '', number] = Buffer.from(body).toString().split(' ')
      const numbers = seen.get(id) ?? []
      seen.set(id, numbers)
      numbers.push(Number(number))
    }
  }
  while (!stop.signal.aborted)
    try {
      for await (const batches of log.follow({ from: 'offset', offset: offset(next) }, { signal: stop.signal })) {
        for (const batch of batches) take(batch)
        if (until(seen)) stop.abort()
      }
    } catch (e) {
      if (!isUnavailable(e)) throw e
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
        for (let tries = 1; ; tries++)
          try {
            const done = await log.append(RecordBatch.of(records), { writer: { id, seq } })
            if (tries === 1) assert.equal(done.isRepeated, false)
            break
          } catch (e) {
            // On a slow machine the broker may be away for longer than is waited for: then nobody knows what the append left, and it comes again.
            if (!isUnavailable(e)) throw e
          }
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
    // Where one of them fails the test ends then, and not when its time is over.
    const all = Promise.all([...writers, ...follows])
    for (let i = 0; i < restarts; i++) {
      await Promise.race([progress(50), all])
      await (i % 2 === 0 ? broker.kill() : broker.stop())
      await broker.start()
    }
    await Promise.race([progress(50), all])
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
