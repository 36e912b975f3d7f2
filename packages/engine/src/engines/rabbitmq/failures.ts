import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'

/** Answers of a broker that another try does not change. */
const lasting = new Set(['ACCESS_REFUSED', 'NOT_ALLOWED', 'PRECONDITION_FAILED', 'INVALID_PATH'])

const codeOf = (error: unknown): string => {
  const code = error instanceof Error ? (error as Error & { readonly code?: unknown }).code : undefined
  return typeof code === 'string' ? code : ''
}

export const isLasting = (error: unknown): boolean => lasting.has(codeOf(error))

/** Whether the connection was lost, or the broker went: what a new connection may do better. Faults of use have no code. */
export const mayPass = (error: unknown): boolean => codeOf(error) !== '' && !isLasting(error)

/** Whether the broker has no queue of that name, and not only none that it can reach now. */
export const isNoQueue = (error: unknown): boolean =>
  codeOf(error) === 'NOT_FOUND' && error instanceof Error && /no queue/i.test(error.message)

/** The error that is told, for what the client threw: the broker's words hold names, no settings and no data. */
export const brokerError = (error: unknown, where: string): MillraceError => {
  if (isMillraceError(error)) return error
  const code = systemCode(error)
  const message = error instanceof Error ? error.message.replace(/^\w+: /, '') : String(error)
  const why =
    code === 'ECONNREFUSED'
      ? 'nothing listens there (ECONNREFUSED)'
      : codeOf(error) === 'NACK'
        ? 'it refused a message: its disk is full, or its node is going'
        : message || codeOf(error) || 'the connection was lost'
  return new MillraceError('LOG_UNAVAILABLE', { what: where, why }, { cause: error })
}
