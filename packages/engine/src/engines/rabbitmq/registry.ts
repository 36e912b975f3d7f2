import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Channel } from 'rabbitmq-client'
import { MillraceError } from '@millrace/sdk/errors'
import { isLimited } from '../../retention.ts'
import type { Retention } from '../../types.ts'
import { Cursor } from './cursor.ts'
import { brokerError, isLasting, mayPass } from './failures.ts'
import type { Link } from './link.ts'

const prefetch = 1_000
const retryMs = 200
/** The registry is written anew, behind what is there, when it holds so many notes more than four for each stream. */
const spareNotes = 10_000
/** What the broker keeps of it: far more than is written between two times that it is written anew. */
const [keptBytes, segmentBytes] = [256 * 1024 * 1024, 16 * 1024 * 1024]

/** What there is to know of a stream beside its records. */
export interface StreamEntry {
  /** Another one for each stream that was ever made. */
  readonly id: string
  readonly name: string
  readonly kind: 'blocks' | 'messages'
  /** When it was made, in milliseconds since 1970. */
  readonly at: number
  readonly queue: string
  /** For messages: the fanout exchange in front of the queue; left out where the queue is one of others. */
  readonly exchange?: string | undefined
  /** For messages: those at the beginning of the queue that are no records. */
  readonly shift: number
  /** What is before it is trimmed. */
  readonly start: number
  /** Bytes of all bodies before the block that holds `start`. */
  readonly startSum: number
  readonly retention: Retention
  /** Rises with each change of the retention. */
  readonly revision: number
  /** Whether the broker itself drops old records: the stream was made with a limit of age or bytes. */
  readonly isLimited: boolean
}

type Note = { readonly put: StreamEntry } | { readonly drop: string }

/**
 * Which streams there are: the sum of the notes in a stream queue of its own. Who made a name first has it; of two trims the later place
 * counts, of two retentions the higher revision.
 */
export class Registry {
  readonly #link: Link
  readonly #queue: string
  readonly #timeoutMs: number
  readonly #cursor: Cursor
  readonly #byId = new Map<string, StreamEntry>()
  readonly #byName = new Map<string, string>()
  readonly #gone = new Set<string>()
  /** Marks of notes of our own that were not read yet. */
  readonly #awaited = new Set<string>()
  readonly #closing = new AbortController()
  #onChange = (_id: string): void => {}
  #notes = 0
  #syncing: Promise<void> | undefined

  private constructor(parts: { link: Link; queue: string; timeoutMs: number; cursor: Cursor }) {
    this.#link = parts.link
    this.#queue = parts.queue
    this.#timeoutMs = parts.timeoutMs
    this.#cursor = parts.cursor
  }

  static async open(link: Link, queue: string, timeoutMs: number): Promise<Registry> {
    const args = {
      'x-queue-type': 'stream' as const,
      'x-max-length-bytes': keptBytes,
      'x-stream-max-segment-size-bytes': segmentBytes,
    }
    const end = performance.now() + timeoutMs
    for (;;)
      try {
        await link.with((channel) => channel.queueDeclare({ queue, durable: true, arguments: args }))
        break
      } catch (error) {
        // A broker that is starting answers before its queues do.
        if (!mayPass(error) || performance.now() > end) throw brokerError(error, link.where)
        await pause(retryMs)
      }
    const cursor = await Cursor.open({ link, queue, begin: 'first', prefetch, timeoutMs })
    const registry = new Registry({ link, queue, timeoutMs, cursor })
    await registry.sync()
    if (registry.#notes > spareNotes + 4 * registry.#byId.size) await registry.#writeAnew()
    return registry
  }

  /** Reads what others noted up to now. */
  sync(): Promise<void> {
    // Whoever asks while it is read could miss what was noted since.
    const behind = this.#syncing ?? Promise.resolve()
    const mine = behind.then(async () => {
      do this.#takeAll()
      while (!(await this.#cursor.isAtEnd()))
      this.#takeAll()
    })
    const settled = mine.catch(() => {})
    this.#syncing = settled
    return mine
  }

  /** Reads what others note from now on. `onChange` is told the stream. */
  async watch(onChange: (id: string) => void): Promise<void> {
    this.#onChange = onChange
    const { signal } = this.#closing
    while (!signal.aborted) {
      this.#takeAll()
      // Where the broker is away for long, whoever asks it is told why.
      await this.#cursor.wait(signal).catch(() => pause(retryMs, undefined, { ref: false }))
    }
  }

  #takeAll(): void {
    for (let delivery = this.#cursor.take(); delivery !== undefined; delivery = this.#cursor.take()) {
      this.#notes++
      const note = JSON.parse(delivery.body.toString()) as Note
      this.#take(note)
      if (delivery.id !== undefined) this.#awaited.delete(delivery.id)
      this.#onChange('drop' in note ? note.drop : note.put.id)
    }
  }

  #take(note: Note): void {
    if ('drop' in note) {
      const entry = this.#byId.get(note.drop)
      this.#byId.delete(note.drop)
      this.#gone.add(note.drop)
      if (entry !== undefined && this.#byName.get(entry.name) === entry.id) this.#byName.delete(entry.name)
      return
    }
    const entry = note.put
    if (this.#gone.has(entry.id)) return
    const known = this.#byId.get(entry.id)
    if (known === undefined) {
      if (this.#byName.has(entry.name)) {
        this.#gone.add(entry.id)
        return
      }
      this.#byName.set(entry.name, entry.id)
      this.#byId.set(entry.id, entry)
      return
    }
    const trim = entry.start > known.start ? entry : known
    const rule = entry.revision >= known.revision ? entry : known
    this.#byId.set(entry.id, {
      ...known,
      start: trim.start,
      startSum: trim.startSum,
      retention: rule.retention,
      revision: rule.revision,
    })
  }

  /** The stream of a name, as far as was read. */
  find(name: string): StreamEntry | undefined {
    const id = this.#byName.get(name)
    return id === undefined ? undefined : this.#byId.get(id)
  }

  /** Throws STREAM_UNKNOWN: it was dropped. */
  get(id: string, name: string): StreamEntry {
    const entry = this.#byId.get(id)
    if (entry === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: name })
    return entry
  }

