/**
 * The contract of streams as tests: every engine passes all of them, in every state that a log can be in. Where an engine
 * cannot do something it says so in `supports`; the suite asks for it there and is not weakened.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isMillraceError } from '@millrace/sdk'
import { RecordBatch } from '../record-batch.ts'
import type { StreamEngine } from '../stream-engine.ts'
import type { StreamLog } from '../stream-log.ts'
import { type Offset, offset, type Position, type StoredBatch, type StreamName, streamName } from '../types.ts'

export interface StreamLogSuiteOptions {
  readonly name: string
  /** An empty engine whose records get the time of `now`. */
  readonly make: (now: () => Date) => Promise<StreamEngine>
  /** Where it is durable: an engine on what the other one, which was disposed, left behind. */
  readonly reopen?: (old: StreamEngine, now: () => Date) => Promise<StreamEngine>
}

const text = (body: Uint8Array): string => Buffer.from(body).toString()
const batch = (...bodies: readonly string[]): RecordBatch =>
  RecordBatch.of(bodies.map((body) => ({ body: Buffer.from(body) })))
const numbered = (from: number, count: number): RecordBatch =>
  batch(...Array.from({ length: count }, (_, i) => `record ${from + i}`))
const bodies = (stored: readonly StoredBatch[]): readonly string[] =>
  stored.flatMap(({ records }) => [...records.records()].map(({ body }) => text(body)))
const code = (wanted: string) => (e: unknown) => isMillraceError(e) && e.code === wanted

/** Reads from a position to the end, a few records at a time, and checks that offsets have no gap. */
const readAll = async (log: StreamLog, from: Position, step = 7): Promise<readonly string[]> => {
  const out: string[] = []
  let at = await log.place(from)
  for (;;) {
    const stored = await log.read({ from: 'offset', offset: at }, { records: step, bytes: 1_000_000 })
    if (stored.length === 0) return out
    assert.ok(stored.reduce((n, s) => n + s.records.count, 0) <= step)
    for (const { first, records } of stored) {
      assert.equal(first, at)
      at = offset(at + BigInt(records.count))
    }
    out.push(...bodies(stored))
  }
}

const keyed = (keys: readonly (string | undefined)[]): RecordBatch =>
  RecordBatch.of(keys.map((key) => ({ key, body: Buffer.from(`of ${key}`) })))

/** Keys of a stream in which some come once, one comes often, one in the first append only, and some records have none. */
const keyedCount = 3000
const keyAt = (i: number): string | undefined => {
  if (i === 5) return 'early'
  if (i % 5 === 0) return undefined
  if (i % 5 === 1) return 'often'
  return i % 5 === 2 ? `${i % 100} ü` : `id-${(i * 7919) % keyedCount}-${i}`
}
const fillKeyed = async (log: StreamLog): Promise<void> => {
  for (let i = 0; i < keyedCount; i += 100) await log.append(keyed(Array.from({ length: 100 }, (_, k) => keyAt(i + k))))
}
/** Compares what is found with what was appended, from an offset on. */
const checkKeyed = async (log: StreamLog, first: number): Promise<void> => {
  const expected = new Map<string, bigint[]>()
  for (let i = keyedCount - 1; i >= first; i--) {
    const key = keyAt(i)
    if (key !== undefined) expected.set(key, [...(expected.get(key) ?? []), BigInt(i)])
  }
  const sample = ['often', 'early', '2 ü', '97 ü', ...[...expected.keys()].filter((_, i) => i % 150 === 0)]
  for (const key of sample) assert.deepEqual(await log.find(key, { limit: 10_000 }), expected.get(key) ?? [], key)
  const often = expected.get('often') ?? []
  let before: Offset | undefined
  for (let i = 0; i < often.length; i += 100) {
    const step = await log.find('often', { limit: 100, before })
    assert.deepEqual(step, often.slice(i, i + 100))
    before = step.at(-1)
  }
  for (const key of ['', 'nobody', 'oftener', 'of', 'undefined', 'null'])
    assert.deepEqual(await log.find(key, { limit: 3 }), [], key)
}

