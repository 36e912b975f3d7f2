/** Streams in the memory of the process: for tests, and for what may be lost. */
import { MillraceError } from '@millrace/sdk/errors'
import { cut } from '../../cut.ts'
import { isLimited } from '../../retention.ts'
import { RecordBatch } from '../../record-batch.ts'
import { StreamEngine } from '../../stream-engine.ts'
import { StreamLog } from '../../stream-log.ts'
import {
  type Appended,
  type Bounds,
  type EngineSupports,
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

/** What one stream holds, however often it is open. */
class MemoryStream {
  readonly name: StreamName
  readonly createdAt: Date
  readonly waiters = new Waiters()
  readonly writers = new Map<string, WriterPlace & { readonly at: Date }>()
  /** The offsets of each key, rising. */
  readonly keys = new Map<string, Offset[]>()
  batches: StoredBatch[] = []
  first = 0n
  next = 0n
  retention: Retention
  isDropped = false

  constructor(name: StreamName, createdAt: Date, retention: Retention) {
    this.name = name
    this.createdAt = createdAt
    this.retention = retention
  }

  get bounds(): Bounds {
    return { first: offset(this.first), next: offset(this.next) }
  }

  add(batch: StoredBatch): void {
    this.batches.push(batch)
    batch.records.keys?.forEach((key, i) => {
      if (key === undefined) return
      const offsets = this.keys.get(key)
      const place = offset(batch.first + BigInt(i))
      if (offsets === undefined) this.keys.set(key, [place])
      else offsets.push(place)
    })
  }

  trim(before: bigint): void {
    if (before <= this.first) return
    this.first = before
    const touched = new Set<string | undefined>()
    for (const { first, records } of this.batches)
      if (first < before) for (const key of records.keys ?? []) touched.add(key)
    for (const key of touched) if (key !== undefined) this.#forget(key)
    this.batches = this.batches.filter((b) => b.first + BigInt(b.records.count) > before)
  }

  #forget(key: string): void {
    const left = this.keys.get(key)?.filter((o) => o >= this.first) ?? []
    if (left.length === 0) this.keys.delete(key)
    else this.keys.set(key, left)
  }

  /** The newest offsets of a key before `before`, newest first. */
  find(key: string, limit: number, before: bigint): readonly Offset[] {
    const out: Offset[] = []
    const offsets = this.keys.get(key) ?? []
    for (let i = offsets.length - 1; i >= 0 && out.length < limit; i--) {
      const one = offsets[i] as Offset
      if (one < before) out.push(one)
    }
    return out
  }
}

class MemoryLog extends StreamLog {
  readonly #stream: MemoryStream
  readonly #now: () => Date

  constructor(stream: MemoryStream, now: () => Date) {
    super(stream.name)
    this.#stream = stream
    this.#now = now
  }

  get #there(): MemoryStream {
    if (this.#stream.isDropped) throw new MillraceError('STREAM_UNKNOWN', { stream: this.name })
    return this.#stream
  }

  protected override async doAppend(records: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    const stream = this.#there
    const known = writer === undefined ? undefined : stream.writers.get(writer.id)
    if (writer !== undefined && known !== undefined && writer.seq <= known.seq) {
      if (writer.seq < known.seq)
        throw new MillraceError('LOG_WRITER_BEHIND', {
          stream: this.name,
          writer: writer.id,
          seq: String(writer.seq),
          last: String(known.seq),
        })
      return { first: known.first, next: known.next, at: known.at, isRepeated: true }
    }
    const now = this.#now()
    const last = stream.batches.at(-1)?.at
    const at = last !== undefined && last > now ? last : now
    const first = offset(stream.next)
    const next = offset(stream.next + BigInt(records.count))
    // The caller may use its memory again.
    const bytes = new Uint8Array(records.bytes.subarray(0, records.contentEnd))
    const kept = new RecordBatch({
      bytes,
      ends: records.ends.slice(),
      gap: records.gap,
      keys: records.keys?.slice(),
      contentTypes: records.contentTypes?.slice(),
    })
    stream.add({ first, at, records: kept })
    stream.next = next
    if (writer !== undefined) stream.writers.set(writer.id, { seq: writer.seq, first, next, at })
    stream.waiters.wake()
    return { first, next, at, isRepeated: false }
  }

