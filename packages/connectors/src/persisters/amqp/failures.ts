import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'
import { brokerFault } from '@millrace/sdk/amqp'

/** The error that a user is told, for what the client threw. */
export const brokerError = (error: unknown, where: string): MillraceError => {
  if (isMillraceError(error)) return error
  const { kind, why, fix } = brokerFault(error)
  const told = fixes[systemCode(error) ?? ''] ?? fix
  return new MillraceError(
    kind === 'refused' ? 'DESTINATION_REFUSED' : 'DESTINATION_UNAVAILABLE',
    { what: where, why, ...(told === undefined ? {} : { fix: told }) },
    { cause: error },
  )
}

/** What the settings of the persister can do about it. */
const fixes: Readonly<Record<string, string>> = {
  NOT_FOUND: 'Make it at the broker, or set declare to true.',
}

/** Whether the error only says that the channel went, and not why. */
export const isEcho = (error: unknown): boolean => ['CH_CLOSE', 'CLOSED', 'CLOSING'].includes(systemCode(error) ?? '')

/** Whether the broker did not take one message, and goes on with others. */
export const isRejection = (error: unknown): boolean => systemCode(error) === 'NACK'
