import { fstatSync, writeSync } from 'node:fs'
import { encodeJson, MillraceError, type Report, reportVariable, systemCode, toMillraceError } from '@millrace/sdk'

const RETRY_MS = 1
const pause = new Int32Array(new SharedArrayBuffer(4))

/**
 * Writes reports to the descriptor that MILLRACE_REPORT_FD names, one JSON line each, in order; undefined where there
 * is none. A report is written when the call returns: what follows a commit report must not overtake it. Where the
 * descriptor's reader is gone the runner died, and PIPE_CLOSED is thrown: without a runner nothing would keep the state.
 */
export const reportWriter = (
  env: Readonly<Record<string, string | undefined>>,
): ((report: Report) => void) | undefined => {
  const fd = Number(env[reportVariable] ?? Number.NaN)
  if (!Number.isInteger(fd) || fd < 0) return undefined
  try {
    fstatSync(fd)
  } catch {
    return undefined
  }
  return (report) => writeAll(fd, Buffer.from(`${textOf(report)}\n`))
}

/** The marks of evidence may hold integers beyond a double. */
const textOf = (report: Report): string =>
  report.kind === 'closed' ? encodeJson(report as never) : JSON.stringify(report)

const writeAll = (fd: number, bytes: Buffer): void => {
  let at = 0
  while (at < bytes.length) {
    try {
      at += writeSync(fd, bytes, at)
    } catch (e) {
      const code = systemCode(e)
      if (code !== 'EAGAIN') throw new MillraceError('PIPE_CLOSED', { what: 'the runner' }, { cause: e })
      Atomics.wait(pause, 0, 0, RETRY_MS)
    }
  }
}

/** Tells the runner, where there is one, why this program failed. Never throws. */
export const reportFailure = (report: ((report: Report) => void) | undefined, e: unknown): void => {
  const { code, message, fix, exitCode, details } = toMillraceError(e)
  const reason = code === 'DESTINATION_REFUSED' ? details['reason'] : undefined
  try {
    report?.({ kind: 'failed', code, message, fix, exitCode, ...(typeof reason === 'string' ? { reason } : {}) })
  } catch {
    // The runner is gone; the error itself goes to stderr.
  }
}
