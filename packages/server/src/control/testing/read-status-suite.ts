import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { type Reader, sharedReader } from '../../domain/access.ts'
import { normalised, type OffsetRange, rangesOf } from '../../domain/ranges.ts'
import type { ControlPlane, ReadStatusOf } from '../control-plane.ts'
import { allPages, type ControlPlaneSuiteOptions, freshId, withStream } from './world.ts'

const range = (first: number, next: number): OffsetRange => ({ first: BigInt(first), next: BigInt(next) })
const everything = range(0, 1_000_000)

/** All that a reader has not read, walked in small pages. */
const unread = async (plane: ControlPlane, of: ReadStatusOf, within: OffsetRange, limit = 3) => {
  const out: OffsetRange[] = []
  for (let from: bigint | undefined = within.first; from !== undefined; ) {
    const page = await plane.readStatus.unread(of, { first: from, next: within.next }, limit)
    out.push(...page.ranges)
    assert.ok(page.next === undefined || page.next > from)
    from = page.next
  }
  return normalised(out)
}

/** Who has read what. */
export const readStatusSuite = ({ make, another, runs = 60 }: ControlPlaneSuiteOptions): void => {
  it('answers what a mark changed, and nothing twice', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const of = { streamId, reader: sharedReader }
    assert.deepEqual(await plane.readStatus.mark(of, [range(5, 8), range(1, 2)]), [range(1, 2), range(5, 8)])
    assert.deepEqual(await plane.readStatus.mark(of, [range(0, 10)]), [range(0, 1), range(2, 5), range(8, 10)])
    assert.deepEqual(await plane.readStatus.mark(of, [range(3, 9)]), [])
    assert.deepEqual(await plane.readStatus.unmark(of, [range(4, 6), range(20, 30)]), [range(4, 6)])
    assert.deepEqual(await plane.readStatus.unmark(of, [range(4, 6)]), [])
    assert.deepEqual(await plane.readStatus.read(of, everything, 10), {
      ranges: [range(0, 4), range(6, 10)],
      next: undefined,
    })
    assert.deepEqual(await plane.readStatus.unread(of, range(2, 12), 10), {
      ranges: [range(4, 6), range(10, 12)],
      next: undefined,
    })
    assert.equal(await plane.readStatus.countUnread(of, range(2, 12)), 4n)
    assert.deepEqual(await plane.readStatus.mark(of, []), [])
    await plane.readStatus.reset(of)
    assert.equal(await plane.readStatus.countUnread(of, range(2, 12)), 10n)
  })

  it('holds offsets up to the last that there can be', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const of = { streamId, reader: sharedReader }
    const top = { first: 2n ** 62n, next: 2n ** 63n - 1n }
    assert.deepEqual(await plane.readStatus.mark(of, [top]), [top])
    assert.equal(await plane.readStatus.countUnread(of, { first: top.first - 7n, next: top.next }), 7n)
  })

  it('keeps readers and streams apart, and says who has read a record', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const other = await withStream(plane)
    const reader = (name: string) => `user:${name}` as Reader
    await plane.readStatus.mark({ streamId, reader: reader('a') }, [range(0, 5)])
    await plane.readStatus.mark({ streamId, reader: reader('b') }, [range(3, 9), range(20, 21)])
    await plane.readStatus.mark({ streamId, reader: reader('c') }, [range(7, 8)])
    await plane.readStatus.unmark({ streamId, reader: reader('c') }, [range(7, 8)])
    await plane.readStatus.mark({ streamId: other.streamId, reader: reader('d') }, [range(0, 100)])
    const { items, pages } = await allPages((after) => plane.readStatus.readersOf(streamId, 4n, { after, limit: 2 }))
    assert.deepEqual(items, [
      { reader: 'user:a', hasRead: true },
      { reader: 'user:b', hasRead: true },
      { reader: 'user:c', hasRead: false },
    ])
    assert.equal(pages, 2)
    assert.deepEqual(
      (await plane.readStatus.readersOf(streamId, 20n, {})).items.map((r) => r.hasRead),
      [false, true, false],
    )
    await plane.streams.forgetBefore(streamId, 9n)
    assert.deepEqual((await plane.readStatus.read({ streamId, reader: reader('b') }, everything, 9)).ranges, [
      range(20, 21),
    ])
  })

  it('is, whatever is marked and unmarked, the set that is kept offset by offset', async () => {
    await using plane = await make()
    const top = 60
    const one = fc.tuple(fc.nat(top), fc.nat(8)).map(([a, n]) => range(a, a + n))
    const step = fc.record({ how: fc.constantFrom('mark', 'unmark'), ranges: fc.array(one, { maxLength: 6 }) })
    const numbers = (ranges: readonly OffsetRange[]): Set<bigint> => {
      const out = new Set<bigint>()
      for (const { first, next } of ranges) for (let i = first; i < next; i++) out.add(i)
      return out
    }
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), one, async (steps, window) => {
        const of = { streamId: freshId(), reader: sharedReader }
        let model = new Set<bigint>()
        for (const { how, ranges } of steps) {
          const asked = numbers(ranges)
          const changed = numbers(
            await (how === 'mark' ? plane.readStatus.mark(of, ranges) : plane.readStatus.unmark(of, ranges)),
          )
          assert.deepEqual(
            changed,
            numbers(rangesOf([...(how === 'mark' ? asked.difference(model) : asked.intersection(model))])),
          )
          model = how === 'mark' ? model.union(asked) : model.difference(asked)
        }
        const all = range(0, top + 9)
        assert.deepEqual((await plane.readStatus.read(of, all, 100)).ranges, rangesOf([...model]))
        assert.deepEqual(await unread(plane, of, window, 2), rangesOf([...numbers([window]).difference(model)]))
        const count = await plane.readStatus.countUnread(of, window)
        assert.equal(count, BigInt(numbers([window]).difference(model).size))
      }),
      { numRuns: runs },
    )
  })

  it('counts no range before a page as one of the page', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const of = { streamId, reader: sharedReader }
    await plane.readStatus.mark(of, [range(0, 1), range(36, 37), range(38, 39), range(40, 41)])
    assert.deepEqual(await unread(plane, of, range(33, 41), 2), [range(33, 36), range(37, 38), range(39, 40)])
    const many = Array.from({ length: 2_001 }, (_, i) => range(100 + 2 * i, 101 + 2 * i))
    await plane.readStatus.mark(of, many)
    assert.equal((await plane.readStatus.unmark(of, [range(50, 5_000)])).length, 2_001)
    assert.deepEqual((await plane.readStatus.read(of, range(50, 5_000), 10)).ranges, [])
  })

  it('goes through more ranges than one step looks at', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const of = { streamId, reader: sharedReader }
    const odd = Array.from({ length: 5_000 }, (_, i) => range(2 * i + 1, 2 * i + 2))
    assert.equal((await plane.readStatus.mark(of, odd)).length, 5_000)
    assert.equal((await unread(plane, of, range(0, 10_000), 700)).length, 5_000)
    const filled = await plane.readStatus.mark(of, [range(0, 10_000)])
    assert.equal(filled.length, 5_000)
    assert.deepEqual((await plane.readStatus.read(of, everything, 10)).ranges, [range(0, 10_000)])
    assert.equal((await plane.readStatus.unmark(of, odd)).length, 5_000)
    assert.equal((await plane.readStatus.unmark(of, [range(0, 10_000)])).length, 5_000)
    assert.deepEqual((await plane.readStatus.read(of, everything, 10)).ranges, [])
  })

  it('gives each offset to one of two who mark at once', async () => {
    await using plane = await make()
    await using second = await another(plane)
    const { streamId } = await withStream(plane)
    const of = { streamId, reader: sharedReader }
    const marks = Array.from({ length: 40 }, (_, i) =>
      (i % 2 === 0 ? plane : second).readStatus.mark(of, [range((i * 7) % 50, ((i * 7) % 50) + 30)]),
    )
    const got = (await Promise.all(marks)).flat()
    const total = got.reduce((n, r) => n + (r.next - r.first), 0n)
    assert.equal(total, 80n - (await plane.readStatus.countUnread(of, range(0, 80))))
    assert.deepEqual(normalised(got), (await second.readStatus.read(of, everything, 10)).ranges)
  })
}
