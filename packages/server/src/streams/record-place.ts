import type { Offset, StreamLog } from '@millrace/engine'
import type { RecordIds } from '../domain/ids.ts'

/**
 * The offsets of a record id, newest first: what its publisher called it may be several versions; an id of ours is one record.
 */
export const locate = async (log: StreamLog, ids: RecordIds, id: string, limit: number): Promise<readonly Offset[]> => {
  const place = ids.decode(id)
  if (place === undefined) return id === '' ? [] : await log.find(id, { limit })
  const [record] = await log.get([place.offset as Offset])
  // Checked by its time: after a log was restored from a backup the offset may be another record's.
  return record === undefined || record.at.getTime() !== place.atMs ? [] : [record.offset]
}
