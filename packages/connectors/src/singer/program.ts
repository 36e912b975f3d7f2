/**
 * A Singer program while it runs. Its log is passed on line by line with its secrets taken out, and its end becomes one of
 * our errors: the program's own words, in one line. It belongs to our process group, so that what stops us stops it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { basename } from 'node:path'
import { concealing, Lines, MillraceError, reasonIn, secretTexts, systemCode, Tail } from '@millrace/sdk'
import type { JsonObject } from '@millrace/sdk'

/** A longer line of a log is cut. */
const maxLogLineBytes = 64 * 1024
/** A child of the program may hold its stderr open after its end; it is not waited for longer. */
const drainMs = 1_000

export interface ProgramOptions {
  /** What it is in messages: "tap" or "target". */
  readonly role: 'tap' | 'target'
  readonly command: readonly string[]
  readonly args: readonly string[]
  /** Its settings, whose secrets are kept out of what it says. */
  readonly config: JsonObject | undefined
  readonly stdin: 'pipe' | 'ignore'
  /** A descriptor of ours that it writes to by itself, or a pipe to us. */
  readonly stdout: 'pipe' | number
  readonly relay: ((line: string) => void) | undefined
}

/** How it ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class Program {
  readonly process: ChildProcess
  /** Resolves when it is gone and its log was read; rejects only where it could not be started. */
  readonly ended: Promise<Ending>
  /** What it is called: `target-postgres`. */
  readonly what: string
  readonly #tail = new Tail()
  readonly #role: ProgramOptions['role']

  constructor(options: ProgramOptions) {
    const [file = '', ...args] = options.command
    this.#role = options.role
    this.what = nameOf(options.command, options.role)
    this.process = spawn(file, [...args, ...options.args], {
      stdio: [options.stdin, options.stdout, 'pipe'],
    })
    const conceal = concealing(secretTexts(options.config))
    const lines = new Lines({ maxBytes: maxLogLineBytes, tooLong: 'cut' }, (said) => hear(said))
    const hear = (said: string): void => {
      const line = conceal(said)
      this.#tail.add(line)
      options.relay?.(line)
    }
    const { stderr } = this.process
    stderr?.on('data', (chunk: Buffer) => lines.push(chunk))
    stderr?.on('error', () => {})
    this.ended = new Promise((resolve, reject) => {
      this.process.once('error', (cause) => {
        if (this.process.pid === undefined) reject(notStarted(this.what, file, cause))
      })
      this.process.once('exit', (code, signal) => {
        const done = (): void => {
          clearTimeout(timer)
          const rest = lines.rest()
          if (rest !== undefined) hear(rest)
          resolve({ code, signal })
        }
        const timer = setTimeout(() => stderr?.destroy(), drainMs)
        if (stderr === null || stderr.closed) done()
        else stderr.once('close', done)
      })
    })
    // Whoever needs its end waits for it; where nobody does any more, it is no error.
    this.ended.catch(() => {})
  }

  /** The error of an ending; undefined where it ended well. */
  failure(ending: Ending): MillraceError | undefined {
    if (ending.code === 0) return undefined
    const tail = this.#tail.toString()
    const how = ending.signal === null ? `exit code ${ending.code}` : `signal ${ending.signal}`
    if (this.#role === 'tap' && diedOfClosedPipe(ending, tail))
      return new MillraceError('PIPE_CLOSED', { what: `the reader of ${this.what}` })
    const reason = reasonIn(tail)
    if (this.#role === 'target' && /No space left on device|ENOSPC|disk is full/.test(reason ?? ''))
      return new MillraceError('DESTINATION_FULL', { what: this.what, why: reason })
    return new MillraceError('PROCESS_FAILED', {
      what: this.what,
      why: reason === undefined ? `${how} and said nothing` : `${how}: ${reason}`,
    })
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal)
  }
}

/** The name of a program: the file without its folder; of an interpreter the script, of `python -m` the module. */
const nameOf = (command: readonly string[], role: string): string => {
  const [file = '', ...args] = command
  const program = basename(file)
  if (!/^(python|node|ruby|php|java|sh|bash|deno|bun)[\d.]*$/.test(program)) return program || role
  const at = args.indexOf('-m')
  const script = at >= 0 ? args[at + 1] : args.find((a) => !a.startsWith('-'))
  return script === undefined ? program : basename(script)
}

/** What to do where a program is not there: one of a project's own environments is installed again. */
export const fixOf = (file: string): string | undefined =>
  file.includes('.millrace/environments/') ? 'Run `millrace add`, which installs what the project has.' : undefined

const notStarted = (what: string, file: string, cause: Error): MillraceError => {
  const code = systemCode(cause)
  const why =
    code === 'ENOENT'
      ? `there is no program "${file}"`
      : code === 'EACCES'
        ? `"${file}" may not be executed`
        : cause.message
  return new MillraceError('PROCESS_NOT_STARTED', { what, why, fix: fixOf(file) }, { cause })
}

const diedOfClosedPipe = ({ code, signal }: Ending, tail: string): boolean =>
  signal === 'SIGPIPE' ||
  code === 128 + constants.signals.SIGPIPE ||
  (code !== 0 && /\bEPIPE\b|BrokenPipeError|Broken pipe/.test(tail))
