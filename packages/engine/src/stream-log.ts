import { isMillraceError, MillraceError } from '@millrace/sdk/errors'
import { scanForKey } from './find-by-scan.ts'
import type { RecordBatch } from './record-batch.ts'
import type {
  Appended,
  Bounds,
  FindOptions,
  Offset,
  Position,
  ReadLimit,
  Retention,
  StoredBatch,
  StoredRecord,
  StreamName,
  StreamStat,
  WriterMark,
  WriterPlace,
} from './types.ts'

/** Bytes of one append, and of one record. */
export const maxAppendBytes: number = 64 * 1024 * 1024
/** What `read` and `follow` answer at most where nobody says. */
export const defaultReadLimit: ReadLimit = { records: 10_000, bytes: 8 * 1024 * 1024 }
/** What `find` answers at most, and what `get` is asked for at most. */
export const maxFind = 10_000
export const maxGet = 10_000
const maxWriterId = 200

/**
 * One open stream. What an engine must do is in the methods that begin with `do`; arguments and the state of the log
 * are checked here, once, so that every engine fails in the same way.
 *
 * It is open until it is disposed. Then nothing more may be called (LOG_CLOSED), and followers end; what was begun
 * before is still done. Where the stream is dropped meanwhile every call throws STREAM_UNKNOWN.
 */
export abstract class StreamLog implements AsyncDisposable {
  readonly name: StreamName
  #isClosed = false
  readonly #closing = new AbortController()

  protected constructor(name: StreamName) {
    this.name = name
  }

  /**
   * Adds records behind all others: all of them or none. Resolves when they are durable, as durable as the engine says.
   * With a writer it may be called again after a failure of which nobody knows what it left: the same `seq` is added once.
   *
   * Throws LOG_ARGUMENT (no records, more than 64 MiB), LOG_WRITER_BEHIND (a `seq` below the writer's last),
   * LOG_UNAVAILABLE and LOG_FULL.
   */
  async append(records: RecordBatch, options: { readonly writer?: WriterMark | undefined } = {}): Promise<Appended> {
    this.#mustBeOpen()
    if (records.count === 0) throw this.#argument('an append needs a record')
    if (records.contentEnd > maxAppendBytes) throw this.#argument(`an append has at most ${maxAppendBytes} bytes`)
    const { writer } = options
    if (writer !== undefined && (writer.id === '' || writer.id.length > maxWriterId || writer.seq < 0n))
      throw this.#argument(`a writer has an id of 1 to ${maxWriterId} characters and a seq from 0 on`)
    return await this.doAppend(records, writer)
  }

  /**
   * Records from a position on, oldest first; none where there is nothing more. Never waits for records to come. Throws
   * LOG_OFFSET_TRIMMED (the record was there and is gone), LOG_OFFSET_AHEAD (no record has that offset yet, nor is it next).
   */
  async read(position: Position, limit: ReadLimit = defaultReadLimit): Promise<readonly StoredBatch[]> {
    this.#mustBeOpen()
    if (!(limit.records >= 1) || !(limit.bytes >= 1))
      throw this.#argument('a read asks for at least one record and byte')
    return await this.doRead(await this.place(position), limit)
  }

  /** The offset that a position means now. Throws as `read` does. */
  async place(position: Position): Promise<Offset> {
    this.#mustBeOpen()
    if (position.from === 'time') {
      if (Number.isNaN(position.at.getTime())) throw this.#argument('the time of a position is no time')
      return await this.doFindTime(position.at)
    }
    if (position.from === 'last' && !(Number.isSafeInteger(position.count) && position.count >= 0))
      throw this.#argument('the last n records: n is a whole number from 0 on')
    const { first, next } = await this.doBounds()
    switch (position.from) {
      case 'first':
        return first
      case 'next':
        return next
      case 'last': {
        const asked = next - BigInt(position.count)
        return (asked > first ? asked : first) as Offset
      }
      case 'offset': {
        const asked = position.offset
        if (asked < first)
          throw new MillraceError('LOG_OFFSET_TRIMMED', {
            stream: this.name,
            asked: String(asked),
            first: String(first),
          })
        if (asked > next)
          throw new MillraceError('LOG_OFFSET_AHEAD', { stream: this.name, asked: String(asked), next: String(next) })
        return asked
      }
      default:
        return position satisfies never
    }
  }

