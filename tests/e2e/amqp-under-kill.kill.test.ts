/**
 * A program that speaks AMQP and a publisher over HTTP share a stream while the manager is killed again and again, and the broker once. Each
 * confirmed record is there, once and in order, for a reader over HTTP; what came over HTTP reaches the program.
 */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { type ManagerClient, publishLines } from '@millrace/sdk/manager'
import { startBroker } from '@millrace/sdk/testing'
import { Connection, type Consumer } from 'rabbitmq-client'
import { killedManager } from './support/killed-manager.ts'

const kills = 10
const [perKill, perKillOverHttp] = [3_000, 300]
const perBlock = 50
/** Messages of the program that are under way at a time. */
const window = 250
const stream = 'shared'
const exchange = `streams.${stream}`

const broker = await startBroker()

/** A number that rises, and who waits for it. */
class Level {
  value = 0
  readonly #changed = new EventTarget()
  set(value: number): void {
    this.value = value
    this.#changed.dispatchEvent(new Event('change'))
  }
  async reaches(value: number): Promise<void> {
    while (this.value < value)
      await new Promise((again) => this.#changed.addEventListener('change', again, { once: true }))
  }
}

/** What the program does: publishes numbers as far as it is let, each confirmed; what a lost connection left open it sends again. */
class Program {
  readonly allowed = new Level()
  readonly confirmed = new Level()
  /** Numbers that it had to send again, as it was not told whether they had arrived. */
  readonly uncertain = new Set<number>()
  /** Resolves when there is a stream behind the exchange. */
  isServed: Promise<unknown> = Promise.resolve()
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async publish(total: number): Promise<void> {
    for (let next = 0; next < total; ) {
      await this.allowed.reaches(next + 1)
      const numbers = Array.from({ length: Math.min(window, this.allowed.value - next) }, (_, i) => next + i)
      for (let left = numbers; left.length > 0; ) {
        left = await this.#send(left)
        for (const n of left) this.uncertain.add(n)
      }
      next += numbers.length
      this.confirmed.set(next)
    }
  }

  /** Answers the numbers that were not confirmed. */
  async #send(numbers: readonly number[]): Promise<number[]> {
    try {
      const channel = await this.#connection.acquire()
      await channel.confirmSelect()
      // With a channel in hand: one may have been waited for over the death of the broker, and what is published to an exchange that
      // nobody has bound yet is confirmed and gone.
      await this.isServed
      const done = await Promise.allSettled(
        numbers.map((n) => channel.basicPublish({ exchange, routingKey: '' }, Buffer.from(`{"amqp":${n}}`))),
      )
      await channel.close()
      return numbers.filter((_, i) => done[i]?.status === 'rejected')
    } catch {
      return [...numbers]
    }
  }
}

/** As the old programs have it: a queue of its own behind the exchange that everybody declares. */
const consume = (connection: Connection, received: (line: string) => void): Consumer => {
  const consumer = connection.createConsumer(
    {
      queue: `${exchange}.0123456789abcdef0123456789abcdef`,
      noAck: true,
      queueOptions: { autoDelete: true, durable: false },
      exchanges: [{ exchange, type: 'fanout', durable: false }],
      queueBindings: [{ exchange }],
    },
    (message) => received(String(message.body)),
  )
  consumer.on('error', () => {})
  return consumer
}

const readAll = async (client: ManagerClient): Promise<readonly string[]> => {
  const lines: string[] = []
  for (let from = 'first'; ; ) {
    const query = { from, limit: 10_000 }
    const accept = { headers: { accept: 'application/x-ndjson' } }
    const response = await client.send('readRecords', { params: { stream }, query }, accept)
    for (const line of (await response.text()).split('\n')) if (line !== '') lines.push(line)
    if (response.headers.get('millrace-at-end') === 'true') return lines
    from = `offset:${response.headers.get('millrace-next')}`
  }
}

