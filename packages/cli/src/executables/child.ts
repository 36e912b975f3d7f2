/** A streamer that a persister runs as its child: `persist-stitch COMMAND [ARG…]`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { MillraceError } from '@millrace/sdk'

const graceMs = 5_000

export class StreamerChild implements AsyncDisposable {
  readonly #command: string
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #failure: MillraceError | undefined

  /** Its stdin, stderr and environment are ours. */
  constructor([command = '', ...args]: readonly string[], cwd: string) {
    this.#command = command
    this.#child = spawn(command, args, { cwd, stdio: ['inherit', 'pipe', 'inherit'] })
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (e) => {
        this.#failure = new MillraceError('PROCESS_NOT_STARTED', { what: command, why: e.message }, { cause: e })
        resolve()
      })
      this.#child.once('close', () => resolve())
    })
  }

  get output(): AsyncIterable<Uint8Array> {
    return this.#child.stdout as NonNullable<ChildProcess['stdout']>
  }

  /** Asks it to end: what it writes until then still counts. */
  stop(): void {
    this.#child.kill('SIGTERM')
  }

  /** Throws PROCESS_NOT_STARTED or PROCESS_FAILED where it did not end well. */
  async mustEndWell(): Promise<void> {
    await this.#ended
    if (this.#failure !== undefined) throw this.#failure
    const { exitCode, signalCode } = this.#child
    if (exitCode === 0) return
    const why = signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`
    throw new MillraceError('PROCESS_FAILED', { what: this.#command, why })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs)
    try {
      // Nobody reads any more: a full pipe must not keep it alive.
      this.#child.stdout?.destroy()
      await once(this.#child, 'exit')
    } finally {
      clearTimeout(timer)
    }
  }
}
