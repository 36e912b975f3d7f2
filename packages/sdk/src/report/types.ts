/**
 * What a connector tells the program that runs it, beside Singer's own stdout: one JSON object a line on the file
 * descriptor named by MILLRACE_REPORT_FD. A program that does not know the variable is run all the same; then only
 * what passes by can be counted.
 */
import type { Books, DeadLetter } from '../books/types.ts'
import type { Evidence } from '../persister/types.ts'

/** How far a persister is and what it waits for; a few times a second. Counts are since the start of the run. */
export interface ProgressReport {
  readonly kind: 'progress'
  readonly substreams: Readonly<Record<string, { readonly received: number; readonly stored: number }>>
  readonly bytes: number
  /** Milliseconds spent waiting for input, and in the destination, since the last report. */
  readonly waitingMs: number
  readonly writingMs: number
}

/**
 * Everything read so far is durable. `state` is the newest state covered, as JSON text; undefined where none came since
 * the last commit. Books are since the start of the run; dead letters since the last commit.
 */
export interface CommitReport {
  readonly kind: 'commit'
  readonly state: string | undefined
  readonly books: Books
  readonly deadLetters: readonly DeadLetter[]
}

/** The end of a persister that did its work. */
export interface ClosedReport {
  readonly kind: 'closed'
  readonly books: Books
  readonly evidence: readonly Evidence[]
}

/** The end of a program that failed. */
export interface FailedReport {
  readonly kind: 'failed'
  readonly code: string
  readonly message: string
  readonly fix: string
  readonly exitCode: number
  /** Of a single record that a destination refused: what its dead letter says, with the destination's own words. It goes into no log. */
  readonly reason?: string | undefined
}

/** What a streamer wrote, by substream, at its end (also when it was asked to stop). */
export interface EmittedReport {
  readonly kind: 'emitted'
  readonly substreams: Readonly<Record<string, { readonly records: number; readonly digest: string }>>
}

export type Report = ProgressReport | CommitReport | ClosedReport | FailedReport | EmittedReport

/** The variable that names the descriptor. */
export const reportVariable = 'MILLRACE_REPORT_FD'

/** Set to 1 for a persister that gets a part of a run's input: the end of its input is not the end of the run's. */
export const moreComesVariable = 'MILLRACE_MORE_COMES'

/** Set to 1 for a persister whose run begins at the beginning, where no state was ever kept. */
export const startsOverVariable = 'MILLRACE_STARTS_OVER'
