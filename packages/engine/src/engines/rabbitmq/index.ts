/**
 * Streams in stream queues of RabbitMQ, over AMQP 0-9-1: blocks of records as messages (docs/decisions/0013). Several processes may use the same
 * streams at once.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { MillraceError } from '@millrace/sdk/errors'
import { brokerUrlProblem } from '@millrace/sdk/amqp'
import { StreamEngine } from '../../stream-engine.ts'
import type { StreamLog } from '../../stream-log.ts'
import type { CreateOptions, EngineSupports, Retention, StreamName } from '../../types.ts'
import { brokerError, isNoQueue } from './failures.ts'
import { lockOf } from './lease.ts'
import type { BlockStream } from './block-stream.ts'
import type { MessageStream } from './message-stream.ts'
import type { StreamEntry } from './registry.ts'
import type { Shared } from './shared.ts'

/** Bytes of the newest records of all streams that are kept in memory for followers. */
const recentBytes = 32 * 1024 * 1024
const defaultTimeoutMs = 60_000
/** How long it is waited before a stream that is not there is called unknown. */
const unsureMs = 50
/** Exchanges that are made again at a time. */
const preparedAtOnce = 8
/** A segment is what the broker drops at once: smaller ones where a stream is to be small. */
const [smallestSegment, largestSegment] = [1024 * 1024, 256 * 1024 * 1024]

export interface RabbitEngineOptions {
  /** amqp:// or amqps:// with user, password and virtual host. */
  readonly url: string
  /** The clock of records. */
  readonly now: () => Date
  /** What the names of our queues begin with: engines of one prefix share their streams. Default `millrace`. */
  readonly prefix?: string
  /** Compress blocks with zstd: fewer bytes for the broker, more work here. Default no. */
  readonly compress?: boolean
  /** How long a broker that is away is waited for. Default 60 seconds. */
  readonly timeoutMs?: number
}

interface Opened {
  readonly stream: BlockStream | MessageStream
  users: number
}

/** An engine on one virtual host of a broker. */
export class RabbitEngine extends StreamEngine {
  readonly supports: EngineSupports = { durable: true, shared: true, find: 'scan', amqp: true }
  readonly #shared: Shared
  readonly #prefix: string
  readonly #opened = new Map<string, Opened>()
  readonly #modules: Modules

  private constructor(shared: Shared, prefix: string, modules: Modules) {
    super()
    this.#shared = shared
    this.#prefix = prefix
    this.#modules = modules
    void shared.registry.watch((id) => this.#opened.get(id)?.stream.changed())
    shared.link.onConnected = () => void this.#prepareAll()
  }

  /** Connects, and makes the registry of streams where it is not there. Throws CONFIG_INVALID, LOG_REFUSED and LOG_UNAVAILABLE. */
  static async open(options: RabbitEngineOptions): Promise<RabbitEngine> {
    const { url, now, prefix = 'millrace', compress = false, timeoutMs = defaultTimeoutMs } = options
    const problem = brokerUrlProblem(url)
    if (problem !== undefined)
      throw new MillraceError('CONFIG_INVALID', {
        what: 'the log of the streams',
        problems: [problem],
        fix: 'Correct --log-url.',
      })
    const modules = await load()
    const link = new modules.Link(url, timeoutMs)
    await link.connect()
    try {
      const registry = await modules.Registry.open(link, `${prefix}.streams`, timeoutMs)
      const recent = new modules.Recent(recentBytes)
      const engine = new RabbitEngine({ link, registry, recent, timeoutMs, compress, now }, prefix, modules)
      // Who hears that it is there may publish at once: to an exchange that nobody bound the broker confirms, and keeps nothing.
      await engine.#prepareAll()
      return engine
    } catch (error) {
      await link.close()
      throw error
    }
  }

  protected override async doCreate(
    name: StreamName,
    retention: Retention,
    options: CreateOptions,
  ): Promise<StreamLog> {
    const { registry, link, now } = this.#shared
    await registry.sync()
    if (registry.find(name) !== undefined) throw new MillraceError('STREAM_EXISTS', { stream: name })
    const id = randomBytes(8).toString('hex')
    const { maxAgeMs, maxBytes } = retention
    const entry: StreamEntry = {
      id,
      name,
      kind: options.amqp === true || options.queue !== undefined ? 'messages' : 'blocks',
      at: now().getTime(),
      queue: options.queue ?? `${this.#prefix}.${name}.${id}`,
      ...(options.amqp === true ? { exchange: `streams.${name}` } : {}),
      shift: options.amqp === true ? 1 : 0,
      start: 0,
      startSum: 0,
      retention,
      revision: 0,
      isLimited: maxAgeMs !== undefined || maxBytes !== undefined,
    }
    try {
      await this.#declare(entry, options.queue !== undefined)
      if ((await registry.put(entry)) !== undefined) return this.#logOf(name, entry)
    } catch (error) {
      throw brokerError(error, link.where)
    }
    // Somebody else made one of this name at the same time.
    await this.#remove(entry)
    throw new MillraceError('STREAM_EXISTS', { stream: name })
  }

  protected override async doOpen(name: StreamName): Promise<StreamLog> {
    return this.#logOf(name, await this.#find(name))
  }

  protected override async *doList(): AsyncGenerator<StreamName, void, undefined> {
    await this.#shared.registry.sync()
    yield* [...this.#shared.registry.names()].toSorted() as StreamName[]
  }

  protected override async *doListLimited(): AsyncGenerator<StreamName, void, undefined> {
    await this.#shared.registry.sync()
    yield* this.#shared.registry.limited() as StreamName[]
  }

  protected override async doDrop(name: StreamName): Promise<void> {
    const entry = await this.#find(name)
    await this.#shared.registry.drop(entry.id)
    await this.#remove(entry)
  }

  protected override async doClose(): Promise<void> {
    await this.#shared.registry.close()
    await this.#shared.link.close()
  }

  async #find(name: StreamName): Promise<StreamEntry> {
    const { registry } = this.#shared
    await registry.sync()
    if (registry.find(name) === undefined) {
      // What somebody else made just now is confirmed a little before the broker hands it out.
      await pause(unsureMs)
      await registry.sync()
    }
    const entry = registry.find(name)
    if (entry === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: name })
    return entry
  }

