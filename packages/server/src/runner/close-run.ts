/** The end of a run: are the books closed, what is told, and what is kept of it. */
import { type Books, type Evidence, MillraceError, toMillraceError } from '@millrace/sdk'
import { openBooks } from '../domain/books.ts'
import type { RunMode, Store } from '../store/types.ts'
import type { ExitReport } from './exit-report.ts'
import type { RunFailure, RunOutcome } from './types.ts'

/** What is known of a run when both its children are gone. */
export interface RunEnd {
  readonly run: string
  readonly pipeline: string
  readonly mode: RunMode
  readonly start: string | undefined
  readonly stateAfter: string | undefined
  /** What ended it early. */
  readonly cause: MillraceError | undefined
  /** The exit code of the child that caused it, where that carries a meaning. */
  readonly exitCode: number | undefined
  readonly books: Books
  /** The streamer told what it wrote. */
  readonly emitted: boolean
  readonly booksKept: boolean
  readonly settled: boolean
  readonly evidence: readonly Evidence[]
  readonly deadLetters: number
  readonly elapsedMs: number
  readonly streamer?: ExitReport
  readonly persister?: ExitReport
}

/** Closes the books of a run, ends it in the store, and makes its outcome. Never throws. */
export const closeRun = (store: Store, end: RunEnd): RunOutcome => {
  // A streamer that was stopped may have written what nobody read; one that failed may not have counted.
  const open = end.booksKept && end.settled ? openBooks(end.books, end.cause === undefined && end.emitted) : []
  const cause =
    end.cause ?? (open.length > 0 ? new MillraceError('BOOKS_OPEN', { run: end.run, problems: open }) : undefined)
  const outcome: RunOutcome = {
    run: end.run,
    pipeline: end.pipeline,
    mode: end.mode,
    why: cause === undefined ? 'finished' : cause.code === 'INTERRUPTED' ? 'stopped' : 'failed',
    exitCode: cause === undefined ? 0 : (end.exitCode ?? cause.exitCode),
    failure: cause === undefined ? undefined : failureOfError(cause),
    stateBefore: end.start,
    stateAfter: end.stateAfter,
    books: end.books,
    open,
    booksKept: end.booksKept,
    evidence: end.evidence,
    deadLetters: end.deadLetters,
    elapsedMs: end.elapsedMs,
    streamer: end.streamer,
    persister: end.persister,
  }
  const { run, why, exitCode, books, evidence, failure } = outcome
  try {
    const error = failure === undefined ? {} : { error: { code: failure.code, message: failure.message } }
    store.endRun({ run, why, exitCode, books, evidence, ...error })
    return outcome
  } catch (e) {
    // The store failed: what it holds is right up to the last commit, and the next run takes the lock over.
    if (cause !== undefined) return outcome
    const failed = toMillraceError(e)
    return { ...outcome, why: 'failed', exitCode: failed.exitCode, failure: failureOfError(failed) }
  }
}

const failureOfError = (e: MillraceError): RunFailure => ({ code: e.code, message: e.message, fix: e.fix })
