/**
 * Streams in RabbitMQ, against the bare client that does the same: durable messages of the same size, `mandatory` and confirmed, as many under way,
 * through a fanout exchange where the stream has one. Both are ready when the clock starts (connected, the queue made, the engine the one that
 * appends), and neither clears up before it stops. The bare client learns no offsets and writes no marks: that is what the engine has to make good.
 * The broker is one on port 5672 of this machine.
 */
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

/** A queue, and the channel of a bare client. */
interface Bare {
  readonly connection: Connection
  readonly channel: Channel
  readonly queue: string
  /** Where messages go: `exchange` where it is not the queue itself. */
  readonly route: { readonly exchange: string; readonly routingKey: string }
}

/** A stream, and an engine that may append to it. */
interface Ours {
  readonly engine: RabbitEngine
  readonly log: StreamLog
  readonly prefix: string
}

const newPrefix = (): string => `millrace-bench-${randomBytes(4).toString('hex')}`

/** For messages with the exchange that a shared stream has, so that the broker has as much to do. */
const prepareBare = async (isShared: boolean): Promise<Bare> => {
  const queue = `${newPrefix()}.bare`
  const connection = new Connection({ url, frameMax: 131_072 })
  const channel = await connection.acquire()
  await channel.queueDeclare({ queue, durable: true, arguments: { 'x-queue-type': 'stream' } })
  if (isShared) {
    await channel.exchangeDeclare({ exchange: queue, type: 'fanout', durable: false })
    await channel.queueBind({ exchange: queue, queue, routingKey: '' })
  }
  await channel.confirmSelect()
  const route = isShared ? { exchange: queue, routingKey: '' } : { exchange: '', routingKey: queue }
  return { connection, channel, queue, route }
}

const endBare = async ({ connection, channel, queue, route }: Bare): Promise<void> => {
  await channel.queueDelete({ queue })
  if (route.exchange !== '') await channel.exchangeDelete({ exchange: route.exchange })
  await channel.close()
  await connection.close()
}

/** The engine has appended once: it holds the right to append, as the bare client has its channel. */
const prepareOurs = async (amqp: boolean): Promise<Ours> => {
  const prefix = newPrefix()
  const engine = await RabbitEngine.open({ url, now: () => new Date(), prefix })
  const log = await engine.create(streamName(prefix), {}, { amqp })
  await log.append(RecordBatch.of([{ body: Buffer.from('first') }]))
  return { engine, log, prefix }
}

