import type { Offset, ReadLimit, StoredBatch } from './types.ts'

/**
 * The part of batches that begins at `from` and stays within the limit; one record comes whatever its size. The batches lie one behind
 * the other.
 */
export const cut = (batches: Iterable<StoredBatch>, from: Offset, limit: ReadLimit): readonly StoredBatch[] => {
  const out: StoredBatch[] = []
  let records = limit.records
  let bytes = limit.bytes
  for (const { first, at, records: all } of batches) {
    if (first + BigInt(all.count) <= from) continue
    const begin = first < from ? Number(from - first) : 0
    if (begin === 0 && all.count <= records && all.size <= bytes) {
      out.push({ first, at, records: all })
      records -= all.count
      bytes -= all.size
      if (records <= 0 || bytes <= 0) break
      continue
    }
    let end = begin
    while (end < all.count && records > 0) {
      const size = all.sizeOf(end)
      if (size > bytes && (out.length > 0 || end > begin)) break
      bytes -= size
      records--
      end++
    }
    if (end === begin) break
    out.push({ first: (first + BigInt(begin)) as Offset, at, records: all.slice(begin, end) })
    if (end < all.count || records <= 0 || bytes <= 0) break
  }
  return out
}
