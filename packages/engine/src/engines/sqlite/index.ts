/**
 * Streams in one SQLite file: batches as compressed blocks, a row each, with the ranges of their offsets and times indexed.
 * With a write-ahead log and `synchronous = full` a commit is on the disk when it is answered. One thread writes and one
 * reads, so that neither waits for the other nor the process for them.
 */

import { MillraceError } from '@millrace/sdk'
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
import { Connection } from './connection.ts'
import type { AppendDone, StreamRow } from './store.ts'
import type { PlainStored } from './thread.ts'

/** Bytes of appends that may be on their way to the disk; more of them wait. */
const maxInFlightBytes = 64 * 1024 * 1024
/** How often it is looked whether another process appended, while anybody waits. */
const pollMs = 100
const namesAtATime = 1000

export interface SqliteEngineOptions {
  /** The file; its folder must be there. */
  readonly path: string
  /** The clock of records. */
  readonly now: () => Date
}

/** Wakes the followers of all streams of one file. */
class Followers {
  readonly #streams = new Map<number, { readonly waiters: Waiters; waiting: number }>()
  readonly #look: () => Promise<boolean>
  #timer: NodeJS.Timeout | undefined

  /** `look` says whether somebody else changed the file since it was last asked. */
  constructor(look: () => Promise<boolean>) {
    this.#look = look
  }

  async wait(stream: number, signal: AbortSignal): Promise<void> {
    let entry = this.#streams.get(stream)
    if (entry === undefined) {
      entry = { waiters: new Waiters(), waiting: 0 }
      this.#streams.set(stream, entry)
    }
    entry.waiting++
    this.#watch()
    try {
      await entry.waiters.wait(signal)
    } finally {
      if (--entry.waiting === 0) this.#streams.delete(stream)
    }
  }

  wake(stream: number): void {
    this.#streams.get(stream)?.waiters.wake()
  }

  wakeAll(): void {
    for (const stream of [...this.#streams.keys()]) this.wake(stream)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #watch(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      void this.#look().then(
        (changed) => {
          this.#timer = undefined
          if (changed) this.wakeAll()
          if (this.#streams.size > 0) this.#watch()
        },
        // The file cannot be asked: whoever reads is told why.
        () => this.wakeAll(),
      )
    }, pollMs)
    this.#timer.unref()
  }
}

/** What the logs of one engine share. */
interface Shared {
  readonly writing: Connection
  readonly reading: Connection
  readonly followers: Followers
  readonly now: () => Date
  inFlightBytes: number
  readonly landed: Waiters
}

class SqliteLog extends StreamLog {
  readonly #id: number
  readonly #shared: Shared
  #begun = 0
  readonly #done = new Waiters()

  constructor(name: StreamName, id: number, shared: Shared) {
    super(name)
    this.#id = id
    this.#shared = shared
  }

