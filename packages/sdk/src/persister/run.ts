/**
 * Runs a persister: reads messages, hands records to the session, and releases states.
 *
 * The one rule that everything here serves: **a state is released only after a flush that came after every record
 * before it.** There is one place where that happens, {@link Release.flush} (for a destination that answers states itself,
 * its answer stands for the flush). Several states may share a flush; the
 * newest is released. Where the run stops at a bad line, what came before it is flushed and the newest state before
 * that line is released.
 */
import { MillraceError, toMillraceError } from '../errors/error.ts'
import { readBatchFiles } from '../message/batch-files.ts'
import { type ReaderOptions, readMessages } from '../message/reader.ts'
import type { RecordLines } from '../message/record-lines.ts'
import type { Message } from '../message/types.ts'
import { signalName } from '../process/signal-name.ts'
import { AcknowledgedRelease } from './acknowledged.ts'
import { Intake, StopAt } from './intake.ts'
import { FlushRelease, type Release } from './release.ts'
import type { PersisterRunOptions, PersisterRunResult } from './run-types.ts'
import { Turns } from './turns.ts'
import type { Persister, PersisterSession } from './types.ts'

const progressMs = 200

/**
 * Runs the persister over the input to its end. Throws the error that stopped it, after everything before it is
 * durable and its state released; a failure of the destination itself is thrown at once, with nothing released.
 */
export const runPersister = async (persister: Persister, options: PersisterRunOptions): Promise<PersisterRunResult> => {
  if (options.onInvalid === 'dead-letter' && options.keepDeadLetters === undefined && options.report === undefined)
    throw new MillraceError('COMMAND_USAGE', { why: 'dead letters need somewhere to be kept' })
  const session = await openUnlessStopped(
    persister.open({
      config: options.config as never,
      log: options.log,
      signal: options.kill ?? new AbortController().signal,
      startsOver: options.startsOver === true,
      ...(options.relay === undefined ? {} : { relay: options.relay }),
    }),
    options.signal,
  )
  try {
    return await new PersisterRun(persister, session, options).run()
  } finally {
    await session[Symbol.asyncDispose]()
  }
}

/**
 * A destination that does not answer must not hold up a polite stop: nothing has been read yet, so there is nothing to
 * finish. Throws INTERRUPTED; a session that comes after all is closed.
 */
const openUnlessStopped = async (opening: Promise<PersisterSession>, stop: AbortSignal): Promise<PersisterSession> => {
  if (stop.aborted) return await opening
  const stopped = Promise.withResolvers<never>()
  const give = (): void => stopped.reject(new MillraceError('INTERRUPTED', { signal: signalName(stop) }))
  stop.addEventListener('abort', give, { once: true })
  try {
    return await Promise.race([opening, stopped.promise])
  } catch (e) {
    if (stop.aborted)
      void opening.then(
        async (session) => await session[Symbol.asyncDispose](),
        () => {}, // nobody waits for it any more
      )
    throw e
  } finally {
    stop.removeEventListener('abort', give)
  }
}

class PersisterRun {
  readonly #session: PersisterSession
  readonly #options: PersisterRunOptions
  readonly #intake: Intake
  readonly #release: Release
  readonly #opens: boolean
  /** Whether nothing here needs the values of records: then they go by gathered. */
  readonly #passes: boolean
  #waitingMs = 0
  #writingMs = 0
  #bytes = 0
  #lastReport = performance.now()
  #destinationFailed = false

