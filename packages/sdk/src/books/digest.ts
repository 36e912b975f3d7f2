/** Something that carries the hash of a record: two signed 32-bit halves. */
export interface Hashed {
  hashHigh: number
  hashLow: number
}

/** Hashes the bytes [from, to) of `b` into `target`: 64 bits, fast, not for use against forgery. */
export const hashRecord = (target: Hashed, b: Buffer, from: number, to: number): void => {
  let h = 0x9e3779b9 ^ (to - from)
  let l = 0x85ebca6b
  let i = from
  for (; i + 8 <= to; i += 8) {
    h = Math.imul(
      h ^ (b[i] as number) ^ ((b[i + 1] as number) << 8) ^ ((b[i + 2] as number) << 16) ^ ((b[i + 3] as number) << 24),
      0x9e3779b1,
    )
    l = Math.imul(
      l ^
        (b[i + 4] as number) ^
        ((b[i + 5] as number) << 8) ^
        ((b[i + 6] as number) << 16) ^
        ((b[i + 7] as number) << 24),
      0x85ebca77,
    )
    h ^= l >>> 15
    l ^= h >>> 13
  }
  for (; i < to; i++) {
    h = Math.imul(h ^ (b[i] as number), 0x01000193)
    l = Math.imul(l ^ h, 0xc2b2ae35)
  }
  h ^= h >>> 16
  h = Math.imul(h, 0x7feb352d) ^ l
  l ^= l >>> 15
  l = Math.imul(l, 0x846ca68b)
  target.hashHigh = h ^ (h >>> 15)
  target.hashLow = l ^ (l >>> 16)
}

/**
 * An order-free digest of records: the sum, modulo 2^64, of a 64-bit hash of each record's bytes. Equal sets give equal
 * digests in any order, and parts can be added. It guards against loss, doubling and misrouting, not against forgery.
 */
export class Digest {
  #high = 0
  #low = 0
  #sum = 0n
  readonly #scratch: Hashed = { hashHigh: 0, hashLow: 0 }

  /** Adds the bytes [from, to) of `b` as one record. */
  add(b: Buffer, from: number, to: number): void {
    hashRecord(this.#scratch, b, from, to)
    this.addHash(this.#scratch)
  }

  /** Adds a record by its hash. */
  addHash(hashed: Hashed): void {
    this.addSums(hashed.hashHigh >>> 0, hashed.hashLow >>> 0)
  }

  /** Adds records by the sums of the halves of their hashes, each below 2^51. */
  addSums(high: number, low: number): void {
    this.#high += high
    this.#low += low
    // Each sum stays exact below 2^53: fold long before that.
    if (this.#high >= 2 ** 51 || this.#low >= 2 ** 51) this.#fold()
  }

  /** Adds another digest. */
  merge(other: Digest): void {
    other.#fold()
    this.#sum = (this.#sum + other.#sum) & 0xffffffffffffffffn
  }

  #fold(): void {
    this.#sum = (this.#sum + (BigInt(this.#high) << 32n) + BigInt(this.#low)) & 0xffffffffffffffffn
    this.#high = 0
    this.#low = 0
  }

  /** Sixteen hexadecimal digits. */
  toString(): string {
    this.#fold()
    return this.#sum.toString(16).padStart(16, '0')
  }
}

/** The sum of digests in their text form. */
export const addDigests = (...digests: readonly string[]): string =>
  (digests.reduce((sum, d) => sum + BigInt(`0x${d === '' ? '0' : d}`), 0n) & 0xffffffffffffffffn)
    .toString(16)
    .padStart(16, '0')
