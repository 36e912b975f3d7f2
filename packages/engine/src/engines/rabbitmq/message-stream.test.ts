/** What one appends to a shared stream in large appends is not read back, where nothing of others came between. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, describe, it } from 'node:test'
import { cuttable, findBroker } from '@millrace/sdk/testing'
import { type NewRecord, RecordBatch } from '../../record-batch.ts'
import type { StreamLog } from '../../stream-log.ts'
import { type Appended, offset, type StreamName, streamName } from '../../types.ts'
import { RabbitEngine } from './index.ts'
import { TestEngines } from './testing/brokers.ts'

const broker = await findBroker()
const shared = { amqp: true }
const perAppend = 1_000
const unique = (): StreamName => streamName(`passed-${randomBytes(4).toString('hex')}`)
const bodyOf = (append: number, i: number): Buffer => Buffer.from(`${append}:${i}`.padEnd(200))
/** Some have keys and types: what is not read back must not differ from what others read. */
const recordOf = (append: number, i: number): NewRecord => ({
  body: bodyOf(append, i),
  ...(i % 7 === 0 ? { key: `k${i}` } : {}),
  ...(i % 11 === 0 ? { contentType: i % 2 === 0 ? 'text/plain' : 'application/json' } : {}),
})
const batchOf = (append: number, count = perAppend): RecordBatch =>
  RecordBatch.of(Array.from({ length: count }, (_, i) => recordOf(append, i)))

interface Read {
  readonly offset: bigint
  readonly at: number
  readonly key: string | undefined
  readonly contentType: string | undefined
  readonly text: string
}

const all = async (log: StreamLog): Promise<readonly Read[]> => {
  const out: Read[] = []
  for (let at = await log.place({ from: 'first' }); ; ) {
    const stored = await log.read({ from: 'offset', offset: at })
    if (stored.length === 0) return out
    for (const { first, at: time, records } of stored) {
      for (let i = 0; i < records.count; i++) {
        const { key, contentType, body } = records.record(i)
        const text = Buffer.from(body).toString()
        out.push({ offset: first + BigInt(i), at: time.getTime(), key, contentType, text })
      }
      at = offset(first + BigInt(records.count))
    }
  }
}

/** Appends `count` batches, `window` at a time, and calls `each` behind each. */
const appendAll = async (
  log: StreamLog,
  { count, window, each }: { readonly count: number; readonly window: number; readonly each?: () => Promise<unknown> },
): Promise<readonly Appended[]> => {
  const done: Appended[] = []
  let next = 0
  const work = async (): Promise<void> => {
    while (next < count) {
      const i = next++
      done[i] = await log.append(batchOf(i))
      await each?.()
    }
  }
  await Promise.all(Array.from({ length: window }, work))
  return done
}

/** Every append stands where its answer says, in its order; others may stand between. */
const assertPlaces = (read: readonly Read[], appends: readonly Appended[]): void => {
  for (const [i, { first, next }] of appends.entries()) {
    const own = read.filter(({ text }) => text.startsWith(`${i}:`))
    assert.deepEqual(
      own.map(({ text }) => text),
      Array.from({ length: perAppend }, (_, k) => bodyOf(i, k).toString()),
      `append ${i}`,
    )
    assert.deepEqual([own[0]?.offset, (own.at(-1)?.offset ?? 0n) + 1n], [first, next], `bounds of append ${i}`)
  }
}

