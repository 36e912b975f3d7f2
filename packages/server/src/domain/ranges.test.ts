import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { add, firstOf, gaps, has, intersect, normalised, type OffsetRange, rangesOf, remove, size } from './ranges.ts'

const top = 40
const range = fc
  .tuple(fc.integer({ min: 0, max: top }), fc.integer({ min: 0, max: top }))
  .map(([a, b]): OffsetRange => ({ first: BigInt(Math.min(a, b)), next: BigInt(Math.max(a, b)) }))
const ranges = fc.array(range, { maxLength: 8 })

/** The same set, offset by offset. */
const naive = (list: readonly OffsetRange[]): Set<bigint> => {
  const out = new Set<bigint>()
  for (const { first, next } of list) for (let i = first; i < next; i++) out.add(i)
  return out
}
const same = (list: readonly OffsetRange[], wanted: Set<bigint>): void => {
  assert.deepEqual(naive(list), new Set([...wanted].sort((a, b) => Number(a - b))))
  for (const [i, { first, next }] of list.entries()) {
    assert.ok(first < next, 'none is empty')
    const before = list[i - 1]
    assert.ok(before === undefined || before.next < first, 'they are in order, and none touches another')
  }
}

describe('ranges', () => {
  it('are, whatever is done with them, the set that is made offset by offset', () => {
    fc.assert(
      fc.property(ranges, ranges, range, (a, b, within) => {
        const x = normalised(a)
        const y = normalised(b)
        const [p, q] = [naive(a), naive(b)]
        same(x, p)
        same(add(x, b), p.union(q))
        same(remove(x, y), p.difference(q))
        same(intersect(x, y), p.intersection(q))
        same(gaps(x, within), naive([within]).difference(p))
        assert.equal(size(x), BigInt(p.size))
        for (let i = 0n; i <= BigInt(top); i++) assert.equal(has(x, i), p.has(i))
        const sorted = [...p].sort((m, n) => Number(m - n))
        same(firstOf(x, 5n), new Set(sorted.slice(0, 5)))
        same(rangesOf([...q]), q)
      }),
    )
  })

  it('are made of offsets in any order, each once or more', () => {
    assert.deepEqual(rangesOf([7n, 2n, 1n, 7n, 3n]), [
      { first: 1n, next: 4n },
      { first: 7n, next: 8n },
    ])
    assert.deepEqual(rangesOf([]), [])
  })
})
