import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import type { OffsetRange } from '../../domain/ranges.ts'
import type { ControlPlane, GroupOf } from '../control-plane.ts'
import type { Lease } from '../types.ts'
import { act, allPages, code, type ControlPlaneSuiteOptions, freshId, second, withStream } from './world.ts'

const range = (first: number, next: number): OffsetRange => ({ first: BigInt(first), next: BigInt(next) })
const settings = { ackTimeoutMs: 10_000, maxTries: 2 }

const claimer =
  (plane: ControlPlane, of: GroupOf) =>
  (at: number, count: number, within = range(0, 100), consumer = 'c'): Promise<readonly Lease[]> =>
    plane.groups.claim(of, {
      consumer,
      at: second(at),
      count: BigInt(count),
      within,
      ids: [freshId(), freshId(), freshId()],
    })

/** Consumers that share a stream. */
export const groupsSuite = ({ make, another, runs = 60 }: ControlPlaneSuiteOptions): void => {
  const withGroup = async (plane: ControlPlane) => {
    const { streamId } = await withStream(plane)
    const of: GroupOf = { streamId, name: 'g' }
    await plane.groups.create(act(), of, settings, 0n)
    return { of, claim: claimer(plane, of) }
  }

  it('hands out what is new, then again what was not acknowledged in time, then sets it aside', async () => {
    await using plane = await make()
    const { of, claim } = await withGroup(plane)
    const [a] = await claim(0, 5)
    assert.deepEqual(a, { id: a?.id, ranges: [range(0, 5)], consumer: 'c', until: second(10), attempt: 1 })
    assert.deepEqual((await claim(0, 5))[0]?.ranges, [range(5, 10)])
    assert.deepEqual(await claim(1, 5, range(0, 10)), [])
    await plane.groups.ack(of, { lease: a?.id ?? '', at: second(2), ranges: [range(1, 2), range(4, 5)] })
    const again = await claim(10, 100, range(0, 12))
    assert.deepEqual(
      again.map((l) => [l.ranges, l.attempt]),
      [
        [[range(0, 1)], 2],
        [[range(2, 4)], 2],
        [[range(5, 10)], 2],
      ],
    )
    await assert.rejects(plane.groups.ack(of, { lease: a?.id ?? '', at: second(11) }), code('LEASE_UNKNOWN'))
    assert.deepEqual(
      (await claim(30, 100, range(0, 12))).map((l) => [l.ranges, l.attempt]),
      [[[range(10, 12)], 1]],
    )
    const dead = await allPages((after) => plane.groups.deadLetters(of, { after, limit: 3 }))
    assert.deepEqual(
      dead.items.map((d) => Number(d.offset)),
      [0, 2, 3, 5, 6, 7, 8, 9],
    )
    assert.deepEqual(dead.items[0], { offset: 0n, tries: 2, reason: 'not acknowledged in time by c', at: second(30) })
    const group = await plane.groups.find(of)
    assert.deepEqual([group?.cursor, group?.leased, group?.returned, group?.deadLetters], [12n, 2n, 0n, 8n])
  })

  it('gives back what a consumer refuses, with its reason at the last try', async () => {
    await using plane = await make()
    const { of, claim } = await withGroup(plane)
    const [a] = await claim(0, 4)
    await plane.groups.nack(of, { lease: a?.id ?? '', at: second(1), reason: 'r1', ranges: [range(1, 3)] })
    const [b] = await claim(1, 1)
    assert.deepEqual([b?.ranges, b?.attempt], [[range(1, 2)], 2])
    await plane.groups.nack(of, { lease: b?.id ?? '', at: second(2), reason: 'r2' })
    await assert.rejects(
      plane.groups.nack(of, { lease: b?.id ?? '', at: second(2), reason: 'x' }),
      code('LEASE_UNKNOWN'),
    )
    assert.deepEqual((await plane.groups.deadLetters(of, {})).items, [
      { offset: 1n, tries: 2, reason: 'r2', at: second(2) },
    ])
    const [c] = await claim(3, 1)
    assert.deepEqual([c?.ranges, c?.attempt], [[range(2, 3)], 2])
    await plane.groups.release(of, { lease: c?.id ?? '', at: second(3) })
    assert.equal((await claim(3, 1))[0]?.attempt, 2, 'as if it had not been handed out')
    await plane.groups.ack(of, { lease: a?.id ?? '', at: second(3) })
    assert.equal((await plane.groups.find(of))?.leased, 1n)
  })

  it('gives a lease more time, and lets a late one count while nobody else has the records', async () => {
    await using plane = await make()
    const { of, claim } = await withGroup(plane)
    const [a] = await claim(0, 4)
    assert.deepEqual((await plane.groups.extend(of, a?.id ?? '', second(50))).until, second(50))
    assert.deepEqual(await claim(49, 9, range(0, 4)), [])
    await plane.groups.ack(of, { lease: a?.id ?? '', at: second(60) })
    assert.deepEqual(await claim(70, 9, range(0, 4)), [])
    await assert.rejects(plane.groups.extend(of, 'none', second(1)), code('LEASE_UNKNOWN'))
  })

  it('hands dead letters out again as if for the first time, or puts them away', async () => {
    await using plane = await make()
    const { of, claim } = await withGroup(plane)
    for (const at of [0, 10]) await claim(at, 6, range(0, 6))
    assert.deepEqual(await claim(20, 6, range(0, 6)), [])
    assert.equal(await plane.groups.retryDeadLetters(act(21), of, [1n, 2n, 4n, 4n, 77n]), 3)
    assert.equal(await plane.groups.dropDeadLetters(act(21), of, [0n, 1n]), 1)
    assert.deepEqual(
      (await claim(22, 9, range(0, 6))).map((l) => [l.ranges, l.attempt]),
      [
        [[range(1, 3)], 1],
        [[range(4, 5)], 1],
      ],
    )
    assert.deepEqual(
      (await plane.groups.deadLetters(of, {})).items.map((d) => d.offset),
      [3n, 5n],
    )
  })

  it('passes over what was trimmed', async () => {
    await using plane = await make()
    const { of, claim } = await withGroup(plane)
    const [a] = await claim(0, 5)
    await plane.groups.nack(of, { lease: a?.id ?? '', at: second(1), reason: 'r' })
    assert.deepEqual(
      (await claim(2, 10, range(3, 5))).map((l) => l.ranges),
      [[range(3, 5)]],
    )
    assert.deepEqual(
      (await claim(2, 10, range(20, 22))).map((l) => l.ranges),
      [[range(20, 22)]],
    )
    assert.equal((await plane.groups.find(of))?.returned, 0n)
  })

  it('keeps groups apart and knows which there are', async () => {
    await using plane = await make()
    const { of, claim } = await withGroup(plane)
    const h = { ...of, name: 'h' }
    await assert.rejects(plane.groups.create(act(), of, settings, 0n), code('GROUP_EXISTS'))
    await plane.groups.create(act(), h, { ackTimeoutMs: 1, maxTries: 9 }, 3n)
    await claim(0, 2)
    assert.deepEqual((await claimer(plane, h)(0, 2))[0]?.ranges, [range(3, 5)])
    const listed = await allPages((after) => plane.groups.list(of.streamId, { after, limit: 1 }))
    assert.deepEqual(
      listed.items.map((g) => [g.name, g.leased]),
      [
        ['g', 2n],
        ['h', 2n],
      ],
    )
    assert.deepEqual((await plane.groups.update(act(), of, { ackTimeoutMs: 5, maxTries: 7 })).settings, {
      ackTimeoutMs: 5,
      maxTries: 7,
    })
    await plane.groups.remove(act(), of)
    assert.equal(await plane.groups.find(of), undefined)
    for (const call of [
      () => claim(0, 1),
      () => plane.groups.remove(act(), of),
      () => plane.groups.update(act(), of, settings),
      () => plane.groups.ack(of, { lease: 'x', at: second(0) }),
      () => plane.groups.deadLetters(of, {}),
    ])
      await assert.rejects(call, code('GROUP_UNKNOWN'))
  })

  it('hands each record to one of two managers', async () => {
    await using plane = await make()
    await using second = await another(plane)
    const { of } = await withGroup(plane)
    const leases = await Promise.all(
      Array.from({ length: 20 }, (_, i) => claimer(i % 2 === 0 ? plane : second, of)(0, 7, range(0, 100))),
    )
    const seen = leases
      .flat()
      .flatMap((l) =>
        l.ranges.flatMap((r) => Array.from({ length: Number(r.next - r.first) }, (_, i) => Number(r.first) + i)),
      )
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i),
    )
  })

  it('is, whatever consumers do, the machine that keeps every record by itself', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const step = fc.oneof(
      fc.record({ do: fc.constant('claim' as const), count: fc.integer({ min: 1, max: 6 }), wait: fc.nat(12) }),
      fc.record({
        do: fc.constantFrom('ack' as const, 'nack' as const),
        lease: fc.nat(5),
        from: fc.nat(6),
        count: fc.nat(6),
      }),
      fc.record({ do: fc.constant('retry' as const) }),
      fc.record({ do: fc.constant('grow' as const), count: fc.nat(5) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const of: GroupOf = { streamId, name: freshId() }
        await plane.groups.create(act(), of, settings, 0n)
        const model = new Model()
        let now = 0
        let next = 4
        for (const s of steps) {
          if (s.do === 'grow') next += s.count
          else if (s.do === 'retry') {
            const dead = model.retry()
            assert.equal(await plane.groups.retryDeadLetters(act(now), of, dead.map(BigInt)), dead.length)
          } else if (s.do === 'claim') {
            now += s.wait
            const leases = await claimer(plane, of)(now, s.count, range(0, next))
            model.claim(leases, { now, next, count: s.count })
          } else {
            const lease = model.leases[s.lease]
            if (lease === undefined) continue
            const ranges = [range(lease.base + s.from, lease.base + s.from + s.count)]
            const how = { lease: lease.id, at: second(now), ranges }
            await (s.do === 'ack' ? plane.groups.ack(of, how) : plane.groups.nack(of, { ...how, reason: 'r' }))
            model.settle(lease, ranges[0] as OffsetRange, s.do)
          }
          const group = await plane.groups.find(of)
          assert.deepEqual([group?.leased, group?.returned, group?.deadLetters].map(Number), model.counts())
        }
        const dead = (await plane.groups.deadLetters(of, { limit: 1000 })).items
        assert.deepEqual(
          dead.map((d) => Number(d.offset)),
          model.dead(),
        )
      }),
      { numRuns: runs },
    )
  })
}

