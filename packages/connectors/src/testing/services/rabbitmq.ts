/** RabbitMQ for tests: the broker that is there, or one of our own of Debian's package. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Connection } from 'rabbitmq-client'
import { answers, freePort, install, OwnServer } from './service.ts'

const PORT = 5672
const HOST = '127.0.0.1'
const START_MS = 120_000
const NEEDS = 'needs RabbitMQ: one on port 5672 that knows guest, or root on Debian, to install it'

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
export const findRabbit = async (): Promise<RabbitServer> => {
  if (await answers(PORT)) return serverAt(PORT)
  const isThere = (): boolean => spawnSync('sh', ['-c', 'test -x /usr/lib/rabbitmq/bin/rabbitmq-server']).status === 0
  if (process.getuid?.() !== 0 || !(isThere() || (install(['rabbitmq-server']) && isThere())))
    return { skip: NEEDS } as RabbitServer
  return await startRabbit()
}

/** Starts a broker of our own. */
export const startRabbit = async (): Promise<RabbitServer> => {
  const folder = mkdtempSync('/tmp/millrace-rabbit-')
  const [port, distribution, mapper] = [await freePort(), await freePort(), await freePort()]
  writeFileSync(join(folder, 'rabbitmq.conf'), `listeners.tcp.1 = ${HOST}:${port}\n`)
  writeFileSync(join(folder, 'plugins'), '[].\n')
  const name = `millrace_${randomBytes(4).toString('hex')}@localhost`
  const own = new OwnServer({
    // The mapper of ports is a daemon of the broker's own, and goes with it.
    command: [
      'sh',
      '-c',
      `trap 'kill $pid; wait $pid; epmd -kill >/dev/null; exit 0' TERM; /usr/lib/rabbitmq/bin/rabbitmq-server & pid=$!; wait $pid`,
    ],
    folder,
    signal: 'TERM',
    env: {
      HOME: folder,
      ERL_EPMD_PORT: String(mapper),
      RABBITMQ_NODENAME: name,
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    },
  })
  for (const end = performance.now() + START_MS; !(await answers(port)); ) {
    if (own.ended || performance.now() > end) {
      await own[Symbol.asyncDispose]()
      throw new Error(`RabbitMQ did not start: ${own.log}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  return serverAt(port, own)
}

const serverAt = (port: number, own?: OwnServer): RabbitServer => {
  const url = `amqp://guest:guest@${HOST}:${port}`
  const client = new Connection({ url, retryLow: 50 })
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
      await own?.[Symbol.asyncDispose]()
    },
  }
}

/** A way to a port of loopback that can be cut: what a broken network is to both ends. */
export interface Cuttable extends AsyncDisposable {
  readonly port: number
  /** Told with the bytes that came from the client so far, whenever more come. */
  onBytes: (total: number) => void
  readonly cut: () => void
}

export const cuttable = async (to: number): Promise<Cuttable> => {
  const sockets = new Set<Socket>()
  let total = 0
  const way = { onBytes: (_: number): void => {} }
  const server = createServer((near) => {
    const far = connect({ port: to, host: HOST })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.on('data', (chunk: Buffer) => {
      total += chunk.length
      way.onBytes(total)
    })
    near.pipe(far)
    far.pipe(near)
  }).listen(0, HOST)
  await once(server, 'listening')
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return Object.assign(way, {
    port: (server.address() as AddressInfo).port,
    cut,
    [Symbol.asyncDispose]: async () => {
      cut()
      server.close()
      await once(server, 'close')
    },
  })
}
