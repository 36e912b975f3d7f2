/** How far a table was followed: what stands in the state. */
import { isObject, type Json, type JsonObject } from '@millrace/sdk'
import { formatLsn, parseLsn } from './lsn.ts'

export interface Place {
  /** The slot that keeps the changes after this place. */
  readonly slot: string
  /** The server's own number (IDENTIFY_SYSTEM): a place says nothing of another one. */
  readonly system: string
  /** Transactions whose commit stands before it are read. */
  readonly lsn: bigint
  /** The version of the table's rows; it rises with TRUNCATE. */
  readonly version: number
  /** The table's own number: one of the same name that was made anew is another one. */
  readonly table: number
}

export const bookmarkOf = ({ slot, system, lsn, version, table }: Place): JsonObject => ({
  slot,
  system,
  lsn: formatLsn(lsn),
  version,
  table,
})

/** The place in a bookmark; undefined where it is one of another way of reading, or none. */
export const placeOf = (bookmark: Json | undefined): Place | undefined => {
  if (bookmark === undefined || !isObject(bookmark)) return undefined
  const { slot, system, lsn: text, version, table } = bookmark
  const lsn = typeof text === 'string' ? parseLsn(text) : undefined
  if (typeof slot !== 'string' || typeof system !== 'string' || lsn === undefined) return undefined
  return { slot, system, lsn, version: Number(version ?? 0), table: Number(table ?? 0) }
}
