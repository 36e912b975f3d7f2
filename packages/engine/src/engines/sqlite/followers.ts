import { Waiters } from '../../waiters.ts'

/** How often it is looked whether another process appended, while anybody waits. */
const pollMs = 100

/** Wakes the followers of all streams of one file. */
export class Followers {
  readonly #streams = new Map<number, { readonly waiters: Waiters; waiting: number }>()
  readonly #look: () => Promise<boolean>
  #timer: NodeJS.Timeout | undefined

  /** `look` says whether somebody else changed the file since it was last asked. */
  constructor(look: () => Promise<boolean>) {
    this.#look = look
  }

  async wait(stream: number, signal: AbortSignal): Promise<void> {
    let entry = this.#streams.get(stream)
    if (entry === undefined) {
      entry = { waiters: new Waiters(), waiting: 0 }
      this.#streams.set(stream, entry)
    }
    entry.waiting++
    this.#watch()
    try {
      await entry.waiters.wait(signal)
    } finally {
      if (--entry.waiting === 0) this.#streams.delete(stream)
    }
  }

  wake(stream: number): void {
    this.#streams.get(stream)?.waiters.wake()
  }

  wakeAll(): void {
    for (const stream of [...this.#streams.keys()]) this.wake(stream)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #watch(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      void this.#look().then(
        (changed) => {
          this.#timer = undefined
          if (changed) this.wakeAll()
          if (this.#streams.size > 0) this.#watch()
        },
        // The file cannot be asked: whoever reads is told why.
        () => this.wakeAll(),
      )
    }, pollMs)
    this.#timer.unref()
  }
}
