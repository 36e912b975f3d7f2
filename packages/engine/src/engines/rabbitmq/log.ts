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
import type { BlockStream, Spot } from './block-stream.ts'
import type { Shared } from './shared.ts'

/** Bytes of one append: it is one message, and RabbitMQ 4 takes none above 16 MiB where nobody says otherwise. */
export const maxBlockBytes: number = 15 * 1024 * 1024

/** One opening of a stream of blocks. */
export class BlockLog extends StreamLog {
  readonly #stream: BlockStream
  readonly #shared: Shared
  readonly #release: () => Promise<void>
  #begun = 0
  readonly #done = new Waiters()

  constructor(name: StreamName, parts: { stream: BlockStream; shared: Shared; release: () => Promise<void> }) {
    super(name)
    this.#stream = parts.stream
    this.#shared = parts.shared
    this.#release = parts.release
  }

  protected override async doAppend(records: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    void this.#stream.entry
    if (records.contentEnd > maxBlockBytes)
      throw new MillraceError('LOG_ARGUMENT', {
        stream: this.name,
        why: `on RabbitMQ an append has at most ${maxBlockBytes} bytes`,
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
    const first = Math.max(this.#stream.entry.start, (await this.#stream.kept()).first)
    if (from < first)
      throw new MillraceError('LOG_OFFSET_TRIMMED', { stream: this.name, asked: String(from), first: String(first) })
    return await this.#stream.read(Number(from), limit)
  }

  protected override async doFindTime(at: Date): Promise<Offset> {
    const time = at.getTime()
    const found = await this.#stream.search(
      (point) => point.at < time,
      (block) => block.at >= time,
    )
    const { first, next } = await this.#bounds()
    return offset(found === undefined ? next : Math.max(first, found.first))
  }

  protected override async doWait(from: Offset, signal: AbortSignal): Promise<void> {
    await this.#stream.wait(Number(from), signal)
  }

  protected override async doWriter(id: string): Promise<WriterPlace | undefined> {
    const row = (await this.#stream.now()).writers.get(id)
    return row === undefined ? undefined : { seq: row.seq, first: offset(row.first), next: offset(row.next) }
  }

  protected override async doTrim(before: Offset): Promise<Bounds> {
    const { first, next } = await this.#bounds()
    const start = Math.min(Number(before), next)
    if (start <= first) return { first: offset(first), next: offset(next) }
    const found = await this.#stream.search(
      (point) => point.first <= start,
      (block) => block.first + block.records.count > start,
    )
    return await this.#trimTo({ first: start, sum: found?.sum ?? (await this.#stream.now()).sum })
  }

  async #trimTo({ first, sum }: Spot): Promise<Bounds> {
    if (first > this.#stream.entry.start)
      await this.#shared.registry.put({ ...this.#stream.entry, start: first, startSum: sum })
    return await this.doBounds()
  }

  protected override async doSetRetention(retention: Retention): Promise<void> {
    const { entry } = this.#stream
    await this.#shared.registry.put({ ...entry, retention, revision: entry.revision + 1 })
  }

  protected override async doRetain(now: Date): Promise<Bounds> {
    const { maxAgeMs = Infinity, maxBytes = Infinity, maxRecords = Infinity } = this.#stream.entry.retention
    if (maxAgeMs === Infinity && maxBytes === Infinity && maxRecords === Infinity) return await this.doBounds()
    const { next, sum } = await this.#stream.now()
    const { first } = await this.#bounds()
    const isBeyond = (one: { readonly first: number; readonly sum: number; readonly at: number }): boolean =>
      now.getTime() - one.at > maxAgeMs || sum - one.sum > maxBytes || next - one.first > maxRecords
    const found = await this.#stream.search(
      (point) => point.first <= first || isBeyond(point),
      (block) => block.first + block.records.count > first && !isBeyond(block),
    )
    return await this.#trimTo(found ?? { first: next, sum })
  }

  protected override async doBounds(): Promise<Bounds> {
    const { first, next } = await this.#bounds()
    return { first: offset(first), next: offset(next) }
  }

  async #bounds(): Promise<Spot & { readonly next: number }> {
    const { next } = await this.#stream.now()
    const kept = await this.#stream.kept()
    const { start, startSum } = this.#stream.entry
    return start >= kept.first ? { first: start, sum: startSum, next } : { ...kept, next }
  }

  protected override async doStat(): Promise<StreamStat> {
    const { first, sum, next } = await this.#bounds()
    const { at, retention } = this.#stream.entry
    const fold = await this.#stream.now()
    return {
      first: offset(first),
      next: offset(next),
      createdAt: new Date(at),
      lastAt: first === next ? undefined : new Date(fold.at),
      bytes: Math.max(0, fold.sum - sum),
      retention,
    }
  }

  /** Waits for the appends that were begun. */
  protected override async doClose(): Promise<void> {
    while (this.#begun > 0) await this.#done.wait(new AbortController().signal)
    await this.#release()
  }
}
