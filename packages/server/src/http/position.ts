import { offset, type Position } from '@millrace/engine'
import { MillraceError } from '@millrace/sdk'

/** How a position is written, for the description of parameters. */
export const positionDoc =
  'where to begin: `first`, `next` (only what comes), `last:N`, `offset:N`, or a time (ISO 8601, as 2026-11-01T00:00Z)'

/** Longest text of a position. */
export const maxPositionText = 64

/** The position that a text means. Throws REQUEST_INVALID. */
export const parsePosition = (text: string): Position => {
  if (text === 'first') return { from: 'first' }
  if (text === 'next') return { from: 'next' }
  const [, word, digits = ''] = /^(last|offset):(\d{1,19})$/.exec(text) ?? []
  if (word === 'last' && Number.isSafeInteger(Number(digits))) return { from: 'last', count: Number(digits) }
  if (word === 'offset') return { from: 'offset', offset: offset(BigInt(digits)) }
  // A date alone is midnight UTC; a time without a zone would mean the machine's.
  const isTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2}))?$/.test(text)
  const at = new Date(text)
  if (isTime && !Number.isNaN(at.getTime())) return { from: 'time', at }
  throw new MillraceError('REQUEST_INVALID', {
    what: 'from',
    problems: [`"${text.slice(0, maxPositionText)}" is no position`],
    fix: 'Say first, next, last:N, offset:N or a time such as 2026-11-01T00:00Z.',
  })
}
