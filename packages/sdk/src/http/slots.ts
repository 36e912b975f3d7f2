/** A ceiling on how many things are under way at once; those beyond it wait, first come first served. */
export class Slots {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(slots: number) {
    this.#free = slots
  }

  async with<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}

/**
 * The results of `work` for each item, in the order of the items, with at most `ahead` of them under way or waiting to be
 * taken: how the requests of a child substream run side by side while its records keep their order. Once one fails or nobody
 * takes any more, the signal of the others is aborted.
 */
export async function* inOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  ahead: number,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const under: Promise<R>[] = []
  const over = new AbortController()
  try {
    for await (const item of items) {
      const result = work(item, over.signal)
      // Whoever waits for it hears of its failure; until then it must not count as unheard.
      result.catch(() => {})
      under.push(result)
      if (under.length >= ahead) yield await (under.shift() as Promise<R>)
    }
    while (under.length > 0) yield await (under.shift() as Promise<R>)
  } finally {
    over.abort()
    await Promise.allSettled(under)
  }
}
