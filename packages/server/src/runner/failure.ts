/** The errors of a run: what a program says of itself, and what its end says. */
import { type ErrorCode, errorCodes, type FailedReport, MillraceError } from '@millrace/sdk'
import { describeExit, type ExitReport } from './exit-report.ts'
import type { Program } from './program.ts'

/** A program's own error, with its own words. A code that this version does not know becomes PROCESS_FAILED. */
export const reportedError = (report: FailedReport, program: Program): MillraceError => {
  const known = (errorCodes as readonly string[]).includes(report.code)
  const { reason } = report
  const details = typeof reason === 'string' ? { reason: program.conceal(reason) } : {}
  const error = new MillraceError(known ? (report.code as ErrorCode) : 'PROCESS_FAILED', details)
  // Its message was made from details that only the program has.
  return Object.assign(error, { message: program.conceal(report.message), fix: report.fix, exitCode: report.exitCode })
}

/** A program that could not be started, in words. */
export const notStarted = (program: Program, cause: Error): MillraceError => {
  const code = (cause as { code?: string }).code
  const why =
    code === 'ENOENT'
      ? `there is no program "${program.argv[0]}" (or no folder ${program.cwd})`
      : code === 'EACCES'
        ? `"${program.argv[0]}" may not be executed`
        : cause.message
  return new MillraceError('PROCESS_NOT_STARTED', { what: program.what, why }, { cause })
}

/** The failure of a child that ended so: its own words where it has any. */
export const failureOf = (report: ExitReport, program: Program, failed: FailedReport | undefined): MillraceError => {
  if (report.why === 'not-spawned') return notStarted(program, report.cause)
  if (failed !== undefined) return reportedError(failed, program)
  return new MillraceError('PROCESS_FAILED', { what: program.what, why: describeExit(report) })
}
