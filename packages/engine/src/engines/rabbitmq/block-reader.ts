import { MillraceError } from '@millrace/sdk/errors'
import { offset, type StoredBatch } from '../../types.ts'
import { maxSentBlocks } from './appender.ts'
import type { Begin, Cursor, Delivery } from './cursor.ts'
import { Fold } from './fold.ts'
import { type Block, type Checkpoint, decodeEntry } from './wire.ts'

/**
 * Messages of an appender that others took over from may still come for a while, as many as it may have had under way. Who begins to read in the
 * middle of a stream looks at so many messages before: of those that do not count any more one is then seen to be late.
 */
const lookBack: number = maxSentBlocks + 64

export interface BlockReaderOptions {
  readonly name: string
  readonly open: (begin: Begin) => Promise<Cursor>
  readonly timeoutMs: number
  /** The epoch of now, where it is known: what is of it counts. */
  readonly epoch: () => number | undefined
}

/** What one begins to read at. */
export interface Sought {
  readonly begin: 'first' | number
  /** Only before this place. */
  readonly before?: number | undefined
  readonly accepts?: (entry: Checkpoint | Block) => boolean
}

/** An entry, and where it stands. */
export interface Placed {
  readonly entry: Checkpoint | Block
  readonly place: number
}

const never = new AbortController().signal

export const storedOf = ({ first, at, records }: Block): StoredBatch => ({
  first: offset(first),
  at: new Date(at),
  records,
})

/** Reads the blocks of a stream forward, from one that counts for certain. */
export class BlockReader {
  /** What it began at. */
  readonly start: Placed
  readonly #o: BlockReaderOptions
  readonly #cursor: Cursor
  readonly #fold: Fold
  #isFresh = true
  /** What was read and not used yet. */
  held: readonly StoredBatch[] = []

  private constructor(o: BlockReaderOptions, cursor: Cursor, start: Placed) {
    this.#o = o
    this.#cursor = cursor
    this.start = start
    this.#fold = new Fold(start.entry, start.place)
  }

  /** Begins at the first entry from a place on that counts; undefined where there is none. */
  static async open(o: BlockReaderOptions, sought: Sought): Promise<BlockReader | undefined> {
    const { begin } = sought
    const quick = await BlockReader.#from(o, sought, begin)
    if (quick !== 'unsure') return quick
    const sure = await BlockReader.#from(o, sought, typeof begin === 'number' ? Math.max(0, begin - lookBack) : begin)
    return sure === 'unsure' ? undefined : sure
  }

  /** Reads from `early` on, to know at the place that is sought which messages are late. */
  static async #from(
    o: BlockReaderOptions,
    sought: Sought,
    early: 'first' | number,
  ): Promise<BlockReader | undefined | 'unsure'> {
    const { begin, before = Infinity, accepts = () => true } = sought
    const cursor = await o.open(early)
    let newest = 0
    let isSure = begin === 'first' || begin === 0 || early !== begin
    try {
      for (;;) {
        const delivery = cursor.take()
        if (delivery === undefined) {
          if (await cursor.isAtEnd()) break
          continue
        }
        const { place } = delivery
        if (place >= before) break
        const entry = decodeEntry(delivery.body)
        if (entry === undefined || entry.epoch < newest) continue
        // What stands where it was expected had nothing come between; of the epoch of now none is late.
        const isCertain = entry.kind !== 'fence' && (entry.place === place || entry.epoch === o.epoch())
        newest = entry.epoch
        if (entry.kind === 'fence' || (begin !== 'first' && place < begin)) continue
        if (!isSure && !isCertain) {
          await cursor.close()
          return 'unsure'
        }
        isSure = true
        if (accepts(entry)) return new BlockReader(o, cursor, { entry, place })
      }
    } catch (error) {
      await cursor.close()
      throw error
    }
    await cursor.close()
    return undefined
  }

  /** The offset of the first record that it hands out next. */
  get at(): number {
    const [first] = this.held
    return first === undefined ? this.#fold.next : Number(first.first)
  }

  /** Behind what it read. */
  get place(): number {
    return this.#fold.place
  }

  /** The next block; undefined where the stream ends at the offset `next`. Waits for what must be there. */
  async next(next: number): Promise<Block | undefined> {
    if (this.#isFresh) {
      this.#isFresh = false
      if (this.start.entry.kind === 'block') return this.start.entry
    }
    while (this.#fold.next < next) {
      const { place, body } = await arrival(this.#cursor, this.#o)
      const entry = decodeEntry(body)
      if (this.#fold.take(entry, place) && entry?.kind === 'block') return entry
    }
    return undefined
  }

  async close(): Promise<void> {
    await this.#cursor.close()
  }
}

/** The next message, of which is known that it is there. */
const arrival = async (cursor: Cursor, { name, timeoutMs }: BlockReaderOptions): Promise<Delivery> => {
  const end = performance.now() + timeoutMs
  for (;;) {
    const delivery = cursor.take()
    if (delivery !== undefined) return delivery
    await cursor.wait(never, timeoutMs)
    if (performance.now() > end)
      throw new MillraceError('LOG_UNAVAILABLE', { what: `stream ${name}`, why: 'the broker sends no records' })
  }
}

/** One place of a stream that was seen. */
export interface Point {
  readonly place: number
  readonly first: number
  readonly sum: number
  readonly at: number
}

/** Points nearer to each other than this are not kept: what lies between is read. */
const pointGap = 32
const maxPoints = 20_000

/** Some places of a stream, so that one is found without reading all. */
export class Points {
  readonly #sorted: Point[] = []

  add({ entry, place }: Placed): void {
    const point = { place, first: entry.first, sum: entry.sum, at: entry.at }
    const i = this.#sorted.findLastIndex((p) => p.place <= point.place)
    const before = this.#sorted[i]
    const after = this.#sorted[i + 1]
    if (before !== undefined && point.place - before.place < pointGap) return
    if (after !== undefined && after.place - point.place < pointGap) return
    if (this.#sorted.length >= maxPoints) return
    this.#sorted.splice(i + 1, 0, point)
  }

  /** The last point for which `isBefore` holds, and the place of the first for which it does not. `isBefore` holds up to a place. */
  around(isBefore: (point: Point) => boolean): { readonly low: Point | undefined; readonly high: number } {
    const i = this.#sorted.findLastIndex(isBefore)
    return { low: this.#sorted[i], high: this.#sorted[i + 1]?.place ?? Infinity }
  }
}
