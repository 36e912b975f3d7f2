/** Running a connector for its answer: `discover`, `verify`. Its stdout is read whole. */
import { type FailedReport, Lines, MillraceError } from '@millrace/sdk'
import { startChild } from './child.ts'
import { describeExit } from './exit-report.ts'
import { notStarted, reportedError } from './failure.ts'
import { OrphanWatch } from './orphan-watch.ts'
import type { PrivateFolder } from './private-folder.ts'
import type { Program } from './program.ts'
import { maxReportBytes, parseReport } from './reports.ts'

/** An answer longer than this is refused. */
const maxAnswerBytes = 256 * 1024 * 1024

export interface AskOptions {
  readonly signal?: AbortSignal | undefined
  readonly graceMs: number
  readonly onLog?: (line: string) => void
}

/** Runs a program to its end and answers what it wrote. Throws PROCESS_NOT_STARTED, PROCESS_FAILED, INTERRUPTED, or the program's own error. */
export const ask = async (program: Program, folder: PrivateFolder, options: AskOptions): Promise<string> => {
  if (options.signal?.aborted === true) throw new MillraceError('INTERRUPTED', {})
  const chunks: Buffer[] = []
  let bytes = 0
  let failed: FailedReport | undefined
  const reports = new Lines({ maxBytes: maxReportBytes, tooLong: 'refuse' }, (line) => {
    const report = parseReport(line)
    if (report?.kind === 'failed') failed = report
  })
  using watch = new OrphanWatch(folder.path)
  const child = startChild({
    ...program,
    stdin: 'ignore',
    stdout: (chunk) => {
      bytes += chunk.length
      if (bytes > maxAnswerBytes) child.kill()
      else chunks.push(chunk)
    },
    onLog: options.onLog ?? (() => {}),
    onReport: (chunk) => reports.push(chunk),
    graceMs: options.graceMs,
  })
  watch.add(child.pid)
  const stop = (): void => child.stop()
  options.signal?.addEventListener('abort', stop)
  try {
    const report = await child.ended
    watch.drop(child.pid)
    if (report.why === 'finished') return Buffer.concat(chunks).toString('utf8')
    if (bytes > maxAnswerBytes)
      throw new MillraceError('PROCESS_FAILED', {
        what: program.what,
        why: `an answer longer than ${maxAnswerBytes} bytes`,
      })
    if (report.why === 'stopped') throw new MillraceError('INTERRUPTED', {})
    if (failed !== undefined) throw reportedError(failed, program)
    if (report.why === 'not-spawned') throw notStarted(program, report.cause)
    throw new MillraceError('PROCESS_FAILED', { what: program.what, why: describeExit(report) })
  } finally {
    options.signal?.removeEventListener('abort', stop)
  }
}
