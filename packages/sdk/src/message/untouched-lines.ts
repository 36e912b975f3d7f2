/** Lines that are only passed on: written again as they were read, and never parsed and put together anew. */
import { isObject } from './json.ts'
import type { ParsedMessage } from './parse.ts'

/** Whole lines that can be written again as they are: all Singer, all of one buffer, without anything between them. */
export class UntouchedLines {
  readonly type = 'LINES' as const
  readonly buffer: Buffer
  readonly from: number
  /** Behind the last newline; the last line of an input may have none. */
  to: number
  count = 1
  records: number

  constructor(buffer: Buffer, from: number, to: number, records: number) {
    this.buffer = buffer
    this.from = from
    this.to = to
    this.records = records
  }
}

/** Whether Singer itself would have written this line: nothing in it must be said another way. */
export const isAsSingerHasIt = ({ type, body }: Pick<ParsedMessage, 'type' | 'body'>): boolean => {
  if (body['type'] !== type) return false
  switch (type) {
    case 'RECORD':
      return body['key_fields'] === undefined && !isObject(body['schema'])
    case 'SCHEMA':
      return Array.isArray(body['key_properties'])
    case 'STATE':
    case 'ACTIVATE_VERSION':
    case 'BATCH':
      return true
    default:
      return false
  }
}
