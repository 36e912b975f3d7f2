/**
 * A consumer group: consumers that share the records of a stream, each record with one of them at a time.
 *
 * For a group every offset of the stream is in one of five places:
 *
 *     new ──claim──▶ leased ──ack──▶ settled
 *                     │  ▲
 *      nack, expiry   │  │ claim
 *                     ▼  │
 *                   returned           leased ──nack or expiry at the last try──▶ dead ──drop──▶ settled
 *                      ▲                                                           │
 *                      └────────────────────────retry──────────────────────────────┘
 *
 * `cursor` separates what is new (from the cursor on) from what was handed out at least once. Leased, returned and dead are
 * kept; settled is all else before the cursor, so a group whose consumers keep up is one number. A lease has one consumer, an
 * end and an attempt; a part of it may be settled before the rest. A lease whose end has come is taken back by the next claim, not by a
 * clock: until then its consumer may still acknowledge it, since nobody else has the records. What comes back is handed out before
 * what is new, the oldest first, with its tries counted; a claim hands out whole runs of one number of tries. Records that
 * were trimmed meanwhile are settled.
 */
import { intersect, later, type OffsetRange, remove } from './ranges.ts'

/** What came back and waits to be handed out. */
export interface Returned extends OffsetRange {
  /** How often it was handed out. */
  readonly tries: number
}

/** What a claim hands out as one lease. */
export interface Grant extends OffsetRange {
  /** 1 for what was new. */
  readonly attempt: number
}

/** What of a group a claim looks at. */
export interface Claimable {
  readonly cursor: bigint
  /** In the order of offsets; at least as many as there may be leases, or all. */
  readonly returned: readonly Returned[]
  /** The records that are in the stream. */
  readonly within: OffsetRange
}

/** What became of a claim. */
export interface Claimed {
  readonly grants: readonly Grant[]
  readonly cursor: bigint
  /** The returned ranges that were looked at, and are not any more: handed out, wholly or their first part, or trimmed. */
  readonly taken: readonly Returned[]
  /** What is left of one that was handed out in part. */
  readonly left: readonly Returned[]
}

/** Chooses what a claim hands out: at most `count` records in at most `leases` leases. */
export const claim = (from: Claimable, count: bigint, leases: number): Claimed => {
  const { within } = from
  const grants: Grant[] = []
  const taken: Returned[] = []
  const left: Returned[] = []
  let wanted = count
  for (const range of from.returned) {
    if (wanted <= 0n || grants.length >= leases) break
    const first = later(range.first, within.first)
    taken.push(range)
    if (range.next <= first) continue
    const next = range.next - first > wanted ? first + wanted : range.next
    grants.push({ first, next, attempt: range.tries + 1 })
    if (next < range.next) left.push({ first: next, next: range.next, tries: range.tries })
    wanted -= next - first
  }
  let cursor = later(from.cursor, within.first)
  if (wanted > 0n && grants.length < leases && cursor < within.next) {
    const next = within.next - cursor > wanted ? cursor + wanted : within.next
    grants.push({ first: cursor, next, attempt: 1 })
    cursor = next
  }
  return { grants, cursor, taken, left }
}

/** What becomes of the part of a lease that its consumer gives back, or does not acknowledge in time. */
export const comesBack = (attempt: number, maxTries: number): 'returned' | 'dead' =>
  attempt >= maxTries ? 'dead' : 'returned'

/** The part of a lease that is settled, and what its consumer still has. Without `wanted`, all of it is settled. */
export const settle = (
  lease: readonly OffsetRange[],
  wanted: readonly OffsetRange[] | undefined,
): { readonly settled: readonly OffsetRange[]; readonly left: readonly OffsetRange[] } =>
  wanted === undefined
    ? { settled: lease, left: [] }
    : { settled: intersect(lease, wanted), left: remove(lease, wanted) }
