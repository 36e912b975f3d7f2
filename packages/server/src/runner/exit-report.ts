/** How a child process ended: one shape for every ending, and the words for it. */
import { constants } from 'node:os'
import { exitCodes, type Retry, reasonIn } from '@millrace/sdk'

export type ExitReport =
  | { readonly why: 'finished' }
  /** We asked it to; `forced`: it did not listen and was killed. */
  | { readonly why: 'stopped'; readonly forced: boolean }
  | { readonly why: 'failed'; readonly code: number; readonly retry: Retry; readonly stderrTail: string }
  | { readonly why: 'signalled'; readonly signal: string; readonly stderrTail: string }
  | { readonly why: 'not-spawned'; readonly cause: Error }

/** The retry class that an exit code carries; any code of a foreign program is worth another try. */
export const retryOfExit = (code: number): Retry =>
  code === exitCodes.badData || code === exitCodes.ourBug
    ? 'never'
    : code === exitCodes.settings || code === exitCodes.usage
      ? 'after-fix'
      : 'later'

/** The exit code for a run that ended with a child's: its own where it carries a meaning (sysexits), else the given one. */
export const exitCodeFor = (report: ExitReport, otherwise: number): number =>
  report.why === 'failed' && report.code >= exitCodes.usage && report.code <= exitCodes.settings
    ? report.code
    : otherwise

/** An ending in words: "exit code 3: CRITICAL no such account". */
export const describeExit = (report: ExitReport): string => {
  switch (report.why) {
    case 'finished':
      return 'exit code 0'
    case 'stopped':
      return report.forced ? 'being killed, as it did not stop when asked' : 'being asked to stop'
    case 'failed':
      return withReason(`exit code ${report.code}`, report.stderrTail)
    case 'signalled':
      return withReason(`signal ${report.signal}`, report.stderrTail)
    case 'not-spawned':
      return report.cause.message
    default:
      return report satisfies never
  }
}

const withReason = (what: string, stderrTail: string): string => {
  const reason = reasonIn(stderrTail)
  return reason === undefined ? what : `${what}: ${reason}`
}

/** Whether a child died of a reader that was gone: SIGPIPE, or the code a shell makes of it. */
export const diedOfClosedPipe = (report: ExitReport): boolean =>
  (report.why === 'signalled' && report.signal === 'SIGPIPE') ||
  (report.why === 'failed' &&
    (report.code === 128 + constants.signals.SIGPIPE ||
      /\bEPIPE\b|BrokenPipeError|Broken pipe/.test(report.stderrTail)))
