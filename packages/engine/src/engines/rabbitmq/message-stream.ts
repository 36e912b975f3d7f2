import { setImmediate as immediate } from 'node:timers/promises'
import { isMillraceError, MillraceError } from '@millrace/sdk/errors'
import type { Channel } from 'rabbitmq-client'
import { cut } from '../../cut.ts'
import type { RecordBatch } from '../../record-batch.ts'
import type { Appended, Offset, ReadLimit, StoredBatch, WriterMark } from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { type Begin, Cursor, type Delivery } from './cursor.ts'
import { Gathering, type Message, MessageFold, messageOf } from './message.ts'
import { MessageAppender } from './message-appender.ts'
import type { Ring } from './recent.ts'
import { prepareEntry, type StreamEntry } from './registry.ts'
import type { Shared } from './shared.ts'

/** Messages that may be on their way to a reader. */
const prefetch = 1_000
/** Where so many of our own were published and not seen yet, they are passed over rather than read back; the tail holds fewer then. */
const [minPassed, leapPrefetch] = [500, 200]
/** Where so many of them are confirmed the others are not waited for. */
const enoughConfirmed = 1_000
/** How long confirms are waited for, and how long all is read where passing over was not possible. */
const leapMs = 2_000
/** So many of the newest messages are read when a stream is opened: of writers that are not in them nothing is known. */
export const knownMessages = 10_000
const firstMs = 5_000
const [maxReaders, readerIdleMs] = [8, 5_000]
const never = new AbortController().signal

interface Reader {
  readonly cursor: Cursor
  readonly fold: MessageFold
  held: readonly StoredBatch[]
  /** The offset that it hands out next. */
  at: number
  timer: NodeJS.Timeout | undefined
}

/** A stream whose records are messages of their own, as all logs of one engine see it. */
export class MessageStream {
  readonly id: string
  readonly #name: string
  readonly #queue: string
  readonly #shift: number
  readonly #shared: Shared
  readonly #appender: MessageAppender
  readonly #ring: Ring = { batches: [] }
  readonly #readers: Reader[] = []
  readonly #grown = new Waiters()
  readonly #confirms = new Waiters()
  readonly #closing = new AbortController()
  #fold: MessageFold | undefined
  #tail: Cursor | undefined
  #catching: Promise<unknown> = Promise.resolve()
  #needed = 0
  #readsAllUntil = 0
  #isWatching = false
  #kept: { readonly first: number; readonly seen: number } | undefined

