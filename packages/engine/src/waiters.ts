/** Followers that wait for a stream to grow. */
export class Waiters {
  #waiting = new Set<() => void>()

  /** Resolves at the next {@link wake}, when `signal` aborts, and after `maxMs` where that is given. */
  wait(signal: AbortSignal, maxMs?: number): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        clearTimeout(timer)
        resolve()
      }
      const timer = maxMs === undefined ? undefined : setTimeout(done, maxMs)
      this.#waiting.add(done)
      signal.addEventListener('abort', done)
    })
  }

  wake(): void {
    for (const done of [...this.#waiting]) done()
  }
}
