import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { describeError, isMillraceError } from '@millrace/sdk'
import { cuttable, findBroker, freePort } from '@millrace/sdk/testing'
import { RecordBatch } from '../../record-batch.ts'
import type { StreamLog } from '../../stream-log.ts'
import { offset, streamName } from '../../types.ts'
import { Cursor } from './cursor.ts'
import { RabbitEngine } from './index.ts'
import { lockOf } from './lease.ts'
import { TestEngines } from './testing/brokers.ts'
import { type Block, decodeEntry, type Entry, encodeEntry } from './wire.ts'

const broker = await findBroker()
const s = streamName('s')
const code = (wanted: string) => (e: unknown) => isMillraceError(e) && e.code === wanted
const batch = (...bodies: readonly string[]): RecordBatch =>
  RecordBatch.of(bodies.map((body) => ({ body: Buffer.from(body) })))
const texts = async (log: StreamLog): Promise<readonly string[]> =>
  (await log.read({ from: 'first' })).flatMap((b) =>
    [...b.records.records()].map(({ body }) => Buffer.from(body).toString()),
  )

describe('the log in RabbitMQ', { skip: broker.skip }, () => {
  if (broker.skip !== false) return
  const engines = new TestEngines(broker.url)
  after(async () => {
    await engines[Symbol.asyncDispose]()
    await broker[Symbol.asyncDispose]()
  })
  /** The queue of the stream of an engine's only test. */
  const queueOf = async (prefix: string): Promise<string> => {
    const channel = await engines.client.acquire()
    await channel.basicQos({ prefetchCount: 100 })
    const { promise, resolve } = Promise.withResolvers<string>()
    await channel.basicConsume(
      { queue: `${prefix}.streams`, arguments: { 'x-stream-offset': 'first' } },
      (message: { readonly body: Buffer }) => resolve(JSON.parse(message.body.toString()).put.queue),
    )
    const queue = await promise
    await channel.close()
    return queue
  }
  const publish = async (queue: string, body: Buffer): Promise<void> => {
    const channel = await engines.client.acquire()
    await channel.confirmSelect()
    await channel.basicPublish({ routingKey: queue, durable: true, mandatory: true }, body)
    await channel.close()
  }

  it('makes a stream where the broker confirms a note before it hands it out', { timeout: 60_000 }, async (t) => {
    const prefix = engines.prefix()
    await using engine = await engines.open({ prefix })
    // Who asks whether that was all is told yes, whatever is still to come.
    t.mock.method(Cursor.prototype, 'isAtEnd', () => Promise.resolve(true))
    for (let i = 0; i < 20; i++) await engine.create(streamName(`s${i}`))
    t.mock.restoreAll()
    assert.equal((await Array.fromAsync(engine.list())).length, 20)
  })

  it('has what is published to an exchange from the moment on in which an engine is open', {
    timeout: 60_000,
  }, async () => {
    const prefix = engines.prefix()
    const name = streamName(`bound-${prefix}`)
    const exchange = `streams.${name}`
    await using one = await engines.open({ prefix })
    await one.create(name, {}, { amqp: true })
    const channel = await engines.client.acquire()
    await channel.confirmSelect()
    // As after a restart of the broker, when a program was there before us.
    await channel.exchangeDelete({ exchange })
    await channel.exchangeDeclare({ exchange, type: 'fanout', durable: false })
    await using other = await engines.open({ prefix })
    await channel.basicPublish({ exchange, routingKey: '' }, Buffer.from('"at once"'))
    await channel.close()
    assert.deepEqual(await texts(await other.open(name)), ['"at once"'])
  })

  it('tells who appends that another engine dropped the stream, and leaves no lock of it', {
    timeout: 60_000,
  }, async () => {
    const prefix = engines.prefix()
    await using one = await engines.open({ prefix })
    await using other = await engines.open({ prefix })
    const log = await one.create(s)
    await log.append(batch('a'))
    const there = await other.open(s)
    await there.append(batch('b'))
    const lock = lockOf(await queueOf(prefix))
    const isThere = async (): Promise<boolean> => {
      const channel = await engines.client.acquire()
      try {
        await channel.queueDeclare({ queue: lock, passive: true })
        return true
      } catch {
        return false
      } finally {
        await channel.close()
      }
    }
    assert.equal(await isThere(), true)
    await one.drop(s)
    for (const each of [there, log]) await assert.rejects(each.append(batch('c')), code('STREAM_UNKNOWN'))
    assert.equal(await isThere(), false)
  })

  it('is appended to by several engines in turn, each writer in its order', { timeout: 60_000 }, async () => {
    const prefix = engines.prefix()
    const three = await Promise.all([0, 1, 2].map(() => engines.open({ prefix })))
    await three[0]?.create(s)
    const writers = three.map(async (engine, w) => {
      const log = await engine.open(s)
      for (let seq = 0; seq < 60; seq++)
        await log.append(batch(`${w}:${seq}`), { writer: { id: `w${w}`, seq: BigInt(seq) } })
    })
    await Promise.all(writers)
    for (const engine of three) {
      const all = await texts(await engine.open(s))
      assert.equal(all.length, 180)
      for (const w of [0, 1, 2])
        assert.deepEqual(
          all.filter((text) => text.startsWith(`${w}:`)),
          Array.from({ length: 60 }, (_, seq) => `${w}:${seq}`),
        )
      await engine[Symbol.asyncDispose]()
    }
  })

  it('passes over messages of an appender that others took over from, and of anybody else', async () => {
    const prefix = engines.prefix()
    await using engine = await engines.open({ prefix })
    const log = await engine.create(s)
    await log.append(batch('a'), { writer: { id: 'w', seq: 0n } })
    const queue = await queueOf(prefix)
    await using second = await engines.open({ prefix })
    await (await second.open(s)).append(batch('b'), { writer: { id: 'w', seq: 1n } })
    // What the first one would have sent, had it not known: its epoch is over.
    const late = { kind: 'block', first: 1, sum: 1, at: 1, place: 4, since: 3, parts: [{ count: 1 }] } as const
    await publish(queue, encodeEntry({ ...late, epoch: 1, records: batch('late') }, false).message)
    await publish(queue, encodeEntry({ ...late, epoch: 2, first: 7, records: batch('ahead') }, false).message)
    await publish(queue, Buffer.from('garbage of somebody else'.repeat(10)))
    await (await second.open(s)).append(batch('c'), { writer: { id: 'w', seq: 2n } })
    await using third = await engines.open({ prefix })
    for (const one of [engine, second, third]) {
      const found = await one.open(s)
      assert.deepEqual(await texts(found), ['a', 'b', 'c'])
      assert.deepEqual(await found.writer('w'), { seq: 2n, first: 2n, next: 3n })
    }
  })

  it('adds an append once whose confirm was lost, and whose writer comes back', { timeout: 60_000 }, async () => {
    const prefix = engines.prefix()
    await using engine = await engines.open({ prefix })
    await engine.create(s)
    const url = new URL(broker.url)
    await using way = await cuttable(Number(url.port))
    url.port = String(way.port)
    await using over = await RabbitEngine.open({ url: url.href, now: () => new Date(), prefix })
    const log = await over.open(s)
    let next = 200_000
    let cuts = 0
    way.onBytes = (total) => {
      if (total < next) return
      next = total + 200_000
      cuts++
      way.cut()
    }
    const body = 'x'.repeat(5_000)
    await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        log.append(batch(`${i} ${body}`), { writer: { id: `w${i % 10}`, seq: BigInt(i) } }),
      ),
    )
    assert.ok(cuts >= 3, `${cuts} cuts`)
    const found = (await texts(await engine.open(s))).map((text) => Number(text.split(' ')[0]))
    assert.deepEqual(
      found.toSorted((a, b) => a - b),
      [...Array(200).keys()],
    )
    for (let w = 0; w < 10; w++)
      assert.deepEqual(
        found.filter((i) => i % 10 === w),
        Array.from({ length: 20 }, (_, i) => i * 10 + w),
      )
    const again = await (await engine.open(s)).append(batch('again'), { writer: { id: 'w9', seq: 199n } })
    assert.equal(again.isRepeated, true)
  })

  it('finds offsets, times and limits among many blocks without having read them', { timeout: 60_000 }, async () => {
    const prefix = engines.prefix()
    let ms = Date.UTC(2026, 0, 1)
    const writing = await engines.open({ prefix, now: () => new Date(ms), compress: true })
    const log = await writing.create(s)
    for (let i = 0; i < 600; i++) {
      ms += 1000
      await log.append(batch(...Array.from({ length: 10 }, (_, k) => `${i * 10 + k}`.padEnd(100))))
    }
    await writing[Symbol.asyncDispose]()
    await using engine = await engines.open({ prefix, now: () => new Date(ms) })
    const found = await engine.open(s)
    for (const at of [0, 5_999, 3_141, 17, 2_718, 5_200, 999]) {
      const [stored] = await found.read({ from: 'offset', offset: offset(at) }, { records: 3, bytes: 1e6 })
      assert.equal(stored?.first, BigInt(at))
      assert.equal(Number(Buffer.from(stored?.records.body(0) ?? []).toString()), at)
    }
    assert.equal(await found.place({ from: 'time', at: new Date(Date.UTC(2026, 0, 1) + 301_500) }), 3010n)
    await found.setRetention({ maxRecords: 1_234 })
    assert.equal((await found.retain(new Date(ms))).first, 4770n)
    await found.setRetention({ maxAgeMs: 100_500 })
    assert.equal((await found.retain(new Date(ms))).first, 4990n)
    assert.equal((await found.stat()).bytes, 101_000)
  })

  it('leaves old records to the broker where it was made with a limit', { timeout: 60_000 }, async () => {
    const prefix = engines.prefix()
    await using engine = await engines.open({ prefix })
    const log = await engine.create(s, { maxBytes: 2_000_000 })
    const body = 'y'.repeat(50_000)
    for (let i = 0; i < 200; i++) await log.append(batch(body))
    await using other = await engines.open({ prefix })
    const found = await other.open(s)
    // The broker drops whole segments, when it begins a new one.
    const { first, next } = await found.bounds()
    assert.ok(first > 0n && next - first >= 40n, `${first} to ${next}`)
    await assert.rejects(found.read({ from: 'offset', offset: offset(0) }), code('LOG_OFFSET_TRIMMED'))
    assert.equal((await found.read({ from: 'first' }))[0]?.first, first)
    assert.equal((await found.append(batch('z'))).first, 200n)
  })

  it('makes one stream of two that are made at the same time', async () => {
    const prefix = engines.prefix()
    await using one = await engines.open({ prefix })
    await using two = await engines.open({ prefix })
    const made = await Promise.allSettled([one.create(s), two.create(s)])
    const failed = made.filter((m) => m.status === 'rejected')
    assert.equal(failed.length, 1)
    assert.ok(code('STREAM_EXISTS')(failed[0]?.reason))
    await (await two.open(s)).append(batch('x'))
    assert.deepEqual(await texts(await one.open(s)), ['x'])
    await one.drop(s)
    await assert.rejects(two.open(s), code('STREAM_UNKNOWN'))
  })

  it('tells in one line what is wrong with a broker, and no password', { timeout: 60_000 }, async () => {
    const { host } = new URL(broker.url)
    const port = await freePort()
    const cases = [
      [`amqp://guest:s3cr3t@${host}`, 'LOG_REFUSED', /user or password were not accepted/],
      [`amqp://guest:guest@${host}/nowhere`, 'LOG_REFUSED', /vhost nowhere not found/],
      [`amqps://guest:s3cr3t@${host}`, 'LOG_REFUSED', /does not speak TLS there/],
      [`amqp://guest:s3cr3t@127.0.0.1:${port}`, 'LOG_UNAVAILABLE', /nothing listens there/],
      ['amqp://guest:s3%cr3t@localhost', 'CONFIG_INVALID', /a % that begins no escape/],
    ] as const
    for (const [url, wanted, words] of cases) {
      // Somebody has to change something: that is not waited for, or this test would not end in time.
      const isWaitedFor = wanted === 'LOG_UNAVAILABLE'
      const timeoutMs = isWaitedFor ? 1_500 : 600_000
      await assert.rejects(RabbitEngine.open({ url, now: () => new Date(), timeoutMs }), (e) => {
        assert.ok(isMillraceError(e))
        assert.match(describeError(e), words)
        assert.doesNotMatch(describeError(e), /s3cr3t/)
        assert.deepEqual([e.retry, e.exitCode], isWaitedFor ? ['later', 69] : ['after-fix', 78])
        return code(wanted)(e)
      })
    }
  })

  it('refuses an append that is no message, and streams of others on engines that have none', async () => {
    await using engine = await engines.open({ prefix: engines.prefix() })
    const log = await engine.create(s)
    const big = new RecordBatch({ bytes: Buffer.alloc(16 * 1024 * 1024), ends: Uint32Array.of(16 * 1024 * 1024) })
    await assert.rejects(log.append(big), code('LOG_ARGUMENT'))
    await assert.rejects(engine.create(streamName('t'), {}, { amqp: true, queue: 'q' }), code('LOG_ARGUMENT'))
  })
})

