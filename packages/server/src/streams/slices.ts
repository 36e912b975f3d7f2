/** Parts of what was read. */
import type { Offset, StoredBatch } from '@millrace/engine'
import { intersect, type OffsetRange, size } from '../domain/ranges.ts'

/** The offsets of a batch. */
export const rangeOf = ({ first, records }: StoredBatch): OffsetRange => ({
  first,
  next: first + BigInt(records.count),
})

/** The records of batches whose offsets are in the ranges. Views. */
export const sliced = (batches: readonly StoredBatch[], ranges: readonly OffsetRange[]): readonly StoredBatch[] =>
  batches.flatMap((batch) =>
    intersect([rangeOf(batch)], ranges).map(({ first, next }) => ({
      first: first as Offset,
      at: batch.at,
      records: batch.records.slice(Number(first - batch.first), Number(next - batch.first)),
    })),
  )

/** How many records are in it. */
export const countOf = (batches: readonly StoredBatch[]): bigint => size(batches.map(rangeOf))

/** Bytes of all bodies. */
export const bytesOf = (batches: readonly StoredBatch[]): number => batches.reduce((n, b) => n + b.records.size, 0)
