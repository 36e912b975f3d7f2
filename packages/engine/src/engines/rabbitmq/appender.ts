import { randomBytes } from 'node:crypto'
import { setImmediate as immediate, setTimeout as pause } from 'node:timers/promises'
import { MillraceError } from '@millrace/sdk/errors'
import type { Channel } from 'rabbitmq-client'
import { RecordBatch } from '../../record-batch.ts'
import { type Appended, offset, type WriterMark } from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { brokerError, isLasting } from './failures.ts'
import { type Fold, noteWriters } from './fold.ts'
import { Lease, lockOf } from './lease.ts'
import type { Link } from './link.ts'
import { type Block, type Checkpoint, type Entry, encodeEntry, type WriterRow } from './wire.ts'

/** Small appends go together in blocks of about this size, while others are under way. */
const blockBytes = 64 * 1024
/** What may be under way, and what may wait for it; whoever appends more waits. */
const [maxSentBytes, maxWaitingBytes] = [8 * 1024 * 1024, 64 * 1024 * 1024]
export const maxSentBlocks: number = 128
/** After so many blocks or bytes everything that one must know to go on is written down again. */
const [checkpointBlocks, checkpointBytes] = [256, 16 * 1024 * 1024]
/** While others want to append, too, one appends for so long. */
const turnMs = 50
const retryMs = 200
const never = new AbortController().signal

/** What the appender needs of its stream. */
export interface AppendTarget {
  readonly name: string
  readonly queue: string
  readonly link: Link
  readonly timeoutMs: number
  readonly compress: boolean
  readonly now: () => Date
  /** Throws STREAM_UNKNOWN where the stream was dropped. */
  readonly mustBeThere: () => void
  /** Everything that the stream holds now. */
  readonly catchUp: () => Promise<Fold>
  /** The writers of all that is confirmed. */
  readonly writers: () => ReadonlyMap<string, WriterRow>
  /** Told of every block of our own that is confirmed, in order. */
  readonly confirmed: (entry: Block | Checkpoint) => void
  /** Told when it holds the right to append, and when it lost it. */
  readonly held: (isHeld: boolean) => void
}

interface Pending {
  readonly records: RecordBatch
  readonly writer: WriterMark | undefined
  readonly resolve: (done: Appended) => void
  readonly reject: (error: unknown) => void
  /** Others that asked for the same append of the same writer. */
  readonly same: Pending[]
}

interface Sent {
  readonly entry: Block | Checkpoint
  readonly appends: readonly Pending[]
  isConfirmed: boolean
}

/** The right to append, and where the next message goes. */
interface Session {
  readonly channel: Channel
  readonly lease: Lease
  readonly epoch: number
  readonly since: number
  next: number
  sum: number
  at: number
  place: number
  blocks: number
  bytes: number
}

/**
 * Appends to one stream. It takes the stream over (the lease, then a fence that makes the messages of all before it void), and then sends
 * blocks without waiting for each: as it is alone it knows their offsets. What was under way when the connection was lost is looked for when it has
 * taken the stream over again; what did not arrive is sent anew, with its offsets of then.
 */
export class Appender {
  readonly #t: AppendTarget
  #waiting: Pending[] = []
  #waitingBytes = 0
  #sent: Sent[] = []
  #sentBytes = 0
  /** The newest append of each writer that is under way. */
  readonly #underway = new Map<string, Pending>()
  #session: Session | undefined
  #failure: unknown
  #progressAt = performance.now()
  #running: Promise<void> | undefined
  #isClosed = false
  readonly #events = new Waiters()
  readonly #room = new Waiters()

  constructor(target: AppendTarget) {
    this.#t = target
  }

  get isHolding(): boolean {
    return this.#session !== undefined
  }