  protected override async doRead(from: Offset, limit: ReadLimit): Promise<readonly StoredBatch[]> {
    const stream = this.#there
    if (from < stream.first)
      throw new MillraceError('LOG_OFFSET_TRIMMED', {
        stream: this.name,
        asked: String(from),
        first: String(stream.first),
      })
    return cut(stream.batches, from, limit)
  }

  protected override async doFind(key: string, limit: number, before: Offset | undefined): Promise<readonly Offset[]> {
    const stream = this.#there
    return stream.find(key, limit, before ?? stream.next)
  }

  protected override async doFindTime(at: Date): Promise<Offset> {
    const stream = this.#there
    const found = stream.batches.find((b) => b.at >= at)
    if (found === undefined) return offset(stream.next)
    const { first } = stream
    return found.first < first ? offset(first) : found.first
  }

  protected override async doWait(from: Offset, signal: AbortSignal): Promise<void> {
    if (this.#there.next <= from) await this.#there.waiters.wait(signal)
  }

  protected override async doWriter(id: string): Promise<WriterPlace | undefined> {
    const place = this.#there.writers.get(id)
    return place === undefined ? undefined : { seq: place.seq, first: place.first, next: place.next }
  }

  protected override async doTrim(before: Offset): Promise<Bounds> {
    this.#there.trim(before)
    return this.#there.bounds
  }

  protected override async doSetRetention(retention: Retention): Promise<void> {
    this.#there.retention = retention
  }

  protected override async doRetain(now: Date): Promise<Bounds> {
    const stream = this.#there
    const { maxAgeMs = Infinity, maxBytes = Infinity, maxRecords = Infinity } = stream.retention
    let bytes = 0
    let records = 0
    let before = stream.first
    for (const batch of stream.batches.toReversed()) {
      bytes += batch.records.size
      records += batch.records.count
      if (now.getTime() - batch.at.getTime() > maxAgeMs || bytes > maxBytes || records > maxRecords) {
        before = batch.first + BigInt(batch.records.count)
        break
      }
    }
    stream.trim(before)
    return stream.bounds
  }

  protected override async doBounds(): Promise<Bounds> {
    return this.#there.bounds
  }

  protected override async doStat(): Promise<StreamStat> {
    const { bounds, createdAt, batches, retention } = this.#there
    const bytes = batches.reduce((n, b) => n + b.records.size, 0)
    return { ...bounds, createdAt, lastAt: batches.at(-1)?.at, bytes, retention }
  }

  protected override async doClose(): Promise<void> {}
}

/** An engine that keeps everything in memory. `now` is the clock of its records. */
export class MemoryEngine extends StreamEngine {
  readonly supports: EngineSupports = { durable: false, shared: false, find: 'index', amqp: false }
  readonly #streams = new Map<string, MemoryStream>()
  readonly #now: () => Date

  constructor(now: () => Date) {
    super()
    this.#now = now
  }

  protected override async doCreate(name: StreamName, retention: Retention): Promise<StreamLog> {
    if (this.#streams.has(name)) throw new MillraceError('STREAM_EXISTS', { stream: name })
    const stream = new MemoryStream(name, this.#now(), retention)
    this.#streams.set(name, stream)
    return new MemoryLog(stream, this.#now)
  }

  protected override async doOpen(name: StreamName): Promise<StreamLog> {
    return new MemoryLog(this.#get(name), this.#now)
  }

  protected override async *doList(): AsyncGenerator<StreamName, void, undefined> {
    yield* [...this.#streams.values()].map((s) => s.name).toSorted()
  }

  protected override async *doListLimited(): AsyncGenerator<StreamName, void, undefined> {
    yield* [...this.#streams.values()].filter((s) => isLimited(s.retention)).map((s) => s.name)
  }

  protected override async doDrop(name: StreamName): Promise<void> {
    const stream = this.#get(name)
    stream.isDropped = true
    stream.waiters.wake()
    this.#streams.delete(name)
  }

  protected override async doClose(): Promise<void> {
    this.#streams.clear()
  }

  #get(name: StreamName): MemoryStream {
    const stream = this.#streams.get(name)
    if (stream === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: name })
    return stream
  }
}