  /** Streams that stand behind an exchange. */
  exchanged(): readonly StreamEntry[] {
    return [...this.#byId.values()].filter(({ exchange }) => exchange !== undefined)
  }

  /** The names of those that have a retention. */
  limited(): readonly string[] {
    return [...this.#byId.values()].filter(({ retention }) => isLimited(retention)).map(({ name }) => name)
  }

  names(): readonly string[] {
    return [...this.#byName.keys()]
  }

  /** Notes a stream, or a change of it; answers what became of it. */
  async put(entry: StreamEntry): Promise<StreamEntry | undefined> {
    await this.#write([{ put: entry }])
    return this.#byId.get(entry.id)
  }

  async drop(id: string): Promise<void> {
    await this.#write([{ drop: id }])
  }

  async #writeAnew(): Promise<void> {
    await this.#write([...this.#byId.values()].map((put) => ({ put })))
    this.#notes = this.#byId.size
  }

  /**
   * A note that was noted twice says nothing else. It ends when the last one came back to us: the broker confirms what it stored a little
   * before it hands it out, so to read up to the end may miss it.
   */
  async #write(notes: readonly Note[]): Promise<void> {
    if (notes.length === 0) return
    const end = performance.now() + this.#timeoutMs
    const mark = randomBytes(8).toString('hex')
    this.#awaited.add(mark)
    try {
      for (;;) {
        try {
          await this.#link.with((channel) => this.#publish(channel, notes, mark))
          break
        } catch (error) {
          if (isLasting(error) || performance.now() > end) throw brokerError(error, this.#link.where)
          await pause(retryMs)
        }
      }
      await this.sync()
      while (this.#awaited.has(mark) && !this.#closing.signal.aborted) {
        if (performance.now() > end) throw this.#silent()
        await this.#cursor.wait(this.#closing.signal, retryMs)
        this.#takeAll()
      }
    } finally {
      this.#awaited.delete(mark)
    }
  }

  #silent(): MillraceError {
    return new MillraceError('LOG_UNAVAILABLE', { what: this.#link.where, why: `queue ${this.#queue} sends nothing` })
  }

  async #publish(channel: Channel, notes: readonly Note[], mark: string): Promise<void> {
    await channel.confirmSelect()
    const envelope = { routingKey: this.#queue, durable: true, mandatory: true }
    const last = { ...envelope, messageId: mark }
    await Promise.all(
      notes.map((note, i) =>
        channel.basicPublish(i === notes.length - 1 ? last : envelope, Buffer.from(JSON.stringify(note))),
      ),
    )
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#cursor.close()
  }
}

/** Makes what stands before the queue of a stream. It goes with the broker, so it is made again and again. */
export const prepareEntry = async (channel: Channel, { exchange, queue }: StreamEntry): Promise<void> => {
  if (exchange === undefined) return
  // Exactly as the programs of the others declare it: who declares it another way is refused.
  await channel.exchangeDeclare({ exchange, type: 'fanout', durable: false })
  await channel.queueBind({ exchange, queue, routingKey: '' })
}
