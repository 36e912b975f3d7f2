/** Releases states after flushes: the usual way. See acknowledged.ts for destinations that answer states themselves. */
import type { Intake } from './intake.ts'
import type { PersisterRunOptions } from './run-types.ts'
import type { FlushSizes, PersisterSession } from './types.ts'

/** A flush is made at a STATE once this much came since the last, and after ten times as much without one. */
const defaultFlushRecords = 50_000
const defaultFlushBytes = 64 * 1024 * 1024
const defaultFlushMs = 2_000
const withoutState = 10
const maxStatesWaiting = 1_000
const maxStateCharsWaiting = 8 * 1024 * 1024

/** A state that waits for its release. */
export interface WaitingState {
  readonly line: number
  readonly text: string
}

/** Where states wait until everything before them is durable: the one place that releases them. */
export interface Release {
  readonly released: string | undefined
  readonly writingMs: number
  /** Whether a flush would do anything. */
  readonly hasWork: boolean
  /** Takes a state; answers a promise where it is passed on. */
  add(state: WaitingState): void | Promise<void>
  /** Whether a flush is to be made now. */
  isDue(atState: boolean): boolean
  /** Makes everything durable, then releases the newest state that came before line `before` (default: all). */
  flush(before?: number): Promise<void>
  /** Records received and durable, by substream; for progress. */
  counts(): Readonly<Record<string, { readonly received: number; readonly stored: number }>>
}

/** Flushes, and after that releases the newest state that the flush covers. */
export class FlushRelease implements Release {
  readonly #session: PersisterSession
  readonly #intake: Intake
  readonly #options: PersisterRunOptions
  readonly #sizes: Required<FlushSizes>
  #waiting: WaitingState[] = []
  #waitingChars = 0
  /** States since the last flush, and every how many-th of them is kept. */
  #seen = 0
  #stride = 1
  #lastFlush = performance.now()
  released: string | undefined
  writingMs = 0

  constructor(session: PersisterSession, intake: Intake, options: PersisterRunOptions, preferred: FlushSizes = {}) {
    this.#session = session
    this.#intake = intake
    this.#options = options
    this.#sizes = {
      records: options.flushRecords ?? preferred.records ?? defaultFlushRecords,
      bytes: options.flushBytes ?? preferred.bytes ?? defaultFlushBytes,
      ms: options.flushMs ?? preferred.ms ?? defaultFlushMs,
    }
  }

  /**
   * Keeps the state until a flush. Of very many only every n-th is kept, and the newest: any of them is true, and an
   * older one counts only where a bad record stops the run behind it.
   */
  add(state: WaitingState): void {
    const last = this.#waiting.at(-1)
    if (last !== undefined && this.#seen % this.#stride !== 0) {
      this.#waiting.pop()
      this.#waitingChars -= last.text.length
    }
    this.#seen++
    this.#waiting.push(state)
    this.#waitingChars += state.text.length
    if (this.#waiting.length < maxStatesWaiting && this.#waitingChars < maxStateCharsWaiting) return
    this.#stride *= 2
    this.#waiting = this.#waiting.filter((s, i) => i % 2 === 1 || s === state)
    this.#waitingChars = this.#waiting.reduce((n, s) => n + s.text.length, 0)
  }

  /** Whether enough came since the last flush to make one now. */
  isDue(atState: boolean): boolean {
    const factor = atState || this.#waiting.length > 0 ? 1 : withoutState
    const { records, bytes } = this.#intake
    return (
      records >= this.#sizes.records * factor ||
      bytes >= this.#sizes.bytes * factor ||
      this.#intake.isFullOfLetters ||
      ((records > 0 || this.#waiting.length > 0) && performance.now() - this.#lastFlush >= this.#sizes.ms * factor)
    )
  }

  /** Makes everything durable, then releases the newest state that came before line `before` (default: all). */
  async flush(before: number = Infinity): Promise<void> {
    const started = performance.now()
    await this.#intake.writeAll()
    if (this.#intake.dirty || this.#intake.records > 0) await this.#session.flush()
    const letters = this.#intake.flushed()
    if (letters.length > 0) await this.#options.keepDeadLetters?.(letters)
    const covered = this.#waiting.filter((s) => s.line < before)
    this.#waiting = []
    this.#waitingChars = 0
    this.#seen = 0
    this.#stride = 1
    const state = covered.at(-1)
    await this.#options.report?.({
      kind: 'commit',
      state: state?.text,
      books: this.#intake.books.close(),
      deadLetters: letters,
    })
    if (state !== undefined) {
      await this.#options.writeState(`${state.text}\n`)
      this.released = state.text
    }
    this.#lastFlush = performance.now()
    this.writingMs += this.#lastFlush - started
  }

  counts(): ReturnType<Intake['books']['counts']> {
    return this.#intake.books.counts()
  }

  get hasWork(): boolean {
    return this.#waiting.length > 0 || this.#intake.dirty || this.#intake.records > 0 || this.#intake.hasDeadLetters
  }
}
