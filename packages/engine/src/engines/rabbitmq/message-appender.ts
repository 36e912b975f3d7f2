import { randomBytes } from 'node:crypto'
import { setImmediate as immediate, setTimeout as pause } from 'node:timers/promises'
import { MillraceError } from '@millrace/sdk/errors'
import type { Channel } from 'rabbitmq-client'
import type { RecordBatch } from '../../record-batch.ts'
import { type Appended, offset, type WriterMark } from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { brokerError, isLasting } from './failures.ts'
import { Lease, lockOf } from './lease.ts'
import type { Link } from './link.ts'
import { envelopeOf, type Message, type Origin, recordOf, type WriterState } from './message.ts'

/** Messages, and bytes of them, that are under way at most. */
const [maxUnseen, maxUnseenBytes] = [5_000, 8 * 1024 * 1024]
const maxWaitingBytes = 64 * 1024 * 1024
const turnMs = 50
const retryMs = 200
/** So many confirms are told of at once, where the append is not at its end. */
const toldConfirms = 200
/** How long a confirm is waited for where the message was seen already. */
const confirmMs = 1_000
const never = new AbortController().signal

export interface MessageTarget {
  readonly name: string
  readonly queue: string
  /** Where messages go: the exchange of the stream, or no exchange and the queue itself. */
  readonly exchange: string
  readonly link: Link
  readonly timeoutMs: number
  readonly now: () => Date
  readonly mustBeThere: () => void
  /** Makes the exchange and the binding where they are not there. */
  readonly prepare: (channel: Channel) => Promise<void>
  readonly catchUp: () => Promise<void>
  readonly writers: () => ReadonlyMap<string, WriterState>
  /** Reads what comes, so that {@link MessageAppender.saw} is told, for as long as it is asked for. */
  readonly reading: (isNeeded: boolean) => void
  /** Told now and then that more of what was published is confirmed, and when no more will be. */
  readonly confirmed: () => void
}

interface Pending {
  readonly records: RecordBatch
  readonly mark: WriterMark
  readonly isNamed: boolean
  at: number
  /** Parts that were published, and those that were seen in the stream. */
  sent: number
  seen: number
  /** The parts before this one are confirmed, all of them. Confirms may come in another order: they count when those before them have come. */
  confirmed: number
  acknowledged: number
  highest: number
  first: number
  next: number
  isRepeated: boolean
  readonly resolve: (done: Appended) => void
  readonly reject: (error: unknown) => void
}

interface Session {
  readonly channel: Channel
  readonly lease: Lease
  readonly since: number
}

/**
 * Appends to a stream of messages. Others publish to it at the same time without asking, so only the stream itself says which offsets
 * records got: an append is done when all its messages were seen there. Those of ours take turns by the lease. What was under way when the connection
 * was lost is looked for in the stream, and only the rest is sent again.
 */
export class MessageAppender {
  readonly #t: MessageTarget
  readonly #me = `-${randomBytes(8).toString('hex')}`
  #serial = 0n
  #waiting: Pending[] = []
  #waitingBytes = 0
  #underway: Pending[] = []
  #unseen = 0
  #unseenBytes = 0
  #session: Session | undefined
  #failure: unknown
  #progressAt = performance.now()
  #confirmedAt = 0
  #running: Promise<void> | undefined
  readonly #events = new Waiters()
  readonly #room = new Waiters()
  readonly #confirms = new Waiters()

  constructor(target: MessageTarget) {
    this.#t = target
  }

