import { isMillraceError, MillraceError } from '@millrace/sdk/errors'
import { cut } from '../../cut.ts'
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
  type StoredRecord,
  type StreamName,
  type StreamStat,
  type WriterMark,
  type WriterPlace,
} from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { decodeContent, encodeContent } from './block.ts'
import type { BlockCache, Use } from './block-cache.ts'
import type { Asked, Leaves } from './connection.ts'
import type { Followers } from './followers.ts'
import { Gathering } from './gathering.ts'
import { placeOf, type ReadAhead } from './read-ahead.ts'
import type { Rows } from './rows.ts'
import type { SpareMemory } from './spare-memory.ts'
import type { AppendDone, StoredContent, StreamRow } from './store.ts'

/** An append of at most so many bytes is gathered with others. */
const maxGatheredBytes = 16 * 1024
/** Bytes of appends that may be on their way to the disk; more of them wait. */
const maxInFlightBytes = 64 * 1024 * 1024
const never = new AbortController().signal
/** Bytes that are answered out of memory in one turn of the event loop, and what a read counts as beside them. */
const maxServedBytes = 4 * 1024 * 1024
const servedOverhead = 16 * 1024

/** What the logs of one engine share. */
export interface Shared {
  readonly writing: Asked & { readonly spare: SpareMemory }
  readonly reading: Asked
  readonly finding: Asked
  readonly followers: Followers
  readonly rows: Rows
  readonly cache: BlockCache
  /** Blocks that are being read: whoever wants the same waits for the same. */
  readonly loading: Map<string, Promise<readonly StoredBatch[]>>
  readonly ahead: ReadAhead
  readonly now: () => Date
  inFlightBytes: number
  /** Bytes that were read since the event loop last had its turn. */
  servedBytes: number
  readonly landed: Waiters
}

export class SqliteLog extends StreamLog {
  readonly #id: number
  readonly #shared: Shared
  #gathering: Gathering | undefined
  #begun = 0
  readonly #done = new Waiters()

  constructor(name: StreamName, id: number, shared: Shared) {
    super(name)
    this.#id = id
    this.#shared = shared
  }

