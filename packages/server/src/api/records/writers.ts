/**
 * Writers that are at work: one body at a time for each. A writer that comes back while its old connection is not known to be lost
 * takes its place: the old body is ended and what it had begun is finished before anybody asks where the writer is.
 */
export class Writers {
  readonly #active = new Map<string, { readonly end: AbortController; readonly ended: Promise<void> }>()

  /** Runs `work` as the only one of this writer in this process. `signal` aborts when another takes the place. */
  async alone<T>(writer: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let before = this.#active.get(writer); before !== undefined; before = this.#active.get(writer)) {
      before.end.abort()
      await before.ended
    }
    const end = new AbortController()
    const { promise, resolve } = Promise.withResolvers<void>()
    const mine = { end, ended: promise }
    this.#active.set(writer, mine)
    try {
      return await work(end.signal)
    } finally {
      this.#active.delete(writer)
      resolve()
    }
  }
}
