/** Time stamps of records, as StreamDuo writes them: `2026-11-28T15:16:23.716004321Z[UTC]`. They rise from record to record of a stream. */

const parts = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(.*)$/

/**
 * A stamp before this one and not before that of the record before it: asking for records since it gives this one first. Where that cannot be
 * written, one that is earlier still.
 */
export const justBefore = (stamp: string): string => {
  const m = parts.exec(stamp)
  const [, second = '', fraction = '', zone = ''] = m ?? []
  if (m === null || fraction === '') return stamp
  const before = BigInt(fraction) - 1n
  if (before >= 0n) return `${second}.${String(before).padStart(fraction.length, '0')}${zone}`
  // The second before; whatever zone it is in, its clock shows one less.
  const earlier = new Date(Date.parse(`${second}Z`) - 1000).toISOString().slice(0, 19)
  return `${earlier}.${'9'.repeat(fraction.length)}${zone}`
}

/** Whether one stamp of a stream is later than another. Both are as the same server wrote them, of one zone. */
export const isLater = (stamp: string, than: string): boolean => plain(stamp) > plain(than)

const plain = (stamp: string): string => {
  const [, second = stamp, fraction = ''] = parts.exec(stamp) ?? []
  return `${second}.${fraction.padEnd(9, '0')}`
}