const endOurs = async ({ engine, log, prefix }: Ours): Promise<void> => {
  await engine.drop(log.name)
  await engine[Symbol.asyncDispose]()
  const connection = new Connection({ url })
  await connection.queueDelete({ queue: `${prefix}.streams` })
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

/** Without `mandatory` a message that no queue takes is confirmed all the same. */
const bareWrite = async (
  { channel, route }: Bare,
  body: Buffer,
  parts: { readonly count: number; readonly window: number },
): Promise<void> =>
  await inWindow(parts.count, parts.window, () =>
    channel.basicPublish({ ...route, durable: true, mandatory: true }, body),
  )

const bareRead = async ({ channel, queue }: Bare, count: number, prefetch: number): Promise<void> => {
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

interface Reading extends Ours {
  /** Another engine: the one that wrote has the newest records in its memory. */
  readonly other: RabbitEngine
  readonly found: StreamLog
}

const prepareRead = async (ours: Ours): Promise<Reading> => {
  const other = await RabbitEngine.open({ url, now: () => new Date(), prefix: ours.prefix })
  // The stream is named as the prefix is.
  return { ...ours, other, found: await other.open(ours.log.name) }
}

const readAll = async ({ found }: Reading, wanted: number): Promise<void> => {
  let records = 0
  for (let at = await found.place({ from: 'first' }); ; ) {
    const stored = await found.read({ from: 'offset', offset: at })
    if (stored.length === 0) break
    for (const { first, records: batch } of stored) {
      records += batch.count
      at = (first + BigInt(batch.count)) as Offset
    }
  }
  // And the one that was appended before.
  if (records !== wanted + 1) throw new Error(`${records} records were read`)
}

const countOf = (data: DataFiles): number => Math.floor(data.records / perCall) * perCall
const blocksOf = (data: DataFiles): number => countOf(data) / perBlock

const bareSubject = (
  name: string,
  isShared: boolean,
  steps: {
    readonly fill?: (bare: Bare, data: DataFiles) => Promise<void>
    readonly run: (bare: Bare, data: DataFiles) => Promise<void>
  },
): Subject => ({
  name,
  prepare: async (data) => {
    const bare = await prepareBare(isShared)
    await steps.fill?.(bare, data)
    return bare
  },
  run: async (data, prepared) => {
    await steps.run(prepared as Bare, data)
    return countOf(data)
  },
  cleanUp: (prepared) => endBare(prepared as Bare),
})

type Write = (ours: Ours, data: DataFiles) => Promise<void>

const writing = (name: string, amqp: boolean, write: Write): Subject => ({
  name,
  prepare: () => prepareOurs(amqp),
  run: async (data, prepared) => {
    await write(prepared as Ours, data)
    return countOf(data)
  },
  cleanUp: (prepared) => endOurs(prepared as Ours),
})

const reading = (name: string, amqp: boolean, write: Write): Subject => ({
  name,
  prepare: async (data) => {
    const ours = await prepareOurs(amqp)
    await write(ours, data)
    return await prepareRead(ours)
  },
  run: async (data, prepared) => {
    await readAll(prepared as Reading, countOf(data))
    return countOf(data)
  },
  cleanUp: async (prepared) => {
    const { other, ...ours } = prepared as Reading
    await other[Symbol.asyncDispose]()
    await endOurs(ours)
  },
})

const writeBlocks: Write = ({ log }, data) => {
  const records = block()
  return inWindow(blocksOf(data), windowBlocks, () => log.append(records))
}
const bareBlocks = (bare: Bare, data: DataFiles): Promise<void> =>
  bareWrite(bare, Buffer.alloc(perBlock * (recordBytes + 1), 'x'), { count: blocksOf(data), window: windowBlocks })
const writeMessages: Write = ({ log }, data) => {
  const records = messages()
  return inWindow(countOf(data) / perCall, windowMessages / perCall, () => log.append(records))
}
const bareMessages = (bare: Bare, data: DataFiles): Promise<void> =>
  bareWrite(bare, Buffer.alloc(recordBytes, 'x'), { count: countOf(data), window: windowMessages })

const subjects = {
  bareBlocksOut: bareSubject('bare client, 64 KiB messages, publish', false, { run: bareBlocks }),
  blocksOut: writing('rabbitmq engine, append, 64 KiB a call', false, writeBlocks),
  bareBlocksIn: bareSubject('bare client, 64 KiB messages, consume', false, {
    fill: bareBlocks,
    run: (bare, data) => bareRead(bare, blocksOf(data), 16),
  }),
  blocksIn: reading('rabbitmq engine, sequential read of 64 KiB blocks', false, writeBlocks),
  bareOut: bareSubject('bare client, one record a message, publish', true, { run: bareMessages }),
  messagesOut: writing('rabbitmq engine, append, one record a message', true, writeMessages),
  bareIn: bareSubject('bare client, one record a message, consume', true, {
    fill: bareMessages,
    run: (bare, data) => bareRead(bare, countOf(data), 1_000),
  }),
  messagesIn: reading('rabbitmq engine, sequential read, one record a message', true, writeMessages),
}

const against = (path: string, one: Subject, other: Subject) => ({
  path,
  subject: one.name,
  baseline: other.name,
  ratio: 0.8,
})

export const streamsRabbitmq: Scenario = {
  name: 'streams-rabbitmq',
  title:
    'The log of streams in RabbitMQ (326 B a record; both durable, `mandatory` and confirmed, and connected before the clock starts)',
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
