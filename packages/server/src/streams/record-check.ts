import type { RecordBatch } from '@millrace/engine'
import { MillraceError } from '@millrace/sdk'
import type { StreamEntry } from '../control/types.ts'
import type { Context } from './context.ts'
import { firstNotJson } from './json-check.ts'

const maxKey = 1_000
const maxContentType = 200

const isJsonType = (type: string): boolean => /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type)

/**
 * What is published must be what it says: JSON is JSON, keys are no longer than they may be, and every record conforms to the active
 * schema. Throws RECORD_INVALID, of the first record that does not; nothing is stored then.
 */
export const checkRecords = async (context: Context, stream: StreamEntry, records: RecordBatch): Promise<void> => {
  const invalid = (i: number, field: string, rule: string): MillraceError =>
    new MillraceError('RECORD_INVALID', {
      stream: stream.name,
      line: i + 1,
      key: records.keys?.[i]?.slice(0, 100),
      field,
      rule,
    })
  for (const [i, key] of (records.keys ?? []).entries())
    if (key !== undefined && (key === '' || key.length > maxKey))
      throw invalid(i, 'key', `has 1 to ${maxKey} characters`)
  for (const [i, type] of (records.contentTypes ?? []).entries())
    if (type !== undefined && !(type.length <= maxContentType && /^[\x21-\x7e]+\/[\x21-\x7e ]+$/.test(type)))
      throw invalid(i, 'content type', 'is a text such as application/json')
  const isUsualJson = isJsonType(stream.contentType)
  const types = records.contentTypes
  const bad = firstNotJson(records, (i) => {
    const type = types?.[i]
    return type === undefined ? isUsualJson : isJsonType(type)
  })
  if (bad !== undefined) throw invalid(bad, '(all of it)', 'is not JSON')
  const check = await context.activeCheck(stream)
  if (check === undefined) return
  for (let i = 0; i < records.count; i++) {
    const why = check(records.body(i))
    if (why !== undefined) throw invalid(i, '', why)
  }
}
