import type { StoredBatch } from '../../types.ts'

/** What a block costs beside its bytes. */
const overheadBytes = 512

/** What those who only pass through may fill of the cache, at most. */
const maxPassingBytes = 32 * 1024 * 1024

/** Why a block is read: on the way through a stream, or for single records, which are likely to be asked for again. */
export type Use = 'pass' | 'point'

interface Cached {
  readonly stream: number
  readonly batch: StoredBatch
  readonly bytes: number
  use: Use
}

/** The blocks of one stream that are there: where they begin, rising, and what they are. */
interface Shelf {
  readonly firsts: number[]
  readonly blocks: Map<number, Cached>
}

/**
 * Blocks as they were read last, of all streams, decoded once for all readers. What was not used for longest goes first when there is
 * no more room. Who reads a stream from its beginning to its end fills a small part of it only: those behind them still find
 * what they left, and memory that nobody asks for again is not taken. A block never changes, so that what is here is never stale;
 * whether it was trimmed is asked elsewhere.
 */
export class BlockCache {
  readonly #maxBytes: number
  readonly #shelves = new Map<number, Shelf>()
  /** In the order of their use. */
  readonly #used: Readonly<Record<Use, Set<Cached>>> = { pass: new Set(), point: new Set() }
  readonly #bytes: Record<Use, number> = { pass: 0, point: 0 }

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes.pass + this.#bytes.point
  }

  /** The block that holds the record at `offset`. */
  get(stream: number, offset: number, use: Use): StoredBatch | undefined {
    const shelf = this.#shelves.get(stream)
    if (shelf === undefined) return undefined
    const first = shelf.firsts[place(shelf.firsts, offset + 1) - 1]
    const cached = first === undefined ? undefined : shelf.blocks.get(first)
    if (first === undefined || cached === undefined || offset >= first + cached.batch.records.count) return undefined
    this.#used[cached.use].delete(cached)
    if (use === 'point' && cached.use === 'pass') {
      cached.use = use
      this.#bytes.pass -= cached.bytes
      this.#bytes.point += cached.bytes
    }
    this.#used[cached.use].add(cached)
    return cached.batch
  }

  /** `bytes`: what its content takes. */
  add(stream: number, batch: StoredBatch, bytes: number, use: Use): void {
    const first = Number(batch.first)
    const shelf = this.#shelves.get(stream) ?? { firsts: [], blocks: new Map<number, Cached>() }
    if (shelf.blocks.has(first)) return
    this.#shelves.set(stream, shelf)
    const cached = { stream, batch, bytes: bytes + overheadBytes, use }
    shelf.firsts.splice(place(shelf.firsts, first), 0, first)
    shelf.blocks.set(first, cached)
    this.#used[use].add(cached)
    this.#bytes[use] += cached.bytes
    for (const old of this.#used.pass) {
      if (this.#bytes.pass <= maxPassingBytes && this.bytes <= this.#maxBytes) break
      this.#remove(old)
    }
    for (const old of this.#used.point) {
      if (this.bytes <= this.#maxBytes) break
      this.#remove(old)
    }
  }

  #remove(old: Cached): void {
    this.#used[old.use].delete(old)
    this.#bytes[old.use] -= old.bytes
    const shelf = this.#shelves.get(old.stream)
    if (shelf === undefined) return
    const first = Number(old.batch.first)
    shelf.blocks.delete(first)
    shelf.firsts.splice(place(shelf.firsts, first), 1)
    if (shelf.firsts.length === 0) this.#shelves.delete(old.stream)
  }
}

/** Where `n` stands in rising numbers, or would. */
const place = (rising: readonly number[], n: number): number => {
  let low = 0
  let high = rising.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((rising[middle] as number) < n) low = middle + 1
    else high = middle
  }
  return low
}
