import { type ErrorCode, type ErrorDetails, errorTable, exitCodes, type Retry } from './table.ts'

/**
 * An error that a user may see. Its message is one line; `fix` says what to do. Recognise it by `code`, never by its
 * message. Two copies of this library recognise each other's errors through {@link isMillraceError}.
 */
export class MillraceError extends Error {
  override readonly name: string = 'MillraceError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  readonly fix: string
  readonly retry: Retry
  readonly exitCode: number

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: { readonly cause?: unknown }) {
    const row = errorTable[code]
    super(row.say(details), options)
    this.code = code
    this.details = details
    this.fix = row.fix(details)
    this.retry = row.retry
    this.exitCode = row.exit
  }

  /** The HTTP status of an answer that carries it. */
  get httpStatus(): number {
    return errorTable[this.code].http
  }

  /** The error that another process told, in its words. A code that is not known here becomes INTERNAL. */
  static told(told: { readonly code: string; readonly message: string; readonly fix: string }): MillraceError {
    const error = new MillraceError(told.code in errorTable ? (told.code as ErrorCode) : 'INTERNAL')
    return Object.assign(error, { message: told.message, fix: told.fix })
  }
}

/** Recognises our errors by their code, also those of another copy of this library. */
export const isMillraceError = (e: unknown): e is MillraceError =>
  e instanceof Error &&
  e.name === 'MillraceError' &&
  typeof (e as MillraceError).code === 'string' &&
  (e as MillraceError).code in errorTable

/** Puts any thrown value into our shape. A foreign error becomes INTERNAL with its message; its cause is kept. */
export const toMillraceError = (e: unknown): MillraceError => {
  if (isMillraceError(e)) return e
  // What was under way when a stop came may end with the reason of the stop's signal.
  if (e instanceof Error && e.name === 'AbortError' && /^SIG[A-Z]+$/.test(e.message))
    return new MillraceError('INTERRUPTED', { signal: e.message }, { cause: e })
  const why = e instanceof Error ? (e.message.split('\n')[0] ?? e.name) : String(e)
  return new MillraceError('INTERNAL', { why }, { cause: e })
}

/** The exit code of a command that ends with this error. */
export const exitCodeOf = (e: unknown): number => (isMillraceError(e) ? e.exitCode : exitCodes.ourBug)

/** The line a user sees, and the line that says what to do. */
export const describeError = (e: MillraceError): string => `${e.message}   [${e.code}, ${e.retry}]\n  ${e.fix}`

/** The system's code of an error (ENOENT, EPIPE…), or undefined. */
export const systemCode = (e: unknown): string | undefined => {
  const code = (e as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** Names that are near to what was typed, best first, at most three; for "did you mean". */
export const nearest = (typed: string, known: readonly string[]): readonly string[] =>
  known
    .map((name) => ({ name, distance: editDistance(typed.toLowerCase(), name.toLowerCase()) }))
    .filter((c) => c.distance <= Math.max(1, Math.floor(typed.length / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map((c) => c.name)

/** Levenshtein distance with neighbouring swaps counted as one. */
const editDistance = (a: string, b: string): number => {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before[j - 2] ?? 0) + 1)
      current.push(best)
    }
    before = previous
    previous = current
  }
  return previous[b.length] ?? 0
}
