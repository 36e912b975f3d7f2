/**
 * One child process, from its start to its end.
 *
 * It leads a process group of its own, so that a signal meant for it reaches its children too, and Ctrl-C in a terminal
 * reaches none of them. Its stderr is always read: a full pipe would stop it. `stop` is a ladder: SIGTERM to the group,
 * a grace, SIGKILL to the group. When it ends, what is left of its group is killed, and its ending is told only after
 * all that it wrote was read. A grandchild that holds a pipe open from outside the group delays that by `drainMs`, and by
 * `maxDrainMs` where it writes on.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { Lines, Tail } from '@millrace/sdk'
import type { ExitReport } from './exit-report.ts'
import { retryOfExit } from './exit-report.ts'

export interface ChildSpec {
  /** Program and arguments; no shell. */
  readonly argv: readonly string[]
  readonly cwd: string
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>
  /** A descriptor of ours that it gets as stdin, or nothing. */
  readonly stdin: number | 'ignore'
  /** A descriptor of ours that it gets as stdout, or a function that is given what it writes. */
  readonly stdout: number | ((chunk: Buffer) => void)
  /** Each line of stderr. */
  readonly onLog: (line: string) => void
  /** Takes secrets out of a line of its log. */
  readonly conceal?: (line: string) => string
  /** What it writes on descriptor 3; left out, it has none. */
  readonly onReport?: (chunk: Buffer) => void
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number
}

/** A child that runs. */
export interface Child {
  /** Undefined where it could not be started. */
  readonly pid: number | undefined
  /** Resolves once, always; never rejects. */
  readonly ended: Promise<ExitReport>
  /** Asks it to stop, by the ladder. Calling it again changes nothing. */
  stop(): void
  /** Kills its group at once. */
  kill(): void
}

/** How long after its end a child's pipes may stay open without anything coming. */
const drainMs = 1_000
/** What a child left in its pipes is read in far less than this. */
const maxDrainMs = 4_000
/** A longer line of a log is cut. */
const maxLogLineBytes = 64 * 1024

/** Starts a child. Never throws: what goes wrong is in `ended`. */
export const startChild = (spec: ChildSpec): Child => new RunningChild(spec)

class RunningChild implements Child {
  readonly pid: number | undefined
  readonly ended: Promise<ExitReport>
  readonly #graceMs: number
  readonly #tail = new Tail()
  #stopping: 'no' | 'asked' | 'forced' = 'no'
  #exited = false
  #ladder: NodeJS.Timeout | undefined

  constructor(spec: ChildSpec) {
    this.#graceMs = spec.graceMs
    const [program = '', ...args] = spec.argv
    let child: ChildProcess
    try {
      child = spawn(program, args, {
        cwd: spec.cwd,
        env: spec.env,
        detached: true,
        stdio: [
          spec.stdin,
          typeof spec.stdout === 'number' ? spec.stdout : 'pipe',
          'pipe',
          ...(spec.onReport === undefined ? [] : ['pipe' as const]),
        ],
      })
    } catch (e) {
      // For instance an argument with a NUL in it.
      this.ended = Promise.resolve({ why: 'not-spawned', cause: e as Error })
      return
    }
    this.pid = child.pid
    const hear = (said: string): void => {
      const line = spec.conceal?.(said) ?? said
      this.#tail.add(line)
      spec.onLog(line)
    }
    const log = new Lines({ maxBytes: maxLogLineBytes, tooLong: 'cut' }, hear)
    const pipes: Readable[] = []
    const read = (index: number, onChunk: (chunk: Buffer) => void): void => {
      const pipe = child.stdio[index] as Readable | null | undefined
      if (pipe === null || pipe === undefined) return
      pipes.push(pipe)
      pipe.on('data', onChunk)
      // A pipe that breaks has simply ended; how the child ended is told by its exit.
      pipe.on('error', () => {})
    }
    if (typeof spec.stdout === 'function') read(1, spec.stdout)
    read(2, (chunk) => log.push(chunk))
    if (spec.onReport !== undefined) read(3, spec.onReport)
    this.ended = this.#ending(child, pipes).then((report) => {
      const rest = log.rest()
      if (rest === undefined) return report
      hear(rest)
      return 'stderrTail' in report ? { ...report, stderrTail: this.#tail.toString() } : report
    })
  }

  #ending(child: ChildProcess, pipes: readonly Readable[]): Promise<ExitReport> {
    return new Promise((resolve) => {
      child.once('error', (cause) => {
        if (child.pid === undefined) resolve({ why: 'not-spawned', cause })
      })
      child.once('exit', (code, signal) => {
        this.#exited = true
        clearTimeout(this.#ladder)
        this.#signalGroup('SIGKILL')
        let drain: NodeJS.Timeout | undefined
        const giveUp = (): void => {
          for (const pipe of pipes) pipe.destroy()
        }
        const wait = (): void => {
          clearTimeout(drain)
          drain = setTimeout(giveUp, drainMs)
        }
        for (const pipe of pipes) pipe.on('data', wait)
        wait()
        const last = setTimeout(giveUp, maxDrainMs)
        child.once('close', () => {
          clearTimeout(drain)
          clearTimeout(last)
          resolve(this.#report(code, signal))
        })
      })
    })
  }

  #report(code: number | null, signal: NodeJS.Signals | null): ExitReport {
    const stderrTail = this.#tail.toString()
    if (this.#stopping !== 'no') return { why: 'stopped', forced: this.#stopping === 'forced' }
    if (signal !== null) return { why: 'signalled', signal, stderrTail }
    return code === 0
      ? { why: 'finished' }
      : { why: 'failed', code: code ?? 1, retry: retryOfExit(code ?? 1), stderrTail }
  }

  stop(): void {
    if (this.#exited || this.pid === undefined || this.#stopping !== 'no') return
    this.#stopping = 'asked'
    this.#signalGroup('SIGTERM')
    this.#ladder = setTimeout(() => this.kill(), this.#graceMs)
  }

  kill(): void {
    if (this.#exited || this.pid === undefined) return
    clearTimeout(this.#ladder)
    this.#stopping = 'forced'
    this.#signalGroup('SIGKILL')
  }

  #signalGroup(signal: NodeJS.Signals): void {
    if (this.pid === undefined) return
    try {
      process.kill(-this.pid, signal)
    } catch {
      // Nobody is left in the group.
    }
  }
}
