/** How a command that failed says so: one line and its fix, or a JSON object; a stack trace only for MILLRACE_DEBUG=1. */
import { describeError, type MillraceError, toMillraceError } from '@millrace/sdk'

export type FailureFormat = 'text' | 'json' | 'log'

/** The text for stderr. `log` is a line of the JSON log. */
export const failureText = (e: unknown, format: FailureFormat): string => {
  const error = toMillraceError(e)
  const trace = process.env['MILLRACE_DEBUG'] === '1' ? `${stackOf(e)}\n` : ''
  if (format === 'text') return `${describeError(error)}\n${trace}`
  const { message, code, fix, retry, exitCode } = error
  const body = format === 'log' ? { time: new Date().toISOString(), level: 'error', message } : { message }
  return `${JSON.stringify({ ...(format === 'json' ? { error: { ...body, code, fix, retry, exit: exitCode } } : { ...body, code, fix, retry, exit: exitCode }) })}\n${trace}`
}

export const exitCodeFor = (e: unknown): number => toMillraceError(e).exitCode

const stackOf = (e: unknown): string => {
  const lines: string[] = []
  for (let at: unknown = e; at instanceof Error; at = (at as MillraceError).cause) lines.push(at.stack ?? at.message)
  return lines.join('\ncaused by: ')
}