  /** A queue whose first message is our own: it says where to begin, and that the queue is never empty. */
  async #declare(entry: StreamEntry, isTheirs: boolean): Promise<void> {
    const { encodeEntry, prepareEntry } = this.#modules
    const { queue, retention, at } = entry
    await this.#shared.link.with(async (channel) => {
      if (isTheirs) {
        await channel.queueDeclare({ queue, passive: true })
        return
      }
      await channel.queueDeclare({
        queue,
        durable: true,
        arguments: { 'x-queue-type': 'stream', ...limitsOf(retention) },
      })
      await channel.confirmSelect()
      const begin = {
        kind: 'checkpoint',
        epoch: 0,
        first: 0,
        sum: 0,
        at,
        place: 0,
        since: 0,
        writers: new Map(),
      } as const
      await channel.basicPublish(
        { routingKey: queue, durable: true, mandatory: true },
        encodeEntry(begin, false).message,
      )
      await prepareEntry(channel, entry)
    })
  }

  /** Exchanges end with the broker: they are made again with each connection, before any program misses them for long. */
  async #prepareAll(): Promise<void> {
    const { link, registry } = this.#shared
    const left = [...registry.exchanged()]
    const lane = async (): Promise<void> => {
      for (let entry = left.pop(); entry !== undefined; entry = left.pop()) {
        const one = entry
        await link.with((channel) => this.#modules.prepareEntry(channel, one)).catch(() => {})
      }
    }
    await Promise.all(Array.from({ length: preparedAtOnce }, lane))
  }

  async #remove({ queue, kind, exchange }: StreamEntry): Promise<void> {
    if (kind === 'messages' && exchange === undefined) return
    const { link } = this.#shared
    try {
      await link.with(async (channel) => {
        await channel.queueDelete({ queue })
        // Whoever else holds it, to append, has nothing to append to any more.
        await channel.queueDelete({ queue: lockOf(queue) })
      })
    } catch (error) {
      if (!isNoQueue(error)) throw brokerError(error, link.where)
    }
    // Where others bound queues to the exchange it stays theirs.
    if (exchange !== undefined)
      await link.with((channel) => channel.exchangeDelete({ exchange, ifUnused: true })).catch(() => {})
  }

  #logOf(name: StreamName, entry: StreamEntry): StreamLog {
    const { BlockStream, BlockLog, MessageStream, MessageLog } = this.#modules
    const { id, kind, queue } = entry
    const shared = this.#shared
    const make = () => (kind === 'blocks' ? new BlockStream(shared, id, name, queue) : new MessageStream(shared, entry))
    const opened: Opened = this.#opened.get(id) ?? { stream: make(), users: 0 }
    this.#opened.set(id, opened)
    opened.users++
    const release = async (): Promise<void> => {
      if (--opened.users > 0) return
      this.#opened.delete(id)
      await opened.stream.close()
    }
    const { stream } = opened
    return stream instanceof BlockStream
      ? new BlockLog(name, { stream, shared, release })
      : new MessageLog(name, { stream, shared, release })
  }
}

/** The client of the broker is loaded when an engine is opened, so that it costs nothing where there is none. */
const load = async () => ({
  ...(await import('./link.ts')),
  ...(await import('./registry.ts')),
  ...(await import('./recent.ts')),
  ...(await import('./block-stream.ts')),
  ...(await import('./log.ts')),
  ...(await import('./message-stream.ts')),
  ...(await import('./message-log.ts')),
  ...(await import('./wire.ts')),
})
type Modules = Awaited<ReturnType<typeof load>>

/**
 * What the broker itself drops, whole segments at a time: more is kept than was asked for, as blocks have their overhead and what
 * is newest is never dropped.
 */
const limitsOf = ({ maxAgeMs, maxBytes }: Retention): Readonly<Record<string, unknown>> => {
  if (maxAgeMs === undefined && maxBytes === undefined) return {}
  const segment = Math.min(largestSegment, Math.max(smallestSegment, Math.ceil((maxBytes ?? Infinity) / 8)))
  return {
    'x-stream-max-segment-size-bytes': segment,
    ...(maxAgeMs === undefined ? {} : { 'x-max-age': `${Math.ceil(maxAgeMs / 1000) + 1}s` }),
    ...(maxBytes === undefined ? {} : { 'x-max-length-bytes': Math.ceil(maxBytes * 1.25) + 2 * segment }),
  }
}
