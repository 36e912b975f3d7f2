/** One COPY … FROM STDIN under way: what is written waits only while the server is behind. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Client } from 'pg'
import type { from as copyFrom } from 'pg-copy-streams'

/** Bytes that may wait for the server: the next batch is encoded meanwhile. */
const WAITING_BYTES = 2 << 20

export class Copy {
  readonly #stream: Writable
  readonly #done: Promise<void>

  constructor(client: Client, from: typeof copyFrom, sql: string) {
    this.#stream = client.query(from(sql, { highWaterMark: WAITING_BYTES }))
    this.#done = finished(this.#stream)
    // Told by the next write or by the end.
    this.#done.catch(() => {})
  }

  /** Resolves when there is room for more. Throws what the server or the connection said. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#stream.destroyed || this.#stream.errored !== null) return await this.#done
    if (this.#stream.write(bytes)) return
    await Promise.race([once(this.#stream, 'drain'), this.#done])
  }

  /** Resolves when the server has taken all of it. */
  async end(): Promise<void> {
    this.#stream.end()
    await this.#done
  }
}
