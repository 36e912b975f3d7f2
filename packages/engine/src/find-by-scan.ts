import { isMillraceError } from '@millrace/sdk/errors'
import type { Bounds, FindOptions, Offset, Position, ReadLimit, StoredBatch } from './types.ts'

/** What is needed of a log. */
interface Readable {
  bounds(): Promise<Bounds>
  read(position: Position, limit: ReadLimit): Promise<readonly StoredBatch[]>
}

/** Records that are looked through at a time, from the end of the stream to its beginning. */
const windowRecords = 10_000
const windowBytes = 8 * 1024 * 1024

/** The offsets of the records of a key, newest first, found by reading. */
export const scanForKey = async (log: Readable, key: string, { limit, before }: FindOptions): Promise<Offset[]> => {
  const { first, next } = await log.bounds()
  const found: Offset[] = []
  let end: bigint = before !== undefined && before < next ? before : next
  while (end > first && found.length < limit) {
    const begin = end - BigInt(windowRecords) > first ? end - BigInt(windowRecords) : first
    found.push(...(await inWindow(log, key, begin, end)).reverse())
    end = begin
  }
  return found.slice(0, limit)
}

const inWindow = async (log: Readable, key: string, begin: bigint, end: bigint): Promise<Offset[]> => {
  const found: Offset[] = []
  for (let at = begin; at < end; ) {
    const stored = await readOrTrimmed(log, at as Offset, { records: Number(end - at), bytes: windowBytes })
    if (stored.length === 0) break
    for (const { first, records } of stored) {
      records.keys?.forEach((one, i) => {
        const place = first + BigInt(i)
        if (one === key && place < end) found.push(place as Offset)
      })
      at = first + BigInt(records.count)
    }
  }
  return found
}

/** What is trimmed while it is looked through is not there. */
const readOrTrimmed = async (log: Readable, at: Offset, limit: ReadLimit): Promise<readonly StoredBatch[]> => {
  try {
    return await log.read({ from: 'offset', offset: at }, limit)
  } catch (e) {
    if (!isMillraceError(e) || e.code !== 'LOG_OFFSET_TRIMMED') throw e
    const { first } = await log.bounds()
    return await log.read({ from: 'offset', offset: first }, limit)
  }
}
