/** How a command that failed says so: one line and its fix, or a JSON object; a stack trace only for MILLRACE_DEBUG=1. */
import { describeError, isMillraceError, MillraceError, systemCode, toMillraceError } from '@millrace/sdk'

export type FailureFormat = 'text' | 'json' | 'log'

/** The text for stderr. `log` is a line of the JSON log. */
export const failureText = (e: unknown, format: FailureFormat): string => {
  const error = shownError(e)
  const trace = process.env['MILLRACE_DEBUG'] === '1' ? `${stackOf(e)}\n` : ''
  if (format === 'text') return `${describeError(error)}\n${trace}`
  const { message, code, fix, retry, exitCode } = error
  const body = format === 'log' ? { time: new Date().toISOString(), level: 'error', message } : { message }
  return `${JSON.stringify({ ...(format === 'json' ? { error: { ...body, code, fix, retry, exit: exitCode } } : { ...body, code, fix, retry, exit: exitCode }) })}\n${trace}`
}

export const exitCodeFor = (e: unknown): number => shownError(e).exitCode

const stackOf = (e: unknown): string => {
  const lines: string[] = []
  for (let at: unknown = e; at instanceof Error; at = at.cause) lines.push(at.stack ?? at.message)
  return lines.join('\ncaused by: ')
}

const systemWords: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'it is a folder',
}

/** Why a file could not be read, in words. */
export const fileTrouble = (e: unknown): string => {
  const code = systemCode(e)
  return systemWords[code ?? ''] ?? code ?? 'it cannot be read'
}

/** A file that cannot be used is not a mistake of ours. */
const shownError = (e: unknown): MillraceError => {
  const { path } = e as { readonly path?: unknown }
  const words = systemWords[systemCode(e) ?? '']
  if (isMillraceError(e) || words === undefined || typeof path !== 'string') return toMillraceError(e)
  return new MillraceError(
    'DESTINATION_REFUSED',
    { what: path, why: words, fix: 'Check the path and its permissions, or work in another folder with --cwd.' },
    { cause: e },
  )
}
