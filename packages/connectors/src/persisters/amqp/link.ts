import { brokerName, gatherWrites } from '@millrace/sdk/amqp'
import { type Channel, Connection, type ReturnedMessage } from 'rabbitmq-client'
import { brokerError } from './failures.ts'
import type { Place } from './place.ts'

const CLOSE_MS = 2_000
/** What the broker allows by default; the client's own default cuts a large record into many. */
const MAX_FRAME = 131_072

export interface LinkOptions {
  readonly url: string
  readonly timeoutMs: number
  /** Certificates, as PEM, of those who may vouch for a broker that is spoken to over TLS; undefined: those that Node knows. */
  readonly ca: Buffer | undefined
}

/** One connection with one channel in confirm mode. It is not made again by itself: {@link open} does, from the beginning. */
export class Link {
  readonly #o: LinkOptions
  #connection: Connection | undefined
  #channel: Channel | undefined
  onReturn: (message: ReturnedMessage) => void = () => {}
  onError: (error: unknown) => void = () => {}
  /** Why the broker takes nothing at the moment, in its own words: an alarm of its memory or disk. */
  blockedBy: string | undefined

  constructor(options: LinkOptions) {
    this.#o = options
  }

  /** Host, port and virtual host, as an error names them. */
  get where(): string {
    return brokerName(this.#o.url)
  }

  /** Connects, once. Throws DESTINATION_REFUSED or DESTINATION_UNAVAILABLE. */
  async open(): Promise<Channel> {
    this.destroy()
    const { url, timeoutMs, ca } = this.#o
    try {
      const connection = new Connection({
        url,
        acquireTimeout: timeoutMs,
        connectionTimeout: timeoutMs,
        frameMax: MAX_FRAME,
        ...(ca === undefined || !url.startsWith('amqps:') ? {} : { tls: { ca } }),
      })
      this.#connection = connection
      gatherWrites(connection)
      this.blockedBy = undefined
      connection.on('connection.blocked', (reason: unknown) => {
        this.blockedBy = String(reason)
      })
      connection.on('connection.unblocked', () => {
        this.blockedBy = undefined
      })
      const channel = await new Promise<Channel>((resolve, reject) => {
        connection.on('error', (error: unknown) => {
          reject(error)
          if (this.#connection === connection && this.#channel !== undefined) this.onError(error)
        })
        connection.acquire({ emitErrorsFromChannel: true }).then(resolve, reject)
      })
      channel.on('error', (error: unknown) => this.onError(error))
      channel.on('basic.return', (message: ReturnedMessage) => this.onReturn(message))
      await channel.confirmSelect()
      this.#channel = channel
      return channel
    } catch (error) {
      this.destroy()
      throw brokerError(error, this.where)
    }
  }

  /** Makes a place, or makes sure that it is there. */
  async ask(place: Place): Promise<void> {
    const channel = this.#channel
    if (channel === undefined) throw brokerError(new Error('not connected'), this.where)
    const { queue, exchange, make } = place
    try {
      if (queue !== undefined) {
        const kind = make?.is === 'queue' && make.type !== undefined ? { arguments: { 'x-queue-type': make.type } } : {}
        await channel.queueDeclare({ queue, durable: make?.durable ?? true, passive: make === undefined, ...kind })
      } else if (make?.is === 'exchange')
        await channel.exchangeDeclare({ exchange, type: make.type, durable: make.durable })
      else if (exchange !== '') await channel.exchangeDeclare({ exchange, passive: true })
    } catch (error) {
      throw brokerError(error, this.where)
    }
  }

  /** Ends the connection as the protocol wants it; a broker that does not answer is not waited for long. */
  async close(): Promise<void> {
    const connection = this.#connection
    const channel = this.#channel
    if (connection === undefined) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS)
    })
    this.#channel = undefined
    await Promise.race([late, (channel?.close() ?? Promise.resolve()).then(() => connection.close())]).catch(() => {})
    clearTimeout(timer)
    this.destroy()
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#channel = undefined
    const connection = this.#connection
    this.#connection = undefined
    connection?.unsafeDestroy()
  }
}
