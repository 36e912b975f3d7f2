/**
 * Servers for tests. One that answers on this machine is used; else, as root on Debian, its packages are installed and a
 * server of our own is started on a free port with data of its own; else the tests are skipped with a reason that begins
 * with "needs", which continuous integration takes for a failure.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'

const ANSWER_MS = 1_000
const INSTALL_MS = 300_000

/** Whether something listens on this port of loopback. */
export const answers = async (port: number, host: string = '127.0.0.1'): Promise<boolean> => {
  const socket = connect({ port, host })
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer')))
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** A port of loopback that nothing listens on at this moment. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Whether packages can be installed here: root, on Debian or what is made of it. */
export const canInstall = (): boolean => process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')

/**
 * Installs packages; answers whether that went well. Test files that run side by side wait for each other. No server of
 * a package is started by its installation.
 */
export const install = (packages: readonly string[]): boolean => {
  if (!canInstall()) return false
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const script =
    'apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; }'
  const { status } = spawnSync(
    'flock',
    ['/tmp/millrace-test-install.lock', 'sh', '-c', script, 'install', ...packages],
    { env, stdio: 'ignore', timeout: INSTALL_MS },
  )
  return status === 0
}

/** The numbers of a user of the system; undefined where there is none of that name. */
export const userIds = (name: string): { readonly uid: number; readonly gid: number } | undefined => {
  const id = (flag: string): number => Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout || Number.NaN)
  const ids = { uid: id('-u'), gid: id('-g') }
  return Number.isNaN(ids.uid) || Number.isNaN(ids.gid) ? undefined : ids
}

/** How to run a server. */
export interface Program {
  readonly command: readonly [string, ...string[]]
  /** Removed when the server has ended. */
  readonly folder: string
  /** What ends it. A shell script cannot catch QUIT here: it was begun in the background. Default QUIT. */
  readonly signal?: 'QUIT' | 'TERM'
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  readonly env?: Readonly<Record<string, string>>
}

/**
 * Runs a server that ends with this process, however this process ends: the shell around it waits for the end of its
 * stdin. It leads a process group of its own, so that it outlives the group of a test file that is killed, and cleans up.
 * Its stdin takes the words `stop` and `start`.
 */
const script = `
folder=$1; signal=$2; shift 2
"$@" & pid=$!
while read -r word; do
  case $word in
    stop) kill -$signal $pid; wait $pid;;
    start) "$@" & pid=$!;;
  esac
  echo done
done
kill -$signal $pid 2>/dev/null; wait $pid; rm -rf "$folder"
`

/** A server that this process started. */
export class OwnServer implements AsyncDisposable {
  readonly #shell: ChildProcess
  readonly #exited: Promise<unknown>
  #log = ''

  constructor(program: Program) {
    this.#shell = spawn('sh', ['-c', script, 'server', program.folder, program.signal ?? 'QUIT', ...program.command], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      cwd: '/',
      ...program.user,
      ...(program.env === undefined ? {} : { env: { ...process.env, ...program.env } }),
    })
    this.#exited = once(this.#shell, 'exit')
    this.#shell.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-4_000)
    })
    // It must not keep a test file alive that is done.
    this.#shell.unref()
    for (const stream of this.#shell.stdio) (stream as unknown as { unref?: () => void } | null)?.unref?.()
  }

  /** The end of what it wrote on stderr. */
  get log(): string {
    return this.#log
  }

  get ended(): boolean {
    return this.#shell.exitCode !== null || this.#shell.signalCode !== null
  }

  /** Kills the server; resolves when it is gone. Its data stay. */
  async stop(): Promise<void> {
    await this.#say('stop')
  }

  /** Starts it again after {@link stop}; it may not answer yet. */
  async start(): Promise<void> {
    await this.#say('start')
  }

  async #say(word: string): Promise<void> {
    const { stdin, stdout } = this.#shell
    ;(stdout as unknown as { ref: () => void }).ref()
    const done = new Promise<void>((resolve) => {
      let said = ''
      const listen = (chunk: Buffer): void => {
        said += chunk.toString('latin1')
        if (!said.includes('done\n')) return
        stdout?.off('data', listen)
        resolve()
      }
      stdout?.on('data', listen)
    })
    stdin?.write(`${word}\n`)
    await done
    ;(stdout as unknown as { unref: () => void }).unref()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#shell.ref()
    this.#shell.stdin?.end()
    if (!this.ended) await this.#exited
  }
}
