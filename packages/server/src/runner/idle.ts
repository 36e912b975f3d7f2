/**
 * Ends a run that does nothing. The data does not pass through the runner, so what counts as life is: a report that
 * moved, a state, a line on stderr, the persister busy in its destination, and (where the system tells) bytes that
 * the programs wrote or read.
 */
import { readFileSync } from 'node:fs'
import type { ProgressReport } from '@millrace/sdk'

export class IdleWatch implements Disposable {
  readonly #timer: NodeJS.Timeout
  #last = performance.now()
  #bytes = -1
  #moved = ''

  /** `pids` are the processes looked at, asked for at each look. */
  constructor(options: {
    readonly timeoutMs: number
    readonly pids: () => readonly (number | undefined)[]
    readonly onIdle: () => void
  }) {
    const look = (): void => {
      const moved = options.pids().map(bytesMoved).join()
      if (moved !== this.#moved) this.touch()
      this.#moved = moved
      if (performance.now() - this.#last < options.timeoutMs) return
      clearInterval(this.#timer)
      options.onIdle()
    }
    this.#timer = setInterval(look, Math.max(10, options.timeoutMs / 5))
  }

  /** Something happened. */
  touch(): void {
    this.#last = performance.now()
  }

  progress(report: ProgressReport): void {
    if (report.bytes !== this.#bytes || report.writingMs > 0) this.touch()
    this.#bytes = report.bytes
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

/** What a process has read and written so far, as Linux counts it; empty elsewhere. */
const bytesMoved = (pid: number | undefined): string => {
  if (pid === undefined) return ''
  try {
    return /rchar: \d+\nwchar: \d+/.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[0] ?? ''
  } catch {
    return ''
  }
}
