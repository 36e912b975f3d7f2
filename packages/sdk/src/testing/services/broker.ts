/** RabbitMQ for tests: the broker that is there, or one of our own of Debian's package. */
import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { answers, freePort, install, OwnServer } from './service.ts'

const port = 5672
const host = '127.0.0.1'
const startMs = 120_000
const needs = 'needs RabbitMQ: one on port 5672 that knows guest, or root on Debian, to install it'

/** A broker, or the reason why there is none. Disposing ends it where it is our own. */
export interface Broker extends AsyncDisposable {
  readonly skip: string | false
  /** With user and password. */
  readonly url: string
}

/** A broker of our own. */
export interface OwnBroker extends Broker {
  /** Ends it as an operator does. Its data stay. */
  readonly stop: () => Promise<void>
  /** Ends it as a power cut does, all but the loss of what the system had not written. */
  readonly kill: () => Promise<void>
  /** Begins it again; resolves when it answers. */
  readonly start: () => Promise<void>
  /** Does what an operator does with `rabbitmqctl`. */
  readonly control: (...args: readonly string[]) => Promise<void>
}

const isThere = (): boolean => spawnSync('sh', ['-c', 'test -x /usr/lib/rabbitmq/bin/rabbitmq-server']).status === 0
const canStart = (): boolean => process.getuid?.() === 0 && (isThere() || (install(['rabbitmq-server']) && isThere()))
const none: OwnBroker = {
  skip: needs,
  url: '',
  stop: async () => {},
  kill: async () => {},
  start: async () => {},
  control: async () => {},
  [Symbol.asyncDispose]: async () => {},
}

/** Finds or starts a broker. */
export const findBroker = async (): Promise<Broker> =>
  (await answers(port))
    ? { skip: false, url: `amqp://guest:guest@${host}:${port}`, [Symbol.asyncDispose]: async () => {} }
    : await startBroker()

/** Starts a broker of our own. `config` are lines of rabbitmq.conf. */
export const startBroker = async (config: readonly string[] = []): Promise<OwnBroker> => {
  if (!canStart()) return none
  const folder = mkdtempSync('/tmp/millrace-rabbit-')
  const [own, distribution, mapper] = [await freePort(), await freePort(), await freePort()]
  writeFileSync(join(folder, 'rabbitmq.conf'), [`listeners.tcp.1 = ${host}:${own}`, ...config, ''].join('\n'))
  writeFileSync(join(folder, 'plugins'), '[].\n')
  const pidFile = join(folder, 'pid')
  const env = {
    HOME: folder,
    ERL_EPMD_PORT: String(mapper),
    RABBITMQ_NODENAME: `millrace_${randomBytes(4).toString('hex')}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_PID_FILE: pidFile,
  }
  const server = new OwnServer({
    // The mapper of ports is a daemon of the broker's own, and goes with it.
    command: [
      'sh',
      '-c',
      `trap 'kill $pid; wait $pid; epmd -kill >/dev/null; exit 0' TERM; /usr/lib/rabbitmq/bin/rabbitmq-server & pid=$!; wait $pid`,
    ],
    folder,
    signal: 'TERM',
    env,
  })
  const ready = async (): Promise<void> => {
    for (const end = performance.now() + startMs; !(await answers(own)); ) {
      if (server.ended || performance.now() > end) throw new Error(`RabbitMQ did not start: ${server.log}`)
      await pause(200)
    }
  }
  try {
    await ready()
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return {
    skip: false,
    url: `amqp://guest:guest@${host}:${own}`,
    stop: () => server.stop(),
    kill: async () => {
      process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL')
      await server.stop()
    },
    start: async () => {
      await server.start()
      await ready()
    },
    control: async (...args) => {
      await promisify(execFile)('/usr/lib/rabbitmq/bin/rabbitmqctl', args, {
        env: { ...process.env, ...env },
        cwd: '/',
      })
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