  protected override async doAppend(batch: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    const shared = this.#shared
    const never = new AbortController().signal
    this.#begun++
    // A copy: the caller may use its memory again, and what is handed to the thread is gone here. (slice of a Buffer is none.)
    const bytes = new Uint8Array(batch.bytes.subarray(0, batch.contentEnd))
    const ends = batch.ends.slice()
    try {
      while (shared.inFlightBytes > 0 && shared.inFlightBytes + bytes.length > maxInFlightBytes)
        await shared.landed.wait(never)
      shared.inFlightBytes += bytes.length
      const size = bytes.length
      try {
        const { gap, keys, contentTypes } = batch
        const records = { bytes, ends, gap, keys, contentTypes }
        const pending = { stream: this.#id, name: this.name, records, writer, at: shared.now().getTime() }
        const done = (await shared.writing.ask({ do: 'append', pending }, [bytes.buffer, ends.buffer])) as AppendDone
        if (!done.isRepeated) shared.followers.wake(this.#id)
        return {
          first: offset(done.first),
          next: offset(done.next),
          at: new Date(done.at),
          isRepeated: done.isRepeated,
        }
      } finally {
        shared.inFlightBytes -= size
        shared.landed.wake()
      }
    } finally {
      this.#begun--
      this.#done.wake()
    }
  }

  protected override async doRead(from: Offset, limit: ReadLimit): Promise<readonly StoredBatch[]> {
    const args = [this.#id, this.name, Number(from), limit] as const
    const batches = (await this.#shared.reading.ask({ do: 'read', args: [...args] })) as readonly PlainStored[]
    return batches.map(({ first, at, records }) => ({
      first: offset(first),
      at: new Date(at),
      records: new RecordBatch(records),
    }))
  }

  protected override async doFindTime(at: Date): Promise<Offset> {
    return offset((await this.#read('findTime', at.getTime())) as number)
  }

  protected override async doWait(from: Offset, signal: AbortSignal): Promise<void> {
    const waiting = this.#shared.followers.wait(this.#id, signal)
    // What came since the follower read is not missed: it is looked for once the wait has begun.
    const { next } = await this.doBounds()
    if (next > from) this.#shared.followers.wake(this.#id)
    await waiting
  }

  protected override async doWriter(id: string): Promise<WriterPlace | undefined> {
    const row = (await this.#write('writer', id)) as { seq: string; first: number; next: number } | undefined
    return row === undefined ? undefined : { seq: BigInt(row.seq), first: offset(row.first), next: offset(row.next) }
  }

  protected override async doTrim(before: Offset): Promise<Bounds> {
    return bounds((await this.#write('trim', Number(before))) as Numbers)
  }

  protected override async doSetRetention(retention: Retention): Promise<void> {
    await this.#write('setRetention', retention)
  }

  protected override async doRetain(now: Date): Promise<Bounds> {
    return bounds((await this.#write('retain', now.getTime())) as Numbers)
  }

  protected override async doBounds(): Promise<Bounds> {
    return bounds(await this.#row())
  }

  protected override async doStat(): Promise<StreamStat> {
    const row = await this.#row()
    const retention: Retention = {
      ...(row.max_age_ms === null ? {} : { maxAgeMs: row.max_age_ms }),
      ...(row.max_bytes === null ? {} : { maxBytes: row.max_bytes }),
      ...(row.max_records === null ? {} : { maxRecords: row.max_records }),
    }
    return {
      ...bounds(row),
      createdAt: new Date(row.created_at),
      lastAt: row.last_at === null || row.first === row.next ? undefined : new Date(row.last_at),
      bytes: row.bytes,
      retention,
    }
  }

  /** Waits for the appends that were begun. */
  protected override async doClose(): Promise<void> {
    while (this.#begun > 0) await this.#done.wait(new AbortController().signal)
  }

  async #row(): Promise<StreamRow> {
    return (await this.#read('stat')) as StreamRow
  }

  #read(method: 'stat' | 'findTime', ...args: readonly unknown[]): Promise<unknown> {
    return this.#shared.reading.ask({ do: 'call', method, args: [this.#id, this.name, ...args] })
  }

  #write(method: 'writer' | 'trim' | 'setRetention' | 'retain', ...args: readonly unknown[]): Promise<unknown> {
    return this.#shared.writing.ask({ do: 'call', method, args: [this.#id, this.name, ...args] })
  }
}

interface Numbers {
  readonly first: number
  readonly next: number
}
const bounds = ({ first, next }: Numbers): Bounds => ({ first: offset(first), next: offset(next) })

/** An engine on one SQLite file. */
export class SqliteEngine extends StreamEngine {
  readonly supports: EngineSupports = { durable: true, shared: true, find: 'scan', amqp: false }
  readonly #shared: Shared

  private constructor(shared: Shared) {
    super()
    this.#shared = shared
  }

  /** Opens the file, which is made where it is not there. Throws LOG_UNAVAILABLE and LOG_DAMAGED. */
  static async open({ path, now }: SqliteEngineOptions): Promise<SqliteEngine> {
    const writing = await Connection.open(path, 'write')
    let reading: Connection
    try {
      reading = await Connection.open(path, 'read')
    } catch (e) {
      await writing.close()
      throw e
    }
    let version: unknown
    const followers = new Followers(async () => {
      const before = version
      version = await reading.ask({ do: 'call', method: 'dataVersion', args: [] })
      return before !== version
    })
    return new SqliteEngine({ writing, reading, followers, now, inFlightBytes: 0, landed: new Waiters() })
  }

  protected override async doCreate(name: StreamName, retention: Retention): Promise<StreamLog> {
    const at = this.#shared.now().getTime()
    const id = await this.#shared.writing.ask({ do: 'call', method: 'create', args: [name, at, retention] })
    return new SqliteLog(name, id as number, this.#shared)
  }

  protected override async doOpen(name: StreamName): Promise<StreamLog> {
    const id = await this.#shared.reading.ask({ do: 'call', method: 'find', args: [name] })
    if (id === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: name })
    return new SqliteLog(name, id as number, this.#shared)
  }

  protected override async *doList(): AsyncGenerator<StreamName, void, undefined> {
    let after = ''
    for (;;) {
      const args = [after, namesAtATime]
      const names = (await this.#shared.reading.ask({ do: 'call', method: 'names', args })) as readonly StreamName[]
      yield* names
      const last = names.at(-1)
      if (last === undefined || names.length < namesAtATime) return
      after = last
    }
  }

  protected override async doDrop(name: StreamName): Promise<void> {
    await this.#shared.writing.ask({ do: 'call', method: 'drop', args: [name] })
    this.#shared.followers.wakeAll()
  }

  protected override async doClose(): Promise<void> {
    this.#shared.followers.stop()
    await this.#shared.reading.close()
    await this.#shared.writing.close()
  }
}
