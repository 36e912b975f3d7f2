/**
 * One reading of a stream's end for all that follow it: records are read and written as text once, and go to a thousand
 * followers as the same bytes. A follower that is behind, or too slow to keep up, reads for itself (follower.ts).
 */
import type { Offset, StoredBatch } from '@millrace/engine'
import type { Principal } from '../../domain/access.ts'
import type { StreamService } from '../../streams/stream-service.ts'

/** Records [first, next) as they go out; each form is made when it is first asked for. */
export class Chunk {
  readonly first: bigint
  readonly next: bigint
  readonly batches: readonly StoredBatch[]
  readonly #texts = new Map<string, Buffer>()

  constructor(batches: readonly StoredBatch[]) {
    this.batches = batches
    this.first = batches[0]?.first ?? 0n
    const last = batches.at(-1)
    this.next = last === undefined ? this.first : last.first + BigInt(last.records.count)
  }

  /** The bytes of a form; `make` is called once. */
  text(form: string, make: (batches: readonly StoredBatch[]) => Buffer): Buffer {
    let text = this.#texts.get(form)
    if (text === undefined) {
      text = make(this.batches)
      this.#texts.set(form, text)
    }
    return text
  }
}

/** The part of batches from an offset on. */
export const batchesFrom = (batches: readonly StoredBatch[], at: bigint): readonly StoredBatch[] =>
  batches.flatMap((batch) => {
    const { first, records } = batch
    if (first >= at) return [batch]
    const skip = Number(at - first)
    return skip >= records.count ? [] : [{ ...batch, first: at as Offset, records: records.slice(skip, records.count) }]
  })

/** Somebody at the end of a stream. Neither method may throw or wait. */
export interface Subscriber {
  /** Who follows; on whose behalf the stream may be read. */
  readonly principal: () => Principal
  readonly offer: (chunk: Chunk) => void
  /** It may not read any more, or cannot. Nothing more is offered. */
  readonly fail: (e: unknown) => void
  /** Nothing more is offered, and nobody said why: the stream may be gone. It reads for itself, and is told. */
  readonly again: () => void
}

interface Tail {
  /** The next record to be offered. */
  at: bigint
  readonly subscribers: Set<Subscriber>
  readonly ending: AbortController
}

/** The ends of all streams that somebody follows. */
export class Tails {
  readonly #service: StreamService
  readonly #maxBytes: number
  readonly #tails = new Map<string, Tail>()

  /** `maxBytes`: of what is offered at once. */
  constructor(service: StreamService, maxBytes: number) {
    this.#service = service
    this.#maxBytes = maxBytes
  }

  /** How many follow at the ends of streams. */
  get subscribers(): number {
    let n = 0
    for (const { subscribers } of this.#tails.values()) n += subscribers.size
    return n
  }

  /**
   * Offers what comes from `at` on, maybe with some records before it. Answers how to leave; undefined where the end is
   * further already, and what lies between has to be read first.
   */
  join(stream: string, at: bigint, subscriber: Subscriber): (() => void) | undefined {
    let tail = this.#tails.get(stream)
    if (tail !== undefined && tail.at > at) return undefined
    if (tail === undefined) {
      tail = { at, subscribers: new Set(), ending: new AbortController() }
      this.#tails.set(stream, tail)
      tail.subscribers.add(subscriber)
      void this.#run(stream, tail)
    } else tail.subscribers.add(subscriber)
    const joined = tail
    return () => this.#leave(stream, joined, subscriber)
  }

  #leave(stream: string, tail: Tail, subscriber: Subscriber): void {
    tail.subscribers.delete(subscriber)
    if (tail.subscribers.size > 0) return
    tail.ending.abort()
    if (this.#tails.get(stream) === tail) this.#tails.delete(stream)
  }

  async #run(stream: string, tail: Tail): Promise<void> {
    const { subscribers } = tail
    const { signal } = tail.ending
    for (;;) {
      // One of them is looked after on behalf of all; each looks after its own rights besides.
      const [guide] = subscribers
      if (guide === undefined || signal.aborted) break
      try {
        const from = { from: 'offset', offset: tail.at as Offset } as const
        const followed = this.#service.records.follow(guide.principal(), stream, from, {
          signal,
          maxBytes: this.#maxBytes,
        })
        for await (const batches of followed) {
          const chunk = new Chunk(batches)
          tail.at = chunk.next
          for (const subscriber of subscribers) subscriber.offer(chunk)
          // What comes while these are on their way is offered together.
          await new Promise(setImmediate)
        }
        if (signal.aborted) break
        this.#leave(stream, tail, guide)
        guide.again()
      } catch (e) {
        if (signal.aborted) break
        this.#leave(stream, tail, guide)
        guide.fail(e)
      }
    }
  }
}
