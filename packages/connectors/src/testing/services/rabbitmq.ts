/** RabbitMQ for tests of connectors: what is in its queues. */
import { randomBytes } from 'node:crypto'
import { type Broker, findBroker } from '@millrace/sdk/testing'
import { Connection } from 'rabbitmq-client'

export interface TakenMessage {
  readonly routingKey: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly contentType: string | undefined
  readonly isDurable: boolean
  readonly body: Buffer
}

/** A broker, or the reason why there is none. Disposing ends it where it is our own, and removes what `name` named. */
export interface RabbitServer extends AsyncDisposable {
  readonly skip: string | false
  readonly url: string
  /** A name that nothing else has. */
  readonly name: () => string
  /** Makes a queue with a unique name; with an exchange and a key it is bound to it. */
  readonly queue: (binding?: { readonly exchange: string; readonly routingKey: string }) => Promise<string>
  /** Takes all messages out of a queue. */
  readonly drain: (queue: string) => Promise<readonly TakenMessage[]>
  readonly client: Connection
}

/** Finds or starts a broker. */
export const findRabbit = async (): Promise<RabbitServer> => serverAt(await findBroker())

/** The broker as a test of connectors uses it. */
export const serverAt = (broker: Broker): RabbitServer => {
  if (broker.skip !== false) return { skip: broker.skip } as RabbitServer
  const { url } = broker
  const client = new Connection({ url, retryLow: 50, retryHigh: 500 })
  client.on('error', () => {})
  const names: string[] = []
  const name = (): string => {
    const made = `millrace-test-${randomBytes(6).toString('hex')}`
    names.push(made)
    return made
  }
  return {
    skip: false,
    url,
    client,
    name,
    queue: async (binding) => {
      const queue = name()
      await client.queueDeclare({ queue, durable: true })
      if (binding !== undefined) await client.queueBind({ queue, ...binding })
      return queue
    },
    drain: async (queue) => {
      const taken: TakenMessage[] = []
      for (let m = await client.basicGet({ queue, noAck: true }); m !== undefined; ) {
        const { body, headers, routingKey, contentType, durable } = m
        const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
        taken.push({ routingKey, headers: headers ?? {}, contentType, isDurable: durable === true, body: bytes })
        m = await client.basicGet({ queue, noAck: true })
      }
      return taken
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of names) {
        await client.queueDelete({ queue: each })
        await client.exchangeDelete({ exchange: each })
        await client.exchangeDelete({ exchange: `streams.${each}` })
      }
      await client.close()
      await broker[Symbol.asyncDispose]()
    },
  }
}