  async append(records: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    while (this.#waitingBytes > 0 && this.#waitingBytes + records.contentEnd > maxWaitingBytes)
      await this.#room.wait(never)
    const { promise, resolve, reject } = Promise.withResolvers<Appended>()
    const mark = writer ?? { id: this.#me, seq: this.#serial++ }
    const isNamed = writer !== undefined
    const place = { at: 0, sent: 0, seen: 0, first: 0, next: 0, isRepeated: false }
    const confirms = { confirmed: 0, acknowledged: 0, highest: 0 }
    this.#waiting.push({ records, mark, isNamed, ...place, ...confirms, resolve, reject })
    this.#waitingBytes += records.contentEnd
    this.#kick()
    return await promise
  }

  /** The stream holds this message. */
  saw({ origin }: Message, place: number, at: number): void {
    if (origin === undefined || this.#underway.length === 0) return
    const one = this.#underway.find((each) => partOf(each, origin) !== undefined)
    const part = one === undefined ? undefined : partOf(one, origin)
    if (one === undefined || part === undefined || part < one.seen) return
    if (one.seen === 0) one.first = place
    one.seen = part + 1
    one.next = place + 1
    one.at = at
    this.#unseen--
    this.#unseenBytes -= one.records.sizeOf(part)
    this.#progressAt = performance.now()
    if (one.seen === one.records.count) {
      this.#underway.splice(this.#underway.indexOf(one), 1)
      this.#answer(one)
    }
    this.#events.wake()
  }

  /** Messages that were published and not seen yet; none where the connection was lost, as they are looked for then. */
  get unseen(): number {
    return this.#session === undefined ? 0 : this.#unseen
  }

  /** How many of them, from the first one on, are confirmed. */
  get confirmed(): number {
    let count = 0
    for (const one of this.#underway) {
      count += Math.max(0, one.confirmed - one.seen)
      if (one.confirmed < one.records.count) break
    }
    return count
  }

  /**
   * Our messages from the place `from` on up to `message`, where nothing else is between; undefined where that is not certain. Messages of one
   * channel keep their order, so it is certain when `message` is the nth that was not seen yet, all n are confirmed, and there are n places.
   */
  async passed(message: Message, from: number): Promise<readonly Message[] | undefined> {
    for (;;) {
      const count = this.#countTo(message)
      if (typeof count === 'number') return from + count - 1 === message.place ? this.#next(count - 1, from) : undefined
      if (count === 'foreign') return undefined
      const before = this.#confirmedAt
      await this.#confirms.wait(never, confirmMs)
      if (this.#confirmedAt === before) return undefined
    }
  }

  /** Which one of what was not seen yet a message is, from 1 on. */
  #countTo({ origin }: Message): number | 'foreign' | 'unconfirmed' {
    let count = 0
    let isConfirmed = true
    for (const one of this.#underway) {
      const part = origin === undefined ? undefined : partOf(one, origin)
      if (part !== undefined) {
        if (part < one.seen) return 'foreign'
        return isConfirmed && one.confirmed > part ? count + part - one.seen + 1 : 'unconfirmed'
      }
      isConfirmed &&= one.confirmed === one.records.count
      count += one.records.count - one.seen
    }
    return 'foreign'
  }

  /** The next messages that were not seen yet, as they are read from the place `from` on. */
  #next(count: number, from: number): readonly Message[] {
    const out: Message[] = []
    for (const one of this.#underway)
      for (let part = one.seen; part < one.records.count && out.length < count; part++) {
        const { body, key, contentType } = one.records.record(part)
        const record = recordOf(body, key, contentType)
        out.push({ place: from + out.length, at: one.at, origin: originOf(one, part), record })
      }
    return out
  }

  async close(): Promise<void> {
    await this.#running
    const session = this.#session
    this.#lose(undefined)
    await session?.lease.release().catch(() => {})
    await session?.channel.close()
  }

  #answer(one: Pending): void {
    const { first, next, at, isRepeated } = one
    one.resolve({ first: offset(first), next: offset(next), at: new Date(at), isRepeated })
  }

  #kick(): void {
    this.#events.wake()
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (this.#waiting.length > 0) this.#kick()
    })
  }

