import { MillraceError } from '@millrace/sdk/errors'
import type { NewAuditLine, Act, Page, PageQuery } from '../types.ts'
import type { Queries, Row } from './sql.ts'

export const maxPage = 1_000
const usualPage = 100

/** How many items a page has. Throws CONTROL_ARGUMENT. */
export const limitOf = ({ limit = usualPage }: PageQuery): number => {
  if (!(Number.isSafeInteger(limit) && limit >= 1 && limit <= maxPage))
    throw new MillraceError('CONTROL_ARGUMENT', { why: `a page has 1 to ${maxPage} items` })
  return limit
}

/** Makes a page of rows, of which one more was asked for than the page has. */
export const pageOf = <T>(
  rows: readonly Row[],
  limit: number,
  item: (row: Row) => T,
  cursor: (last: T) => string,
): Page<T> => {
  const items = rows.slice(0, limit).map(item)
  const last = items.at(-1)
  return { items, next: rows.length > limit && last !== undefined ? cursor(last) : undefined }
}

/** A cursor that is a number. Throws CONTROL_ARGUMENT. */
export const numberCursor = (after: string | undefined): bigint | undefined => {
  if (after === undefined) return undefined
  if (!/^\d{1,18}$/.test(after)) throw new MillraceError('CONTROL_ARGUMENT', { why: 'the cursor is not one of ours' })
  return BigInt(after)
}

/** Writes a line into the audit log. */
export const note = async (tx: Queries, { by, at }: Act, line: NewAuditLine): Promise<void> => {
  await tx.run(
    'insert into audit (at, by_type, by_id, action, stream, subject, details) values (?, ?, ?, ?, ?, ?, ?)',
    at.getTime(),
    by.type,
    by.id,
    line.action,
    line.streamId ?? null,
    line.subject ?? null,
    JSON.stringify(line.details ?? {}),
  )
}
