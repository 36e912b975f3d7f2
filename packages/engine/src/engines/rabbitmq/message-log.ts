import { MillraceError } from '@millrace/sdk/errors'
import type { RecordBatch } from '../../record-batch.ts'
import { StreamLog } from '../../stream-log.ts'
import {
  type Appended,
  type Bounds,
  type Offset,
  offset,
  type ReadLimit,
  type Retention,
  type StoredBatch,
  type StreamName,
  type StreamStat,
  type WriterMark,
  type WriterPlace,
} from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { maxBlockBytes } from './log.ts'
import type { MessageStream } from './message-stream.ts'
import type { Shared } from './shared.ts'

/** Of more records their bytes are told by what so many of the newest have. */
const countedRecords = 10_000
/** A limit of bytes up to this is kept by counting. */
const countedBytes = 64 * 1024 * 1024

/** One opening of a stream whose records are messages of their own. */
export class MessageLog extends StreamLog {
  readonly #stream: MessageStream
  readonly #shared: Shared
  readonly #release: () => Promise<void>
  #begun = 0
  readonly #done = new Waiters()

  constructor(name: StreamName, parts: { stream: MessageStream; shared: Shared; release: () => Promise<void> }) {
    super(name)
    this.#stream = parts.stream
    this.#shared = parts.shared
    this.#release = parts.release
  }

  protected override async doAppend(records: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    void this.#stream.entry
    for (let i = 0; i < records.count; i++)
      if (records.sizeOf(i) > maxBlockBytes)
        throw new MillraceError('LOG_ARGUMENT', {
          stream: this.name,
          why: `on RabbitMQ a record has at most ${maxBlockBytes} bytes`,
        })
    this.#begun++
    try {
      return await this.#stream.append(records, writer)
    } finally {
      this.#begun--
      this.#done.wake()
    }
  }

  protected override async doRead(from: Offset, limit: ReadLimit): Promise<readonly StoredBatch[]> {
    const first = Math.max(this.#stream.entry.start, await this.#stream.kept())
    if (from < first)
      throw new MillraceError('LOG_OFFSET_TRIMMED', { stream: this.name, asked: String(from), first: String(first) })
    return await this.#stream.read(Number(from), limit)
  }

  protected override async doFindTime(at: Date): Promise<Offset> {
    const found = await this.#stream.findTime(at.getTime())
    const { first } = await this.#bounds()
    return offset(Math.max(first, found))
  }

  protected override async doWait(from: Offset, signal: AbortSignal): Promise<void> {
    await this.#stream.wait(Number(from), signal)
  }

  protected override async doWriter(id: string): Promise<WriterPlace | undefined> {
    const state = (await this.#stream.now()).writers.get(id)
    // One that ended in the middle of an append makes it again.
    return state === undefined || state.seen < state.parts
      ? undefined
      : { seq: state.seq, first: offset(state.first), next: offset(state.next) }
  }

  protected override async doTrim(before: Offset): Promise<Bounds> {
    const { entry } = this.#stream
    if (before > entry.start) await this.#shared.registry.put({ ...entry, start: Number(before) })
    return await this.doBounds()
  }

  protected override async doSetRetention(retention: Retention): Promise<void> {
    const { entry } = this.#stream
    await this.#shared.registry.put({ ...entry, retention, revision: entry.revision + 1 })
  }

  /** A limit of many bytes is left to the broker, where the stream was made with it: nothing says how many lie before a message. */
  protected override async doRetain(now: Date): Promise<Bounds> {
    const { maxAgeMs, maxRecords, maxBytes } = this.#stream.entry.retention
    const { next } = await this.#stream.now()
    const oldest = maxAgeMs === undefined ? 0 : await this.#stream.findTime(now.getTime() - maxAgeMs)
    const newest = maxRecords === undefined ? 0 : next - maxRecords
    const fitting = maxBytes === undefined || maxBytes > countedBytes ? 0 : await this.#fitting(maxBytes)
    return await this.doTrim(offset(Math.max(oldest, newest, fitting)))
  }

  /** The first record from which on all bodies together have at most so many bytes. */
  async #fitting(maxBytes: number): Promise<number> {
    const { first, next } = await this.#bounds()
    let left = maxBytes
    for (let end = next; end > first; ) {
      const begin = Math.max(first, end - countedRecords)
      const sizes = await this.#sizes(begin, end)
      for (let i = sizes.length - 1; i >= 0; i--) {
        left -= sizes[i] as number
        if (left < 0) return begin + i + 1
      }
      end = begin
    }
    return first
  }

  /** Bytes of each body from `begin` to `end`; 0 where there is none. */
  async #sizes(begin: number, end: number): Promise<readonly number[]> {
    const sizes = new Array<number>(end - begin).fill(0)
    for (let at = begin; at < end; ) {
      const batches = await this.#stream.read(at, { records: end - at, bytes: countedBytes })
      if (batches.length === 0) break
      for (const { first, records } of batches) {
        for (let i = 0; i < records.count; i++) sizes[Number(first) + i - begin] = records.sizeOf(i)
        at = Number(first) + records.count
      }
    }
    return sizes
  }

  protected override async doBounds(): Promise<Bounds> {
    const { first, next } = await this.#bounds()
    return { first: offset(first), next: offset(next) }
  }

  async #bounds(): Promise<{ readonly first: number; readonly next: number }> {
    const { next } = await this.#stream.now()
    return { first: Math.min(next, Math.max(this.#stream.entry.start, await this.#stream.kept())), next }
  }

  protected override async doStat(): Promise<StreamStat> {
    const { first, next } = await this.#bounds()
    const { at, retention } = this.#stream.entry
    const sizes = await this.#sizes(Math.max(first, next - countedRecords), next)
    const counted = sizes.reduce((n, size) => n + size, 0)
    return {
      first: offset(first),
      next: offset(next),
      createdAt: new Date(at),
      lastAt: first === next ? undefined : new Date((await this.#stream.now()).at),
      bytes: sizes.length === next - first ? counted : Math.round((counted / sizes.length) * (next - first)),
      retention,
    }
  }

  /** Waits for the appends that were begun. */
  protected override async doClose(): Promise<void> {
    while (this.#begun > 0) await this.#done.wait(new AbortController().signal)
    await this.#release()
  }
}
