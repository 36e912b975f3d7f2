import { isMillraceError, MillraceError } from '@millrace/sdk/errors'
import { cut } from '../../cut.ts'
import type { RecordBatch } from '../../record-batch.ts'
import type { Appended, Offset, ReadLimit, StoredBatch, WriterMark } from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { Appender } from './appender.ts'
import { BlockReader, type BlockReaderOptions, type Placed, type Point, Points, storedOf } from './block-reader.ts'
import { type Begin, Cursor, type Delivery } from './cursor.ts'
import { Fold } from './fold.ts'
import type { StreamEntry } from './registry.ts'
import type { Ring } from './recent.ts'
import type { Shared } from './shared.ts'
import { type Block, type Checkpoint, decodeEntry } from './wire.ts'

/** Blocks that may be on their way to a reader. */
const prefetch = 16
/** Messages that are read rather than looked between. */
const readAhead = 64
/** How far back it is looked for what is sought near the end, again and again. */
const steps = [64, 1_024, 16_384]
/** Readers that are kept open for the next read, and for how long. */
const [maxReaders, readerIdleMs] = [8, 5_000]
/** How often it is looked what the broker dropped of a stream with limits. */
const firstMs = 5_000

/** Where something lies in a stream: the offset of the first record of a block, and the bytes before that. */
export interface Spot {
  readonly first: number
  readonly sum: number
}

/** A stream of blocks, as all logs of one engine see it. */
export class BlockStream {
  readonly id: string
  readonly #name: string
  readonly #queue: string
  readonly #shared: Shared
  readonly #reading: BlockReaderOptions
  readonly #appender: Appender
  readonly #points = new Points()
  readonly #ring: Ring = { batches: [] }
  readonly #readers: { readonly reader: BlockReader; readonly timer: NodeJS.Timeout }[] = []
  readonly #grown = new Waiters()
  readonly #turns = new Waiters()
  readonly #closing = new AbortController()
  #fold: Fold | undefined
  #tail: Cursor | undefined
  #catching: Promise<unknown> = Promise.resolve()
  #followers = 0
  #isWatching = false
  #kept: (Spot & { readonly seen: number }) | undefined

