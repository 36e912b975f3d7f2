/** Records as messages of their own: the body is the record, unchanged. Headers say more of it, to those who know them. */
import type { Envelope } from 'rabbitmq-client'
import { type NewRecord, RecordBatch } from '../../record-batch.ts'
import { type StoredBatch, offset } from '../../types.ts'
import type { Delivery } from './cursor.ts'
import { typeHeader } from './link.ts'

/** Part `part` of `parts` of an append of a writer. */
export interface Origin {
  readonly writer: string
  readonly seq: bigint
  readonly part: number
  readonly parts: number
}

/** A message of a stream. */
export interface Message {
  readonly place: number
  /** Undefined: its publisher does not say. */
  readonly at: number | undefined
  readonly origin: Origin | undefined
  readonly record: NewRecord
}

/** A short string of AMQP holds so many bytes; a writer whose name needs more is told of in headers. */
const maxIdBytes = 255
/** Part and parts, sequence, time, writer. */
const idPattern = /^millrace:(\d{1,15})\/(\d{1,15}):(\d{1,20}):(\d{1,15}):(.+)$/s

/** The id of a message says whose it is: headers that are five would cost the broker a fourth of all that it does for a message. */
export const envelopeOf = (record: NewRecord, origin: Origin, at: number): Envelope => {
  const { writer, seq, part, parts } = origin
  const id = `millrace:${part}/${parts}:${seq}:${at}:${writer}`
  const isShort = Buffer.byteLength(id) <= maxIdBytes
  const key = record.key === undefined ? {} : { 'millrace-key': record.key }
  return {
    ...(record.contentType === undefined ? {} : { contentType: record.contentType }),
    timestamp: Math.trunc(at / 1000),
    ...(isShort ? { messageId: id } : {}),
    ...(isShort && record.key === undefined ? {} : { headers: isShort ? key : { ...headersOf(origin, at), ...key } }),
  }
}

const headersOf = ({ writer, seq, part, parts }: Origin, at: number): Record<string, unknown> => ({
  'millrace-writer': writer,
  'millrace-seq': String(seq),
  'millrace-part': part,
  'millrace-parts': parts,
  'millrace-at': at,
})

/** What a message says of itself may be anything: what is not ours is passed over. */
export const messageOf = ({ place, body, headers, id, timestamp }: Delivery): Message => {
  const key = headers['millrace-key']
  const known = markOfId(id) ?? markOfHeaders(headers)
  return {
    place,
    at: known.at ?? (typeof timestamp === 'number' ? timestamp * 1000 : undefined),
    origin: known.origin,
    record: recordOf(body, typeof key === 'string' ? key : undefined, headers[typeHeader]),
  }
}

/** A record as it is read. JSON is what a body is of which nothing is said. */
export const recordOf = (body: Uint8Array, key: string | undefined, type: unknown): NewRecord => ({
  body,
  key,
  contentType: typeof type === 'string' && type !== 'application/json' ? type : undefined,
})

interface Mark {
  readonly origin: Origin | undefined
  readonly at: number | undefined
}

const markOfId = (id: unknown): Mark | undefined => {
  if (typeof id !== 'string' || !id.startsWith('millrace:')) return undefined
  const [, part, parts, seq, at, writer] = idPattern.exec(id) ?? []
  if (seq === undefined || writer === undefined) return undefined
  return { origin: { writer, seq: BigInt(seq), part: Number(part), parts: Number(parts) }, at: Number(at) }
}

const markOfHeaders = (headers: Readonly<Record<string, unknown>>): Mark => {
  const [writer, seq, part, parts, at] = ['writer', 'seq', 'part', 'parts', 'at'].map(
    (name) => headers[`millrace-${name}`],
  )
  const isOurs =
    typeof writer === 'string' &&
    typeof seq === 'string' &&
    /^\d{1,20}$/.test(seq) &&
    Number.isSafeInteger(part) &&
    Number.isSafeInteger(parts)
  return {
    origin: isOurs ? { writer, seq: BigInt(seq), part: part as number, parts: parts as number } : undefined,
    at: typeof at === 'number' ? at : undefined,
  }
}

/** Where a writer is: how many parts of its newest append are in the stream, and where. */
export interface WriterState {
  readonly seq: bigint
  readonly first: number
  readonly next: number
  readonly at: number
  readonly parts: number
  readonly seen: number
}

/**
 * What the messages come to, one after the other. Times never fall; a part that is there already is passed over, so that its offset is
 * left out.
 */
export class MessageFold {
  place: number
  at: number
  readonly #shift: number
  /** Behind the last record. */
  next: number
  readonly writers: Map<string, WriterState> = new Map()

  /** `at` is the time of a message that has none and has none before it. */
  constructor(place: number, at: number, shift: number) {
    this.place = place
    this.at = at
    this.#shift = shift
    this.next = Math.max(0, place - shift)
  }

  /** Whether it is a record, and not our own mark at the beginning or a double. */
  take({ place, at, origin }: Message): boolean {
    this.place = place + 1
    if (place < this.#shift) return false
    if (at !== undefined) this.at = Math.max(this.at, at)
    if (origin !== undefined && !this.#note(place, origin)) return false
    this.next = place - this.#shift + 1
    return true
  }

  #note(place: number, { writer, seq, part, parts }: Origin): boolean {
    const known = this.writers.get(writer)
    if (known !== undefined && (seq < known.seq || (seq === known.seq && part < known.seen))) return false
    const first = known?.seq === seq ? known.first : place - this.#shift
    this.writers.delete(writer)
    this.writers.set(writer, { seq, first, next: place - this.#shift + 1, at: this.at, parts, seen: part + 1 })
    if (this.writers.size > maxWriters) this.writers.delete(this.writers.keys().next().value as string)
    return true
  }
}
const maxWriters = 10_000

/** Gathers records that lie one behind the other and came at one time. */
export class Gathering {
  readonly #shift: number
  readonly #batches: StoredBatch[] = []
  #records: NewRecord[] = []
  #first = 0
  #at = 0

  constructor(shift: number) {
    this.#shift = shift
  }

  add({ place, record }: Message, at: number): void {
    const here = place - this.#shift
    if (this.#records.length > 0 && (at !== this.#at || here !== this.#first + this.#records.length)) this.#end()
    if (this.#records.length === 0) [this.#first, this.#at] = [here, at]
    this.#records.push(record)
  }

  #end(): void {
    if (this.#records.length === 0) return
    const records = RecordBatch.of(this.#records)
    this.#batches.push({ first: offset(this.#first), at: new Date(this.#at), records })
    this.#records = []
  }

  /** The batches so far; it begins anew. */
  done(): readonly StoredBatch[] {
    this.#end()
    return this.#batches.splice(0)
  }
}
