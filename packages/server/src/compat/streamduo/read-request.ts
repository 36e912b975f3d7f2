/** What a body of `record-request` asks for. */
import { isObject, type Json, MillraceError } from '@millrace/sdk'
import { type GivenTime, parseTime } from './time.ts'

/** Records of one read, at most. */
export const maxRead = 10_000
/** What is read where nobody says how many. */
export const defaultRead = 100

interface Common {
  readonly count: number
  readonly markRead: boolean
}

/** `since`: records behind that time, or behind the record that its digits name. */
export type ReadAsked = Common &
  (
    | { readonly is: 'versions'; readonly id: string }
    | { readonly is: 'unread' }
    | { readonly is: 'last' }
    | { readonly is: 'since'; readonly time: GivenTime }
    | { readonly is: 'since-record'; readonly id: string }
    | { readonly is: 'sample' }
  )

const types = ['SINGLE', 'UNREAD', 'LAST_N', 'READ_SINCE_TIMESTAMP', 'READ_SINCE_RECORD_ID', 'SAMPLE'] as const

const wrong = (problem: string): MillraceError =>
  new MillraceError('REQUEST_INVALID', { what: 'the read request', problems: [problem] })

/**
 * Reads the body of a read request. Fields that are not used come as null; early clients sent `""` for a number that is not used, and flags
 * as texts. More records than {@link maxRead} are not answered at once, whatever is asked for. Throws REQUEST_INVALID.
 */
export const readAsked = (body: Json): ReadAsked => {
  if (!isObject(body)) throw wrong('the body is no JSON object')
  const type = body['readRecordRequestType']
  const common = { count: Math.min(countOf(body['recordCount'], type), maxRead), markRead: flagOf(body['markAsRead']) }
  switch (type) {
    case 'SINGLE':
      return { is: 'versions', id: idOf(body['recordId']), ...common }
    case 'UNREAD':
      return { is: 'unread', ...common }
    case 'LAST_N':
      return { is: 'last', ...common }
    case 'READ_SINCE_TIMESTAMP': {
      const text = body['recordTimeStampISO']
      const time = typeof text === 'string' ? parseTime(text) : undefined
      if (time === undefined) throw wrong('recordTimeStampISO is no time, such as 2026-11-03T21:03')
      return { is: 'since', time, ...common }
    }
    case 'READ_SINCE_RECORD_ID':
      return { is: 'since-record', id: idOf(body['recordId']), ...common }
    case 'SAMPLE':
      return { is: 'sample', ...common }
    default:
      throw wrong(`readRecordRequestType must be one of ${types.join(', ')}`)
  }
}

const idOf = (id: Json | undefined): string => {
  if (typeof id !== 'string' || id === '') throw wrong('recordId is missing')
  return id
}

/** The count of a read; a single record where one record is asked for and nobody says how many of its versions. */
export const countOf = (count: Json | undefined, type?: Json): number => {
  if (count === null || count === undefined || count === '') return type === 'SINGLE' ? 1 : defaultRead
  const n = typeof count === 'string' && /^\d{1,9}$/.test(count) ? Number(count) : count
  if (typeof n === 'number' && Number.isSafeInteger(n) && n >= 1) return n
  throw wrong('recordCount must be a whole number from 1 on')
}

/** A flag: true, or the text of it. Anything else that a client sends for "no" is no. */
export const flagOf = (flag: Json | undefined): boolean => flag === true || flag === 'true' || flag === 'True'