  constructor(shared: Shared, id: string, name: string, queue: string) {
    this.#shared = shared
    this.id = id
    this.#name = name
    this.#queue = queue
    const { link, timeoutMs, compress, now } = shared
    this.#reading = {
      name,
      timeoutMs,
      open: (begin) => this.#cursorAt(begin),
      epoch: () => this.#fold?.epoch,
    }
    this.#appender = new Appender({
      name,
      queue,
      link,
      timeoutMs,
      compress,
      now,
      mustBeThere: () => void this.entry,
      catchUp: () => this.#catchUp(),
      writers: () => this.#fold?.writers ?? new Map(),
      confirmed: (entry) => this.#take(entry, entry.place),
      held: (isHeld) => this.#onHeld(isHeld),
    })
  }

  /** Throws STREAM_UNKNOWN. */
  get entry(): StreamEntry {
    return this.#shared.registry.get(this.id, this.#name)
  }

  append(records: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    return this.#appender.append(records, writer)
  }

  /** What the stream holds, with everything that was appended before it was asked for. */
  async now(): Promise<Fold> {
    void this.entry
    if (this.#appender.isHolding && this.#fold !== undefined) return this.#fold
    return await this.#catchUp()
  }

  /** The first record that the broker still has. */
  async kept(): Promise<Spot> {
    if (!this.entry.isLimited) return { first: 0, sum: 0 }
    const now = performance.now()
    if (this.#kept !== undefined && now - this.#kept.seen < firstMs) return this.#kept
    const reader = await BlockReader.open(this.#reading, { begin: 'first' })
    await reader?.close()
    const { first, sum } = reader?.start.entry ?? { first: 0, sum: 0 }
    this.#kept = { first, sum, seen: now }
    return this.#kept
  }

  /** Blocks from an offset on that is in the stream, as far as the limit goes. */
  async read(from: number, limit: ReadLimit): Promise<readonly StoredBatch[]> {
    const { next } = this.#fold ?? (await this.now())
    if (from >= next) return []
    const [oldest] = this.#ring.batches
    if (oldest !== undefined && oldest.first <= from)
      return cut(this.#ring.batches.slice(this.#ringIndex(from)), BigInt(from) as Offset, limit)
    const reader = this.#readerAt(from) ?? (await this.#seek(from, next))
    if (reader === undefined) return []
    try {
      const batches = await this.#gather(reader, { from, limit, next })
      this.#keep(reader)
      return batches
    } catch (error) {
      await reader.close()
      throw error
    }
  }

  async #gather(
    reader: BlockReader,
    { from, limit, next }: { readonly from: number; readonly limit: ReadLimit; readonly next: number },
  ): Promise<readonly StoredBatch[]> {
    const batches = [...reader.held]
    let records = 0
    let bytes = 0
    for (const batch of batches) {
      records += batch.records.count
      bytes += batch.records.size
    }
    while (records < limit.records && bytes <= limit.bytes) {
      const block = await reader.next(next)
      if (block === undefined) break
      batches.push(storedOf(block))
      const before = Math.max(0, from - block.first)
      records += block.records.count - before
      bytes += before === 0 ? block.records.size : 0
      this.#mark(reader, block)
    }
    const answer = cut(batches, BigInt(from) as Offset, limit)
    const last = answer.at(-1)
    const at = last === undefined ? BigInt(from) : last.first + BigInt(last.records.count)
    reader.held = batches
      .filter((b) => b.first + BigInt(b.records.count) > at)
      .map((b) => {
        if (b.first >= at) return b
        const done = Number(at - b.first)
        return { first: at as Offset, at: b.at, records: b.records.slice(done, b.records.count) }
      })
    return answer
  }

  /**
   * The first block for which `hits`; undefined where there is none. Of points `isBefore` says that such a block can only come at or after
   * them; both hold from some place on, `isBefore` up to some place.
   */
  async search(isBefore: (point: Point) => boolean, hits: (block: Block) => boolean): Promise<Block | undefined> {
    const { next, place } = await this.now()
    const reader = await this.#approach(isBefore, place)
    if (reader === undefined) return undefined
    try {
      for (;;) {
        const block = await reader.next(next)
        if (block === undefined || hits(block)) return block
        this.#mark(reader, block)
      }
    } finally {
      await reader.close()
    }
  }

  /** Resolves when there is a record at `from`, when `signal` aborts, and for nothing. */
  async wait(from: number, signal: AbortSignal): Promise<void> {
    this.#followers++
    try {
      const grown = this.#grown.wait(signal)
      this.#watch()
      if ((await this.now()).next > from) return
      await grown
    } finally {
      if (--this.#followers === 0) this.#turns.wake()
    }
  }

  /** The stream was dropped or trimmed. */
  changed(): void {
    this.#grown.wake()
  }

  async close(): Promise<void> {
    await this.#appender.close()
    this.#closing.abort()
    this.#grown.wake()
    await this.#catching.catch(() => {})
    for (const { reader, timer } of this.#readers.splice(0)) {
      clearTimeout(timer)
      await reader.close()
    }
    await this.#tail?.close()
    this.#shared.recent.forget(this.#ring)
  }

  async #cursorAt(begin: Begin): Promise<Cursor> {
    const { link, timeoutMs } = this.#shared
    try {
      return await Cursor.open({ link, queue: this.#queue, begin, prefetch, timeoutMs })
    } catch (error) {
      throw this.#told(error)
    }
  }

  /** A queue that is gone is a stream that was dropped. */
  #told(error: unknown): unknown {
    return isMillraceError(error) && error.code === 'STREAM_UNKNOWN'
      ? new MillraceError('STREAM_UNKNOWN', { stream: this.#name }, { cause: error })
      : error
  }

  // --- what the stream comes to

  #catchUp(): Promise<Fold> {
    const mine = this.#catching.then(async () => {
      const fold = this.#fold ?? (await this.#load())
      if (this.#appender.isHolding) return fold
      try {
        const tail = await this.#tailOf(fold)
        do this.#drain(tail)
        while (!(await tail.isAtEnd()))
        this.#drain(tail)
      } catch (error) {
        throw this.#told(error)
      }
      return fold
    })
    this.#catching = mine.catch(() => {})
    return mine
  }

  async #tailOf(fold: Fold): Promise<Cursor> {
    this.#tail ??= await this.#cursorAt(fold.place)
    return this.#tail
  }

  #drain(tail: Cursor): void {
    for (let d = tail.take(); d !== undefined; d = tail.take()) this.#takeDelivery(d)
  }

  #takeDelivery({ body, place }: Delivery): void {
    const entry = decodeEntry(body)
    if (entry?.kind === 'block' || entry?.kind === 'checkpoint') this.#take(entry, place)
    else this.#fold?.take(entry, place)
  }

  #take(entry: Block | Checkpoint, place: number): void {
    const fold = this.#fold as Fold
    if (!fold.take(entry, place)) return
    this.#appender.saw(entry)
    this.#points.add({ entry, place })
    if (entry.kind !== 'block') return
    this.#shared.recent.add(this.#ring, storedOf(entry))
    this.#grown.wake()
  }

  /** Begins at a checkpoint near the end: behind it everything is read. */
  async #load(): Promise<Fold> {
    const last = await this.#lastPlace()
    const anchor = await this.#nearest(last, () => true)
    if (anchor === undefined)
      throw new MillraceError('LOG_DAMAGED', {
        what: `stream ${this.#name}`,
        why: `queue ${this.#queue} holds no block`,
      })
    const near = anchor.place - (anchor.entry.kind === 'checkpoint' ? 0 : anchor.entry.since)
    const found = await this.#nearest(near, ({ kind }) => kind === 'checkpoint', anchor.place + 1)
    // Where the broker dropped the checkpoint, the writers of before are not known any more.
    const { entry, place } = found ?? anchor
    this.#points.add({ entry, place })
    this.#fold = new Fold(entry, place)
    return this.#fold
  }

  /** A place near the end. */
  async #lastPlace(): Promise<number> {
    const cursor = await this.#cursorAt('last')
    try {
      for (;;) {
        const delivery = cursor.take()
        if (delivery !== undefined) return delivery.place
        if (await cursor.isAtEnd()) return 0
      }
    } finally {
      await cursor.close()
    }
  }

  /** An entry that counts, at or after a place or not far before it. */
  async #nearest(
    near: number,
    accepts: (entry: Block | Checkpoint) => boolean,
    before?: number,
  ): Promise<Placed | undefined> {
    for (const step of [0, ...steps, near]) {
      const reader = await BlockReader.open(this.#reading, { begin: Math.max(0, near - step), before, accepts })
      await reader?.close()
      if (reader !== undefined) return reader.start
    }
    return undefined
  }

  #onHeld(isHeld: boolean): void {
    if (isHeld) {
      const tail = this.#tail
      this.#tail = undefined
      void tail?.close()
    }
    this.#turns.wake()
  }

  /** Reads what others append, while anybody follows. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    const { signal } = this.#closing
    const loop = async (): Promise<void> => {
      while (this.#followers > 0 && !signal.aborted) {
        if (this.#appender.isHolding) {
          await this.#turns.wait(signal)
          continue
        }
        await this.#catchUp()
        const tail = this.#tail
        if (tail === undefined || this.#appender.isHolding) continue
        const stop = new AbortController()
        await Promise.race([
          tail.wait(AbortSignal.any([signal, stop.signal])),
          this.#turns.wait(AbortSignal.any([signal, stop.signal])),
        ]).finally(() => stop.abort())
      }
    }
    // Whoever waits asks then, and is told why.
    void loop()
      .catch(() => {})
      .finally(() => {
        this.#isWatching = false
        this.#grown.wake()
      })
  }

  // --- finding places

  #ringIndex(from: number): number {
    const { batches } = this.#ring
    let low = 0
    let high = batches.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((batches[middle] as StoredBatch).first <= from) low = middle
      else high = middle - 1
    }
    return low
  }

  async #seek(from: number, next: number): Promise<BlockReader | undefined> {
    const reader = await this.#approach(({ first }) => first <= from, this.#fold?.place ?? Infinity)
    if (reader === undefined) return undefined
    try {
      for (let block = await reader.next(next); block !== undefined; block = await reader.next(next))
        if (block.first + block.records.count > from) {
          reader.held = [storedOf(block)]
          return reader
        }
    } catch (error) {
      await reader.close()
      throw error
    }
    await reader.close()
    return undefined
  }

  /** Remembers where a block is that was read. */
  #mark(reader: BlockReader, entry: Block): void {
    if (entry.place % readAhead === 0) this.#points.add({ entry, place: reader.place - 1 })
  }

  /** A reader that begins a little before the last place where `isBefore`; `end` is a place behind it. */
  async #approach(isBefore: (point: Point) => boolean, end: number): Promise<BlockReader | undefined> {
    let low: number | undefined
    let high = end
    for (;;) {
      const around = this.#points.around(isBefore)
      low = Math.max(low ?? 0, around.low?.place ?? 0)
      high = Math.min(high, around.high)
      if (around.low === undefined && low === 0) {
        const reader = await BlockReader.open(this.#reading, { begin: 'first' })
        if (reader === undefined || !isBefore(pointOf(reader.start))) return reader
        low = reader.start.place
        this.#points.add(reader.start)
        if (high - low <= readAhead) return reader
        await reader.close()
      }
      if (high - low <= readAhead) return await BlockReader.open(this.#reading, { begin: low })
      const middle = Math.floor((low + high) / 2)
      const found = await BlockReader.open(this.#reading, { begin: middle, before: high })
      await found?.close()
      if (found === undefined || !isBefore(pointOf(found.start))) high = middle
      else {
        this.#points.add(found.start)
        low = found.start.place
      }
    }
  }

  #readerAt(from: number): BlockReader | undefined {
    const i = this.#readers.findIndex(({ reader }) => reader.at === from)
    const [found] = i < 0 ? [] : this.#readers.splice(i, 1)
    clearTimeout(found?.timer)
    return found?.reader
  }

  #keep(reader: BlockReader): void {
    const drop = (): void => {
      const i = this.#readers.findIndex((one) => one.reader === reader)
      if (i >= 0) this.#readers.splice(i, 1)
      void reader.close()
    }
    const timer = setTimeout(drop, readerIdleMs)
    timer.unref()
    this.#readers.push({ reader, timer })
    if (this.#readers.length <= maxReaders) return
    const [oldest] = this.#readers.splice(0, 1)
    clearTimeout(oldest?.timer)
    void oldest?.reader.close()
  }
}

const pointOf = ({ entry, place }: Placed): Point => ({ place, first: entry.first, sum: entry.sum, at: entry.at })