  async append(records: RecordBatch, writer: WriterMark | undefined): Promise<Appended> {
    while (this.#waitingBytes > 0 && this.#waitingBytes + records.contentEnd > maxWaitingBytes)
      await this.#room.wait(never)
    const { promise, resolve, reject } = Promise.withResolvers<Appended>()
    this.#waiting.push({ records, writer, resolve, reject, same: [] })
    this.#waitingBytes += records.contentEnd
    this.#kick()
    return await promise
  }

  /** Ends when all that was begun is done. */
  async close(): Promise<void> {
    await this.#running
    this.#isClosed = true
    const session = this.#session
    this.#lose(undefined)
    await session?.lease.release().catch(() => {})
    await session?.channel.close()
  }

  /** The stream was read and holds this entry: perhaps one of which nobody knew whether it arrived. */
  saw(entry: Entry): void {
    if (this.#session !== undefined || this.#sent.length === 0) return
    const i = this.#sent.findIndex((s) => s.entry.epoch === entry.epoch && s.entry.place === entry.place)
    if (i < 0) return
    // It arrived in order, so those before it did.
    for (const sent of this.#sent.splice(0, i + 1)) this.#answer(sent)
  }

  #kick(): void {
    this.#events.wake()
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (this.#waiting.length > 0) this.#kick()
    })
  }

  async #run(): Promise<void> {
    // What is appended in the same turn goes together.
    await immediate()
    this.#progressAt = performance.now()
    while ((this.#waiting.length > 0 || this.#sent.length > 0 || this.#isWanted) && !this.#isClosed)
      try {
        if (this.#failure !== undefined) throw this.#failure
        if (this.#session === undefined) {
          this.#session = await this.#takeOver()
          this.#t.held(true)
        }
        const session = this.#session
        if (!this.#isTurnOver(session)) this.#send(session)
        if (this.#sent.length > 0) await this.#events.wait(never, this.#t.timeoutMs)
        else if (this.#isTurnOver(session)) await this.#handOver(session)
        if (performance.now() - this.#progressAt > this.#t.timeoutMs) throw new Error('it confirms nothing')
      } catch (error) {
        await this.#recover(error)
      }
  }

  get #isWanted(): boolean {
    return this.#session?.lease.isWanted ?? false
  }

  #isTurnOver(session: Session): boolean {
    return session.lease.isWanted && performance.now() - session.since > turnMs
  }

  async #handOver(session: Session): Promise<void> {
    this.#lose(undefined)
    await session.lease.release()
    void session.channel.close()
  }

  /** Forgets the right to append; what is under way stays to be looked for. */
  #lose(failure: unknown): void {
    this.#failure = failure
    const had = this.#session
    this.#session = undefined
    if (had !== undefined) this.#t.held(false)
    this.#events.wake()
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
      const all = [...this.#sent.splice(0).flatMap(({ appends }) => appends), ...this.#waiting.splice(0)]
      for (const one of all.flatMap((each) => [each, ...each.same])) one.reject(told)
      this.#sentBytes = 0
      this.#waitingBytes = 0
      this.#underway.clear()
      this.#room.wake()
    }
  }

  async #takeOver(): Promise<Session> {
    const { link, queue, timeoutMs, catchUp } = this.#t
    this.#t.mustBeThere()
    const channel = await link.channel()
    const me = randomBytes(8).toString('hex')
    try {
      await channel.confirmSelect()
      const lease = await Lease.acquire({ channel, queue: lockOf(queue), me, timeoutMs })
      const epoch = await this.#fence(channel, me, await catchUp())
      const fold = await catchUp()
      if (fold.by !== me || fold.epoch !== epoch) throw new Error('somebody else took the stream over')
      this.#takeBack()
      const { next, sum, at } = fold
      const since = performance.now()
      const session = { channel, lease, epoch, since, next, sum, at, place: fold.place, blocks: 0, bytes: 0 }
      lease.onWanted = () => this.#kick()
      const lost = (error: unknown): void => {
        if (this.#session !== session) return
        this.#lose(this.#sent.length > 0 || this.#waiting.length > 0 ? error : undefined)
      }
      channel.on('close', () => lost(new Error('the connection was lost')))
      // A message that no queue takes is confirmed, and told of in the same turn.
      channel.on('basic.return', () => lost(new Error('the queue of the stream is not there')))
      if (!channel.active) throw new Error('the connection was lost')
      this.#publish(session, this.#checkpointOf(session), [])
      return session
    } catch (error) {
      void channel.close()
      throw error
    }
  }

  async #fence(channel: Channel, me: string, fold: Fold): Promise<number> {
    const epoch = fold.epoch + 1
    const { next: first, sum, at, place } = fold
    const { message } = encodeEntry({ kind: 'fence', epoch, first, sum, at, place, since: 0, by: me }, false)
    await channel.basicPublish({ routingKey: this.#t.queue, durable: true, mandatory: true }, message)
    return epoch
  }

  /** Behind all that is under way. */
  #checkpointOf({ epoch, next, sum, at, place }: Session): Checkpoint {
    const writers = new Map(this.#t.writers())
    for (const { entry } of this.#sent) if (entry.kind === 'block') noteWriters(writers, entry)
    return { kind: 'checkpoint', epoch, first: next, sum, at, place, since: 0, writers }
  }

  /** What was under way and is not in the stream waits again, before all others. */
  #takeBack(): void {
    const back = this.#sent.splice(0).flatMap(({ appends }) => appends)
    this.#waiting.unshift(...back)
    this.#waitingBytes += back.reduce((n, { records }) => n + records.contentEnd, 0)
    this.#sentBytes = 0
    this.#underway.clear()
  }

  #send(session: Session): void {
    while (this.#waiting.length > 0 && this.#sentBytes < maxSentBytes && this.#sent.length < maxSentBlocks - 1) {
      if (session.blocks >= checkpointBlocks || session.bytes >= checkpointBytes)
        this.#publish(session, this.#checkpointOf(session), [])
      // A block that is not full waits for more while another is under way.
      if (this.#sentBytes > 0 && this.#waitingBytes < blockBytes) return
      const group = this.#nextGroup()
      if (group.length === 0) continue
      const records = RecordBatch.join(group.map((one) => one.records))
      const { epoch, next, sum, place, blocks } = session
      session.at = Math.max(session.at, this.#t.now().getTime())
      const parts = group.map((one) => ({ count: one.records.count, writer: one.writer }))
      const block: Block = {
        kind: 'block',
        epoch,
        first: next,
        sum,
        at: session.at,
        place,
        since: blocks,
        parts,
        records,
      }
      this.#publish(session, block, group)
      for (const one of group) if (one.writer !== undefined) this.#underway.set(one.writer.id, one)
    }
  }

  /** Appends that make one block. Those that were made already, or may not be made, are answered. */
  #nextGroup(): Pending[] {
    const group: Pending[] = []
    let bytes = 0
    while (this.#waiting.length > 0) {
      const one = this.#waiting[0] as Pending
      const size = one.records.contentEnd
      const isOther = group.length > 0 && (bytes + size > blockBytes || group[0]?.records.gap !== one.records.gap)
      // Of one writer a block holds one append: a later one is told from the one before by what is known of that.
      if (isOther || group.some(({ writer }) => writer !== undefined && writer.id === one.writer?.id)) break
      this.#waiting.shift()
      this.#waitingBytes -= size
      if (this.#isRepeated(one)) continue
      group.push(one)
      bytes += size
    }
    this.#room.wake()
    return group
  }

  #isRepeated(one: Pending): boolean {
    const { writer } = one
    if (writer === undefined) return false
    const underway = this.#underway.get(writer.id)
    const known = this.#t.writers().get(writer.id)
    const last = underway?.writer?.seq ?? known?.seq
    if (last === undefined || writer.seq > last) return false
    if (writer.seq < last) one.reject(behind(this.#t.name, writer, last))
    else if (underway !== undefined) underway.same.push(one)
    else if (known !== undefined) one.resolve({ ...boundsOf(known.first, known.next, known.at), isRepeated: true })
    return true
  }

  #publish(session: Session, entry: Block | Checkpoint, appends: readonly Pending[]): void {
    const { message, records } = encodeEntry(entry, this.#t.compress)
    const kept = entry.kind === 'block' && records !== undefined ? { ...entry, records } : entry
    const sent: Sent = { entry: kept, appends, isConfirmed: false }
    this.#sent.push(sent)
    session.place++
    session.blocks = entry.kind === 'checkpoint' ? 1 : session.blocks + 1
    session.bytes = entry.kind === 'checkpoint' ? 0 : session.bytes + message.length
    if (entry.kind === 'block') {
      session.next += entry.records.count
      session.sum += entry.records.size
      this.#sentBytes += entry.records.contentEnd
    }
    session.channel.basicPublish({ routingKey: this.#t.queue, durable: true, mandatory: true }, message).then(
      () => {
        sent.isConfirmed = true
        if (this.#sent[0] === sent) setImmediate(() => this.#confirm(session))
      },
      (error: unknown) => {
        if (this.#session === session) this.#lose(error)
      },
    )
  }

  /** An append counts when it and all before it are confirmed. */
  #confirm(session: Session): void {
    if (this.#session !== session) return
    while (this.#sent[0]?.isConfirmed === true) {
      const sent = this.#sent.shift() as Sent
      this.#t.confirmed(sent.entry)
      this.#answer(sent)
    }
    this.#events.wake()
  }

  #answer({ entry, appends }: Sent): void {
    this.#progressAt = performance.now()
    if (entry.kind !== 'block') return
    this.#sentBytes = Math.max(0, this.#sentBytes - entry.records.contentEnd)
    let first = entry.first
    for (const one of appends) {
      const next = first + one.records.count
      const done = { ...boundsOf(first, next, entry.at), isRepeated: false }
      if (one.writer !== undefined && this.#underway.get(one.writer.id) === one) this.#underway.delete(one.writer.id)
      one.resolve(done)
      for (const same of one.same) same.resolve({ ...done, isRepeated: true })
      first = next
    }
  }
}

const boundsOf = (first: number, next: number, at: number): Omit<Appended, 'isRepeated'> => ({
  first: offset(first),
  next: offset(next),
  at: new Date(at),
})

const behind = (stream: string, writer: WriterMark, last: bigint): MillraceError =>
  new MillraceError('LOG_WRITER_BEHIND', { stream, writer: writer.id, seq: String(writer.seq), last: String(last) })
