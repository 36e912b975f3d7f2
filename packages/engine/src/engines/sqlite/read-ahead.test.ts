import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it, mock } from 'node:test'
import { Worker } from 'node:worker_threads'
import { isMillraceError } from '@millrace/sdk'
import { RecordBatch } from '../../record-batch.ts'
import type { StreamLog } from '../../stream-log.ts'
import { type Offset, offset, type ReadLimit, type StoredBatch, streamName } from '../../types.ts'
import { Connection } from './connection.ts'
import { SqliteEngine } from './index.ts'
import { ReadAhead } from './read-ahead.ts'
import type { Ask } from './thread.ts'

const root = mkdtempSync(join(tmpdir(), 'ahead-'))
after(() => rmSync(root, { recursive: true, force: true }))
const now = (): Date => new Date()
const fresh = (): string => join(mkdtempSync(join(root, 'e-')), 'streams.db')
const code = (wanted: string) => (e: unknown) => isMillraceError(e) && e.code === wanted
const s = streamName('s')
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Records that say their own offsets, `size` bytes each, ten a block. */
const fill = async (log: StreamLog, blocks: number, size = 100): Promise<void> => {
  for (let i = 0; i < blocks; i++) {
    const { next } = await log.bounds()
    const body = (k: number): Buffer => Buffer.from(`${Number(next) + k}`.padEnd(size))
    await log.append(RecordBatch.of(Array.from({ length: 10 }, (_, k) => ({ body: body(k) }))))
  }
}
const numbers = (stored: readonly StoredBatch[]): readonly number[] =>
  stored.flatMap(({ records }) => [...records.records()].map(({ body }) => Number(Buffer.from(body).toString())))
const range = (from: number, to: number): readonly number[] => Array.from({ length: to - from }, (_, i) => from + i)
const block: ReadLimit = { records: 10, bytes: 1_000_000 }
const at = (n: number) => ({ from: 'offset', offset: offset(n) }) as const

/** What is asked of the threads for blocks, by the offsets where they begin; answers come when they are let through. */
class Watched implements Disposable {
  readonly asked: number[] = []
  #held: { readonly from: number; readonly gate: PromiseWithResolvers<void> } | undefined
  readonly #mocked

  constructor() {
    const original = Connection.prototype.ask
    const watched = this
    this.#mocked = mock.method(Connection.prototype, 'ask', async function (this: Connection, ...args) {
      const [body] = args
      if (typeof body === 'function' || body.do !== 'blocks') return await original.apply(this, args)
      watched.asked.push(body.args[2])
      const held = watched.#held
      const answer = await original.apply(this, args)
      if (held?.from === body.args[2]) await held.gate.promise
      return answer
    } satisfies typeof original)
  }

  /** Holds back what is answered to who asks for blocks from here on. */
  hold(from: number): void {
    this.#held = { from, gate: Promise.withResolvers() }
  }

  let(): void {
    this.#held?.gate.resolve()
    this.#held = undefined
  }

  /** The last that was asked for, once there is nothing more to come of it. */
  async settled(): Promise<number | undefined> {
    for (let i = 0; i < 5; i++) await turn()
    return this.asked.at(-1)
  }

  [Symbol.dispose](): void {
    this.let()
    this.#mocked.mock.restore()
  }
}

