/** Sets of offsets as ranges: half open, sorted, neither overlapping nor touching. What is read of a stream is such a set. */

/** The offsets from `first` up to, but not including, `next`. */
export interface OffsetRange {
  readonly first: bigint
  readonly next: bigint
}

/** The greater of two: Math.max takes no bigints. */
export const later = (a: bigint, b: bigint): bigint => {
  if (a < b) return b
  return a
}

/** Puts ranges in order and joins those that overlap or touch. Empty ones are left out. */
export const normalised = (ranges: readonly OffsetRange[]): readonly OffsetRange[] => {
  const sorted = ranges
    .filter(({ first, next }) => next > first)
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const out: { first: bigint; next: bigint }[] = []
  for (const { first, next } of sorted) {
    const last = out.at(-1)
    if (last === undefined || first > last.next) out.push({ first, next })
    else if (next > last.next) last.next = next
  }
  return out
}

/** Both sets together. */
export const add = (set: readonly OffsetRange[], more: readonly OffsetRange[]): readonly OffsetRange[] =>
  normalised([...set, ...more])

/** The part of a range that a set lacks. */
export const gaps = (set: readonly OffsetRange[], within: OffsetRange): readonly OffsetRange[] => {
  const out: OffsetRange[] = []
  let at = within.first
  for (const { first, next } of set) {
    if (next <= at) continue
    if (first >= within.next) break
    if (first > at) out.push({ first: at, next: first })
    at = next
  }
  if (at < within.next) out.push({ first: at, next: within.next })
  return out
}

/** What is in a set and not in the other. Both are normalised. */
export const remove = (set: readonly OffsetRange[], less: readonly OffsetRange[]): readonly OffsetRange[] => {
  const out: OffsetRange[] = []
  let j = 0
  for (const range of set) {
    let at = range.first
    while (j < less.length && (less[j] as OffsetRange).next <= at) j++
    for (let k = j; k < less.length; k++) {
      const { first, next } = less[k] as OffsetRange
      if (first >= range.next) break
      if (first > at) out.push({ first: at, next: first })
      if (next > at) at = next
    }
    if (at < range.next) out.push({ first: at, next: range.next })
  }
  return out
}

/** What is in both sets. Both are normalised. */
export const intersect = (a: readonly OffsetRange[], b: readonly OffsetRange[]): readonly OffsetRange[] => {
  const out: OffsetRange[] = []
  let i = 0
  let j = 0
  while (i < a.length && j < b.length) {
    const x = a[i] as OffsetRange
    const y = b[j] as OffsetRange
    const endsSooner = x.next < y.next
    const first = later(x.first, y.first)
    const next = endsSooner ? x.next : y.next
    if (first < next) out.push({ first, next })
    if (endsSooner) i++
    else j++
  }
  return out
}

/** How many offsets are in it. */
export const size = (set: readonly OffsetRange[]): bigint => set.reduce((n, { first, next }) => n + (next - first), 0n)

/** Whether an offset is in it. */
export const has = (set: readonly OffsetRange[], offset: bigint): boolean => {
  let low = 0
  let high = set.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((set[middle] as OffsetRange).next <= offset) low = middle + 1
    else high = middle
  }
  return low < set.length && (set[low] as OffsetRange).first <= offset
}

/** The first `count` offsets of a set. */
export const firstOf = (set: readonly OffsetRange[], count: bigint): readonly OffsetRange[] => {
  const out: OffsetRange[] = []
  let left = count
  for (const { first, next } of set) {
    if (left <= 0n) break
    const end = next - first > left ? first + left : next
    out.push({ first, next: end })
    left -= end - first
  }
  return out
}

/** Offsets in any order, each once or more, as a set. */
export const rangesOf = (offsets: readonly bigint[]): readonly OffsetRange[] =>
  normalised(offsets.map((first) => ({ first, next: first + 1n })))
