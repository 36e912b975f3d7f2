import { setTimeout as pause } from 'node:timers/promises'
import { type Channel, Connection, type ConnectionOptions } from 'rabbitmq-client'
import { brokerName, gatherWrites } from '@millrace/sdk/amqp'
import { brokerError, isLasting, mayPass } from './failures.ts'

const closeMs = 2_000
/** Where the content type of a message is found. */
export const typeHeader = 'content type'
/** What the broker allows by default; the client's own default cuts a block into many. */
const maxFrame = 131_072
const [firstRetryMs, lastRetryMs] = [100, 5_000]
/** So much may wait for the socket before the client waits for it. By default that is one block: then each goes to the system on its own. */
const socketBytes = 1024 * 1024

/** The frame with the properties of a message, as the client reads it. */
interface HeaderFrame {
  readonly fields: { contentType?: string | undefined; headers?: Record<string, unknown> | undefined }
}

/** The client says where the socket goes. The types of Node do not know that a socket takes the options of a stream. */
const socketOptions = { writableHighWaterMark: socketBytes } as unknown as NonNullable<ConnectionOptions['socket']>

/** One connection to the broker. The client makes it again by itself, each time a little later; its channels end with it. */
export class Link {
  readonly where: string
  readonly #connection: Connection
  readonly #timeoutMs: number
  #failure: unknown
  #isClosed = false
  /** Told of each connection, the first one too. */
  onConnected: () => void = () => {}

  constructor(url: string, timeoutMs: number) {
    this.where = brokerName(url)
    this.#timeoutMs = timeoutMs
    this.#connection = new Connection({
      url,
      acquireTimeout: timeoutMs,
      connectionTimeout: timeoutMs,
      retryLow: firstRetryMs,
      retryHigh: lastRetryMs,
      frameMax: maxFrame,
      socket: socketOptions,
    })
    gatherWrites(this.#connection)
    this.#connection.on('error', (error: unknown) => {
      this.#failure = error
    })
    this.#connection.on('connection', () => {
      this.#failure = undefined
      this.onConnected()
    })
  }

  /** Throws LOG_REFUSED at once, LOG_UNAVAILABLE when `timeoutMs` have passed. */
  async connect(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const refused = (error: unknown): void => {
      if (isLasting(error)) reject(error)
    }
    this.#connection.on('error', refused)
    // The timer of the client goes on after a refusal, and keeps the process: this one ends with the wait.
    const timer = setTimeout(() => reject(new Error('no connection in time')), this.#timeoutMs)
    this.#connection.onConnect(0, true).then(resolve, reject)
    try {
      await promise
    } catch (error) {
      this.#connection.unsafeDestroy()
      throw brokerError(this.#failure ?? error, this.where)
    } finally {
      clearTimeout(timer)
      this.#connection.off('error', refused)
    }
  }

  /** A channel. Throws LOG_UNAVAILABLE where there is no connection within `timeoutMs`, and LOG_REFUSED at once. */
  async channel(): Promise<Channel> {
    const end = performance.now() + this.#timeoutMs
    for (;;)
      try {
        const channel = await this.#connection.acquire({ emitErrorsFromChannel: true })
        // Whoever uses it is told by what it awaits.
        channel.on('error', () => {})
        keepBytes(channel)
        return channel
      } catch (error) {
        // The client waits for a connection, but not for another where one is lost while the channel is being opened.
        if (this.#isClosed || !mayPass(error) || performance.now() > end)
          throw brokerError(this.#failure ?? error, this.where)
        await pause(firstRetryMs)
      }
  }

  /** Does something on a channel of its own. */
  async with<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const channel = await this.channel()
    try {
      return await work(channel)
    } finally {
      void channel.close()
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeMs)
    })
    await Promise.race([late, this.#connection.close()]).catch(() => {})
    clearTimeout(timer)
    this.#connection.unsafeDestroy()
  }
}

/**
 * The client parses a body whose type is JSON or text, and what it makes of long numbers and of odd bytes cannot be undone. A message of
 * which it does not know the type stays as it is; the type is found among the headers.
 */
const keepBytes = (channel: Channel): void => {
  const inner = channel as unknown as { _onHeader: (frame: HeaderFrame) => void }
  const onHeader = inner._onHeader.bind(channel)
  inner._onHeader = (frame) => {
    const { fields } = frame
    if (fields.contentType !== undefined) fields.headers = { ...fields.headers, [typeHeader]: fields.contentType }
    fields.contentType = undefined
    onHeader(frame)
  }
}
