import { isMillraceError, MillraceError } from '@millrace/sdk/errors'
import type { StreamLog } from './stream-log.ts'
import type { CreateOptions, EngineSupports, Retention, StreamName } from './types.ts'

/**
 * Keeps streams. Open until it is disposed; that closes the logs that are open, after what they have begun. As with
 * {@link StreamLog}, an engine implements what begins with `do`.
 */
export abstract class StreamEngine implements AsyncDisposable {
  abstract readonly supports: EngineSupports
  readonly #open = new Set<StreamLog>()
  #isClosed = false

  /** Makes a stream and opens it. Throws STREAM_EXISTS, and LOG_ARGUMENT for options that the engine does not support. */
  async create(name: StreamName, retention: Retention = {}, options: CreateOptions = {}): Promise<StreamLog> {
    this.#mustBeOpen()
    const isOdd = options.amqp === true && options.queue !== undefined
    if (isOdd || (!this.supports.amqp && (options.amqp === true || options.queue !== undefined)))
      throw new MillraceError('LOG_ARGUMENT', {
        stream: name,
        why: isOdd ? 'a stream has an exchange of its own or a queue of others' : 'only streams on RabbitMQ speak AMQP',
      })
    return this.#keep(await this.doCreate(name, retention, options))
  }

  /** Opens a stream; it may be open several times. Throws STREAM_UNKNOWN. */
  async open(name: StreamName): Promise<StreamLog> {
    this.#mustBeOpen()
    return this.#keep(await this.doOpen(name))
  }

  /** The names of all streams, in their order by bytes. */
  async *list(): AsyncGenerator<StreamName, void, undefined> {
    this.#mustBeOpen()
    yield* this.doList()
  }

  /** Removes a stream with its records. Its name may be used again at once. Throws STREAM_UNKNOWN. */
  async drop(name: StreamName): Promise<void> {
    this.#mustBeOpen()
    await this.doDrop(name)
  }

  /**
   * Trims of every stream what is beyond its retention ({@link StreamLog.retain}). To be called now and then: nothing is trimmed by itself. What
   * hinders one stream is told and does not hinder the others.
   */
  async retain(now: Date, hindered: (name: StreamName, why: unknown) => void): Promise<void> {
    this.#mustBeOpen()
    for await (const name of this.doListLimited()) {
      if (this.#isClosed) return
      try {
        await using log = await this.open(name)
        await log.retain(now)
      } catch (e) {
        // It was dropped meanwhile, or the engine was closed.
        if (isMillraceError(e) && (e.code === 'STREAM_UNKNOWN' || e.code === 'LOG_CLOSED')) continue
        hindered(name, e)
      }
    }
  }

  #keep(log: StreamLog): StreamLog {
    for (const one of this.#open) if (one.isClosed) this.#open.delete(one)
    this.#open.add(log)
    return log
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new MillraceError('LOG_CLOSED', { stream: 'the engine' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const log of this.#open) await log[Symbol.asyncDispose]()
    this.#open.clear()
    await this.doClose()
  }

  protected abstract doCreate(name: StreamName, retention: Retention, options: CreateOptions): Promise<StreamLog>
  protected abstract doOpen(name: StreamName): Promise<StreamLog>
  protected abstract doList(): AsyncIterable<StreamName>
  /** The streams that have a retention, in any order. */
  protected abstract doListLimited(): AsyncIterable<StreamName>
  protected abstract doDrop(name: StreamName): Promise<void>
  protected abstract doClose(): Promise<void>
}
