import { isMillraceError, MillraceError } from '@millrace/sdk'
import { type StreamEngine, type StreamLog, streamName } from '@millrace/engine'

interface Named {
  readonly id: string
  readonly name: string
}

interface Entry {
  readonly log: Promise<StreamLog>
  users: number
  isGone: boolean
}

/**
 * Logs that are open. One that nobody uses stays open until too many are: then those that were used longest ago are closed. Known by
 * the id of the stream, since a name may come again.
 */
export class OpenLogs implements AsyncDisposable {
  readonly #engine: StreamEngine
  readonly #max: number
  readonly #open = new Map<string, Entry>()
  #isClosed = false

  constructor(engine: StreamEngine, max: number) {
    this.#engine = engine
    this.#max = max
  }

  /** Does something with a log, which stays open meanwhile. */
  async use<T>(stream: Named, work: (log: StreamLog) => Promise<T>): Promise<T> {
    const entry = this.#take(stream)
    try {
      return await work(await entry.log)
    } catch (e) {
      if (await isUnusable(entry, e)) this.#forget(stream.id, entry)
      throw e
    } finally {
      await this.#give(stream.id, entry)
    }
  }

  /** The same for a log that is read for long. */
  async *follow<T>(stream: Named, work: (log: StreamLog) => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    const entry = this.#take(stream)
    try {
      yield* work(await entry.log)
    } catch (e) {
      if (await isUnusable(entry, e)) this.#forget(stream.id, entry)
      throw e
    } finally {
      await this.#give(stream.id, entry)
    }
  }

  /** Closes the log of a stream that goes. */
  async close(streamId: string): Promise<void> {
    const entry = this.#open.get(streamId)
    if (entry === undefined) return
    this.#open.delete(streamId)
    entry.isGone = true
    await closed(entry)
  }

  #take({ id, name }: Named): Entry {
    if (this.#isClosed) throw new MillraceError('LOG_CLOSED', { stream: name })
    const known = this.#open.get(id)
    const entry = known ?? { log: this.#engine.open(streamName(name)), users: 0, isGone: false }
    entry.users++
    // Behind all others: it was used last.
    this.#open.delete(id)
    this.#open.set(id, entry)
    return entry
  }

  async #give(id: string, entry: Entry): Promise<void> {
    entry.users--
    if (entry.users === 0 && entry.isGone) await closed(entry)
    if (this.#open.size <= this.#max) return
    for (const [other, candidate] of this.#open) {
      if (this.#open.size <= this.#max) return
      if (candidate.users > 0 || other === id) continue
      this.#open.delete(other)
      await closed(candidate)
    }
  }

  #forget(id: string, entry: Entry): void {
    if (this.#open.get(id) === entry) this.#open.delete(id)
    entry.isGone = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    const all = [...this.#open.values()]
    this.#open.clear()
    for (const entry of all) await closed(entry)
  }
}

/** Never opened, closed, or dropped by another manager: the next one who asks tries anew. */
const isUnusable = async ({ log }: Entry, e: unknown): Promise<boolean> =>
  (isMillraceError(e) && (e.code === 'STREAM_UNKNOWN' || e.code === 'LOG_CLOSED')) ||
  (await log.then(
    () => false,
    () => true,
  ))

/** One that could not be opened need not be closed. */
const closed = async ({ log }: Entry): Promise<void> => {
  const opened = await log.catch(() => undefined)
  await opened?.[Symbol.asyncDispose]()
}
