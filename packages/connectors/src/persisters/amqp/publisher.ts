import { setImmediate as immediate, setTimeout as pause } from 'node:timers/promises'
import { type Logger, MillraceError } from '@millrace/sdk'
import type { Channel, Envelope } from 'rabbitmq-client'
import { brokerError, isEcho } from './failures.ts'
import type { Link } from './link.ts'
import type { Place } from './place.ts'

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
 * again over a new one, in their order: what had arrived all the same is then there twice.
 */
export class Publisher {
  readonly #o: PublisherOptions
  readonly #unconfirmed = new Set<Outgoing>()
  readonly #places = new Map<string, Place>()
  #channel: Channel | undefined
  #failure: unknown
  #returned: string | undefined
  #attempts = 0
  #confirmed = 0
  #wake = (): void => {}

  constructor(options: PublisherOptions) {
    this.#o = options
    options.link.onReturn = ({ exchange }) => {
      this.#returned ??= exchange === '' ? 'the queue is not there' : `exchange ${exchange} has no queue for it`
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

  /** Takes messages; resolves when no more than `maxUnconfirmed` are under way. */
  async send(messages: Iterable<Outgoing>): Promise<void> {
    for (const message of messages) {
      while (this.#failure !== undefined || this.#unconfirmed.size >= this.#o.maxUnconfirmed) await this.#progress()
      this.#publish(message)
    }
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
    this.#unconfirmed.add(message)
    channel?.basicPublish(message.envelope, message.body).then(
      () => {
        if (!this.#unconfirmed.delete(message)) return
        this.#confirmed++
        this.#attempts = 0
        if (this.#unconfirmed.size === 0 || this.#unconfirmed.size < this.#o.maxUnconfirmed) this.#wake()
      },
      (error: unknown) => {
        if (this.#channel === channel) this.#fail(error)
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
      why: `a message came back: ${this.#returned}`,
      fix: 'Make or bind a queue that takes it; with mandatory: false such records are lost without a word.',
    })
  }

  /** Waits until something was confirmed or failed, and mends what failed. */
  async #progress(): Promise<void> {
    this.#refuseReturned()
    const { signal, timeoutSeconds } = this.#o
    if (this.#failure === undefined) {
      const before = this.#confirmed
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      const timer = setTimeout(resolve, timeoutSeconds * 1_000)
      signal.addEventListener('abort', this.#wake)
      await promise
      clearTimeout(timer)
      signal.removeEventListener('abort', this.#wake)
      signal.throwIfAborted()
      if (this.#failure === undefined && this.#returned === undefined && this.#confirmed === before)
        this.#failure = new Error(`nothing was confirmed for ${timeoutSeconds} seconds`)
      if (this.#failure === undefined) return
    }
    // Why a channel went may be told behind the promises that it broke.
    await immediate()
    this.#channel = undefined
    const failure = this.#failure
    await this.#pauseOrThrow(failure)
    await this.connect()
    for (const message of this.#unconfirmed) this.#publish(message)
  }

  async #pauseOrThrow(error: unknown): Promise<void> {
    const told = brokerError(error, this.#o.link.where)
    this.#attempts++
    this.#o.link.destroy()
    if (told.code !== 'DESTINATION_UNAVAILABLE' || this.#attempts > this.#o.tries) throw told
    this.#o.log.warn(`${told.message}; trying again`)
    await pause(this.#o.retryMs * 2 ** (this.#attempts - 1), undefined, { signal: this.#o.signal })
  }
}