  constructor(persister: Persister, session: PersisterSession, options: PersisterRunOptions) {
    this.#session = session
    this.#options = options
    this.#intake = new Intake(persister, session, options)
    this.#release =
      session.states === undefined
        ? new FlushRelease(session, this.#intake, options, persister.flushes)
        : new AcknowledgedRelease(session, session.states, { intake: this.#intake, options })
    // A check mostly needs the bytes only, and opens the records that it doubts.
    this.#opens = persister.supports.opensRecords || options.compileMap !== undefined
    this.#passes = !this.#opens && session.writeLines !== undefined
  }

  async run(): Promise<PersisterRunResult> {
    try {
      await this.#readAll()
      await this.#flush()
      if (!this.#options.signal.aborted && this.#options.moreComes !== true)
        await this.#inDestination(this.#session.finish?.() ?? Promise.resolve())
    } catch (e) {
      const first = await this.#saveBefore(e)
      throw first instanceof StopAt ? first.error : first
    }
    if (!this.#options.signal.aborted && this.#options.moreComes !== true)
      for (const substream of this.#options.compileMap?.unmatched?.() ?? [])
        this.#options.log.warn('maps name a substream that did not come: nothing was mapped by them', { substream })
    const evidence = this.#options.report === undefined ? [] : ((await this.#session.evidence?.()) ?? [])
    const books = this.#intake.books.close()
    await this.#options.report?.({ kind: 'closed', books, evidence })
    return { books, evidence, state: this.#release.released }
  }

  /**
   * Where the input or a record stopped the run: what came before it is made durable and its state released. Answers
   * what stopped it: of several bad records in what was waiting, the one that came first.
   */
  async #saveBefore(e: unknown): Promise<unknown> {
    let first = e
    if (this.#destinationFailed || this.#options.kill?.aborted === true) return first
    while (this.#release.hasWork) {
      try {
        await this.#release.flush(first instanceof StopAt ? first.line : Infinity)
        break
      } catch (second) {
        // Each is met once: the batch that holds it is not kept.
        if (second instanceof StopAt) {
          if (!(first instanceof StopAt) || second.line < first.line) first = second
          continue
        }
        this.#options.log.error('what came before the error could not be saved either', {
          code: toMillraceError(second).code,
          why: toMillraceError(second).message,
        })
        break
      }
    }
    return first
  }

  async #readAll(): Promise<void> {
    const { input, signal, kill } = this.#options
    const reader = readMessages(this.#counted(input), this.#readerOptions)
    using turns = new Turns(reader, progressMs, [signal, ...(kill === undefined ? [] : [kill])])
    for (;;) {
      const asked = performance.now()
      const turn = await turns.next()
      this.#waitingMs += performance.now() - asked
      if (kill?.aborted === true) throw new MillraceError('INTERRUPTED', { signal: 'second request' })
      if (turn.is === 'end' || signal.aborted) return
      if (turn.is === 'value') await this.#takeAll(turn.value)
      else if (this.#release.isDue(false)) await this.#flush()
      await this.#progress()
    }
  }

  get #readerOptions(): ReaderOptions {
    const { onInvalid, maxLineBytes, source, report } = this.#options
    return {
      ...(this.#passes
        ? { gather: report === undefined ? 'plain' : 'hashed', whole: this.#session.wantsWhole === true }
        : {}),
      open: this.#opens,
      onUnreadable: onInvalid === 'dead-letter' ? 'hand-over' : 'stop',
      ...(maxLineBytes === undefined ? {} : { maxLineBytes }),
      ...(source === undefined ? {} : { source }),
    }
  }

  async *#counted(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of input) {
      this.#bytes += chunk.length
      yield chunk
    }
  }

  async #takeAll(messages: readonly (Message | RecordLines)[]): Promise<void> {
    for (const message of messages) {
      switch (message.type) {
        case 'RECORD_LINES':
          await this.#inDestination(this.#intake.takeLines(message))
          if (this.#release.isDue(false)) await this.#flush()
          break
        case 'RECORD': {
          const written = this.#intake.take(message)
          if (written !== undefined) {
            await this.#inDestination(written)
            if (this.#release.isDue(false)) await this.#flush()
          }
          break
        }
        case 'STATE':
          // Whoever got null back could not tell it from the beginning.
          if (message.text === 'null') {
            this.#intake.warnOnce('state:null', 'a STATE of null says nothing and is passed over', {
              line: message.line,
            })
            break
          }
          await this.#pass(this.#release.add(message))
          if (this.#release.isDue(true)) await this.#flush()
          break
        case 'SCHEMA':
          await this.#inDestination(this.#intake.declare(message, this.#flushBefore))
          break
        case 'ACTIVATE_VERSION':
          await this.#inDestination(this.#intake.activateVersion(message))
          break
        case 'BATCH':
          await this.#inDestination(this.#intake.writeAll())
          for await (const records of readBatchFiles(message, this.#readerOptions)) await this.#takeAll(records)
          break
        case 'UNREADABLE':
          this.#intake.unreadable(message)
          break
        case 'OTHER':
          this.#intake.warnOnce(`type:${message.wireType.slice(0, 60)}`, 'messages of this type are passed over', {
            type: message.wireType.slice(0, 60),
            line: message.line,
          })
          break
        default:
          message satisfies never
      }
    }
    if (this.#release.isDue(false)) await this.#flush()
  }

  async #pass(passed: void | Promise<void>): Promise<void> {
    if (passed !== undefined) await this.#inDestination(passed)
  }

  readonly #flushBefore = async (): Promise<void> => {
    if (this.#release.hasWork) await this.#release.flush()
  }

  async #flush(): Promise<void> {
    if (this.#release.hasWork) await this.#inDestination(this.#release.flush())
  }

  /** Whatever the destination throws ends the run at once, but for bad input: then the session is as it was before. */
  async #inDestination(work: Promise<void>): Promise<void> {
    const started = performance.now()
    try {
      await work
    } catch (e) {
      if (!(e instanceof StopAt)) this.#destinationFailed = true
      throw e
    } finally {
      this.#writingMs += performance.now() - started
    }
  }

  async #progress(): Promise<void> {
    const { report } = this.#options
    if (report === undefined) return
    const now = performance.now()
    if (now - this.#lastReport < progressMs) return
    this.#lastReport = now
    await report({
      kind: 'progress',
      substreams: this.#release.counts(),
      bytes: this.#bytes,
      waitingMs: this.#waitingMs,
      writingMs: this.#writingMs,
    })
    this.#waitingMs = 0
    this.#writingMs = 0
  }
}
