/**
 * COPY … TO STDOUT over a connection of `pg`, whose own way with it costs more than all else here: it makes an object of every
 * row. This takes the bytes as they come, and leaves to the client every message that is not a row.
 */
import type { Connection, Submittable } from 'pg'
import type { CopyRows, Lines } from './copy-rows.ts'

/** Bytes of lines that may wait: beyond them nothing more is read from the connection. */
const WAITING_BYTES = 512 * 1024

type Socket = Connection['stream']
type OnData = (chunk: Buffer) => void

/** One COPY under way: give it to `client.query`, then read its lines. */
export class CopyOut implements Submittable {
  readonly #sql: string
  readonly #rows: CopyRows
  #socket: Socket | undefined
  /** The listener of the client itself. */
  #pass: OnData | undefined
  readonly #foreign = new ForeignMessage()
  #lines: Lines[] = []
  #bytes = 0
  #ended = false
  #error: Error | undefined
  #wake: (() => void) | undefined

  constructor(sql: string, rows: CopyRows) {
    this.#sql = sql
    this.#rows = rows
  }

  /** Lines in blocks, each valid for as long as it is kept. Throws what the server or the connection said. */
  async *lines(): AsyncGenerator<Lines, void, undefined> {
    for (;;) {
      const lines = this.#lines
      this.#lines = []
      this.#bytes = 0
      if (lines.length === 0) {
        if (this.#error !== undefined) throw this.#error
        if (this.#ended) return
        this.#socket?.resume()
        await new Promise<void>((done) => {
          this.#wake = done
        })
        continue
      }
      this.#socket?.resume()
      yield* lines
    }
  }

  submit(connection: Connection): void {
    const socket = connection.stream
    const [pass] = socket.listeners('data') as OnData[]
    this.#pass = pass
    this.#socket = socket
    socket.removeAllListeners('data')
    socket.on('data', this.#onData)
    connection.query(this.#sql)
  }

  handleError(error: Error): void {
    this.#error ??= error
    this.#end()
  }

  handleReadyForQuery(): void {
    this.#end()
  }

  handleCommandComplete(): void {}

  readonly #onData = (chunk: Buffer): void => {
    try {
      for (let at = 0; at < chunk.length; ) {
        const rest = chunk.subarray(at)
        if (this.#socket === undefined) {
          this.#pass?.(rest)
          return
        }
        const rows = this.#foreign.isOpen ? 0 : this.#rows.push(rest, this.#take)
        const foreign = rows < rest.length ? this.#foreign.take(rest.subarray(rows)) : 0
        if (foreign > 0) this.#pass?.(rest.subarray(rows, rows + foreign))
        at += rows + foreign
      }
    } catch (e) {
      // Nothing more can be made of this connection.
      this.handleError(e as Error)
      this.#socket?.destroy()
    }
    if (this.#bytes >= WAITING_BYTES) this.#socket?.pause()
    this.#wake?.()
  }

  readonly #take = (lines: Lines): void => {
    this.#lines.push(lines)
    this.#bytes += lines.bytes.length
  }

  #end(): void {
    this.#ended = true
    const socket = this.#socket
    this.#socket = undefined
    if (socket !== undefined && this.#pass !== undefined) {
      socket.removeListener('data', this.#onData)
      socket.on('data', this.#pass)
      socket.resume()
    }
    this.#wake?.()
  }
}

/** How much of what comes belongs to a message that is no row: one byte, its length, which counts itself, and the rest. */
class ForeignMessage {
  readonly #header = Buffer.alloc(5)
  #seen = 0
  #missing = 0

  /** Whether one has begun and not ended. */
  get isOpen(): boolean {
    return this.#seen > 0
  }

  /** Takes the beginning of `b`, as far as it belongs to the message that began here or before; answers how many bytes that are. */
  take(b: Buffer): number {
    const head = b.copy(this.#header, this.#seen, 0, this.#header.length - this.#seen)
    this.#seen += head
    if (this.#seen < this.#header.length) return head
    if (head > 0) this.#missing = this.#header.readUInt32BE(1) + 1 - this.#header.length
    const body = Math.min(this.#missing, b.length - head)
    this.#missing -= body
    if (this.#missing === 0) this.#seen = 0
    return head + body
  }
}