describe('what is fetched ahead', () => {
  const none = async (): Promise<readonly StoredBatch[]> => []

  it('is known by where reads end, of the last few hundred of them', () => {
    const ahead = new ReadAhead(1)
    assert.equal(ahead.goesOn('s 1'), false)
    ahead.ended('s 1')
    assert.equal(ahead.goesOn('s 1'), true)
    for (let i = 0; i < 300; i++) {
      ahead.ended(`t ${i}`)
      if (i % 100 === 0) ahead.ended('s 2')
    }
    assert.deepEqual([ahead.goesOn('s 1'), ahead.goesOn('s 2'), ahead.goesOn('t 299')], [false, true, true])
  })

  it('is begun once, and only within its bound', async () => {
    let clock = 0
    const begun: string[] = []
    const ahead = new ReadAhead(10, () => clock)
    const begin = (place: string, bytes: number, records?: number): void =>
      ahead.begin(place, { records: 1, bytes }, async (limit) => {
        begun.push(`${place} ${limit.bytes}`)
        if (records === undefined) throw new Error('not to be read')
        return [{ first: offset(0), at: now(), records: RecordBatch.of([{ body: Buffer.alloc(records) }]) }]
      })
    begin('a', 6, 6)
    begin('a', 1, 1)
    begin('b', 6, 6)
    assert.deepEqual(begun, ['a 6'])
    // It came for its piece: there is room for another one, which turns out to be small.
    ahead.arrived('a')
    begin('b', 6, 2)
    begin('c', 6, 6)
    assert.deepEqual(begun.splice(0), ['a 6', 'b 6'])
    await turn()
    begin('c', 6)
    assert.deepEqual(begun.splice(0), ['c 6'])
    // One that could not be read takes no room.
    await turn()
    begin('d', 6, 6)
    begin('e', 6, 6)
    assert.deepEqual(begun.splice(0), ['d 6'])
    // Nor does one that nobody comes for.
    await turn()
    clock = 2_000
    begin('e', 6, 6)
    assert.deepEqual(begun.splice(0), ['e 6'])
  })

  it('is a piece of a few MiB at most', () => {
    const ahead = new ReadAhead(100 * 1024 * 1024)
    let asked: ReadLimit | undefined
    ahead.begin('a', { records: 7, bytes: 50 * 1024 * 1024 }, (limit) => {
      asked = limit
      return none()
    })
    assert.deepEqual(asked, { records: 7, bytes: 4 * 1024 * 1024 })
  })
})