/** A clock that stands until it is moved. */
class TestClock {
  #ms = Date.UTC(2026, 0, 1)
  readonly now = (): Date => new Date(this.#ms)
  move(ms: number): Date {
    this.#ms += ms
    return this.now()
  }
}

export const streamLogSuite = (options: StreamLogSuiteOptions): void => {
  const s = streamName('s')
  const opened = async () => {
    const clock = new TestClock()
    const engine = await options.make(clock.now)
    const log = await engine.create(s).catch(async (error: unknown) => {
      // An engine that stays open would keep the whole file from ending.
      await engine[Symbol.asyncDispose]()
      throw error
    })
    return { clock, engine, log, [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose]() }
  }

  describe(`streams of ${options.name}`, () => {
    it('gives back what was appended, in order, byte for byte, with keys', async () => {
      await using t = await opened()
      const odd = [Buffer.alloc(0), Buffer.from([0, 255, 10, 13]), Buffer.from('ü 🚚\n'), Buffer.alloc(70_000, 7)]
      const done = await t.log.append(
        RecordBatch.of(odd.map((body, i) => ({ body, key: i === 1 ? 'k"é' : undefined }))),
      )
      assert.deepEqual([done.first, done.next, done.isRepeated], [0n, 4n, false])
      assert.deepEqual((await t.log.append(batch('last'))).first, 4n)
      const stored = await t.log.read({ from: 'first' })
      const records = stored.flatMap((b) => [...b.records.records()])
      assert.deepEqual(
        records.map((r) => Buffer.from(r.body)),
        [...odd, Buffer.from('last')],
      )
      assert.deepEqual(
        records.map((r) => r.key),
        [undefined, 'k"é', undefined, undefined, undefined],
      )
    })

    it('gives back content types, in every piece of a batch', async () => {
      await using t = await opened()
      const types = [undefined, 'text/plain', undefined, 'application/avro; v=é', 'text/plain']
      const records = types.map((contentType, i) => ({ body: Buffer.from(`${i}`), contentType }))
      await Promise.all([
        t.log.append(batch('json')),
        t.log.append(RecordBatch.of(records)),
        t.log.append(RecordBatch.of([{ key: 'k', body: Buffer.from('json too') }])),
      ])
      const typesFrom = async (from: number): Promise<readonly (string | undefined)[]> =>
        (await t.log.read({ from: 'offset', offset: offset(from) })).flatMap((b) =>
          [...b.records.records()].map((r) => r.contentType),
        )
      assert.deepEqual(await typesFrom(0), [undefined, ...types, undefined])
      assert.deepEqual(await typesFrom(4), [...types.slice(3), undefined])
      const [typed, plain] = await t.log.get([offset(2), offset(6)])
      assert.deepEqual([typed?.contentType, typed?.key], ['text/plain', undefined])
      assert.deepEqual([plain?.contentType, plain?.key], [undefined, 'k'])
    })

    it('gets records by their offsets, in the order asked for', async () => {
      await using t = await opened()
      for (let i = 0; i < 5; i++) {
        t.clock.move(1000)
        await t.log.append(numbered(i * 10, 10))
      }
      await t.log.trim(offset(12))
      const asked = [49, 12, 30, 11, 50, 12, 0, 29, 1e15, -1].map((n) => offset(n))
      const got = await t.log.get(asked)
      const bodyAt = (n: number) => ({ offset: offset(n), body: `record ${n}` })
      assert.deepEqual(
        got.map((r) => r && { offset: r.offset, body: text(r.body) }),
        [
          bodyAt(49),
          bodyAt(12),
          bodyAt(30),
          undefined,
          undefined,
          bodyAt(12),
          undefined,
          bodyAt(29),
          undefined,
          undefined,
        ],
      )
      assert.equal(Number(got[0]?.at) - Number(got[1]?.at), 3000)
      assert.deepEqual(await t.log.get([]), [])
    })

    it('finds the records of a key, newest first, in steps', async () => {
      await using t = await opened()
      await fillKeyed(t.log)
      await checkKeyed(t.log, 0)
      // Each of the newest is found as soon as it was acknowledged.
      for (let i = 0; i < 5; i++) {
        const { first } = await t.log.append(keyed(['fresh', undefined, `only ${i}`]))
        assert.deepEqual(await t.log.find('fresh', { limit: 1 }), [first])
        assert.deepEqual(await t.log.find(`only ${i}`, { limit: 2 }), [first + 2n])
      }
    })

    it('finds no key that was trimmed, and all others', async () => {
      await using t = await opened()
      await fillKeyed(t.log)
      for (const before of [1, 777, 1500, 1501, keyedCount - 3]) {
        await t.log.trim(offset(before))
        await checkKeyed(t.log, before)
      }
      await t.log.trim(offset(keyedCount))
      assert.deepEqual(await t.log.find('often', { limit: 10 }), [])
    })

    it('finds by keys in each stream for itself', async () => {
      await using t = await opened()
      const other = await t.engine.create(streamName('other'))
      await t.log.append(keyed(['a', 'b']))
      await other.append(keyed(['b', 'c']))
      assert.deepEqual(await other.find('a', { limit: 5 }), [])
      assert.deepEqual(await other.find('b', { limit: 5 }), [0n])
      assert.deepEqual(await t.log.find('b', { limit: 5 }), [1n])
    })

    it('keeps lines as lines, without their newlines', async () => {
      await using t = await opened()
      await t.log.append(RecordBatch.lines(Buffer.from('one\ntwo\n\nfour\n')))
      await t.log.append(RecordBatch.lines(Buffer.from('five\nsix')))
      assert.deepEqual(await readAll(t.log, { from: 'first' }, 2), ['one', 'two', '', 'four', 'five', 'six'])
    })

    it('lets the caller use its memory again', async () => {
      await using t = await opened()
      const bytes = Buffer.from('before')
      await t.log.append(new RecordBatch({ bytes, ends: Uint32Array.of(6) }))
      bytes.fill(120)
      assert.deepEqual(await readAll(t.log, { from: 'first' }), ['before'])
    })

    it('reads from first, next, an offset, the last n and a time', async () => {
      await using t = await opened()
      const times: Date[] = []
      for (let i = 0; i < 5; i++) {
        times.push(t.clock.move(1000))
        await t.log.append(numbered(i * 10, 10))
      }
      assert.equal((await readAll(t.log, { from: 'first' })).length, 50)
      assert.deepEqual(await readAll(t.log, { from: 'next' }), [])
      assert.deepEqual((await readAll(t.log, { from: 'offset', offset: offset(23) }))[0], 'record 23')
      assert.deepEqual(await readAll(t.log, { from: 'last', count: 3 }), ['record 47', 'record 48', 'record 49'])
      assert.equal((await readAll(t.log, { from: 'last', count: 5000 })).length, 50)
      assert.deepEqual(await readAll(t.log, { from: 'last', count: 0 }), [])
      const at = times[2] as Date
      assert.deepEqual((await readAll(t.log, { from: 'time', at }))[0], 'record 20')
      assert.deepEqual((await readAll(t.log, { from: 'time', at: new Date(at.getTime() + 1) }))[0], 'record 30')
      assert.deepEqual(await readAll(t.log, { from: 'time', at: new Date(at.getTime() + 60_000) }), [])
      assert.equal((await readAll(t.log, { from: 'time', at: new Date(0) })).length, 50)
    })

    it('answers at most what it was asked for, and one record whatever its size', async () => {
      await using t = await opened()
      await t.log.append(batch('a'.repeat(100), 'b'.repeat(5000), 'c'.repeat(100)))
      const read = async (from: number, records: number, bytes: number): Promise<readonly number[]> =>
        bodies(await t.log.read({ from: 'offset', offset: offset(from) }, { records, bytes })).map((b) => b.length)
      assert.deepEqual(await read(0, 10, 1000), [100])
      assert.deepEqual(await read(1, 10, 1000), [5000])
      assert.deepEqual(await read(0, 2, 100_000), [100, 5000])
      assert.deepEqual(await read(0, 10, 5100), [100, 5000])
      assert.deepEqual(await read(3, 10, 5100), [])
    })

    it('never lets time fall', async () => {
      await using t = await opened()
      const later = t.clock.move(5000)
      await t.log.append(batch('a'))
      t.clock.move(-4000)
      assert.deepEqual((await t.log.append(batch('b'))).at, later)
      assert.deepEqual(await readAll(t.log, { from: 'time', at: later }), ['a', 'b'])
    })

    it('adds an append of a writer once, also among others at the same time', async () => {
      await using t = await opened()
      const writer = { id: 'w', seq: 5n }
      const one = await t.log.append(batch('a', 'b'), { writer })
      const again = await t.log.append(batch('a', 'b'), { writer })
      assert.deepEqual([again.first, again.next, again.isRepeated], [one.first, one.next, true])
      await assert.rejects(t.log.append(batch('x'), { writer: { id: 'w', seq: 4n } }), code('LOG_WRITER_BEHIND'))
      const both = await Promise.all([
        t.log.append(batch('c'), { writer: { id: 'w', seq: 9n } }),
        t.log.append(batch('c'), { writer: { id: 'w', seq: 9n } }),
        t.log.append(batch('d'), { writer: { id: 'v', seq: 0n } }),
      ])
      assert.deepEqual(
        both.map((d) => d.isRepeated),
        [false, true, false],
      )
      assert.deepEqual(await readAll(t.log, { from: 'first' }), ['a', 'b', 'c', 'd'])
      assert.deepEqual(await t.log.writer('w'), { seq: 9n, first: 2n, next: 3n })
      assert.equal(await t.log.writer('nobody'), undefined)
    })

    it('keeps each of many writers in its own order, with no record lost or doubled', async () => {
      await using t = await opened()
      const writers = Array.from({ length: 16 }, (_, w) => w)
      await Promise.all(
        writers.map(async (w) => {
          for (let seq = 0; seq < 25; seq++)
            await t.log.append(batch(`${w}:${seq}`), { writer: { id: `w${w}`, seq: BigInt(seq) } })
        }),
      )
      const all = await readAll(t.log, { from: 'first' }, 33)
      assert.equal(all.length, 400)
      for (const w of writers)
        assert.deepEqual(
          all.filter((body) => body.startsWith(`${w}:`)),
          Array.from({ length: 25 }, (_, seq) => `${w}:${seq}`),
        )
    })

    it('follows: what is there, then what comes; ends when asked to', { timeout: 20_000 }, async () => {
      await using t = await opened()
      await t.log.append(numbered(0, 3))
      const stop = new AbortController()
      const got: string[] = []
      const following = (async () => {
        for await (const stored of t.log.follow({ from: 'offset', offset: offset(1) }, { signal: stop.signal })) {
          got.push(...bodies(stored))
          if (got.length === 4) stop.abort()
        }
      })()
      await t.log.append(batch('new'))
      await t.log.append(batch('newer'))
      await following
      assert.deepEqual(got, ['record 1', 'record 2', 'new', 'newer'])
    })

    it('wakes a follower that waits, through another opening of the stream too', { timeout: 20_000 }, async () => {
      await using t = await opened()
      const other = await t.engine.open(s)
      const stop = new AbortController()
      const follower = t.log.follow({ from: 'next' }, { signal: stop.signal })
      for (const body of ['a', 'b', 'c']) {
        const next = follower.next()
        await other.append(batch(body))
        assert.deepEqual(bodies((await next).value ?? []), [body])
      }
      const last = follower.next()
      stop.abort()
      assert.equal((await last).done, true)
    })

    it('trims, says what is gone, and goes on counting', async () => {
      await using t = await opened()
      for (let i = 0; i < 4; i++) await t.log.append(numbered(i * 10, 10))
      assert.deepEqual(await t.log.trim(offset(15)), { first: 15n, next: 40n })
      assert.deepEqual(await t.log.trim(offset(5)), { first: 15n, next: 40n })
      assert.deepEqual((await readAll(t.log, { from: 'first' }))[0], 'record 15')
      await assert.rejects(t.log.read({ from: 'offset', offset: offset(14) }), code('LOG_OFFSET_TRIMMED'))
      await assert.rejects(t.log.trim(offset(41)), code('LOG_OFFSET_AHEAD'))
      await t.log.trim(offset(40))
      assert.deepEqual(await readAll(t.log, { from: 'first' }), [])
      assert.equal((await t.log.append(batch('x'))).first, 40n)
      assert.deepEqual(await readAll(t.log, { from: 'last', count: 9 }), ['x'])
    })

    it('keeps by age, bytes and count, and never less than asked', async () => {
      await using t = await opened()
      for (let i = 0; i < 6; i++) {
        await t.log.append(batch('x'.repeat(100)))
        t.clock.move(1000)
      }
      assert.equal((await t.log.retain(t.clock.now())).first, 0n)
      await t.log.setRetention({ maxAgeMs: 4500 })
      assert.deepEqual((await t.log.retain(t.clock.now())).first, 2n)
      await t.log.setRetention({ maxBytes: 300 })
      assert.deepEqual((await t.log.retain(t.clock.now())).first, 3n)
      await t.log.setRetention({ maxRecords: 1, maxBytes: 1_000_000 })
      assert.deepEqual((await t.log.retain(t.clock.now())).first, 5n)
      const stat = await t.log.stat()
      assert.deepEqual([stat.first, stat.next, stat.bytes], [5n, 6n, 100])
      assert.deepEqual({ ...stat.retention }, { maxRecords: 1, maxBytes: 1_000_000 })
      await assert.rejects(t.log.setRetention({ maxBytes: 0 }), code('LOG_ARGUMENT'))
    })

    it('trims all streams that have a retention at once, and no other', async () => {
      await using t = await opened()
      const names = ['by-count', 'by-age', 'changed'].map(streamName) as [StreamName, StreamName, StreamName]
      const limits = [{ maxRecords: 2 }, { maxAgeMs: 2_500 }, {}] as const
      const logs = await Promise.all(names.map((name, i) => t.engine.create(name, limits[i])))
      for (let i = 0; i < 4; i++) {
        for (const log of [t.log, ...logs]) await log.append(batch(`${i}`))
        t.clock.move(1_000)
      }
      await logs[2]?.setRetention({ maxRecords: 1 })
      const hindered: unknown[] = []
      const note = (name: StreamName, why: unknown): void => void hindered.push([name, why])
      await t.engine.retain(t.clock.now(), note)
      assert.deepEqual(hindered, [])
      const firsts = await Promise.all([t.log, ...logs].map(async (log) => (await log.bounds()).first))
      assert.deepEqual(firsts, [0n, 2n, 2n, 3n])
      await t.engine.drop(names[0])
      await t.engine.retain(t.clock.now(), note)
      assert.deepEqual(hindered, [])
    })

    it('tells when it was made and when its newest record came', async () => {
      await using t = await opened()
      const made = t.clock.now()
      const empty = await t.log.stat()
      assert.deepEqual(
        [empty.first, empty.next, empty.createdAt, empty.lastAt, empty.bytes],
        [0n, 0n, made, undefined, 0],
      )
      const came = t.clock.move(7)
      await t.log.append(batch('four'))
      const stat = await t.log.stat()
      assert.deepEqual([stat.next, stat.createdAt, stat.lastAt, stat.bytes], [1n, made, came, 4])
    })

    it('refuses what makes no sense, and is as it was', async () => {
      await using t = await opened()
      await t.log.append(batch('a'))
      const wrong = { records: 0, bytes: 1 }
      for (const call of [
        () => t.log.append(batch()),
        () => t.log.append(batch('x'), { writer: { id: '', seq: 0n } }),
        () => t.log.append(batch('x'), { writer: { id: 'w', seq: -1n } }),
        () => t.log.append(batch('x'), { writer: { id: 'w'.repeat(201), seq: 0n } }),
        () => t.log.read({ from: 'first' }, wrong),
        () => t.log.read({ from: 'last', count: -1 }),
        () => t.log.read({ from: 'time', at: new Date(Number.NaN) }),
        () => t.log.find('k', { limit: 0 }),
        () => t.log.find('k', { limit: 10_001 }),
        () => t.log.find('k', { limit: 1.5 }),
        () => t.log.get(Array.from({ length: 10_001 }, () => offset(0))),
      ])
        await assert.rejects(call, code('LOG_ARGUMENT'))
      await assert.rejects(t.log.read({ from: 'offset', offset: offset(2) }), code('LOG_OFFSET_AHEAD'))
      await assert.rejects(t.log.read({ from: 'offset', offset: offset(-1) }), code('LOG_OFFSET_TRIMMED'))
      assert.deepEqual(await readAll(t.log, { from: 'first' }), ['a'])
    })

    it('has streams that know nothing of each other; lists, drops and makes them anew', async () => {
      await using t = await opened()
      const names = ['b', 'a.b-c_d', 'B', 'zz'].map(streamName)
      for (const name of names) await (await t.engine.create(name)).append(batch(`in ${name}`))
      const listed = await Array.fromAsync(t.engine.list())
      assert.deepEqual(listed, ['B', 'a.b-c_d', 'b', 's', 'zz'])
      await assert.rejects(t.engine.create(streamName('b')), code('STREAM_EXISTS'))
      await assert.rejects(t.engine.open(streamName('nope')), code('STREAM_UNKNOWN'))
      await assert.rejects(t.engine.drop(streamName('nope')), code('STREAM_UNKNOWN'))
      const b = await t.engine.open(streamName('b'))
      await t.engine.drop(streamName('b'))
      await assert.rejects(t.engine.open(streamName('b')), code('STREAM_UNKNOWN'))
      const fresh = await t.engine.create(streamName('b'))
      assert.deepEqual(await readAll(fresh, { from: 'first' }), [])
      assert.equal((await fresh.append(batch('again'))).first, 0n)
      for (const call of [
        () => b.append(batch('x')),
        () => b.read({ from: 'first' }),
        () => b.stat(),
        () => b.bounds(),
        () => b.find('k', { limit: 1 }),
        () => b.get([offset(0)]),
      ])
        await assert.rejects(call, code('STREAM_UNKNOWN'))
      for (const bad of ['', '.x', 'a/b', 'ü', 'x'.repeat(201), "a'; drop table stream; --"])
        assert.throws(() => streamName(bad), code('STREAM_NAME_INVALID'))
    })

    it('ends a follower of a stream that is dropped', { timeout: 20_000 }, async () => {
      await using t = await opened()
      const next = t.log.follow({ from: 'next' }, { signal: new AbortController().signal }).next()
      const ended = assert.rejects(next, code('STREAM_UNKNOWN'))
      await t.engine.drop(s)
      await ended
    })

    describe('once closed', () => {
      const calls: Readonly<Record<string, (log: StreamLog) => Promise<unknown>>> = {
        append: (log) => log.append(batch('x')),
        read: (log) => log.read({ from: 'first' }),
        place: (log) => log.place({ from: 'next' }),
        follow: (log) => log.follow({ from: 'first' }, { signal: new AbortController().signal }).next(),
        find: (log) => log.find('k', { limit: 1 }),
        get: (log) => log.get([offset(0)]),
        writer: (log) => log.writer('w'),
        trim: (log) => log.trim(offset(0)),
        setRetention: (log) => log.setRetention({}),
        retain: (log) => log.retain(new Date(0)),
        bounds: (log) => log.bounds(),
        stat: (log) => log.stat(),
      }
      for (const [name, call] of Object.entries(calls))
        it(`refuses ${name}`, async () => {
          await using t = await opened()
          await t.log[Symbol.asyncDispose]()
          await assert.rejects(call(t.log), code('LOG_CLOSED'))
          // Closing again does nothing, and other openings go on.
          await t.log[Symbol.asyncDispose]()
          await (await t.engine.open(s)).append(batch('y'))
        })

      it('has done what was begun, and ended its followers', { timeout: 20_000 }, async () => {
        await using t = await opened()
        const follower = t.log.follow({ from: 'next' }, { signal: new AbortController().signal }).next()
        const begun = t.log.append(batch('begun'))
        await Promise.all([t.log[Symbol.asyncDispose](), follower])
        assert.equal((await begun).first, 0n)
        assert.deepEqual(await readAll(await t.engine.open(s), { from: 'first' }), ['begun'])
      })

      it('the engine refuses everything, and has closed its logs', async () => {
        const t = await opened()
        await t.engine[Symbol.asyncDispose]()
        await t.engine[Symbol.asyncDispose]()
        await assert.rejects(t.engine.create(streamName('x')), code('LOG_CLOSED'))
        await assert.rejects(t.engine.open(s), code('LOG_CLOSED'))
        await assert.rejects(t.engine.drop(s), code('LOG_CLOSED'))
        await assert.rejects(
          t.engine.retain(new Date(0), () => {}),
          code('LOG_CLOSED'),
        )
        await assert.rejects(t.log.append(batch('x')), code('LOG_CLOSED'))
      })
    })

    const { reopen } = options
    if (reopen === undefined) return
    it('has everything when it is opened again', async () => {
      const clock = new TestClock()
      const engine = await options.make(clock.now)
      const log = await engine.create(s, { maxAgeMs: 5 })
      await log.append(numbered(0, 20), { writer: { id: 'w', seq: 3n } })
      await log.trim(offset(5))
      await engine.create(streamName('gone'))
      await engine.drop(streamName('gone'))
      const before = await log.stat()
      await engine[Symbol.asyncDispose]()
      await using again = await reopen(engine, clock.now)
      const names: StreamName[] = await Array.fromAsync(again.list())
      assert.deepEqual(names, ['s'])
      const found = await again.open(s)
      assert.deepEqual(await found.stat(), before)
      assert.equal((await readAll(found, { from: 'first' })).length, 15)
      assert.deepEqual(await found.writer('w'), { seq: 3n, first: 0n, next: 20n })
      assert.equal((await found.append(batch('x'), { writer: { id: 'w', seq: 3n } })).isRepeated, true)
      assert.equal((await found.append(batch('x'), { writer: { id: 'w', seq: 4n } })).first, 20n)
    })

    it('finds keys when it is opened again', async () => {
      const clock = new TestClock()
      const engine = await options.make(clock.now)
      const log = await engine.create(s)
      await fillKeyed(log)
      await log.trim(offset(1234))
      await engine[Symbol.asyncDispose]()
      await using again = await reopen(engine, clock.now)
      await checkKeyed(await again.open(s), 1234)
    })
  })
}
