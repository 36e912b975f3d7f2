/** Which of its messages an appender may take for seen without having them back, on a channel that confirms as the test says. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { describe, it } from 'node:test'
import type { AsyncMessage, Channel, Envelope } from 'rabbitmq-client'
import { RecordBatch } from '../../record-batch.ts'
import { type Message, messageOf } from './message.ts'
import { MessageAppender } from './message-appender.ts'
import type { Link } from './link.ts'

interface Published {
  readonly envelope: Envelope
  readonly body: Buffer
  readonly confirm: () => void
}

/** A channel whose lease is given at once. */
class FakeChannel extends EventEmitter {
  readonly active = true
  readonly published: Published[] = []
  #served: (message: AsyncMessage) => void = () => {}
  readonly confirmSelect = async (): Promise<void> => {}
  readonly queueDeclare = async (): Promise<void> => {}
  readonly basicAck = (): void => {}
  readonly close = async (): Promise<void> => {}
  readonly basicCancel = async (): Promise<void> => {}
  readonly basicConsume = async (_: unknown, served: (message: AsyncMessage) => void): Promise<object> => {
    this.#served = served
    return { consumerTag: 'tag' }
  }
  readonly basicPublish = async (envelope: Envelope, body: Buffer): Promise<void> => {
    if (envelope.expiration !== undefined) return this.#served({ body, deliveryTag: 1 } as unknown as AsyncMessage)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.published.push({ envelope, body, confirm: resolve })
    await promise
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const batch = (count: number, name: string): RecordBatch =>
  RecordBatch.of(Array.from({ length: count }, (_, i) => ({ body: Buffer.from(`${name}${i}`) })))

/** An appender that published three messages of one append and two of another. */
const begun = async () => {
  const channel = new FakeChannel()
  let at = 1_000
  const appender = new MessageAppender({
    name: 's',
    queue: 'q',
    exchange: 'e',
    link: { where: 'here', channel: async () => channel as unknown as Channel } as unknown as Link,
    timeoutMs: 5_000,
    now: () => new Date(at++),
    mustBeThere: () => {},
    prepare: async () => {},
    catchUp: async () => {},
    writers: () => new Map(),
    reading: () => {},
    confirmed: () => {},
  })
  const appends = [appender.append(batch(3, 'a'), undefined), appender.append(batch(2, 'b'), undefined)]
  while (channel.published.length < 5) await turn()
  const { published } = channel
  /** The message `i` as it is read at a place. */
  const read = (i: number, place: number): Message => {
    const { envelope, body } = published[i] as Published
    const { messageId: id, timestamp } = envelope
    return messageOf({ place, body, headers: {}, id, timestamp: timestamp as number })
  }
  const confirm = async (...which: readonly number[]): Promise<void> => {
    for (const i of which) published[i]?.confirm()
    await turn()
  }
  const texts = (messages: readonly Message[] | undefined) =>
    messages?.map(({ place, record }) => `${place} ${Buffer.from(record.body).toString()}`)
  /** Sees all that is left, so that nothing waits. */
  const end = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) appender.saw(read(i, 10 + i), 10 + i, 1)
    await Promise.all(appends)
    await appender.close()
  }
  return { appender, read, confirm, texts, end, appends }
}

describe('messages that are passed over', () => {
  it('are those before one that is confirmed, as they would be read', async () => {
    const { appender, read, confirm, texts, end } = await begun()
    await confirm(0, 1, 2, 3)
    const passed = await appender.passed(read(3, 13), 10)
    assert.deepEqual(texts(passed), ['10 a0', '11 a1', '12 a2'])
    assert.deepEqual(
      passed?.map(({ origin, at }) => [origin, at]),
      [0, 1, 2].map((i) => [read(i, 10 + i).origin, read(i, 10 + i).at]),
    )
    // Those that were seen are not among them.
    appender.saw(read(0, 10), 10, 1_000)
    assert.deepEqual(texts(await appender.passed(read(3, 13), 11)), ['11 a1', '12 a2'])
    await end()
  })

  it('are none where there are more places or fewer, and where the message is of others', async () => {
    const { appender, read, confirm, end } = await begun()
    await confirm(0, 1, 2, 3, 4)
    assert.equal(await appender.passed(read(3, 14), 10), undefined)
    assert.equal(await appender.passed(read(3, 12), 10), undefined)
    const { origin: _, ...stranger } = read(3, 13)
    assert.equal(await appender.passed({ ...stranger, origin: undefined }, 10), undefined)
    assert.equal(
      await appender.passed({ ...stranger, origin: { writer: 'w', seq: 1n, part: 0, parts: 1 } }, 10),
      undefined,
    )
    await end()
  })

  it('wait for every confirm up to there, in whatever order they come', async () => {
    const { appender, read, confirm, texts, end } = await begun()
    let answer: readonly Message[] | undefined | 'open' = 'open'
    const asked = appender.passed(read(3, 13), 10).then((passed) => {
      answer = passed
    })
    await confirm(3)
    await confirm(2, 0)
    assert.equal(appender.confirmed, 0)
    assert.equal(answer, 'open')
    await confirm(1)
    assert.equal(appender.confirmed, 4)
    await asked
    assert.deepEqual(texts(answer === 'open' ? undefined : answer), ['10 a0', '11 a1', '12 a2'])
    await end()
  })

  it('are none where the confirms do not come', async () => {
    const { appender, read, confirm, end } = await begun()
    await confirm(0, 2, 3)
    assert.equal(await appender.passed(read(3, 13), 10), undefined)
    await end()
  })
})
