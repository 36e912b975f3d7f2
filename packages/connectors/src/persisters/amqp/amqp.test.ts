import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import {
  describeError,
  isMillraceError,
  type JsonObject,
  type MillraceError,
  parseExact,
  resolveConfig,
  runPersister,
  silentLogger,
} from '@millrace/sdk'
import { findRabbit } from '../../testing/services/rabbitmq.ts'
import { cuttable, freePort, persisterSuite } from '@millrace/sdk/testing'
import { amqp } from './index.ts'

const rabbit = await findRabbit()

const schema =
  '{"type":"SCHEMA","stream":"things","schema":{"type":"object","properties":{"id":{"type":"integer"},"t":{"type":"string"}}},"key_properties":["id"]}\n'
const things = (from: number, to: number): string =>
  Array.from(
    { length: to - from },
    (_, i) => `{"type":"RECORD","stream":"things","record":{"id":${from + i},"t":"text ${from + i}"}}\n`,
  ).join('')
const state = (n: number): string => `{"type":"STATE","value":${n}}\n`

interface Ran {
  readonly states: readonly string[]
  readonly error: MillraceError | undefined
}
const run = async (settings: JsonObject, input: Iterable<string> | AsyncIterable<string>): Promise<Ran> => {
  const states: string[] = []
  let error: MillraceError | undefined
  await runPersister(amqp, {
    config: resolveConfig(amqp.config, {
      kind: 'persister',
      name: 'amqp',
      file: { url: rabbit.url, retryMs: 1, tries: 3, ...settings },
      strict: true,
    }).config,
    input: (async function* () {
      for await (const piece of input) yield Buffer.from(piece)
    })(),
    log: silentLogger,
    signal: new AbortController().signal,
    flushRecords: 1,
    writeState: (line) => {
      states.push(line.trim())
    },
  }).catch((e: unknown) => {
    if (!isMillraceError(e)) throw e
    assert.doesNotMatch(describeError(e), /s3cr3t|text \d/)
    error = e
  })
  return { states, error }
}
/** A queue of twenty messages that says no to more. */
const atLimit = { 'x-max-length': 20, 'x-overflow': 'reject-publish' } as const
const idsOf = (messages: readonly { readonly body: Buffer }[]): unknown[] =>
  messages.map((m) => (JSON.parse(m.body.toString()) as JsonObject)['id'])

