import { type Channel, Connection, type ReturnedMessage } from 'rabbitmq-client'
import { brokerError } from './failures.ts'
import type { Place } from './place.ts'

const CLOSE_MS = 2_000

export interface LinkOptions {
  readonly url: string
  readonly timeoutMs: number
}

/** One connection with one channel in confirm mode. It is not made again by itself: {@link open} does, from the beginning. */
export class Link {
  readonly #o: LinkOptions
  #connection: Connection | undefined
  #channel: Channel | undefined
  onReturn: (message: ReturnedMessage) => void = () => {}
  onError: (error: unknown) => void = () => {}

  constructor(options: LinkOptions) {
    this.#o = options
  }

  /** Host, port and virtual host, as an error names them. */
  get where(): string {
    const url = new URL(this.#o.url)
    const vhost = decodeURIComponent(url.pathname.split('/')[1] ?? '') || '/'
    return `broker ${url.hostname}:${url.port || (url.protocol === 'amqps:' ? 5671 : 5672)} vhost ${vhost}`
  }

  /** Connects, once. Throws DESTINATION_REFUSED or DESTINATION_UNAVAILABLE. */
  async open(): Promise<Channel> {
    this.destroy()
    const { url, timeoutMs } = this.#o
    const connection = new Connection({ url, acquireTimeout: timeoutMs, connectionTimeout: timeoutMs })
    this.#connection = connection
    try {
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
      if (queue !== undefined) await channel.queueDeclare({ queue, durable: true, passive: make === undefined })
      else if (make !== undefined) await channel.exchangeDeclare({ exchange, type: make, durable: make === 'topic' })
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