  /**
   * Records from a position on, and after the newest those that come. Ends when `signal` aborts or the log is closed. Pulled:
   * a follower that does not ask costs nothing. Throws as `read` does; a follower that falls behind what is trimmed
   * meets LOG_OFFSET_TRIMMED.
   */
  async *follow(
    position: Position,
    options: { readonly signal: AbortSignal; readonly limit?: ReadLimit },
  ): AsyncGenerator<readonly StoredBatch[], void, undefined> {
    const limit = options.limit ?? defaultReadLimit
    const signal = AbortSignal.any([options.signal, this.#closing.signal])
    let at = await this.place(position)
    while (!signal.aborted) {
      const batches = await this.read({ from: 'offset', offset: at }, limit)
      const last = batches.at(-1)
      if (last === undefined) {
        await this.doWait(at, signal)
        continue
      }
      at = (last.first + BigInt(last.records.count)) as Offset
      yield batches
    }
  }

  /**
   * The offsets of the records that have this key, newest first. Bounded: where as many came as were asked for there may be more,
   * before the last of them. Throws LOG_ARGUMENT. Slow where the engine's `supports.find` is `scan`.
   */
  async find(key: string, { limit, before }: FindOptions): Promise<readonly Offset[]> {
    this.#mustBeOpen()
    if (!(Number.isSafeInteger(limit) && limit >= 1 && limit <= maxFind))
      throw this.#argument(`a find asks for 1 to ${maxFind} offsets`)
    return await this.doFind(key, limit, before)
  }

  /**
   * The records at these offsets, in their order; undefined where the stream has none (yet or any more). Throws
   * LOG_ARGUMENT where more than 10,000 are asked for.
   */
  async get(offsets: readonly Offset[]): Promise<readonly (StoredRecord | undefined)[]> {
    this.#mustBeOpen()
    if (offsets.length > maxGet) throw this.#argument(`a get asks for at most ${maxGet} records`)
    return await this.doGet(offsets)
  }

  /** Where a writer got to, for one that comes back; undefined where it never appended. */
  async writer(id: string): Promise<WriterPlace | undefined> {
    this.#mustBeOpen()
    return await this.doWriter(id)
  }

  /** Forgets the records before an offset. They are not read again; their room is freed now or later. */
  async trim(before: Offset): Promise<Bounds> {
    this.#mustBeOpen()
    const { next } = await this.doBounds()
    if (before > next)
      throw new MillraceError('LOG_OFFSET_AHEAD', { stream: this.name, asked: String(before), next: String(next) })
    return await this.doTrim(before)
  }

  /** Says what is to be kept from now on. */
  async setRetention(retention: Retention): Promise<void> {
    this.#mustBeOpen()
    for (const [name, value] of Object.entries(retention))
      if (value !== undefined && !(value > 0)) throw this.#argument(`${name} is more than 0`)
    await this.doSetRetention(retention)
  }

  /** Trims what is beyond the stream's retention at `now`: whole batches as they were appended, never a part of one. */
  async retain(now: Date): Promise<Bounds> {
    this.#mustBeOpen()
    return await this.doRetain(now)
  }

  async bounds(): Promise<Bounds> {
    this.#mustBeOpen()
    return await this.doBounds()
  }

  async stat(): Promise<StreamStat> {
    this.#mustBeOpen()
    return await this.doStat()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#closing.abort()
    await this.doClose()
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new MillraceError('LOG_CLOSED', { stream: this.name })
  }

  #argument(why: string): MillraceError {
    return new MillraceError('LOG_ARGUMENT', { stream: this.name, why })
  }

  protected abstract doAppend(records: RecordBatch, writer: WriterMark | undefined): Promise<Appended>
  /** `from` is in the bounds, or was when it was looked up: what is trimmed since is LOG_OFFSET_TRIMMED. */
  protected abstract doRead(from: Offset, limit: ReadLimit): Promise<readonly StoredBatch[]>
  /** An engine without an index of keys leaves this as it is: it reads the stream from its end. */
  protected async doFind(key: string, limit: number, before: Offset | undefined): Promise<readonly Offset[]> {
    return await scanForKey(this, key, { limit, before })
  }
  /** An engine whose blocks hold many records may do better than to read for each. */
  protected async doGet(offsets: readonly Offset[]): Promise<readonly (StoredRecord | undefined)[]> {
    const { first, next } = await this.doBounds()
    const out: (StoredRecord | undefined)[] = []
    for (const offset of offsets) {
      const stored = offset < first || offset >= next ? [] : await this.#readOne(offset)
      const [found] = stored
      out.push(found === undefined ? undefined : { ...found.records.record(0), offset, at: found.at })
    }
    return out
  }

  /** Nothing where it was trimmed meanwhile. */
  async #readOne(offset: Offset): Promise<readonly StoredBatch[]> {
    try {
      return await this.doRead(offset, { records: 1, bytes: 1 })
    } catch (e) {
      if (isMillraceError(e) && e.code === 'LOG_OFFSET_TRIMMED') return []
      throw e
    }
  }
  /** The first record that came at `at` or later; the next offset where none did. */
  protected abstract doFindTime(at: Date): Promise<Offset>
  /** Resolves when there may be a record at `offset`, and when `signal` aborts. May resolve for nothing. */
  protected abstract doWait(offset: Offset, signal: AbortSignal): Promise<void>
  protected abstract doWriter(id: string): Promise<WriterPlace | undefined>
  protected abstract doTrim(before: Offset): Promise<Bounds>
  protected abstract doSetRetention(retention: Retention): Promise<void>
  protected abstract doRetain(now: Date): Promise<Bounds>
  protected abstract doBounds(): Promise<Bounds>
  protected abstract doStat(): Promise<StreamStat>
  protected abstract doClose(): Promise<void>
}
