/** Token buckets, one a key: a key may do `perSecond` things a second in the long run, and `burst` at once. */
export class Buckets {
  readonly #perMs: number
  readonly #burst: number
  readonly #now: () => number
  readonly #buckets = new Map<string, { left: number; at: number }>()
  /** More keys than this are not kept; the one that was longest silent goes. */
  readonly #maxKeys = 10_000

  /** `now`: milliseconds that only rise. */
  constructor(options: { readonly perSecond: number; readonly burst: number; readonly now: () => number }) {
    this.#perMs = options.perSecond / 1000
    this.#burst = options.burst
    this.#now = options.now
  }

  /** Takes one. Answers 0, or how many milliseconds to wait until there is one. */
  take(key: string): number {
    const now = this.#now()
    const bucket = this.#buckets.get(key)
    // The map keeps the order of use.
    this.#buckets.delete(key)
    const left =
      bucket === undefined ? this.#burst : Math.min(this.#burst, bucket.left + (now - bucket.at) * this.#perMs)
    this.#buckets.set(key, { left: left < 1 ? left : left - 1, at: now })
    if (this.#buckets.size > this.#maxKeys) this.#buckets.delete(this.#buckets.keys().next().value as string)
    return left < 1 ? Math.ceil((1 - left) / this.#perMs) : 0
  }

  /** Gives one back that should not have counted. */
  giveBack(key: string): void {
    const bucket = this.#buckets.get(key)
    if (bucket !== undefined) bucket.left = Math.min(this.#burst, bucket.left + 1)
  }
}