describe('amqp', { skip: rabbit.skip }, () => {
  if (rabbit.skip !== false) return
  after(() => rabbit[Symbol.asyncDispose]())

  const queues = new Map<string, string>()
  const held = new Map<string, Map<string, JsonObject[]>>()
  const queueOf = (dir: string): string => {
    const queue = queues.get(dir) ?? rabbit.name()
    queues.set(dir, queue)
    return queue
  }
  persisterSuite('amqp', {
    persister: amqp,
    // The client of these tests would parse the usual type, and round numbers.
    config: (dir) => ({ url: rabbit.url, queue: queueOf(dir), declare: true, contentType: 'application/x-record' }),
    read: async (dir) => {
      const rows = held.get(dir) ?? new Map<string, JsonObject[]>()
      held.set(dir, rows)
      await rabbit.client.queueDeclare({ queue: queueOf(dir), durable: true })
      for (const { headers, body } of await rabbit.drain(queueOf(dir))) {
        const name = String(headers['substream'])
        rows.set(name, [...(rows.get(name) ?? []), parseExact(body.toString()) as JsonObject])
      }
      return rows
    },
    module: new URL('./index.ts', import.meta.url),
    kills: 3,
    remote: true,
  })

  test('a message is the bytes of its record, kept on disk, with its substream and key', async () => {
    const queue = await rabbit.queue()
    const line = '{"type":"RECORD","stream":"things","record":{"id":12345678901234567890, "t":"é"}}\n'
    assert.deepEqual(
      (await run({ queue, keyHeader: true, contentType: 'application/x-record' }, [schema, line, state(1)])).states,
      ['1'],
    )
    const [message] = await rabbit.drain(queue)
    assert.equal(message?.body.toString(), '{"id":12345678901234567890, "t":"é"}')
    assert.deepEqual(message?.headers, { substream: 'things', key: '[12345678901234567890]' })
    assert.deepEqual([message?.contentType, message?.isDurable], ['application/x-record', true])
  })

  test('an exchange takes messages by a routing key made of the record', async () => {
    const exchange = rabbit.name()
    await rabbit.client.exchangeDeclare({ exchange, type: 'topic', durable: true })
    const queue = await rabbit.queue({ exchange, routingKey: 'things.*' })
    const { states } = await run({ exchange, routingKey: '{substream}.{id}', declare: true }, [
      schema,
      things(1, 3),
      state(1),
    ])
    assert.deepEqual(states, ['1'])
    assert.deepEqual(
      (await rabbit.drain(queue)).map((m) => m.routingKey),
      ['things.1', 'things.2'],
    )
  })

  test('a stream is the fanout exchange streams.NAME that others declare too', async () => {
    const stream = rabbit.name()
    const exchange = `streams.${stream}`
    await rabbit.client.exchangeDeclare({ exchange, type: 'fanout', durable: false })
    const queue = await rabbit.queue({ exchange, routingKey: '' })
    assert.deepEqual((await run({ stream }, [schema, things(0, 2), state(1)])).states, ['1'])
    assert.deepEqual(
      (await rabbit.drain(queue)).map((m) => [m.routingKey, m.contentType]),
      [
        ['', 'application/json'],
        ['', 'application/json'],
      ],
    )
  })

  test('a record that no queue takes fails the run, unless it may be lost', async () => {
    const stream = rabbit.name()
    const { states, error } = await run({ stream }, [schema, things(0, 2), state(1)])
    assert.deepEqual([states, error?.code], [[], 'DESTINATION_REFUSED'])
    assert.match(error?.message ?? '', /came back: exchange streams\.\S+ has no queue for it/)
    assert.deepEqual((await run({ stream, mandatory: false }, [schema, things(0, 2), state(1)])).states, ['1'])
  })

  test('a queue that is deleted in mid-run fails it, with the state before', async () => {
    const queue = await rabbit.queue()
    const input = async function* (): AsyncGenerator<string> {
      yield schema + things(0, 10) + state(10)
      // Asked for only when the first flush is over.
      while ((await rabbit.client.queueDeclare({ queue, passive: true })).messageCount < 10) await Promise.resolve()
      await rabbit.client.queueDelete(queue)
      yield things(10, 20) + state(20)
    }
    const { states, error } = await run({ queue }, input())
    assert.deepEqual([states, error?.code, error?.exitCode], [['10'], 'DESTINATION_REFUSED', 78])
  })

  test('a connection that is cut is made again, and everything unconfirmed is sent again', async () => {
    const queue = await rabbit.queue()
    const url = new URL(rabbit.url)
    await using way = await cuttable(Number(url.port))
    url.port = String(way.port)
    let cuts = 0
    way.onBytes = (total) => {
      if (total < (cuts + 1) * 150_000 || cuts === 2) return
      cuts++
      way.cut()
    }
    const { states, error } = await run({ url: url.href, queue }, [
      schema,
      things(0, 4_000),
      state(1),
      things(4_000, 5_000),
      state(2),
    ])
    assert.deepEqual([error, states.at(-1), cuts], [undefined, '2', 2])
    const ids = new Set(idsOf(await rabbit.drain(queue)))
    assert.equal(ids.size, 5_000)
  })

  test('a broker that is gone for good ends the run after all tries, without the state', async () => {
    const queue = await rabbit.queue()
    const url = new URL(rabbit.url)
    await using way = await cuttable(Number(url.port))
    url.port = String(way.port)
    way.onBytes = (total) => {
      if (total > 20_000) way.cut()
    }
    const { states, error } = await run({ url: url.href, queue }, [schema, things(0, 2_000), state(1)])
    assert.deepEqual([states, error?.code, error?.exitCode], [[], 'DESTINATION_UNAVAILABLE', 69])
  })

  test('a queue at its limit is waited for, and what it refused is sent again, once', async () => {
    const queue = rabbit.name()
    await rabbit.client.queueDeclare({ queue, durable: true, arguments: atLimit })
    const taken: unknown[] = []
    const consumer = rabbit.client.createConsumer(
      { queue, queueOptions: { passive: true }, qos: { prefetchCount: 5 } },
      (message) => {
        taken.push((message.body as JsonObject)['id'])
      },
    )
    consumer.on('error', (e) => assert.fail(e))
    const { states, error } = await run({ queue, maxUnconfirmed: 50, tries: 20 }, [schema, things(0, 500), state(1)])
    assert.deepEqual([states, error], [['1'], undefined])
    while (taken.length < 500) await new Promise((again) => setImmediate(again))
    await consumer.close()
    assert.deepEqual([taken.length, new Set(taken).size], [500, 500])
  })

  test('a queue that stays at its limit ends the run, with the state before', async () => {
    const queue = rabbit.name()
    await rabbit.client.queueDeclare({ queue, durable: true, arguments: atLimit })
    const input = async function* (): AsyncGenerator<string> {
      yield schema + things(0, 10) + state(1)
      while ((await rabbit.client.queueDeclare({ queue, passive: true })).messageCount < 10) await Promise.resolve()
      yield things(10, 100) + state(2)
    }
    const { states, error } = await run({ queue }, input())
    assert.deepEqual(
      [states, error?.code, error?.retry, error?.exitCode],
      [['1'], 'DESTINATION_UNAVAILABLE', 'later', 69],
    )
    assert.match(error?.message ?? '', /refused a message \(nack\): a queue is at its limit/)
    assert.ok((await rabbit.drain(queue)).length >= 10)
  })

  test('what is declared is what was asked for', async () => {
    const [queue, exchange] = [rabbit.name(), rabbit.name()]
    const input = [schema, things(0, 3), state(1)]
    const declare = true
    assert.deepEqual((await run({ queue, declare, queueType: 'quorum' }, input)).states, ['1'])
    await rabbit.client.queueDeclare({ queue, durable: true, arguments: { 'x-queue-type': 'quorum' } })
    const fanout = { exchange, declare, exchangeType: 'fanout', durable: false, mandatory: false }
    assert.deepEqual((await run(fanout, input)).states, ['1'])
    await rabbit.client.exchangeDeclare({ exchange, type: 'fanout', durable: false })
  })

  test('wrong settings are told in one line with the fix, and no password', async () => {
    const port = await freePort()
    const host = new URL(rabbit.url).host
    const queue = rabbit.name()
    const fanout = rabbit.name()
    await rabbit.client.exchangeDeclare({ exchange: fanout, type: 'fanout', durable: true })
    const lasting = await rabbit.queue()
    await rabbit.client.exchangeDeclare({ exchange: `streams.${lasting}`, type: 'fanout', durable: true })
    const cases: readonly (readonly [JsonObject, string, RegExp])[] = [
      [{ url: `amqp://guest:s3cr3t@${host}`, queue }, 'DESTINATION_REFUSED', /user or password were not accepted/],
      [{ url: `amqp://guest:guest@${host}/s-nowhere`, queue }, 'DESTINATION_REFUSED', /vhost s-nowhere not found/],
      [{ url: `amqps://guest:s3cr3t@${host}`, queue }, 'DESTINATION_REFUSED', /does not speak TLS there/],
      [{ url: `amqp://guest:s3cr3t@127.0.0.1:${port}`, queue }, 'DESTINATION_UNAVAILABLE', /nothing listens there/],
      [{ queue }, 'DESTINATION_REFUSED', /no queue/],
      [{ exchange: rabbit.name() }, 'DESTINATION_REFUSED', /no exchange/],
      [{ exchange: fanout, declare: true }, 'DESTINATION_REFUSED', /inequivalent arg 'type' for exchange/],
      [{ queue: lasting, declare: true, durable: false }, 'DESTINATION_REFUSED', /inequivalent arg 'durable'/],
      [{ stream: lasting }, 'DESTINATION_REFUSED', /inequivalent arg 'durable' for exchange/],
      [{}, 'CONFIG_INVALID', /exactly one of queue, exchange and stream/],
      [{ url: 'http://guest:s3cr3t@x', queue }, 'CONFIG_INVALID', /not a URL of amqp/],
      [{ url: 'amqp://guest:s3%cr3t@x', queue }, 'CONFIG_INVALID', /a % that begins no escape/],
      [{ url: 'amqp://guest:s3cr3t@x/a/b', queue }, 'CONFIG_INVALID', /virtual host with/],
      [{ queue, caFile: '/nowhere/ca.pem' }, 'CONFIG_INVALID', /cannot be read/],
      [{ queue, declare: true, durable: false, queueType: 'quorum' }, 'CONFIG_INVALID', /quorum is always durable/],
    ]
    for (const [settings, code, words] of cases) {
      const { states, error } = await run(settings, [schema, things(0, 1), state(1)])
      assert.deepEqual([states, error?.code], [[], code], JSON.stringify(error?.message))
      // A wrong setting is not something that passes by itself.
      const isWaitedFor = code === 'DESTINATION_UNAVAILABLE'
      assert.deepEqual([error?.retry, error?.exitCode], isWaitedFor ? ['later', 69] : ['after-fix', 78])
      assert.match(error?.message ?? '', words)
    }
  })
})
