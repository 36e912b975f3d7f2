import type { StoredBatch } from '../../types.ts'

/** The newest batches of one stream, one behind the other. */
export interface Ring {
  readonly batches: StoredBatch[]
}

/** Of what is kept at most, so much stays when the oldest go. */
const keptShare = 7 / 8

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
    if (this.#bytes > this.#maxBytes) this.#dropOldest()
  }

  /** Many at once: to take one from the front of a long list costs as much as to take many. */
  #dropOldest(): void {
    const dropped = new Map<Ring, number>()
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#maxBytes * keptShare) break
      // In each stream they came in this order.
      dropped.set(oldest.ring, (dropped.get(oldest.ring) ?? 0) + 1)
      this.#kept.delete(oldest)
      this.#bytes -= oldest.bytes
    }
    for (const [ring, count] of dropped) ring.batches.splice(0, count)
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