type Place = { is: 'leased'; tries: number } | { is: 'returned'; tries: number } | { is: 'dead' } | { is: 'settled' }

/** Every record by itself: what is not in it is new. */
class Model {
  readonly #places = new Map<number, Place>()
  leases: { id: string; base: number; until: number; offsets: Set<number>; tries: number }[] = []

  /** Checks what was handed out against what could be. */
  claim(leases: readonly Lease[], { now, next, count }: { now: number; next: number; count: number }): void {
    for (const lease of this.leases.filter((l) => l.until <= now))
      for (const offset of lease.offsets) this.#comesBack(offset, lease.tries)
    this.leases = this.leases.filter((l) => l.until > now)
    const waiting = [...this.#places]
      .filter(([, p]) => p.is === 'returned')
      .map(([o]) => o)
      .sort((a, b) => a - b)
    const fresh = Array.from({ length: next }, (_, i) => i).filter((o) => !this.#places.has(o))
    const due = [...waiting, ...fresh]
    const got = leases.flatMap((l) =>
      l.ranges.flatMap((r) => Array.from({ length: Number(r.next - r.first) }, (_, i) => Number(r.first) + i)),
    )
    assert.ok(got.length <= count && leases.length <= 3)
    assert.deepEqual(got, due.slice(0, got.length), 'the oldest that came back, then what is new')
    assert.ok(got.length > 0 || due.length === 0)
    assert.ok(got.length === Math.min(count, due.length) || leases.length === 3, 'as much as was asked for')
    for (const lease of leases) {
      const [r] = lease.ranges
      const offsets = new Set(
        Array.from({ length: Number((r?.next ?? 0n) - (r?.first ?? 0n)) }, (_, i) => Number(r?.first) + i),
      )
      for (const offset of offsets) {
        const place = this.#places.get(offset)
        assert.equal(lease.attempt, (place?.is === 'returned' ? place.tries : 0) + 1)
        this.#places.set(offset, { is: 'leased', tries: lease.attempt })
      }
      this.leases.push({ id: lease.id, base: Number(r?.first), until: now + 10, offsets, tries: lease.attempt })
    }
  }

  settle(lease: Model['leases'][number], { first, next }: OffsetRange, how: 'ack' | 'nack'): void {
    for (let o = Number(first); o < Number(next); o++) {
      if (!lease.offsets.delete(o)) continue
      if (how === 'ack') this.#places.set(o, { is: 'settled' })
      else this.#comesBack(o, lease.tries)
    }
    this.leases = this.leases.filter((l) => l.offsets.size > 0)
  }

  #comesBack(offset: number, tries: number): void {
    this.#places.set(offset, tries >= settings.maxTries ? { is: 'dead' } : { is: 'returned', tries })
  }

  retry(): readonly number[] {
    const dead = this.dead()
    for (const offset of dead) this.#places.set(offset, { is: 'returned', tries: 0 })
    return dead
  }

  dead(): readonly number[] {
    return [...this.#places]
      .filter(([, p]) => p.is === 'dead')
      .map(([o]) => o)
      .sort((a, b) => a - b)
  }

  counts(): readonly number[] {
    return ['leased', 'returned', 'dead'].map((is) => [...this.#places.values()].filter((p) => p.is === is).length)
  }
}
