import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk/errors'
import { brokerFault } from '@millrace/sdk/amqp'

const codeOf = (error: unknown): string => systemCode(error) ?? ''

/** Whether somebody has to change something: another try does not. A queue that is not there is told otherwise. */
export const isLasting = (error: unknown): boolean =>
  codeOf(error) !== 'NOT_FOUND' && brokerFault(error).kind === 'refused'

/** Whether the connection was lost, or the broker went: what a new connection may do better. Faults of use have no code. */
export const mayPass = (error: unknown): boolean => codeOf(error) !== '' && !isLasting(error)

/** Whether the broker has no queue of that name, and not only none that it can reach now. */
export const isNoQueue = (error: unknown): boolean =>
  codeOf(error) === 'NOT_FOUND' && error instanceof Error && /no queue/i.test(error.message)

/** The error that is told, for what the client threw: LOG_REFUSED where somebody has to change something, else LOG_UNAVAILABLE. */
export const brokerError = (error: unknown, where: string): MillraceError => {
  if (isMillraceError(error)) return error
  const { why, fix } = brokerFault(error)
  const details = { what: where, why, ...(fix === undefined ? {} : { fix }) }
  return new MillraceError(isLasting(error) ? 'LOG_REFUSED' : 'LOG_UNAVAILABLE', details, { cause: error })
}
