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
  #error: Error | undefined

  constructor(client: Client, from: typeof copyFrom, sql: string) {
    this.#stream = client.query(from(sql, { highWaterMark: WAITING_BYTES }))
    this.#done = finished(this.#stream)
    // Told by the next write or by the end. The stream is of no use from then on, though it does not know it itself.
    this.#stream.on('error', (e) => {
      this.#error ??= e
    })
    this.#done.catch(() => {})
  }

  /** Resolves when there is room for more. Throws what the server or the connection said. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#error !== undefined) throw this.#error
    if (this.#stream.write(bytes)) return
    await once(this.#stream, 'drain')
  }

  /** Resolves when the server has taken all of it. */
  async end(): Promise<void> {
    if (this.#error !== undefined) throw this.#error
    this.#stream.end()
    await this.#done
  }
}