  constructor(shared: Shared, entry: StreamEntry) {
    this.#shared = shared
    this.id = entry.id
    this.#name = entry.name
    this.#queue = entry.queue
    this.#shift = entry.shift
    const { link, timeoutMs, now } = shared
    this.#appender = new MessageAppender({
      name: entry.name,
      queue: entry.queue,
      exchange: entry.exchange ?? '',
      link,
      timeoutMs,
      now,
      mustBeThere: () => void this.entry,
      prepare: (channel: Channel) => prepareEntry(channel, entry),
      catchUp: async () => void (await this.#catchUp()),
      writers: () => this.#fold?.writers ?? new Map(),
      reading: (isNeeded) => this.#need(isNeeded),
      confirmed: () => this.#confirms.wake(),
    })
  }

  /** Throws STREAM_UNKNOWN. */
  get entry(): StreamEntry {
    return this.#shared.registry.get(this.id, this.#name)
  }

  append(records: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    return this.#appender.append(records, writer)
  }

  async now(): Promise<MessageFold> {
    void this.entry
    return await this.#catchUp()
  }

  /** The first record that the broker still has. */
  async kept(): Promise<number> {
    const { isLimited, exchange } = this.entry
    if (!isLimited && exchange !== undefined) return 0
    const now = performance.now()
    if (this.#kept !== undefined && now - this.#kept.seen < firstMs) return this.#kept.first
    const place = await this.#placeOf('first')
    this.#kept = { first: Math.max(0, (place ?? 0) - this.#shift), seen: now }
    return this.#kept.first
  }

  /** Records from an offset on, as far as the limit goes. An offset that no record has is passed over. */
  async read(from: number, limit: ReadLimit): Promise<readonly StoredBatch[]> {
    const { next } = this.#fold ?? (await this.now())
    if (from >= next) return []
    const [oldest] = this.#ring.batches
    if (oldest !== undefined && oldest.first <= from) return cut(this.#ring.batches, BigInt(from) as Offset, limit)
    const i = this.#readers.findIndex((r) => r.at === from)
    const [kept] = i < 0 ? [] : this.#readers.splice(i, 1)
    clearTimeout(kept?.timer)
    const reader = kept ?? (await this.#readerFrom(from))
    try {
      return await this.#gather(reader, { next, limit })
    } catch (error) {
      await reader.cursor.close()
      throw error
    }
  }

  /** The offset of the first record that came at `time` or later, in milliseconds; of messages that say no time, by the clock of the broker. */
  async findTime(time: number): Promise<number> {
    const { next, place, at } = await this.now()
    const seconds = Math.ceil((Math.max(at, this.#shared.now().getTime()) - time) / 1000) + 1
    if (seconds <= 0) return next
    const cursor = await this.#cursorAt(`${seconds}s`)
    const fold = new MessageFold(0, 0, this.#shift)
    try {
      while (fold.place < place) {
        const message = messageOf(await this.#arrival(cursor))
        if (fold.take(message) && (message.at === undefined || fold.at >= time)) return message.place - this.#shift
      }
      return next
    } finally {
      await cursor.close()
    }
  }

  async wait(from: number, signal: AbortSignal): Promise<void> {
    const grown = this.#grown.wait(signal)
    this.#need(true)
    try {
      if ((await this.now()).next > from) return
      await grown
    } finally {
      this.#need(false)
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
    for (const { cursor, timer } of this.#readers.splice(0)) {
      clearTimeout(timer)
      await cursor.close()
    }
    await this.#tail?.close()
    this.#shared.recent.forget(this.#ring)
  }

  async #readerFrom(from: number): Promise<Reader> {
    const place = from + this.#shift
    const fold = new MessageFold(place, this.entry.at, this.#shift)
    return { cursor: await this.#cursorAt(place), fold, held: [], at: from, timer: undefined }
  }

  async #gather(
    reader: Reader,
    { next, limit }: { readonly next: number; readonly limit: ReadLimit },
  ): Promise<readonly StoredBatch[]> {
    const gathering = new Gathering(this.#shift)
    let records = 0
    let bytes = 0
    for (const { records: held } of reader.held) {
      records += held.count
      bytes += held.size
    }
    while (records < limit.records && bytes <= limit.bytes && reader.fold.next < next) {
      const message = messageOf(reader.cursor.take() ?? (await this.#arrival(reader.cursor)))
      if (!reader.fold.take(message)) continue
      gathering.add(message, reader.fold.at)
      records++
      bytes += message.record.body.length
    }
    const all = [...reader.held, ...gathering.done()]
    const answer = cut(all, BigInt(reader.at) as Offset, limit)
    const last = answer.at(-1)
    reader.at = last === undefined ? reader.at : Number(last.first) + last.records.count
    reader.held = cut(all, BigInt(reader.at) as Offset, { records: Infinity, bytes: Infinity })
    this.#keep(reader)
    return answer
  }

  #keep(reader: Reader): void {
    reader.timer = setTimeout(() => {
      this.#readers.splice(this.#readers.indexOf(reader), 1)
      void reader.cursor.close()
    }, readerIdleMs)
    reader.timer.unref()
    this.#readers.push(reader)
    if (this.#readers.length <= maxReaders) return
    const [oldest] = this.#readers.splice(0, 1)
    clearTimeout(oldest?.timer)
    void oldest?.cursor.close()
  }

  /** A message of which is known that it is there. */
  async #arrival(cursor: Cursor): Promise<Delivery> {
    const end = performance.now() + this.#shared.timeoutMs
    for (;;) {
      const delivery = cursor.take()
      if (delivery !== undefined) return delivery
      await cursor.wait(never, this.#shared.timeoutMs)
      // The client hands out what came together in one turn: one wait for all of it, and not for each.
      await immediate()
      if (performance.now() > end)
        throw new MillraceError('LOG_UNAVAILABLE', { what: `stream ${this.#name}`, why: 'the broker sends no records' })
    }
  }

  async #cursorAt(begin: Begin): Promise<Cursor> {
    const { link, timeoutMs } = this.#shared
    try {
      return await Cursor.open({ link, queue: this.#queue, begin, prefetch, timeoutMs })
    } catch (error) {
      throw this.#told(error)
    }
  }

  #told(error: unknown): unknown {
    return isMillraceError(error) && error.code === 'STREAM_UNKNOWN'
      ? new MillraceError('STREAM_UNKNOWN', { stream: this.#name }, { cause: error })
      : error
  }

  /** Where the first message from `begin` on is; undefined in an empty queue. */
  async #placeOf(begin: 'first' | 'last'): Promise<number | undefined> {
    const cursor = await this.#cursorAt(begin)
    try {
      for (;;) {
        const place = cursor.take()?.place
        if (place !== undefined || (await cursor.isAtEnd())) return place
      }
    } finally {
      await cursor.close()
    }
  }

  /** One after the other: each of them reads the tail. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#catching.then(work)
    this.#catching = mine.catch(() => {})
    return mine
  }

  async #openTail(): Promise<MessageFold> {
    this.#fold ??= await this.#load()
    try {
      this.#tail ??= await this.#cursorAt(this.#fold.place)
    } catch (error) {
      throw this.#told(error)
    }
    return this.#fold
  }

  #catchUp(): Promise<MessageFold> {
    return this.#inTurn(async () => {
      const fold = await this.#openTail()
      const tail = (): Cursor => this.#tail as Cursor
      try {
        do if (!(await this.#passesOver())) this.#drain(tail())
        while (!(await tail().isAtEnd()))
        this.#drain(tail())
      } catch (error) {
        throw this.#told(error)
      }
      return fold
    })
  }

  /**
   * Begins to read anew at the newest messages. What is passed over must be our own, every message of it: then its places are known, and it need not
   * come back to us. Where that is not certain all is read.
   */
  async #leap(): Promise<void> {
    const fold = this.#fold as MessageFold
    const { link, timeoutMs } = this.#shared
    let cursor: Cursor | undefined
    try {
      cursor = await Cursor.open({ link, queue: this.#queue, begin: 'last', prefetch: leapPrefetch, timeoutMs })
      await cursor.wait(this.#closing.signal, leapMs)
      const delivery = cursor.take()
      const message = delivery === undefined ? undefined : messageOf(delivery)
      const passed =
        message === undefined || message.place <= fold.place ? [] : await this.#appender.passed(message, fold.place)
      if (message !== undefined && passed !== undefined) {
        if (message.place >= fold.place) this.#take([...passed, message])
        const before = this.#tail
        this.#tail = cursor
        await before?.close()
        return
      }
    } catch {
      // Whoever reads the tail is told what is wrong.
    }
    this.#readsAllUntil = performance.now() + leapMs
    await cursor?.close()
  }

  async #load(): Promise<MessageFold> {
    const last = (await this.#placeOf('last')) ?? 0
    const first = (await this.#placeOf('first')) ?? 0
    return new MessageFold(Math.max(first, last - knownMessages), this.entry.at, this.#shift)
  }

  #drain(tail: Cursor): void {
    const messages: Message[] = []
    const { place } = this.#fold as MessageFold
    for (let d = tail.take(); d !== undefined; d = tail.take()) if (d.place >= place) messages.push(messageOf(d))
    if (messages.length > 0) this.#take(messages)
  }

  #take(messages: readonly Message[]): void {
    const fold = this.#fold as MessageFold
    const gathering = new Gathering(this.#shift)
    let grew = false
    for (const message of messages) {
      if (fold.take(message)) {
        gathering.add(message, fold.at)
        grew = true
      }
      this.#appender.saw(message, message.place - this.#shift, fold.at)
    }
    for (const batch of gathering.done()) this.#shared.recent.add(this.#ring, batch)
    if (grew) this.#grown.wake()
  }

  #need(isNeeded: boolean): void {
    this.#needed += isNeeded ? 1 : -1
    if (this.#needed === 0) this.#tail?.nudge()
    else this.#watch()
  }

  /** Whether so much of our own is under way that it is passed over. What comes is not taken then, so that the broker stops to send it. */
  get #isBehind(): boolean {
    return this.#appender.unseen >= minPassed && performance.now() >= this.#readsAllUntil
  }

  /** Passes over what is confirmed, or waits until enough is. False where there is not much under way: then all is read. */
  async #passesOver(): Promise<boolean> {
    if (!this.#isBehind) return false
    const { unseen, confirmed } = this.#appender
    if (confirmed >= Math.min(unseen, enoughConfirmed)) await this.#leap()
    else {
      const begun = performance.now()
      await this.#confirms.wait(this.#closing.signal, leapMs)
      if (performance.now() - begun >= leapMs) this.#readsAllUntil = performance.now() + leapMs
    }
    return true
  }

  /** Reads what comes, while anybody follows or appends. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    const { signal } = this.#closing
    const loop = async (): Promise<void> => {
      await this.#inTurn(() => this.#openTail())
      while (this.#needed > 0 && !signal.aborted) {
        if (this.#isBehind) {
          await this.#inTurn(() => this.#passesOver())
          continue
        }
        const tail = this.#tail as Cursor
        this.#drain(tail)
        await tail.wait(signal)
        // As in #arrival.
        await immediate()
      }
    }
    let isDone = false
    void loop()
      .then(() => {
        isDone = true
      })
      .catch(() => {})
      .finally(() => {
        this.#isWatching = false
        this.#grown.wake()
        // Somebody may have asked for it while it was ending.
        if (isDone && this.#needed > 0 && !signal.aborted) this.#watch()
      })
  }
}
