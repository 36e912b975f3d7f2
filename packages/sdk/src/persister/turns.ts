/** What a turn of {@link Turns} brings: the next value, the end, or only the passing of time. */
export type Turn<T> = { readonly is: 'value'; readonly value: T } | { readonly is: 'end' } | { readonly is: 'tick' }

/**
 * Reads an iterator so that time and interruption count while it is silent: a turn ends with the next value, at every
 * tick, or when one of the signals aborts. (Not Promise.race: racing against a promise that stays pending keeps every
 * value alive until that one settles.)
 */
export class Turns<T> implements Disposable {
  readonly #source: AsyncIterator<T>
  readonly #signals: readonly AbortSignal[]
  readonly #timer: NodeJS.Timeout
  #asked = false
  #arrived: IteratorResult<T> | undefined
  #failed: { readonly reason: unknown } | undefined
  #wake: (() => void) | undefined
  readonly #ring = (): void => {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  constructor(source: AsyncIterator<T>, tickMs: number, signals: readonly AbortSignal[]) {
    this.#source = source
    this.#signals = signals
    this.#timer = setInterval(this.#ring, tickMs)
    for (const signal of signals) signal.addEventListener('abort', this.#ring)
  }

  /** The next turn. Throws what the iterator threw. */
  async next(): Promise<Turn<T>> {
    this.#ask()
    if (this.#arrived === undefined && this.#failed === undefined && !this.#signals.some((s) => s.aborted))
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    if (this.#failed !== undefined) throw this.#failed.reason
    const arrived = this.#arrived
    if (arrived === undefined) return { is: 'tick' }
    this.#arrived = undefined
    this.#asked = false
    return arrived.done === true ? { is: 'end' } : { is: 'value', value: arrived.value }
  }

  #ask(): void {
    if (this.#asked) return
    this.#asked = true
    this.#source.next().then(
      (result) => {
        this.#arrived = result
        this.#ring()
      },
      (reason: unknown) => {
        this.#failed = { reason }
        this.#ring()
      },
    )
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#ring)
  }
}
