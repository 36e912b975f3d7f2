import type { AsyncMessage, Channel } from 'rabbitmq-client'
import { MillraceError } from '@millrace/sdk/errors'

/** A wish is said again so often; the broker forgets it a little later, for those who ended without taking it back. */
const [wishMs, wishLifeMs] = [4_000, 10_000]

/** The lock queue of the queue of a stream. */
export const lockOf = (queue: string): string => `${queue}.lock`

/**
 * The right to append to a stream: of those who consume its lock queue the broker serves one, until that one's channel ends. Each of them
 * publishes a wish there; who gets any wish is served. Wishes of others are held back unacknowledged, so that they go to the next one, and say
 * that there is a next one. Appends go over the same channel: when another is served, that channel sends nothing more.
 */
export class Lease {
  readonly #channel: Channel
  readonly #queue: string
  readonly #me: string
  readonly #others: number[] = []
  #tag = ''
  /** Told when somebody else waits. */
  onWanted: () => void = () => {}

  private constructor(channel: Channel, queue: string, me: string) {
    this.#channel = channel
    this.#queue = queue
    this.#me = me
  }

  /** Waits to be served. Throws LOG_UNAVAILABLE after `timeoutMs`, and what the client throws. */
  static async acquire(o: { channel: Channel; queue: string; me: string; timeoutMs: number }): Promise<Lease> {
    const { channel, queue, me, timeoutMs } = o
    const lease = new Lease(channel, queue, me)
    const { promise: served, resolve, reject } = Promise.withResolvers<void>()
    // It may be rejected while it is not awaited yet.
    served.catch(() => {})
    channel.on('close', () => reject(new Error('the connection was lost')))
    channel.on('basic.cancel', () => void channel.close())
    await channel.queueDeclare({
      queue,
      durable: false,
      autoDelete: true,
      arguments: { 'x-single-active-consumer': true },
    })
    const { consumerTag } = await channel.basicConsume({ queue }, (message: AsyncMessage) => {
      if (String(message.body) === me) channel.basicAck({ deliveryTag: message.deliveryTag })
      else {
        lease.#others.push(message.deliveryTag)
        lease.onWanted()
      }
      resolve()
    })
    lease.#tag = consumerTag
    await lease.#wish()
    const again = setInterval(() => void lease.#wish().catch(() => {}), wishMs)
    const late = setTimeout(
      () =>
        reject(new MillraceError('LOG_UNAVAILABLE', { what: queue, why: `somebody else held it for ${timeoutMs} ms` })),
      timeoutMs,
    )
    try {
      await served
    } finally {
      clearInterval(again)
      clearTimeout(late)
    }
    return lease
  }

  /** Whether somebody else waits. */
  get isWanted(): boolean {
    return this.#others.length > 0
  }

  /** Lets the next one be served. Everything that was published over the channel must be confirmed. */
  async release(): Promise<void> {
    await this.#channel.basicCancel(this.#tag)
    for (const deliveryTag of this.#others.splice(0)) this.#channel.basicNack({ deliveryTag, requeue: true })
  }

  async #wish(): Promise<void> {
    const envelope = {
      routingKey: this.#queue,
      expiration: String(wishLifeMs),
      contentType: 'application/octet-stream',
    }
    await this.#channel.basicPublish(envelope, Buffer.from(this.#me))
  }
}
