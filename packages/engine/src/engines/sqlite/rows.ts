import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { StreamRow } from './store.ts'

/** How long what was asked holds where nothing of ours changed it. */
const holdsMs = 0.25

/**
 * The rows of streams as the file has them, asked in the thread of the caller: a few microseconds where a thread of its own would
 * take many times that. A reader of a write-ahead log waits for nobody; in the rare moment in which it would have to, it
 * answers `busy`, and the other thread is to be asked.
 */
export class Rows {
  readonly #db: DatabaseSync
  readonly #select: StatementSync
  readonly #known = new Map<number, StreamRow | undefined>()
  #asked = 0

  constructor(path: string) {
    this.#db = new DatabaseSync(path, { readOnly: true, timeout: 0 })
    this.#select = this.#db.prepare('select * from stream where id = ? and name is not null')
  }

  /** Undefined where there is no such stream any more. */
  get(id: number): StreamRow | undefined | 'busy' {
    const now = performance.now()
    if (now - this.#asked > holdsMs) {
      this.#known.clear()
      this.#asked = now
    }
    if (this.#known.has(id)) return this.#known.get(id)
    try {
      const row = this.#select.get(id) as StreamRow | undefined
      this.#known.set(id, row)
      return row
    } catch {
      return 'busy'
    }
  }

  /** Something of ours changed. */
  forget(): void {
    this.#known.clear()
  }

  close(): void {
    this.#db.close()
  }
}
