import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'

/** Answers of a broker that another try does not change. */
const lasting = new Set([
  'ACCESS_REFUSED',
  'NOT_ALLOWED',
  'NOT_FOUND',
  'PRECONDITION_FAILED',
  'RESOURCE_LOCKED',
  'INVALID_PATH',
])

const fixes: Readonly<Record<string, string>> = {
  ACCESS_REFUSED: 'Check user, password and the permissions of the user in this virtual host.',
  NOT_ALLOWED: 'Check the virtual host in the url, and that the user may enter it.',
  NOT_FOUND: 'Make it at the broker, or set declare to true.',
  PRECONDITION_FAILED: 'It is there with other properties: leave declare away, or make it anew.',
}

/** The error that a user is told, for what the client threw. */
export const brokerError = (error: unknown, where: string): MillraceError => {
  if (isMillraceError(error)) return error
  const code = codeOf(error)
  if (lasting.has(code))
    return new MillraceError(
      'DESTINATION_REFUSED',
      { what: where, why: wordsOf(error), ...(fixes[code] === undefined ? {} : { fix: fixes[code] }) },
      { cause: error },
    )
  return new MillraceError(
    'DESTINATION_UNAVAILABLE',
    {
      what: where,
      why: code === 'NACK' ? 'it refused messages: a queue is full, or its node is gone' : wordsOf(error),
    },
    { cause: error },
  )
}

/** Whether the error only says that the channel went, and not why. */
export const isEcho = (error: unknown): boolean => ['CH_CLOSE', 'CLOSED', 'CLOSING'].includes(codeOf(error))

const codeOf = (error: unknown): string => {
  const code = error instanceof Error ? (error as Error & { readonly code?: unknown }).code : undefined
  return typeof code === 'string' ? code : ''
}

/** Behind the method that it answers to, the words of the broker; they hold names, no settings and no data. */
const wordsOf = (error: unknown): string => {
  const code = systemCode(error)
  if (code === 'ECONNREFUSED') return 'nothing listens there (ECONNREFUSED)'
  if (code === 'ENOTFOUND') return 'there is no host of that name (ENOTFOUND)'
  const message = error instanceof Error ? error.message : String(error)
  return message.replace(/^\w+: /, '') || code || 'the connection was lost'
}