describe('large appends to a stream that is shared over AMQP', { skip: broker.skip }, () => {
  if (broker.skip !== false) return
  const engines = new TestEngines(broker.url)
  after(async () => {
    await engines[Symbol.asyncDispose]()
    await broker[Symbol.asyncDispose]()
  })
  const behindWay = async (prefix: string) => {
    const url = new URL(broker.url)
    const way = await cuttable(Number(url.port))
    url.port = String(way.port)
    return { way, engine: await RabbitEngine.open({ url: url.href, now: () => new Date(), prefix }) }
  }

  it('are not sent back, and are where they say', { timeout: 120_000 }, async () => {
    const prefix = engines.prefix()
    const { way, engine } = await behindWay(prefix)
    await using _way = way
    await using _engine = engine
    const log = await engine.create(unique(), {}, shared)
    let there = 0
    way.onBytes = (total) => {
      there = total
    }
    // With this it holds the right to append, so that the next ones are under way before anything of them was read.
    await log.append(RecordBatch.of([{ body: Buffer.from('first') }]))
    const appends = await appendAll(log, { count: 15, window: 5 })
    // Confirms, the newest messages at each look, and the last ones of each append.
    assert.ok(way.back() * 2 < there, `${way.back()} bytes back for ${there}`)
    const own = await all(log)
    await using other = await engines.open({ prefix })
    const read = await all(await other.open(log.name))
    assertPlaces(read, appends)
    assert.deepEqual(own, read)
  })

  it('are where they say among what others publish, for followers too', { timeout: 120_000 }, async () => {
    const prefix = engines.prefix()
    await using engine = await engines.open({ prefix })
    const log = await engine.create(unique(), {}, shared)
    const channel = await engines.client.acquire()
    await channel.confirmSelect()
    let strangers = 0
    const each = (): Promise<void> =>
      channel.basicPublish({ exchange: `streams.${log.name}`, mandatory: true }, Buffer.from(`s${strangers++}`))
    // Once with nobody that follows, and once with somebody.
    const quiet = await appendAll(log, { count: 10, window: 3, each })
    await using other = await engines.open({ prefix })
    const found = await other.open(log.name)
    const half = await all(found)
    assertPlaces(half, quiet)
    const stop = new AbortController()
    const followed: string[] = []
    const wanted = half.length + 5 * perAppend + 5
    const following = (async () => {
      for await (const batches of log.follow({ from: 'first' }, { signal: stop.signal })) {
        for (const { records } of batches)
          for (const { body } of records.records()) followed.push(Buffer.from(body).toString())
        if (followed.length >= wanted) return
      }
    })()
    const more = await appendAll(log, { count: 5, window: 2, each })
    await following
    stop.abort()
    const read = await all(found)
    assert.equal(read.length, wanted)
    assertPlaces(read.slice(half.length), more)
    assert.deepEqual(
      followed,
      read.map(({ text }) => text),
    )
    assert.deepEqual(await all(log), read)
    assert.deepEqual(
      read.filter(({ text }) => text.startsWith('s')).map(({ text }) => text),
      Array.from({ length: strangers }, (_, i) => `s${i}`),
    )
    await channel.close()
  })

  it('are there once and in order where the connection is cut again and again', { timeout: 180_000 }, async () => {
    const prefix = engines.prefix()
    const { way, engine } = await behindWay(prefix)
    await using _way = way
    await using _engine = engine
    const log = await engine.create(unique(), {}, shared)
    const cutAfter = 1_000_000
    let next = cutAfter
    let cuts = 0
    way.onBytes = (total) => {
      if (total < next) return
      next = total + cutAfter
      cuts++
      way.cut()
    }
    const writers = 3
    const appends: { readonly i: number; readonly done: Appended }[] = []
    const write = async (w: number): Promise<void> => {
      for (let seq = 0; seq < 5; seq++) {
        const i = seq * writers + w
        // One of them counts its records, and is told from itself by the record.
        const counted = { id: `w${w}`, seq: BigInt((seq + 1) * perAppend), countsRecords: true as const }
        const mark = w === 0 ? counted : { id: `w${w}`, seq: BigInt(seq) }
        appends.push({ i, done: await log.append(batchOf(i), { writer: mark }) })
      }
    }
    await Promise.all(Array.from({ length: writers }, (_, w) => write(w)))
    assert.ok(cuts >= 3, `${cuts} cuts`)
    await using other = await engines.open({ prefix })
    const read = await all(await other.open(log.name))
    assert.equal(read.length, 15 * perAppend)
    assertPlaces(
      read,
      appends.toSorted((a, b) => a.i - b.i).map(({ done }) => done),
    )
  })
})