  protected override async doAppend(batch: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    const shared = this.#shared
    this.#begun++
    const size = batch.contentEnd
    try {
      while (shared.inFlightBytes > 0 && shared.inFlightBytes + size > maxInFlightBytes) await shared.landed.wait(never)
      shared.inFlightBytes += size
      try {
        const { done, at } = await this.#send(batch, writer)
        return {
          first: offset(done.first + at),
          next: offset(writer === undefined ? done.first + at + batch.count : done.next),
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

  /** Small appends of one turn of the event loop go together; `at` says where among them this one is. */
  async #send(
    batch: RecordBatch,
    writer: WriterMark | undefined,
  ): Promise<{ readonly done: AppendDone; readonly at: number }> {
    const isSmall = writer === undefined && batch.contentEnd <= maxGatheredBytes
    const at = isSmall ? this.#gathering?.add(batch) : undefined
    if (at !== undefined && this.#gathering !== undefined) return { done: await this.#gathering.done, at }
    // What comes from now on comes behind this one.
    this.#gathering = undefined
    const { spare } = this.#shared.writing
    const memory = (bytes: number): ArrayBuffer => spare.take(bytes)
    if (!isSmall) return { done: await this.#append(encodeContent(batch, memory), writer), at: 0 }
    const gathering = new Gathering(batch, (content) => this.#append(content, undefined), memory)
    this.#gathering = gathering
    return { done: await gathering.done, at: 0 }
  }

  async #append(
    content: Uint8Array<ArrayBuffer> | (() => Uint8Array<ArrayBuffer>),
    writer: WriterMark | undefined,
  ): Promise<AppendDone> {
    const { writing, rows, followers, now } = this.#shared
    const pending = { stream: this.#id, name: this.name, writer, at: now().getTime() }
    const done = (await writing.ask(
      typeof content === 'function'
        ? () => ({ do: 'append', pending: { ...pending, content: content() } })
        : { do: 'append', pending: { ...pending, content } },
    )) as AppendDone
    rows.forget()
    if (!done.isRepeated) followers.wake(this.#id)
    return done
  }

  protected override async doRead(from: Offset, limit: ReadLimit): Promise<readonly StoredBatch[]> {
    const { cache, ahead } = this.#shared
    const batches: StoredBatch[] = []
    let at = Number(from)
    const goesOn = ahead.goesOn(placeOf(this.#id, at))
    let { records, bytes } = limit
    while (records > 0 && bytes > 0) {
      ahead.arrived(placeOf(this.#id, at))
      const cached = cache.get(this.#id, at, 'pass')
      const found = cached === undefined ? await this.#load(at, { records, bytes }, 'pass') : [cached]
      if (found.length === 0) break
      for (const batch of found) {
        const { count, size } = batch.records
        const end = Number(batch.first) + count
        // What came into a part of a block counts as that part.
        const share = (end - at) / count
        records -= end - at
        bytes -= size * share
        at = end
        batches.push(batch)
      }
      if (goesOn) this.#readAhead(at, limit)
    }
    const answer = cut(batches, from, limit)
    const last = answer.at(-1)
    if (last !== undefined) ahead.ended(placeOf(this.#id, Number(last.first) + last.records.count))
    await this.#giveWay(limit.bytes - bytes)
    return answer
  }

  /** Begins what a reader that goes through the stream will ask for next; nothing where that is here, or not there yet. */
  #readAhead(at: number, limit: ReadLimit): void {
    const { rows, cache, ahead } = this.#shared
    const row = rows.get(this.#id)
    if (this.isClosed || row === undefined || row === 'busy' || at < row.first || at >= row.next) return
    if (cache.get(this.#id, at, 'pass') !== undefined) return
    // Now: who reads may be busy with what it has for the rest of this turn.
    ahead.begin(placeOf(this.#id, at), limit, (piece) => this.#load(at, piece, 'pass', 'now'))
  }

  /** What is in memory is answered in the same turn: after some of that everything else gets its turn. */
  async #giveWay(bytes: number): Promise<void> {
    const shared = this.#shared
    shared.servedBytes += bytes + servedOverhead
    if (shared.servedBytes < maxServedBytes) return
    shared.servedBytes = 0
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Reads the block of a record and some behind it; none at the end of the stream. */
  async #load(at: number, limit: ReadLimit, use: Use, leaves: Leaves = 'soon'): Promise<readonly StoredBatch[]> {
    const row = this.#known()
    if (row !== undefined && at >= row.next) return []
    const { loading } = this.#shared
    const key = placeOf(this.#id, at)
    const begun = loading.get(key)
    if (begun !== undefined) return await begun
    const load = this.#loadNow(at, limit, use, leaves)
    loading.set(key, load)
    try {
      return await load
    } finally {
      loading.delete(key)
    }
  }

  async #loadNow(at: number, limit: ReadLimit, use: Use, leaves: Leaves): Promise<readonly StoredBatch[]> {
    const { reading, cache } = this.#shared
    const args = [this.#id, this.name, at, limit] as const
    const blocks = (await reading.ask({ do: 'blocks', args: [...args] }, leaves)) as readonly StoredContent[]
    return blocks.map(({ first, at: time, content }) => {
      const batch = { first: offset(first), at: new Date(time), records: decodeContent(content) }
      cache.add(this.#id, batch, content.length, use)
      return batch
    })
  }

  /** Offset by offset in the order of the blocks, so that each is read once. */
  protected override async doGet(offsets: readonly Offset[]): Promise<readonly (StoredRecord | undefined)[]> {
    const { first, next } = await this.#row()
    const places = offsets.map(Number)
    const order = places.map((_, i) => i).filter((i) => (places[i] as number) >= first && (places[i] as number) < next)
    order.sort((a, b) => (places[a] as number) - (places[b] as number))
    const out = new Array<StoredRecord | undefined>(offsets.length).fill(undefined)
    let block: StoredBatch | undefined
    for (const i of order) {
      const place = places[i] as number
      if (block === undefined || place >= Number(block.first) + block.records.count) block = await this.#blockOf(place)
      if (block === undefined) continue
      const { key, contentType, body } = block.records.record(place - Number(block.first))
      // A copy: a record that is kept does not keep its block.
      out[i] = { offset: offset(place), at: block.at, key, contentType, body: body.slice() }
    }
    return out
  }

  /** Nothing where it was trimmed meanwhile. */
  async #blockOf(place: number): Promise<StoredBatch | undefined> {
    const cached = this.#shared.cache.get(this.#id, place, 'point')
    if (cached !== undefined) return cached
    try {
      return (await this.#load(place, { records: 1, bytes: 1 }, 'point'))[0]
    } catch (e) {
      if (isMillraceError(e) && e.code === 'LOG_OFFSET_TRIMMED') return undefined
      throw e
    }
  }

  /** The index says where the key may be, the records whether it is. Where there is no index to be had they are all looked through. */
  protected override async doFind(key: string, limit: number, before: Offset | undefined): Promise<readonly Offset[]> {
    const { next } = await this.#row()
    const found: Offset[] = []
    let below = before !== undefined && before < next ? Number(before) : Number.MAX_SAFE_INTEGER
    while (found.length < limit) {
      const wanted = limit - found.length
      let places: readonly number[]
      try {
        const question = { stream: this.#id, name: this.name, key, limit: wanted, before: below }
        places = (await this.#shared.finding.ask({ do: 'find', question })) as readonly number[]
      } catch (e) {
        if (!isMillraceError(e) || e.code === 'STREAM_UNKNOWN') throw e
        return await super.doFind(key, limit, before)
      }
      for (const place of places) if (await this.#hasKey(place, key)) found.push(offset(place))
      if (places.length < wanted) break
      below = places.at(-1) as number
    }
    return found
  }

  async #hasKey(place: number, key: string): Promise<boolean> {
    const block = await this.#blockOf(place)
    return block?.records.keys?.[place - Number(block.first)] === key
  }

  protected override async doFindTime(at: Date): Promise<Offset> {
    return offset((await this.#read('findTime', at.getTime())) as number)
  }

  protected override async doWait(from: Offset, signal: AbortSignal): Promise<void> {
    const row = this.#known()
    if (row !== undefined && row.next > from) return
    const waiting = this.#shared.followers.wait(this.#id, signal)
    // What came since the follower read is not missed: it is looked for once the wait has begun.
    if (row === undefined && (await this.doBounds()).next > from) this.#shared.followers.wake(this.#id)
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
    while (this.#begun > 0) await this.#done.wait(never)
  }

  async #row(): Promise<StreamRow> {
    return this.#known() ?? ((await this.#read('stat')) as StreamRow)
  }

  /** The stream as it is now; undefined where the other thread is to be asked. Throws STREAM_UNKNOWN. */
  #known(): StreamRow | undefined {
    const row = this.#shared.rows.get(this.#id)
    if (row === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: this.name })
    return row === 'busy' ? undefined : row
  }

  #read(method: 'stat' | 'findTime', ...args: readonly unknown[]): Promise<unknown> {
    return this.#shared.reading.ask({ do: 'call', method, args: [this.#id, this.name, ...args] })
  }

  async #write(method: 'writer' | 'trim' | 'setRetention' | 'retain', ...args: readonly unknown[]): Promise<unknown> {
    const done = await this.#shared.writing.ask({ do: 'call', method, args: [this.#id, this.name, ...args] })
    this.#shared.rows.forget()
    return done
  }
}

interface Numbers {
  readonly first: number
  readonly next: number
}
const bounds = ({ first, next }: Numbers): Bounds => ({ first: offset(first), next: offset(next) })
