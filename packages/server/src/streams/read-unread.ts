import type { Offset, ReadLimit, StoredBatch, StreamLog } from '@millrace/engine'
import type { ControlPlane, ReadStatusOf } from '../control/control-plane.ts'
import { firstOf, intersect, type OffsetRange, size } from '../domain/ranges.ts'
import { bytesOf, countOf, rangeOf, sliced } from './slices.ts'
import type { ReadPage } from './types.ts'

/** Ranges that are asked for at once. */
const rangesAtATime = 256
/** Records between two unread ones that are read along: reading them costs less than another read. */
const readAlong = 1_024n

export interface UnreadRead {
  readonly log: StreamLog
  readonly control: ControlPlane
  readonly of: ReadStatusOf
  readonly from: Offset
  readonly limit: ReadLimit
  /** Mark what is answered, and answer only what nobody else marked meanwhile. */
  readonly claim: boolean
}

/** Records that are not marked as read, oldest first. Looks at the marks of what it answers, not at all there are. */
export const readUnread = async ({ log, control, of, from, limit, claim }: UnreadRead): Promise<ReadPage> => {
  const { next: end } = await log.bounds()
  const out: StoredBatch[] = []
  let records = BigInt(limit.records)
  let bytes = limit.bytes
  let at: bigint = from
  while (at < end && records > 0n && bytes > 0) {
    const { ranges, next } = await control.readStatus.unread(of, { first: at, next: end }, rangesAtATime)
    if (ranges.length === 0) {
      at = next ?? end
      continue
    }
    const span = nextSpan(ranges, records)
    const batches = await log.read(
      { from: 'offset', offset: span.first as Offset },
      { records: Number(span.next - span.first), bytes },
    )
    const reached = batches.map(rangeOf).at(-1)?.next ?? span.first
    // A single record that is greater than what is left waits for the next page.
    if (reached === span.first || (out.length > 0 && bytesOf(batches) > bytes)) break
    const unread = intersect(ranges, [{ first: span.first, next: reached }])
    const wanted = firstOf(unread, records)
    const got = sliced(batches, claim ? await control.readStatus.mark(of, wanted) : wanted)
    out.push(...got)
    records -= countOf(got)
    bytes -= bytesOf(got)
    at = size(wanted) < size(unread) ? (wanted.at(-1)?.next ?? reached) : reached
  }
  return { batches: out, next: at as Offset, isAtEnd: at >= end, readBefore: [] }
}

/** The next stretch to read in one go: an unread range, and those that lie close behind it. */
const nextSpan = (ranges: readonly OffsetRange[], records: bigint): OffsetRange => {
  const [head] = ranges as readonly [OffsetRange, ...OffsetRange[]]
  let next = head.next - head.first > records ? head.first + records : head.next
  for (const range of ranges.slice(1)) {
    if (range.next - head.first > readAlong) break
    next = range.next
  }
  return { first: head.first, next }
}
