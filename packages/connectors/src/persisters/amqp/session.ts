import {
  encodeJson,
  MillraceError,
  type PersisterSession,
  type RecordMessage,
  RejectedRecords,
  type SchemaMessage,
} from '@millrace/sdk'
import { maxNameBytes, type Place, type PlaceSettings, placeFor } from './place.ts'
import type { Outgoing, Publisher } from './publisher.ts'

/** Records that wait for more, so that nothing is sent of what a run gave up at once. */
const PIECE = 1_000
const PIECE_BYTES = 1024 * 1024

export interface SessionOptions extends PlaceSettings {
  readonly publisher: Publisher
  readonly mandatory: boolean
  readonly persistent: boolean
  readonly contentType: string
  readonly keyHeader: boolean
}

interface Target {
  readonly place: Place
  readonly keys: readonly string[]
}

/** A message for each record. A flush resolves when the broker has confirmed all of them. */
export class AmqpSession implements PersisterSession {
  readonly #o: SessionOptions
  readonly #targets = new Map<string, Target>()
  #waiting: Outgoing[] = []
  #waitingBytes = 0
  #isOver = false

  constructor(options: SessionOptions) {
    this.#o = options
  }

  async declare({ stream, keyProperties }: SchemaMessage): Promise<void> {
    const place = placeFor(this.#o, stream)
    for (const name of [place.exchange, place.queue ?? ''])
      if (Buffer.byteLength(name) > maxNameBytes)
        throw new MillraceError('DESTINATION_REFUSED', {
          what: `stream ${stream}`,
          why: `the name of its queue or exchange is longer than ${maxNameBytes} bytes`,
        })
    await this.#o.publisher.use(place)
    this.#targets.set(stream, { place, keys: keyProperties })
  }

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    this.#refuseWhenOver()
    const target = this.#targets.get(substream)
    if (target === undefined) throw new MillraceError('INTERNAL', { why: `substream ${substream} was not declared` })
    const rejected: { readonly record: RecordMessage; readonly error: Error }[] = []
    const made: Outgoing[] = []
    for (const record of records) {
      const routingKey = this.#routingKey(target.place, record)
      if (routingKey === undefined) rejected.push({ record, error: tooLong(record) })
      else made.push(this.#message(record, target, routingKey))
    }
    if (rejected.length > 0) throw new RejectedRecords(rejected)
    for (const message of made) {
      this.#waiting.push(message)
      this.#waitingBytes += message.body.length
    }
    if (this.#waiting.length >= PIECE || this.#waitingBytes >= PIECE_BYTES) await this.#send()
  }

  async flush(): Promise<void> {
    this.#refuseWhenOver()
    await this.#send()
    await this.#o.publisher.settle()
  }

  async #send(): Promise<void> {
    const messages = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    await this.#o.publisher.send(messages)
  }

  /** Undefined where it is longer than AMQP allows. */
  #routingKey({ queue, routingKey }: Place, record: RecordMessage): string | undefined {
    if (queue !== undefined || !routingKey.includes('{')) return routingKey
    const key = routingKey.replace(/\{([^{}]+)\}/g, (_, name: string) =>
      name === 'substream' ? record.stream : textOf(record, name),
    )
    return Buffer.byteLength(key) > maxNameBytes ? undefined : key
  }

  #message(record: RecordMessage, { place, keys }: Target, routingKey: string): Outgoing {
    const { mandatory, persistent, contentType, keyHeader } = this.#o
    const headers: Record<string, string> = { substream: record.stream }
    if (keyHeader && keys.length > 0) headers['key'] = encodeJson(keys.map((k) => record.record[k] ?? null))
    return {
      envelope: { exchange: place.exchange, routingKey, mandatory, durable: persistent, contentType, headers },
      body: record.bytes(),
    }
  }

  #refuseWhenOver(): void {
    if (this.#isOver) throw new MillraceError('DESTINATION_REFUSED', { what: 'amqp', why: 'this session was ended' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    await this.#o.publisher.close()
  }
}

const textOf = (record: RecordMessage, field: string): string => {
  const value = record.record[field]
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : encodeJson(value)
}

const tooLong = (record: RecordMessage): MillraceError =>
  new MillraceError('VALUE_NOT_STORABLE', {
    line: record.line,
    stream: record.stream,
    field: '(routing key)',
    why: `it is longer than ${maxNameBytes} bytes`,
  })
