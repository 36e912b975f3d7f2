import { setImmediate as immediate, setTimeout as pause } from 'node:timers/promises'
import { MillraceError } from '@millrace/sdk/errors'
import type { AsyncMessage, Channel } from 'rabbitmq-client'
import { brokerError, isLasting, isNoQueue } from './failures.ts'
import { Waiters } from '../../waiters.ts'
import type { Link } from './link.ts'

const retryMs = 200

/** Where one begins to read a queue: `last` is the block of messages that the broker wrote last; a text like `90s` is so long ago. */
export type Begin = 'first' | 'last' | 'next' | number | `${number}s`

/** A message of a stream queue. */
export interface Delivery {
  readonly place: number
  readonly body: Buffer
  readonly headers: Readonly<Record<string, unknown>>
  /** As its publisher calls it, where it does. */
  readonly id: string | undefined
  /** Seconds since 1970, where the publisher said so. */
  readonly timestamp: number | undefined
}

export interface CursorOptions {
  readonly link: Link
  readonly queue: string
  readonly begin: Begin
  /** Messages that may be on their way: the bound of its memory. */
  readonly prefetch: number
  /** How long a broker is waited for. */
  readonly timeoutMs: number
}

/** Reads a stream queue forward. When the connection is lost it goes on behind the last message that it handed out. */
export class Cursor {
  readonly #o: CursorOptions
  readonly #here: Delivery[] = []
  #begin: Begin
  #channel: Channel | undefined
  #consumer = ''
  #lost: unknown
  #tag = 0
  #unacknowledged = 0
  #seen = 0
  #isClosed = false
  #attaching: Promise<void> | undefined
  readonly #arrivals = new Waiters()

  private constructor(options: CursorOptions) {
    this.#o = options
    this.#begin = options.begin
  }

  /** Throws STREAM_UNKNOWN (there is no such queue) and LOG_UNAVAILABLE. */
  static async open(options: CursorOptions): Promise<Cursor> {
    const cursor = new Cursor(options)
    await cursor.#attach()
    return cursor
  }

  /** A message that is here. */
  take(): Delivery | undefined {
    const delivery = this.#here.shift()
    if (delivery === undefined) return undefined
    this.#begin = delivery.place + 1
    if (++this.#unacknowledged * 2 >= this.#o.prefetch) this.#acknowledge()
    return delivery
  }

  /** Resolves when a message is here, when `signal` aborts, after `maxMs`, and for nothing. Throws as {@link open}. */
  async wait(signal: AbortSignal, maxMs?: number): Promise<void> {
    if (this.#here.length > 0 || this.#isClosed) return
    if (this.#channel === undefined) await this.#attach()
    else await this.#arrivals.wait(signal, maxMs)
  }

  /** Ends a {@link wait} for nothing. */
  nudge(): void {
    this.#arrivals.wake()
  }

  /**
   * Whether all messages that the queue holds now were taken. The broker answers a question behind all that it could send
   * before it, so what is not here with the answer is not there.
   */
  async isAtEnd(): Promise<boolean> {
    if (this.#isClosed) return true
    if (this.#channel === undefined) await this.#attach()
    const channel = this.#channel
    if (this.#here.length > 0 || channel === undefined) return false
    const before = this.#seen
    this.#acknowledge()
    try {
      await channel.queueDeclare({ queue: this.#o.queue, passive: true })
    } catch (error) {
      this.#fail(error)
      return false
    }
    // Messages are handed over in later turns than the answer.
    await immediate()
    return this.#here.length === 0 && this.#seen === before && this.#channel === channel
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#arrivals.wake()
    const channel = this.#channel
    this.#channel = undefined
    this.#here.length = 0
    if (channel?.active !== true) return
    // RabbitMQ 3.10 keeps a consumer of a stream in its books, for as long as the connection is, where only its channel ends.
    await channel.basicCancel(this.#consumer).catch(() => {})
    await channel.close()
  }

  /** Of what was taken. */
  #acknowledge(): void {
    const deliveryTag = this.#tag - this.#here.length
    if (this.#unacknowledged === 0 || this.#channel?.active !== true) return
    this.#unacknowledged = 0
    this.#channel.basicAck({ deliveryTag, multiple: true })
  }

  #fail(error: unknown): void {
    this.#lost = error
    this.#channel = undefined
    this.#arrivals.wake()
  }

  #attach(): Promise<void> {
    this.#attaching ??= this.#attachOnce().finally(() => {
      this.#attaching = undefined
    })
    return this.#attaching
  }

  async #attachOnce(): Promise<void> {
    const end = performance.now() + this.#o.timeoutMs
    for (;;) {
      const failure = this.#lost
      if (failure !== undefined) {
        if (isNoQueue(failure)) throw new MillraceError('STREAM_UNKNOWN', { stream: this.#o.queue }, { cause: failure })
        if (isLasting(failure) || performance.now() > end) throw brokerError(failure, this.#o.link.where)
        await pause(retryMs)
      }
      if (this.#isClosed) return
      const channel = await this.#o.link.channel()
      this.#lost = undefined
      this.#here.length = 0
      this.#tag = 0
      this.#unacknowledged = 0
      try {
        await this.#consume(channel)
        if (this.#isClosed) void channel.close()
        else if (this.#lost === undefined) this.#channel = channel
        if (this.#channel !== undefined || this.#isClosed) return
      } catch (error) {
        this.#lost = error
        void channel.close()
      }
    }
  }

  async #consume(channel: Channel): Promise<void> {
    await channel.basicQos({ prefetchCount: this.#o.prefetch })
    const lost = (error: unknown): void => {
      if (this.#channel === channel || this.#channel === undefined) this.#fail(error)
    }
    channel.on('close', () => lost(new Error('the connection was lost')))
    channel.on('basic.cancel', (_tag: string, error: unknown) => {
      lost(error)
      void channel.close()
    })
    const taken = (message: AsyncMessage): void => {
      const place = Number((message.headers as Record<string, unknown>)['x-stream-offset'])
      this.#seen++
      this.#tag = message.deliveryTag
      // Of the block that holds the wanted message the broker may send the ones before it too.
      if (typeof this.#begin === 'number' && place < this.#begin) {
        this.#unacknowledged++
        if (this.#unacknowledged * 2 >= this.#o.prefetch) this.#acknowledge()
        return
      }
      this.#here.push({
        place,
        body: message.body as Buffer,
        headers: message.headers as Record<string, unknown>,
        id: message.messageId,
        timestamp: message.timestamp,
      })
      this.#arrivals.wake()
    }
    const { consumerTag } = await channel.basicConsume(
      { queue: this.#o.queue, arguments: { 'x-stream-offset': this.#begin } },
      taken,
    )
    this.#consumer = consumerTag
  }
}