  async #run(): Promise<void> {
    await immediate()
    this.#progressAt = performance.now()
    this.#t.reading(true)
    try {
      while (this.#waiting.length > 0 || this.#underway.length > 0 || this.#session?.lease.isWanted === true)
        try {
          if (this.#failure !== undefined) throw this.#failure
          const session = this.#session ?? (await this.#takeOver())
          const isTurnOver = session.lease.isWanted && performance.now() - session.since > turnMs
          if (!isTurnOver) this.#send(session)
          if (this.#underway.length > 0) await this.#events.wait(never, this.#t.timeoutMs)
          else if (isTurnOver) await this.#handOver(session)
          if (performance.now() - this.#progressAt > this.#t.timeoutMs) throw new Error('it hands nothing out')
        } catch (error) {
          await this.#recover(error)
        }
    } finally {
      this.#t.reading(false)
    }
  }

  async #handOver(session: Session): Promise<void> {
    this.#lose(undefined)
    await session.lease.release()
    void session.channel.close()
  }

  #lose(failure: unknown): void {
    this.#failure = failure
    this.#session = undefined
    this.#events.wake()
    this.#t.confirmed()
  }

  async #recover(error: unknown): Promise<void> {
    const { channel } = this.#session ?? {}
    this.#lose(undefined)
    void channel?.close()
    try {
      this.#t.mustBeThere()
      const told = brokerError(error, this.#t.link.where)
      const isOver = performance.now() - this.#progressAt > this.#t.timeoutMs
      if (isLasting(error) || isOver || told.code !== 'LOG_UNAVAILABLE') throw told
      await pause(retryMs)
    } catch (told) {
      for (const one of [...this.#underway.splice(0), ...this.#waiting.splice(0)]) one.reject(told)
      this.#unseen = 0
      this.#unseenBytes = 0
      this.#waitingBytes = 0
      this.#room.wake()
    }
  }

  async #takeOver(): Promise<Session> {
    const { link, queue, timeoutMs } = this.#t
    this.#t.mustBeThere()
    const channel = await link.channel()
    try {
      await channel.confirmSelect()
      const lease = await Lease.acquire({ channel, queue: lockOf(queue), me: this.#me, timeoutMs })
      await this.#t.prepare(channel)
      // The channel of before is gone for the broker, too, or another were not served: nothing more comes from it.
      await this.#t.catchUp()
      for (const one of this.#underway) one.sent = one.seen
      const left = this.#underway.flatMap(({ records, seen }) =>
        Array.from({ length: records.count - seen }, (_, i) => records.sizeOf(seen + i)),
      )
      this.#unseen = left.length
      this.#unseenBytes = left.reduce((n, size) => n + size, 0)
      const session = { channel, lease, since: performance.now() }
      const lost = (error: unknown): void => {
        if (this.#session !== session) return
        this.#lose(this.#underway.length > 0 || this.#waiting.length > 0 ? error : undefined)
      }
      channel.on('close', () => lost(new Error('the connection was lost')))
      channel.on('basic.return', () => lost(new Error('no queue takes what is published')))
      lease.onWanted = () => this.#kick()
      if (!channel.active) throw new Error('the connection was lost')
      this.#session = session
      for (const one of this.#underway) this.#publish(session, one)
      return session
    } catch (error) {
      void channel.close()
      throw error
    }
  }

  #send(session: Session): void {
    while (this.#waiting.length > 0 && this.#unseen < maxUnseen && this.#unseenBytes < maxUnseenBytes) {
      const one = this.#waiting[0] as Pending
      // One append of a writer after the other, so that each is told from the one before.
      if (one.isNamed && this.#underway.some(({ mark }) => mark.id === one.mark.id)) return
      this.#waiting.shift()
      this.#waitingBytes -= one.records.contentEnd
      this.#room.wake()
      if (one.isNamed && this.#isKnown(one)) continue
      one.at = this.#t.now().getTime()
      this.#underway.push(one)
      this.#unseen += one.records.count - one.seen
      for (let i = one.seen; i < one.records.count; i++) this.#unseenBytes += one.records.sizeOf(i)
      this.#publish(session, one)
    }
  }

  /** Whether a writer made this append before; where it ended in the middle, the rest is still to come. */
  #isKnown(one: Pending): boolean {
    const { id, seq } = one.mark
    const known = this.#t.writers().get(id)
    if (known === undefined) return false
    if (seq > known.seq) {
      // Of an append that counts records the first ones may be there: by themselves, or as another append.
      const there = one.mark.countsRecords === true ? Number(known.seq - seq) + one.records.count : 0
      if (there > 0) Object.assign(one, { first: known.next, next: known.next, seen: there, sent: there })
      return false
    }
    if (seq < known.seq) {
      one.reject(
        new MillraceError('LOG_WRITER_BEHIND', {
          stream: this.#t.name,
          writer: id,
          seq: String(seq),
          last: String(known.seq),
        }),
      )
      return true
    }
    Object.assign(one, { first: known.first, next: known.next, at: known.at, isRepeated: true })
    if (known.seen >= known.parts) {
      this.#answer(one)
      return true
    }
    Object.assign(one, { seen: known.seen, sent: known.seen, isRepeated: false })
    return false
  }

  #publish(session: Session, one: Pending): void {
    const { exchange, queue } = this.#t
    const { records } = one
    const route = { exchange, routingKey: exchange === '' ? queue : '', durable: true, mandatory: true }
    one.confirmed = one.acknowledged = one.highest = one.sent
    for (; one.sent < records.count; one.sent++) {
      const part = one.sent
      const record = records.record(part)
      const envelope = { ...envelopeOf(record, originOf(one, part), one.at), ...route }
      const body = Buffer.from(record.body.buffer, record.body.byteOffset, record.body.length)
      session.channel.basicPublish(envelope, body).then(
        () => {
          if (this.#session === session) this.#confirm(one, part)
        },
        (error: unknown) => {
          if (this.#session === session) this.#lose(error)
        },
      )
    }
  }

  #confirm(one: Pending, part: number): void {
    one.acknowledged++
    one.highest = Math.max(one.highest, part + 1)
    if (one.acknowledged < one.highest) return
    one.confirmed = one.highest
    this.#confirmedAt++
    this.#confirms.wake()
    if (one.confirmed === one.records.count || one.confirmed % toldConfirms === 0) this.#t.confirmed()
  }
}

/** What its message says of a record. Where records are counted each is an append of its own. */
const originOf = ({ mark, records }: Pending, part: number): Origin =>
  mark.countsRecords === true
    ? { writer: mark.id, seq: mark.seq - BigInt(records.count - 1 - part), part: 0, parts: 1 }
    : { writer: mark.id, seq: mark.seq, part, parts: records.count }

/** Which record of an append it is; undefined where it is none of it. */
const partOf = ({ mark, records }: Pending, origin: Origin): number | undefined => {
  if (mark.id !== origin.writer) return undefined
  if (mark.countsRecords !== true) return mark.seq === origin.seq ? origin.part : undefined
  const part = Number(origin.seq - mark.seq) + records.count - 1
  return part >= 0 && part < records.count ? part : undefined
}
