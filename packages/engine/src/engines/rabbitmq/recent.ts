import type { StoredBatch } from '../../types.ts'

/** The newest batches of one stream, one behind the other. */
export interface Ring {
  readonly batches: StoredBatch[]
}

/** The newest batches of all streams of an engine: what followers read, so that each of them needs no reader of its own. */
export class Recent {
  readonly #maxBytes: number
  readonly #kept = new Set<{ readonly ring: Ring; readonly bytes: number }>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  add(ring: Ring, batch: StoredBatch): void {
    const bytes = batch.records.bytes.length + 100
    ring.batches.push(batch)
    this.#kept.add({ ring, bytes })
    this.#bytes += bytes
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#maxBytes) return
      // In each stream they came in this order.
      oldest.ring.batches.shift()
      this.#kept.delete(oldest)
      this.#bytes -= oldest.bytes
    }
  }

  forget(ring: Ring): void {
    for (const one of this.#kept)
      if (one.ring === ring) {
        this.#kept.delete(one)
        this.#bytes -= one.bytes
      }
    ring.batches.length = 0
  }
}
