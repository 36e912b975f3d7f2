/** Streams in RabbitMQ, against the bare client that does the same with confirms. The broker is one on port 5672 of this machine. */
import { randomBytes } from 'node:crypto'
import { type Offset, RabbitEngine, RecordBatch, type StreamLog, streamName } from '@millrace/engine'
import { type Channel, Connection } from 'rabbitmq-client'
import type { DataFiles, Scenario, Subject } from '../harness.ts'

const url = 'amqp://guest:guest@127.0.0.1:5672'
const recordBytes = 326
const perBlock = 200
const perCall = 1_000
/** Appends, and messages, that are under way at a time. */
const [windowBlocks, windowMessages] = [64, 5_000]

interface Bench {
  readonly connection: Connection
  readonly channel: Channel
  readonly queue: string
  readonly engine: RabbitEngine
  readonly log: StreamLog
  readonly prefix: string
}

/** A stream of blocks or of messages, and a bare stream queue beside it. */
const prepare = (amqp: boolean) => async (): Promise<Bench> => {
  const prefix = `millrace-bench-${randomBytes(4).toString('hex')}`
  const connection = new Connection({ url, frameMax: 131_072 })
  const channel = await connection.acquire()
  const queue = `${prefix}.bare`
  await channel.queueDeclare({ queue, durable: true, arguments: { 'x-queue-type': 'stream' } })
  await channel.confirmSelect()
  const engine = await RabbitEngine.open({ url, now: () => new Date(), prefix })
  const log = await engine.create(streamName(prefix), {}, { amqp })
  return { connection, channel, queue, engine, log, prefix }
}

const end = async ({ connection, channel, queue, engine, log, prefix }: Bench): Promise<void> => {
  await engine.drop(log.name)
  await engine[Symbol.asyncDispose]()
  await channel.queueDelete({ queue })
  await channel.queueDelete({ queue: `${prefix}.streams` })
  await channel.close()
  await connection.close()
}

/** Does `count` times what is confirmed later, `window` at a time. */
const inWindow = async (count: number, window: number, one: () => Promise<unknown>): Promise<void> => {
  let left = count
  const work = async (): Promise<void> => {
    while (left-- > 0) await one()
  }
  await Promise.all(Array.from({ length: window }, work))
}

const block = (): RecordBatch => RecordBatch.lines(Buffer.from(`${'x'.repeat(recordBytes)}\n`.repeat(perBlock)))
const messages = (): RecordBatch =>
  RecordBatch.of(Array.from({ length: perCall }, () => ({ body: Buffer.from('x'.repeat(recordBytes)) })))

const bareWrite = async (
  { channel, queue }: Bench,
  body: Buffer,
  parts: { count: number; window: number },
): Promise<void> =>
  await inWindow(parts.count, parts.window, () => channel.basicPublish({ routingKey: queue, durable: true }, body))
const bareRead = async ({ channel, queue }: Bench, count: number, prefetch: number): Promise<void> => {
  await channel.basicQos({ prefetchCount: prefetch })
  const { promise, resolve } = Promise.withResolvers<void>()
  let seen = 0
  let bytes = 0
  await channel.basicConsume({ queue, arguments: { 'x-stream-offset': 'first' } }, (message) => {
    bytes += (message.body as Buffer).length
    if (++seen % (prefetch / 2) === 0) channel.basicAck({ deliveryTag: message.deliveryTag, multiple: true })
    if (seen === count) resolve()
  })
  await promise
  if (bytes === 0) throw new Error('nothing came')
}
/** The stream is named as the prefix is. */
const readAll = async ({ log }: Bench): Promise<number> => {
  // Another engine: the one that wrote has the newest records in its memory.
  await using other = await RabbitEngine.open({ url, now: () => new Date(), prefix: log.name })
  const found = await other.open(log.name)
  let records = 0
  for (let at = await found.place({ from: 'first' }); ; ) {
    const stored = await found.read({ from: 'offset', offset: at })
    if (stored.length === 0) return records
    for (const { first, records: batch } of stored) {
      records += batch.count
      at = (first + BigInt(batch.count)) as Offset
    }
  }
}
const subject = (
  name: string,
  amqp: boolean,
  steps: {
    readonly fill?: (b: Bench, data: DataFiles) => Promise<unknown>
    readonly run: (b: Bench, data: DataFiles) => Promise<unknown>
  },
): Subject => ({
  name,
  prepare: async (data) => {
    const bench = await prepare(amqp)()
    await steps.fill?.(bench, data)
    return bench
  },
  run: async (data, prepared) => {
    const bench = prepared as Bench
    await steps.run(bench, data)
    await end(bench)
    return Math.floor(data.records / perCall) * perCall
  },
})

const blocksOf = (data: DataFiles): number => Math.floor(data.records / perCall) * (perCall / perBlock)
const callsOf = (data: DataFiles): number => Math.floor(data.records / perCall)
const writeBlocks = (b: Bench, data: DataFiles): Promise<void> => {
  const records = block()
  return inWindow(blocksOf(data), windowBlocks, () => b.log.append(records))
}
const bareBlocks = (b: Bench, data: DataFiles): Promise<void> =>
  bareWrite(b, Buffer.alloc(perBlock * (recordBytes + 1), 'x'), { count: blocksOf(data), window: windowBlocks })
const writeMessages = (b: Bench, data: DataFiles): Promise<void> => {
  const records = messages()
  return inWindow(callsOf(data), windowMessages / perCall, () => b.log.append(records))
}
const bareMessages = (b: Bench, data: DataFiles): Promise<void> =>
  bareWrite(b, Buffer.alloc(recordBytes, 'x'), { count: callsOf(data) * perCall, window: windowMessages })

const subjects = {
  bareBlocksOut: subject('bare client, 64 KiB messages, publish', false, { run: bareBlocks }),
  blocksOut: subject('rabbitmq engine, append, 64 KiB a call', false, { run: writeBlocks }),
  bareBlocksIn: subject('bare client, 64 KiB messages, consume', false, {
    fill: bareBlocks,
    run: (b, data) => bareRead(b, blocksOf(data), 16),
  }),
  blocksIn: subject('rabbitmq engine, sequential read of 64 KiB blocks', false, { fill: writeBlocks, run: readAll }),
  bareOut: subject('bare client, one record a message, publish', true, { run: bareMessages }),
  messagesOut: subject('rabbitmq engine, append, one record a message', true, { run: writeMessages }),
  bareIn: subject('bare client, one record a message, consume', true, {
    fill: bareMessages,
    run: (b, data) => bareRead(b, callsOf(data) * perCall, 1_000),
  }),
  messagesIn: subject('rabbitmq engine, sequential read, one record a message', true, {
    fill: writeMessages,
    run: readAll,
  }),
}

const against = (path: string, one: Subject, other: Subject) => ({
  path,
  subject: one.name,
  baseline: other.name,
  ratio: 0.8,
})

export const streamsRabbitmq: Scenario = {
  name: 'streams-rabbitmq',
  title: 'The log of streams in RabbitMQ (326 B a record)',
  subjects: Object.values(subjects),
  claims: [
    against('rabbitmq engine: append of blocks, against the bare client', subjects.blocksOut, subjects.bareBlocksOut),
    against('rabbitmq engine: read of blocks, against the bare client', subjects.blocksIn, subjects.bareBlocksIn),
    against(
      'rabbitmq engine: append, one body a message, against the bare client',
      subjects.messagesOut,
      subjects.bareOut,
    ),
    against('rabbitmq engine: read, one body a message, against the bare client', subjects.messagesIn, subjects.bareIn),
  ],
}
