/**
 * A connection that speaks the streaming replication protocol
 * (https://www.postgresql.org/docs/current/protocol-replication.html). Changes are pulled: while nobody asks for more, the socket is
 * not read and the server waits.
 */
import type { Socket } from 'node:net'
import type { Client, QueryResult } from 'pg'
import { connectPostgres } from '../../../postgres/connect.ts'
import type { ConnectionTarget } from '../../../postgres/settings.ts'
import { sessionSql } from '../read.ts'
import { failureOfLog, type LogNames } from './failures.ts'
import { formatLsn } from './lsn.ts'

/** The server ends a connection that says nothing for a minute (wal_sender_timeout). */
const STATUS_MS = 10_000
/** A server that sends nothing is asked how far it got, so often. */
const ASK_MS = 500

const COPY_DATA = 100
const COPY_DONE = 99
const ERROR = 69
const XLOG_DATA = 119
const KEEPALIVE = 107
const XLOG_HEADER = 25
const EPOCH_MILLIS = 946_684_800_000

/** What one read of the socket brought. */
export interface Pulled {
  /** Messages of the output plugin. */
  readonly messages: readonly Buffer[]
  /** Everything committed before this place was sent, as the server said last; undefined: it said nothing. */
  readonly reached: bigint | undefined
}

/** pg's own connection, of which its types know nothing: https://github.com/brianc/node-postgres (packages/pg/lib/connection.js). */
interface Inner {
  readonly connection: { readonly stream: Socket; readonly query: (text: string) => void }
}

export class ReplicationConnection {
  readonly #client: Client
  readonly #target: ConnectionTarget
  readonly #stop: () => void
  readonly #signal: AbortSignal

  private constructor(client: Client, target: ConnectionTarget, signal: AbortSignal) {
    this.#client = client
    this.#target = target
    this.#signal = signal
    this.#stop = () => void this.close()
    signal.addEventListener('abort', this.#stop, { once: true })
  }

  /** Connects. Throws SOURCE_UNAVAILABLE and SOURCE_REFUSED. When `signal` aborts it closes by itself. */
  static async open(target: ConnectionTarget, signal: AbortSignal): Promise<ReplicationConnection> {
    try {
      const client = await connectPostgres(target, 'SOURCE', { replication: true })
      const connection = new ReplicationConnection(client, target, signal)
      await connection.query(`${sessionSql}; SET idle_in_transaction_session_timeout = 0`)
      return connection
    } catch (e) {
      throw failureOfLog(e, target)
    }
  }

  /** A command of the protocol, or SQL. Throws what the server says, in our words; the cause has its code. */
  async query(sql: string): Promise<QueryResult<Readonly<Record<string, string | null>>>> {
    try {
      const found: unknown = await this.#client.query(sql)
      return (Array.isArray(found) ? found.at(-1) : found) as QueryResult<Readonly<Record<string, string | null>>>
    } catch (e) {
      throw failureOfLog(e, this.#target)
    }
  }

  /**
   * The changes of a slot from a place on. `confirmed` is what the server is told: it may forget what is before it. Nothing else is ever
   * confirmed here. Throws what the server says, in our words.
   */
  async *changes(options: {
    readonly slot: string
    readonly publication: string
    readonly from: bigint
    readonly confirmed: bigint
    /** For errors. */
    readonly names: LogNames
  }): AsyncGenerator<Pulled, void, undefined> {
    const { connection } = this.#client as unknown as Inner
    const socket = connection.stream
    // From here on the bytes are ours: pg would parse them as they come, whether somebody asked or not.
    socket.removeAllListeners('data')
    // Asked to stop, who reads them goes on to the end of a transaction.
    this.#signal.removeEventListener('abort', this.#stop)
    const name = options.publication.replaceAll('"', '""').replaceAll("'", "''")
    connection.query(
      `START_REPLICATION SLOT "${options.slot}" LOGICAL ${formatLsn(options.from)} (proto_version '1', publication_names '"${name}"')`,
    )
    const frames = new Frames()
    let started = false
    let spokenAt = performance.now()
    let heardAt = spokenAt
    const timer = setInterval(() => {
      const now = performance.now()
      const isIdle = now - heardAt >= ASK_MS
      if (!started || (!isIdle && now - spokenAt < STATUS_MS)) return
      spokenAt = now
      socket.write(statusFrame(options.confirmed, isIdle))
    }, ASK_MS)
    try {
      for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        const pulled = frames.push(chunk)
        heardAt = performance.now()
        if (frames.error !== undefined) throw frames.error
        if (frames.isEnded) break
        if (!started) {
          started = true
          socket.write(statusFrame(options.confirmed, true))
        }
        yield pulled
        heardAt = performance.now()
      }
      throw new Error('Connection terminated by the server')
    } catch (e) {
      throw failureOfLog(e, this.#target, options.names)
    } finally {
      clearInterval(timer)
    }
  }

  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#stop)
    const { stream } = (this.#client as unknown as Inner).connection
    const ended = this.#client.end().catch(() => {})
    stream.destroy()
    await ended
  }
}

/** "Standby status update": written, flushed and applied up to there. `ask`: the server is to answer at once. */
const statusFrame = (confirmed: bigint, ask: boolean): Buffer => {
  const frame = Buffer.alloc(39)
  frame[0] = COPY_DATA
  frame.writeUInt32BE(38, 1)
  frame[5] = 114
  frame.writeBigUInt64BE(confirmed, 6)
  frame.writeBigUInt64BE(confirmed, 14)
  frame.writeBigUInt64BE(confirmed, 22)
  frame.writeBigInt64BE(BigInt(Date.now() - EPOCH_MILLIS) * 1000n, 30)
  frame[38] = ask ? 1 : 0
  return frame
}

/** Cuts what comes in into the messages of the protocol. */
class Frames {
  #parts: Buffer[] = []
  #held = 0
  #needed = 5
  error: ServerError | undefined
  isEnded = false

  push(chunk: Buffer): Pulled {
    const messages: Buffer[] = []
    let reached: bigint | undefined
    this.#parts.push(chunk)
    this.#held += chunk.length
    if (this.#held < this.#needed) return { messages, reached }
    const b = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts)
    let at = 0
    for (;;) {
      if (b.length - at < 5) {
        this.#needed = 5
        break
      }
      const end = at + 1 + b.readUInt32BE(at + 1)
      if (end > b.length) {
        this.#needed = end - at
        break
      }
      const kind = b[at]
      if (kind === COPY_DATA) {
        const what = b[at + 5]
        if (what === XLOG_DATA) messages.push(b.subarray(at + 5 + XLOG_HEADER, end))
        else if (what === KEEPALIVE) reached = b.readBigUInt64BE(at + 6)
      } else if (kind === ERROR) this.error = new ServerError(b.subarray(at + 5, end))
      else if (kind === COPY_DONE) this.isEnded = true
      at = end
    }
    this.#held = b.length - at
    this.#parts = this.#held === 0 ? [] : [b.subarray(at)]
    return { messages, reached }
  }
}

/** An ErrorResponse, with the members that pg gives its errors. */
class ServerError extends Error {
  readonly code: string | undefined

  constructor(body: Buffer) {
    const fields = new Map(
      body
        .toString('utf8')
        .split('\0')
        .map((f) => [f[0] ?? '', f.slice(1)] as const),
    )
    super(fields.get('M') ?? 'the server ended the stream')
    this.code = fields.get('C')
  }
}