describe('an entry', () => {
  const head = { epoch: 3, first: 2 ** 40, sum: 2 ** 50, at: 1.5e12, place: 17, since: 4 }
  const odd = RecordBatch.of([
    { body: Buffer.from('é'), key: 'k', contentType: 'text/plain' },
    { body: Buffer.alloc(0) },
    { body: Buffer.alloc(2_000, 7), key: 'ü' },
  ])
  const entries: readonly Entry[] = [
    { kind: 'fence', ...head, by: 'me' },
    { kind: 'checkpoint', ...head, writers: new Map([['w', { seq: 2n ** 60n, first: 1, next: 2, at: 3 }]]) },
    { kind: 'block', ...head, parts: [{ count: 1, writer: { id: 'é', seq: 5n } }, { count: 2 }], records: odd },
    { kind: 'block', ...head, parts: [{ count: 3 }], records: RecordBatch.lines(Buffer.from('a\n\nccc')) },
  ]
  it('is read as it was written, compressed or not; damaged in any byte it is none', () => {
    for (const entry of entries)
      for (const compress of [false, true]) {
        const { message } = encodeEntry(entry, compress)
        const read = decodeEntry(message)
        const plain = (e: Entry | undefined) =>
          e?.kind === 'block'
            ? {
                ...e,
                parts: e.parts.map((p) => ({ ...p })),
                records: [...e.records.records()].map((r) => ({ ...r, body: Buffer.from(r.body) })),
              }
            : e
        const wanted =
          entry.kind === 'block'
            ? { ...entry, parts: entry.parts.map(({ count, writer }) => ({ count, writer })) }
            : entry
        const got =
          read?.kind === 'block'
            ? ({ ...read, parts: read.parts.map(({ count, writer }) => ({ count, writer })) } as Block)
            : read
        assert.deepEqual(plain(got), plain(wanted))
        for (let i = 0; i < message.length; i += 1 + Math.trunc(i / 50)) {
          const damaged = Buffer.from(message)
          damaged[i] = (damaged[i] as number) ^ 0x10
          assert.equal(decodeEntry(damaged), undefined, `byte ${i}`)
        }
        assert.equal(decodeEntry(message.subarray(0, -1)), undefined)
      }
  })
})