const numbersOf = (lines: readonly string[], key: 'amqp' | 'http'): readonly number[] =>
  lines.flatMap((line) => (JSON.parse(line) as { readonly [k: string]: number })[key] ?? [])
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i)

describe('a stream shared over AMQP', { skip: broker.skip }, () => {
  if (broker.skip !== false) return
  after(() => broker[Symbol.asyncDispose]())

  test(`keeps ${kills * perKill} records of an AMQP program over ${kills} kills of the manager and one of the broker`, {
    timeout: 300_000,
  }, async () => {
    using manager = await killedManager(['--log-url', broker.url])
    await manager.start()
    await manager.local().call('createStream', { body: { name: stream, settings: { amqp: true } } })
    const client = await manager.clientOf(stream)
    const connection = new Connection({ url: broker.url, retryLow: 50, retryHigh: 200 })
    connection.on('error', () => {}) // the broker is killed below
    try {
      const received: string[] = []
      const arrived = new Level()
      const consumer = consume(connection, (line) => {
        if (!line.startsWith('{"http":')) return
        received.push(line)
        arrived.set(received.length)
      })
      await new Promise((ready) => consumer.once('ready', ready))

      const program = new Program(connection)
      const programming = program.publish(kills * perKill)
      const [allowed, durable] = [new Level(), new Level()]
      const blocks = async function* (): AsyncGenerator<Uint8Array> {
        for (let n = 0; n < kills * perKillOverHttp; n += perBlock) {
          await allowed.reaches(n + perBlock)
          yield Buffer.from(Array.from({ length: perBlock }, (_, i) => `{"http":${n + i}}\n`).join(''))
        }
      }
      const publishing = publishLines(client, blocks(), {
        stream,
        writer: 'http-1',
        patienceMs: 60_000,
        onDurable: (lines) => durable.set(lines),
      })
      const both = Promise.all([programming, publishing])
      /** Ends with the test where one of them fails. */
      const until = (level: Level, value: number): Promise<unknown> => Promise.race([level.reaches(value), both])

      for (let i = 0; i < kills; i++) {
        const isOfBroker = i === kills / 2
        program.allowed.set(i * perKill + perKill / 2)
        allowed.set(i * perKillOverHttp + perKillOverHttp / 2)
        await until(program.confirmed, i * perKill + perKill / 4)
        // A writer is known while it is among the last 10,000 messages.
        if (i % 2 === 0) await until(durable, i * perKillOverHttp + perBlock)
        if (isOfBroker) {
          // What a broker had not handed out when it was killed is the program's to miss: that is why there are streams.
          await until(durable, allowed.value)
          await until(arrived, allowed.value)
        }
        await manager.kill()
        program.allowed.set((i + 1) * perKill)
        allowed.set((i + 1) * perKillOverHttp)
        if (isOfBroker) {
          await until(program.confirmed, i * perKill + perKill / 2)
          const served = Promise.withResolvers<void>()
          program.isServed = served.promise
          const again = new Promise((ready) => consumer.once('ready', ready))
          await broker.kill()
          await broker.start()
          await again
          await manager.start()
          served.resolve()
        } else await manager.start()
      }
      await both
      await arrived.reaches(kills * perKillOverHttp)

      const lines = await readAll(client)
      assert.deepEqual(numbersOf(lines, 'http'), upTo(kills * perKillOverHttp))
      const numbers = numbersOf(lines, 'amqp')
      assert.deepEqual([...new Set(numbers)], upTo(kills * perKill))
      // A message of a foreign program that it sends again is another message.
      const twice = numbers.filter((n, i) => numbers.indexOf(n) !== i)
      assert.ok(twice.every((n) => program.uncertain.has(n)) && new Set(twice).size === twice.length)
      assert.ok(program.uncertain.size <= window, `${program.uncertain.size} were sent again`)
      assert.deepEqual([...new Set(numbersOf(received, 'http'))], upTo(kills * perKillOverHttp))
      await consumer.close()
      assert.equal(await manager.stop(), 0)
    } finally {
      connection.unsafeDestroy()
    }
  })
})
