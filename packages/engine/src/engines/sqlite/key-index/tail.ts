const firstCapacity = 1024

/** The hashes of the newest records, in memory: those that no run has yet. Offsets are relative to `first`, below 2^32. */
export class Tail {
  readonly first: number
  count = 0
  #hashes = new Uint32Array(firstCapacity)
  #places = new Uint32Array(firstCapacity)
  /** The entry before this one in its chain; -1: none. */
  #olders = new Int32Array(firstCapacity)
  /** The newest entry of each chain. */
  #heads = new Int32Array(firstCapacity).fill(-1)

  constructor(first: number) {
    this.first = first
  }

  /** Offsets rise from call to call. */
  add(hash: number, offset: number): void {
    if (this.count === this.#hashes.length) this.#grow()
    const i = this.count++
    this.#hashes[i] = hash
    this.#places[i] = offset - this.first
    this.#chain(i)
  }

  #chain(i: number): void {
    const slot = (this.#hashes[i] as number) & (this.#heads.length - 1)
    this.#olders[i] = this.#heads[slot] as number
    this.#heads[slot] = i
  }

  #grow(): void {
    const grown = (old: Uint32Array): Uint32Array<ArrayBuffer> => {
      const bigger = new Uint32Array(old.length * 2)
      bigger.set(old)
      return bigger
    }
    this.#hashes = grown(this.#hashes)
    this.#places = grown(this.#places)
    this.#olders = new Int32Array(this.#hashes.length)
    this.#heads = new Int32Array(this.#hashes.length).fill(-1)
    for (let i = 0; i < this.count; i++) this.#chain(i)
  }

  /** Adds offsets below `before` whose key may be the one of this hash to `out`, newest first, until it has `limit`. */
  find(hash: number, before: number, limit: number, out: number[]): void {
    const slot = hash & (this.#heads.length - 1)
    for (let i = this.#heads[slot] as number; i >= 0 && out.length < limit; i = this.#olders[i] as number) {
      const offset = this.first + (this.#places[i] as number)
      if (this.#hashes[i] === hash && offset < before) out.push(offset)
    }
  }

  /** What it holds, as pairs of hash and place; a view. */
  entry(i: number): readonly [hash: number, place: number] {
    return [this.#hashes[i] as number, this.#places[i] as number]
  }
}
