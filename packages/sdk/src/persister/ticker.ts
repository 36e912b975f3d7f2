/**
 * A promise that resolves at every tick, and when one of the signals aborts: what to race a read against, so that time
 * and interruption count while the input is silent. One timer for the whole run.
 */
export class Ticker implements Disposable {
  #resolve: ((tick: 'tick') => void) | undefined
  #current: Promise<'tick'>
  readonly #timer: NodeJS.Timeout
  readonly #signals: readonly AbortSignal[]
  readonly #ring = (): void => {
    const resolve = this.#resolve
    this.#current = this.#next()
    resolve?.('tick')
  }

  constructor(ms: number, signals: readonly AbortSignal[]) {
    this.#current = this.#next()
    this.#timer = setInterval(this.#ring, ms)
    this.#signals = signals
    for (const signal of signals) signal.addEventListener('abort', this.#ring)
  }

  /** Resolves at the next tick; at once where a signal has aborted. */
  tick(): Promise<'tick'> {
    return this.#signals.some((s) => s.aborted) ? Promise.resolve('tick') : this.#current
  }

  #next(): Promise<'tick'> {
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#ring)
  }
}
