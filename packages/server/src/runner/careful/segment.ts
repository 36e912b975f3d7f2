/**
 * A stretch of what the streamer wrote, kept on disk so that any part of it can be sent again. Its schemas are the same from
 * its beginning to its end; what else than records it holds comes behind all of them.
 */
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import {
  encodeJson,
  type Message,
  type MessageOf,
  MessageReader,
  MessageWriter,
  type RecordMessage,
  readBatchFiles,
  type SchemaMessage,
  type UnreadableMessage,
} from '@millrace/sdk'

/** A segment ends here at the latest, whether a state came or not. */
const maxRecords = 100_000
const maxBytes = 64 * 1024 * 1024
const pieceBytes = 256 * 1024

export interface Segment {
  readonly schemas: readonly SchemaMessage[]
  /** How many records. */
  readonly count: number
  /** Of each record, the number of its line in the streamer's output. */
  readonly lines: readonly number[]
  readonly versions: readonly MessageOf<'ACTIVATE_VERSION'>[]
  /** The newest state in it: of all its records, or of some. */
  readonly state: string | undefined
  readonly unreadable: readonly UnreadableMessage[]
  /** The input came to its end with it. */
  readonly isLast: boolean
}

/** Cuts messages into segments, one at a time: the next one takes the place of the last. */
export class SegmentReader implements Disposable {
  readonly #source: AsyncIterator<readonly Message[]>
  readonly #fd: number
  readonly #schemas = new Map<string, SchemaMessage>()
  #waiting: readonly Message[] = []
  #at = 0
  #offsets: number[] = []
  #writer = new MessageWriter()
  #written = 0

  constructor(messages: AsyncIterable<readonly Message[]>, folder: string) {
    this.#source = this.#opened(messages)[Symbol.asyncIterator]()
    this.#fd = openSync(join(folder, 'spool'), 'wx+', 0o600)
  }

  /** Files of a BATCH become the records in them. */
  async *#opened(messages: AsyncIterable<readonly Message[]>): AsyncGenerator<readonly Message[], void, undefined> {
    for await (const some of messages) {
      if (!some.some((m) => m.type === 'BATCH')) yield some
      else
        for (const m of some)
          if (m.type === 'BATCH') yield* readBatchFiles(m, { onUnreadable: 'hand-over' })
          else yield [m]
    }
  }

  /** The next segment: to the first state behind `wanted` records. */
  async next(wanted: number): Promise<Segment> {
    ftruncateSync(this.#fd, 0)
    this.#offsets = [0]
    this.#written = 0
    const lines: number[] = []
    const versions: MessageOf<'ACTIVATE_VERSION'>[] = []
    const unreadable: UnreadableMessage[] = []
    let state: string | undefined
    let isLast = false
    for (;;) {
      const message = await this.#peek()
      if (message === undefined) {
        isLast = true
        break
      }
      if (message.type === 'RECORD') {
        if (versions.length > 0 || lines.length >= maxRecords || this.#size >= maxBytes) break
        this.#writer.add(message)
        lines.push(message.line)
        this.#offsets.push(this.#size)
        if (this.#writer.pending >= pieceBytes) this.#spill()
      } else if (message.type === 'SCHEMA') {
        const known = this.#schemas.get(message.stream)
        if (known !== undefined && lines.length > 0 && !isSame(known, message)) break
        this.#schemas.set(message.stream, message)
      } else if (message.type === 'STATE') state = message.text
      else if (message.type === 'ACTIVATE_VERSION') versions.push(message)
      else if (message.type === 'UNREADABLE') unreadable.push(message)
      this.#at++
      if (message.type === 'STATE' && lines.length >= wanted) break
      if (unreadable.length >= maxUnreadable) break
    }
    this.#spill()
    const schemas = [...this.#schemas.values()]
    return { schemas, count: lines.length, lines, versions, state, unreadable, isLast }
  }

  /** The lines of the records [from, to) of the last segment, in pieces. */
  *pieces(from: number, to: number): Generator<Buffer, void, undefined> {
    const end = this.#offsets[to] ?? 0
    for (let at = this.#offsets[from] ?? 0; at < end; ) {
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, end - at))
      const read = readSync(this.#fd, piece, 0, piece.length, at)
      if (read === 0) return
      at += read
      yield piece.subarray(0, read)
    }
  }

  /** One record of the last segment. */
  record(index: number): RecordMessage {
    const reader = new MessageReader({ maxLineBytes: Number.MAX_SAFE_INTEGER })
    const messages = [...reader.push(Buffer.concat([...this.pieces(index, index + 1)])), ...reader.end()]
    return messages.find((m) => m.type === 'RECORD') as RecordMessage
  }

  get #size(): number {
    return this.#written + this.#writer.pending
  }

  #spill(): void {
    const bytes = this.#writer.take()
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at, this.#written + at)
    this.#written += bytes.length
  }

  async #peek(): Promise<Message | undefined> {
    while (this.#at >= this.#waiting.length) {
      const next = await this.#source.next()
      if (next.done === true) return undefined
      this.#waiting = next.value
      this.#at = 0
    }
    return this.#waiting[this.#at]
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
    void this.#source.return?.()
  }
}
const maxUnreadable = 100

const isSame = (a: SchemaMessage, b: SchemaMessage): boolean =>
  encodeJson([a.schema, a.keyProperties]) === encodeJson([b.schema, b.keyProperties])
