/** A stream that is shared with programs that speak AMQP and know nothing of us. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, describe, it } from 'node:test'
import { describeError, isMillraceError } from '@millrace/sdk'
import { startBroker } from '@millrace/sdk/testing'
import type { Channel } from 'rabbitmq-client'
import { RecordBatch } from '../../record-batch.ts'
import type { StreamLog } from '../../stream-log.ts'
import { streamLogSuite } from '../../testing/index.ts'
import { offset, type StreamName, streamName } from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { RabbitEngine } from './index.ts'
import { TestEngines } from './testing/brokers.ts'

// Its own: the names of exchanges are the names of streams, and the broker is ended.
const broker = await startBroker()
const shared = { amqp: true }
const unique = (): StreamName => streamName(`shared-${randomBytes(4).toString('hex')}`)
const batch = (...bodies: readonly string[]): RecordBatch =>
  RecordBatch.of(bodies.map((body) => ({ body: Buffer.from(body) })))
const all = async (log: StreamLog): Promise<readonly Buffer[]> =>
  (await log.read({ from: 'first' })).flatMap((b) => [...b.records.records()].map(({ body }) => Buffer.from(body)))
const texts = async (log: StreamLog): Promise<readonly string[]> => (await all(log)).map(String)

describe('streams shared over AMQP', { skip: broker.skip }, () => {
  if (broker.skip !== false) return
  const engines = new TestEngines(broker.url)
  after(async () => {
    await engines[Symbol.asyncDispose]()
    await broker[Symbol.asyncDispose]()
  })
  const prefixes = new WeakMap<object, string>()
  const open = async (prefix: string, now: () => Date): Promise<RabbitEngine> => {
    const engine = await engines.open({ now, prefix })
    prefixes.set(engine, prefix)
    const create = engine.create.bind(engine)
    engine.create = (name, retention) => create(name, retention, shared)
    return engine
  }
  streamLogSuite({
    name: 'rabbitmq, one body a message',
    make: async (now) => await open(engines.prefix(), now),
    reopen: async (old, now) => await open(prefixes.get(old) as string, now),
  })

  it('holds what any program publishes, one record each, byte for byte', async () => {
    await using engine = await engines.open({ prefix: engines.prefix() })
    const name = unique()
    const log = await engine.create(name, {}, shared)
    const exchange = `streams.${name}`
    const channel = await engines.client.acquire()
    // As the old programs declare it; a durable exchange would refuse them.
    await channel.exchangeDeclare({ exchange, type: 'fanout', durable: false })
    await channel.confirmSelect()
    const odd = [Buffer.from('plain'), Buffer.from([0xff, 0xfe, 0, 10]), Buffer.alloc(0), Buffer.alloc(300_000, 1)]
    for (const body of odd) await channel.basicPublish({ exchange, routingKey: '' }, body)
    const json = Buffer.from('{"id": 12345678901234567890}')
    const text = Buffer.from([0xe9, 0x0a])
    await channel.basicPublish({ exchange, contentType: 'application/json' }, json)
    await channel.basicPublish({ exchange, contentType: 'text/plain' }, text)
    await channel.basicPublish(
      { exchange, headers: { 'millrace-writer': 7, 'millrace-part': 'x' } },
      Buffer.from('odd'),
    )
    assert.deepEqual(await all(log), [...odd, json, text, Buffer.from('odd')])
    assert.deepEqual(
      (await log.get([4, 5].map(offset))).map((r) => r?.contentType),
      [undefined, 'text/plain'],
    )
    await channel.close()
  })

  it('gives every program that binds a queue what we append, unchanged', async () => {
    await using engine = await engines.open({ prefix: engines.prefix() })
    const name = unique()
    const log = await engine.create(name, {}, shared)
    const channel = await engines.client.acquire()
    const { queue } = await channel.queueDeclare({ queue: '', exclusive: true, autoDelete: true })
    await channel.queueBind({ queue, exchange: `streams.${name}`, routingKey: '' })
    const records = [{ body: Buffer.from('one\n') }, { body: Buffer.from([255]), key: 'k' }, { body: Buffer.alloc(0) }]
    await log.append(RecordBatch.of(records))
    for (const { body } of records) {
      const got = await channel.basicGet({ queue, noAck: true })
      assert.deepEqual([got?.body, got?.routingKey], [body, ''])
    }
    await channel.close()
  })

  it('tells where appends are among the messages of others, and adds each once', async () => {
    await using engine = await engines.open({ prefix: engines.prefix() })
    const name = unique()
    const log = await engine.create(name, {}, shared)
    const channel = await engines.client.acquire()
    await channel.confirmSelect()
    const foreign = (body: string): Promise<void> =>
      channel.basicPublish({ exchange: `streams.${name}` }, Buffer.from(body))
    await foreign('f0')
    const writer = { id: 'w', seq: 0n }
    const done = await log.append(batch('a', 'b'), { writer })
    assert.deepEqual([done.first, done.next], [1n, 3n])
    await foreign('f1')
    const again = await log.append(batch('a', 'b'), { writer })
    assert.deepEqual([again.first, again.next, again.isRepeated], [1n, 3n, true])
    assert.equal((await log.append(batch('c'), { writer: { id: 'w', seq: 1n } })).first, 4n)
    assert.deepEqual(await texts(log), ['f0', 'a', 'b', 'f1', 'c'])
    await channel.close()
  })

  it('goes on in the middle of an append that a writer left behind, and drops what comes twice', async () => {
    const prefix = engines.prefix()
    await using engine = await engines.open({ prefix })
    const name = unique()
    const log = await engine.create(name, {}, shared)
    const part = (i: number): Record<string, unknown> => ({
      'millrace-writer': 'w',
      'millrace-seq': '3',
      'millrace-part': i,
      'millrace-parts': 3,
    })
    const channel = await engines.client.acquire()
    await channel.confirmSelect()
    const publish = (headers: Record<string, unknown>, body: string): Promise<void> =>
      channel.basicPublish({ exchange: `streams.${name}`, headers }, Buffer.from(body))
    await publish(part(0), 'a')
    await publish(part(0), 'a')
    await publish(part(1), 'b')
    assert.equal(await log.writer('w'), undefined)
    const done = await log.append(batch('a', 'b', 'c'), { writer: { id: 'w', seq: 3n } })
    assert.deepEqual([done.first, done.next], [0n, 4n])
    await publish(part(2), 'c')
    assert.deepEqual(await texts(log), ['a', 'b', 'c'])
    assert.deepEqual(await log.read({ from: 'next' }), [])
    await using second = await engines.open({ prefix })
    assert.deepEqual(await texts(await second.open(name)), ['a', 'b', 'c'])
    await channel.close()
  })

  it('knows to the record where a writer was that counts its records, and lets it go on in other pieces', async () => {
    await using engine = await engines.open({ prefix: engines.prefix() })
    const name = unique()
    const log = await engine.create(name, {}, shared)
    const counted = (seq: bigint) => ({ writer: { id: 'w', seq, countsRecords: true as const } })
    await log.append(batch('a', 'b'), counted(2n))
    assert.equal((await log.writer('w'))?.seq, 2n)
    // What a process leaves that is killed in the middle of an append.
    const channel = await engines.client.acquire()
    await channel.confirmSelect()
    const headers = { 'millrace-writer': 'w', 'millrace-seq': '3', 'millrace-part': 0, 'millrace-parts': 1 }
    await channel.basicPublish({ exchange: `streams.${name}`, headers }, Buffer.from('c'))
    await channel.close()
    assert.equal((await log.writer('w'))?.seq, 3n)
    assert.equal((await log.append(batch('b', 'c', 'd'), counted(4n))).next, 4n)
    assert.equal((await log.append(batch('c', 'd'), counted(4n))).isRepeated, true)
    await log.append(batch('e', 'f', 'g'), counted(7n))
    assert.deepEqual(await texts(log), ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
  })

  it('reads a stream queue that others made and filled, and leaves it to them', async () => {
    await using engine = await engines.open({ prefix: engines.prefix() })
    const queue = unique()
    const channel = await engines.client.acquire()
    await channel.queueDeclare({ queue, durable: true, arguments: { 'x-queue-type': 'stream' } })
    const log = await engine.create(queue, {}, { queue })
    assert.deepEqual([await texts(log), (await log.bounds()).next], [[], 0n])
    await channel.confirmSelect()
    for (let i = 0; i < 5; i++) await channel.basicPublish({ routingKey: queue }, Buffer.from(`m${i}`))
    assert.deepEqual((await log.append(batch('ours'))).first, 5n)
    assert.deepEqual(await texts(log), ['m0', 'm1', 'm2', 'm3', 'm4', 'ours'])
    await engine.drop(queue)
    await channel.queueDeclare({ queue, passive: true })
    await channel.queueDelete({ queue })
    await channel.close()
  })

  it('tells a user who may not do it what is not allowed, and does not wait', async () => {
    await broker.control('add_user', 'reader', 's3cr3t')
    await broker.control('set_permissions', 'reader', '^nothing$', '^nothing$', '.*')
    const url = broker.url.replace('guest:guest', 'reader:s3cr3t')
    const opened = RabbitEngine.open({ url, now: () => new Date(), prefix: engines.prefix(), timeoutMs: 20_000 })
    await assert.rejects(opened, (e) => {
      assert.ok(isMillraceError(e))
      assert.match(describeError(e), /access to queue .* refused for user 'reader'/)
      assert.doesNotMatch(describeError(e), /s3cr3t/)
      return e.code === 'LOG_REFUSED' && e.exitCode === 78
    })
    // A shared stream whose exchange somebody else made in another way.
    await using engine = await engines.open({ prefix: engines.prefix() })
    const name = unique()
    await engines.client.exchangeDeclare({ exchange: `streams.${name}`, type: 'topic', durable: true })
    await assert.rejects(engine.create(name, {}, shared), (e) => {
      assert.ok(isMillraceError(e))
      assert.match(e.message, /inequivalent arg/)
      return e.code === 'LOG_REFUSED'
    })
  })

  it('stands behind its exchange again after each end of the broker; of what we appended nothing is lost or double', {
    timeout: 300_000,
  }, async () => {
    const prefix = engines.prefix()
    await using engine = await engines.open({ prefix })
    await using other = await engines.open({ prefix })
    const name = unique()
    const log = await engine.create(name, {}, shared)
    const exchange = `streams.${name}`
    let goesOn = true
    const more = new Waiters()
    const counts = [0, 0]
    const write = async (i: number, target: StreamLog): Promise<void> => {
      for (let seq = 0n; goesOn; seq++) {
        const records = Array.from({ length: 5 }, (_, k) => `${i} ${(counts[i] as number) + k}`)
        for (let isDone = false; !isDone; )
          try {
            await target.append(batch(...records), { writer: { id: `w${i}`, seq } })
            isDone = true
          } catch (e) {
            // On a slow machine the broker may be away for longer than is waited for: then the append comes again.
            if (!isMillraceError(e) || e.code !== 'LOG_UNAVAILABLE') throw e
          }
        counts[i] = (counts[i] as number) + 5
        more.wake()
      }
    }
    // Settled, so that what goes wrong below is what the test tells, not that its log was closed under a writer.
    const writing = Promise.allSettled([write(0, log), write(1, await other.open(name))])
    const failed = writing.then((all) => {
      for (const one of all) if (one.status === 'rejected') throw one.reason
    })
    failed.catch(() => {})
    const progress = async (count: number): Promise<void> => {
      const begun = [...counts]
      while (counts.some((n, i) => n < (begun[i] as number) + count))
        await Promise.race([more.wait(new AbortController().signal), failed])
    }
    const foreign: string[] = []
    for (let round = 0; round < 3; round++) {
      await progress(100)
      await (round % 2 === 0 ? broker.stop() : broker.kill())
      await broker.start()
      // The writers go on when everything is made again: then a program of the others finds the exchange, and the stream behind it.
      await progress(10)
      const channel: Channel = await engines.client.acquire()
      await channel.exchangeDeclare({ exchange, passive: true })
      await channel.confirmSelect()
      foreign.push(`foreign ${round}`)
      await channel.basicPublish({ exchange, mandatory: true }, Buffer.from(`foreign ${round}`))
      await channel.close()
    }
    goesOn = false
    await failed
    const found: string[] = []
    for (let at = await log.place({ from: 'first' }); ; ) {
      const stored = await log.read({ from: 'offset', offset: at })
      if (stored.length === 0) break
      for (const { first, records } of stored) {
        for (const { body } of records.records()) found.push(Buffer.from(body).toString())
        at = offset(first + BigInt(records.count))
      }
    }
    for (const [i, count] of counts.entries())
      assert.deepEqual(
        found.filter((text) => text.startsWith(`${i} `)),
        Array.from({ length: count }, (_, k) => `${i} ${k}`),
      )
    assert.deepEqual(
      found.filter((text) => text.startsWith('foreign')),
      foreign,
    )
  })
})