describe('reading ahead', () => {
  it('is for those who go on where a read ended, and fetches each block once', async () => {
    using watched = new Watched()
    const path = fresh()
    {
      await using engine = await SqliteEngine.open({ path, now })
      await fill(await engine.create(s), 10)
    }
    await using engine = await SqliteEngine.open({ path, now })
    const log = await engine.open(s)
    assert.deepEqual(numbers(await log.read(at(0), block)), range(0, 10))
    assert.equal(await watched.settled(), 0)
    // Elsewhere: nobody goes on there.
    assert.deepEqual(numbers(await log.read(at(50), block)), range(50, 60))
    assert.equal(await watched.settled(), 50)
    assert.deepEqual(numbers(await log.read(at(10), block)), range(10, 20))
    // Asked before the reader had its answer, so that it may be busy with it at once.
    assert.deepEqual(watched.asked, [0, 50, 10, 20])
    assert.equal(await watched.settled(), 20)
    // In parts of a block, and over what is here already.
    for (let from = 20; from < 100; from += 4)
      assert.deepEqual(
        numbers(await log.read(at(from), { ...block, records: 4 })),
        range(from, Math.min(100, from + 4)),
      )
    assert.deepEqual(await log.read(at(100)), [])
    assert.deepEqual(watched.asked, [0, 50, 10, 20, 30, 40, 60, 70, 80, 90])
  })

  it('has left for the thread when the reader gets its answer', async () => {
    await using engine = await SqliteEngine.open({ path: fresh(), now })
    const log = await engine.create(s)
    await fill(log, 3)
    await log.read(at(0), block)
    const sent = mock.method(Worker.prototype, 'postMessage')
    try {
      // Nothing else has its turn between that answer and what the reader does with it.
      await log.read(at(10), block)
      const asks = sent.mock.calls.flatMap((call) => call.arguments[0] as readonly Ask[])
      assert.deepEqual(
        asks.map((ask) => ask.do === 'blocks' && ask.args[2]),
        [10, 20],
      )
    } finally {
      sent.mock.restore()
    }
  })

  it('goes on where the room is small', async () => {
    using watched = new Watched()
    await using engine = await SqliteEngine.open({ path: fresh(), now, cacheBytes: 8_000 })
    const log = await engine.create(s)
    await fill(log, 10)
    for (let from = 0; from < 100; from += 10) {
      assert.deepEqual(numbers(await log.read(at(from), { records: 10, bytes: 2_500 })), range(from, from + 10))
      if (from > 0) assert.equal(await watched.settled(), Math.min(90, from + 10))
    }
  })

  it('is for followers that catch up, too', async () => {
    using watched = new Watched()
    await using engine = await SqliteEngine.open({ path: fresh(), now })
    const log = await engine.create(s)
    await fill(log, 10)
    const stop = new AbortController()
    const seen: number[] = []
    for await (const stored of log.follow({ from: 'first' }, { signal: stop.signal, limit: block })) {
      const next = seen.push(...numbers(stored))
      if (next > 10 && next < 100) assert.equal(watched.asked.at(-1), next)
      if (next === 100) await fill(log, 1)
      if (next >= 110) stop.abort()
    }
    assert.deepEqual(seen, range(0, 110))
    assert.deepEqual(
      watched.asked,
      range(0, 11).map((i) => i * 10),
    )
  })

  /** A reader that has read 20 of 50 records, whose next piece is read and does not come. */
  const midway = async (
    what: (given: { engine: SqliteEngine; log: StreamLog; watched: Watched }) => Promise<void>,
  ): Promise<void> => {
    using watched = new Watched()
    await using engine = await SqliteEngine.open({ path: fresh(), now })
    const log = await engine.create(s)
    await fill(log, 5)
    watched.hold(20)
    for (const from of [0, 10]) await log.read(at(from), block)
    assert.equal(await watched.settled(), 20)
    await what({ engine, log, watched })
  }

  it('waits for what is on its way, and does not ask again', async () => {
    await midway(async ({ log, watched }) => {
      const reading = log.read(at(20), block)
      assert.equal(await watched.settled(), 20)
      watched.let()
      assert.deepEqual(numbers(await reading), range(20, 30))
    })
  })

  it('says what is trimmed, though it was fetched before', async () => {
    for (const isHere of [false, true])
      await midway(async ({ log, watched }) => {
        if (isHere) watched.let()
        await watched.settled()
        await log.trim(offset(25))
        const reading = log.read(at(20), block)
        watched.let()
        await assert.rejects(reading, code('LOG_OFFSET_TRIMMED'))
        assert.deepEqual(numbers(await log.read({ from: 'first' }, block)), range(25, 35))
      })
  })

  it('keeps to what retention left', async () => {
    await midway(async ({ log, watched }) => {
      watched.let()
      await watched.settled()
      await log.setRetention({ maxRecords: 10 })
      await log.retain(now())
      await assert.rejects(log.read(at(20), block), code('LOG_OFFSET_TRIMMED'))
    })
  })

  it('tells of a stream that was dropped, and shows nothing of it in the next of its name', async () => {
    await midway(async ({ engine, log, watched }) => {
      await engine.drop(s)
      const reading = log.read(at(20), block)
      watched.let()
      await assert.rejects(reading, code('STREAM_UNKNOWN'))
      const next = await engine.create(s)
      for (let i = 0; i < 3; i++)
        await next.append(RecordBatch.of(range(0, 10).map(() => ({ body: Buffer.from('7') }))))
      assert.deepEqual([...new Set(numbers(await next.read(at(20), block)))], [7])
    })
  })

  it('sees what is appended behind what it fetched, and begins nothing where there is nothing yet', async () => {
    using watched = new Watched()
    await using engine = await SqliteEngine.open({ path: fresh(), now })
    const log = await engine.create(s)
    await fill(log, 2)
    watched.hold(20)
    for (const from of [0, 10]) await log.read(at(from), block)
    assert.deepEqual(await log.read(at(20), block), [])
    assert.notEqual(await watched.settled(), 20)
    watched.let()
    await fill(log, 1)
    assert.deepEqual(numbers(await log.read(at(20), block)), range(20, 30))
  })

  it('may fail: who reads is told, and reads again', async () => {
    const original = Connection.prototype.ask
    let fails = true
    const mocked = mock.method(Connection.prototype, 'ask', async function (this: Connection, ...args) {
      const [body] = args
      if (fails && typeof body !== 'function' && body.do === 'blocks' && body.args[2] === 20)
        throw new Error('the disk is away')
      return await original.apply(this, args)
    } satisfies typeof original)
    try {
      await using engine = await SqliteEngine.open({ path: fresh(), now })
      const log = await engine.create(s)
      await fill(log, 3)
      await log.read(at(0), block)
      // The read ahead of it fails, and nobody waits for that.
      assert.deepEqual(numbers(await log.read(at(10), block)), range(10, 20))
      await turn()
      await assert.rejects(log.read(at(20), block), /the disk is away/)
      fails = false
      assert.deepEqual(numbers(await log.read(at(20), block)), range(20, 30))
    } finally {
      mocked.mock.restore()
    }
  })

  it('ends with the log and with the engine, whatever is on its way', { timeout: 20_000 }, async () => {
    await midway(async ({ log, engine, watched }) => {
      const reading = log.read(at(20), block)
      await log[Symbol.asyncDispose]()
      watched.let()
      // What was begun is still done; nothing more is fetched.
      assert.deepEqual(numbers(await reading), range(20, 30))
      assert.equal(await watched.settled(), 20)
      await engine[Symbol.asyncDispose]()
    })
    await midway(async ({ engine }) => await engine[Symbol.asyncDispose]())
  })

  it('does nothing where nothing may be kept', async () => {
    using watched = new Watched()
    await using engine = await SqliteEngine.open({ path: fresh(), now, cacheBytes: 0 })
    const log = await engine.create(s)
    await fill(log, 4)
    for (const from of [0, 10, 20, 30]) {
      assert.deepEqual(numbers(await log.read(at(from), block)), range(from, from + 10))
      await watched.settled()
    }
    assert.deepEqual(watched.asked, [0, 10, 20, 30])
  })

  it('is right while records come and go', { timeout: 60_000 }, async () => {
    let state = 20_261_128
    const below = (n: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * n)
    }
    const path = fresh()
    await using engine = await SqliteEngine.open({ path, now, cacheBytes: 64 * 1024 })
    await using other = await SqliteEngine.open({ path, now })
    const log = await engine.create(s)
    const logs = [log, await engine.open(s), await other.open(s)] as const
    await fill(log, 20, 300)
    const readers = Array.from({ length: 6 }, () => ({ log: logs[below(3)] as StreamLog, next: 0 as number }))
    let first = 0
    for (let step = 0; step < 600; step++) {
      const kind = below(12)
      if (kind === 0) await fill(logs[below(3)] as StreamLog, 1 + below(5), 300)
      else if (kind === 1 && below(4) === 0) {
        const { next } = await log.bounds()
        first += below(Math.min(100, Number(next) - first))
        await (logs[below(3)] as StreamLog).trim(offset(first))
        // Another process is heard of a moment later.
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      const some = readers.filter(() => below(2) === 0)
      await Promise.all(
        some.map(async (reader) => {
          const limit = { records: 1 + below(40), bytes: 1 + below(9_000) }
          const from = reader.next
          const { next } = await log.bounds()
          if (from < first) {
            await assert.rejects(reader.log.read(at(from), limit), code('LOG_OFFSET_TRIMMED'), `${step}`)
            reader.next = first
            return
          }
          const stored = await reader.log.read(at(from), limit)
          const got = numbers(stored)
          assert.deepEqual(got, range(from, from + got.length), `${step}`)
          assert.ok(got.length > 0 || BigInt(from) === next, `${step}: nothing at ${from} of ${next}`)
          assert.ok(got.length <= limit.records)
          reader.next = below(20) === 0 ? first + below(Number(next) - first) : from + got.length
        }),
      )
    }
    assert.ok(((await log.bounds()).next as Offset) > 300n)
  })
})
