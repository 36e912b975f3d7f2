import { setImmediate as immediate, setTimeout as pause } from 'node:timers/promises'
import { type Logger, MillraceError } from '@millrace/sdk'
import type { Channel, Envelope } from 'rabbitmq-client'
import { brokerError, isEcho, isRejection } from './failures.ts'
import type { Link } from './link.ts'
import type { Place } from './place.ts'

/** Bytes under way that are not confirmed: the bound of memory where records are large. One larger record goes alone. */
const MAX_BYTES = 16 * 1024 * 1024

export interface Outgoing {
  readonly envelope: Envelope
  readonly body: Buffer
}

export interface PublisherOptions {
  readonly link: Link
  readonly maxUnconfirmed: number
  readonly tries: number
  readonly retryMs: number
  readonly timeoutSeconds: number
  readonly signal: AbortSignal
  readonly log: Logger
}

/**
 * Sends messages, many under way, and knows those that the broker has not confirmed. When the connection is lost those are sent
 * again over a new one, in their order: what had arrived all the same is then there twice. What the broker refused (`nack`: a queue at its limit) is
 * sent again when all others are answered, and is not there twice.
 */
export class Publisher {
  readonly #o: PublisherOptions
  readonly #unconfirmed = new Set<Outgoing>()
  #unconfirmedBytes = 0
  /** Of the unconfirmed, those that the broker refused. */
  readonly #rejected = new Set<Outgoing>()
  #rejection: unknown
  readonly #places = new Map<string, Place>()
  #channel: Channel | undefined
  #failure: unknown
  #returned: string | undefined
  #attempts = 0
  #wake = (): void => {}

  constructor(options: PublisherOptions) {
    this.#o = options
    options.link.onReturn = ({ exchange, routingKey, headers }) => {
      const place = exchange === '' ? `there is no queue ${routingKey}` : `exchange ${exchange} has no queue for it`
      this.#returned ??= `a message of stream ${String(headers?.['substream'])} came back: ${place}`
      this.#wake()
    }
    options.link.onError = (error) => this.#fail(error)
  }

  /** Throws DESTINATION_REFUSED, or DESTINATION_UNAVAILABLE after all tries. */
  async connect(): Promise<void> {
    while (true) {
      try {
        this.#failure = undefined
        this.#channel = await this.#o.link.open()
        for (const place of this.#places.values()) await this.#o.link.ask(place)
        return
      } catch (error) {
        this.#o.link.destroy()
        await this.#pauseOrThrow(error)
      }
    }
  }

  async use(place: Place): Promise<void> {
    if (this.#places.has(place.what)) return
    this.#places.set(place.what, place)
    try {
      await this.#o.link.ask(place)
    } catch (error) {
      this.#fail(error)
      await this.#progress()
    }
  }

  /** Takes messages; resolves when no more than `maxUnconfirmed`, and 16 MiB, are under way. */
  async send(messages: Iterable<Outgoing>): Promise<void> {
    for (const message of messages) {
      while (this.#mustWait(message)) await this.#progress()
      this.#unconfirmed.add(message)
      this.#unconfirmedBytes += message.body.length
      this.#publish(message)
    }
  }

  #mustWait({ body }: Outgoing): boolean {
    const { size } = this.#unconfirmed
    const isFull = size >= this.#o.maxUnconfirmed || (size > 0 && this.#unconfirmedBytes + body.length > MAX_BYTES)
    return this.#failure !== undefined || this.#rejected.size > 0 || isFull
  }

  /** Resolves when the broker has taken all messages, and none came back. */
  async settle(): Promise<void> {
    while (this.#failure !== undefined || this.#unconfirmed.size > 0) await this.#progress()
    // A message that came back is told behind its confirm.
    await immediate()
    this.#refuseReturned()
  }

  async close(): Promise<void> {
    if (this.#unconfirmed.size > 0) this.#o.link.destroy()
    else await this.#o.link.close()
  }

  #publish(message: Outgoing): void {
    const channel = this.#channel
    channel?.basicPublish(message.envelope, message.body).then(
      () => {
        if (!this.#unconfirmed.delete(message)) return
        this.#unconfirmedBytes -= message.body.length
        this.#attempts = 0
        this.#wake()
      },
      (error: unknown) => {
        if (this.#channel !== channel) return
        if (isRejection(error)) {
          this.#rejected.add(message)
          this.#rejection = error
          this.#wake()
        } else this.#fail(error)
      },
    )
  }

  #fail(error: unknown): void {
    if (this.#failure === undefined || isEcho(this.#failure)) this.#failure = error
    this.#wake()
  }

  #refuseReturned(): void {
    if (this.#returned === undefined) return
    throw new MillraceError('DESTINATION_REFUSED', {
      what: this.#o.link.where,
      why: this.#returned,
      fix: 'Make or bind a queue that takes it; with mandatory: false such records are lost without a word.',
    })
  }

  /** Waits until something was answered or failed, and mends what failed. */
  async #progress(): Promise<void> {
    this.#refuseReturned()
    this.#o.signal.throwIfAborted()
    const isAnswered = this.#rejected.size > 0 && this.#rejected.size === this.#unconfirmed.size
    if (this.#failure === undefined && isAnswered) return await this.#sendRejected()
    if (this.#failure === undefined) await this.#answer()
    if (this.#failure === undefined) return
    // Why a channel went may be told behind the promises that it broke.
    await immediate()
    this.#channel = undefined
    const failure = this.#failure
    this.#o.link.destroy()
    await this.#pauseOrThrow(failure)
    await this.connect()
    this.#rejected.clear()
    for (const message of this.#unconfirmed) this.#publish(message)
  }

  /** Waits for a word of the broker; where none comes for too long, that is a failure. */
  async #answer(): Promise<void> {
    const { signal, timeoutSeconds, link } = this.#o
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = (): void => resolve()
    this.#wake = wake
    const timer = setTimeout(() => {
      const why = link.blockedBy === undefined ? '' : `; it takes nothing at the moment: ${link.blockedBy}`
      this.#failure ??= new Error(`nothing was confirmed for ${timeoutSeconds} seconds${why}`)
      resolve()
    }, timeoutSeconds * 1_000)
    signal.addEventListener('abort', wake)
    await promise
    clearTimeout(timer)
    signal.removeEventListener('abort', wake)
    signal.throwIfAborted()
  }

  async #sendRejected(): Promise<void> {
    await this.#pauseOrThrow(this.#rejection)
    this.#rejected.clear()
    for (const message of this.#unconfirmed) this.#publish(message)
  }

  async #pauseOrThrow(error: unknown): Promise<void> {
    const told = brokerError(error, this.#o.link.where)
    this.#attempts++
    if (told.code !== 'DESTINATION_UNAVAILABLE' || this.#attempts > this.#o.tries) throw told
    this.#o.log.warn(`${told.message}; trying again`)
    await pause(this.#o.retryMs * 2 ** (this.#attempts - 1), undefined, { signal: this.#o.signal })
  }
}
