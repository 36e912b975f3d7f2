import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RecordBatch } from '@millrace/engine'
import type { Claimed } from './types.ts'
import { code, json, openWorld, values } from './testing/world.ts'

const opened = async () => {
  const world = await openWorld()
  const owner = await world.user()
  await world.service.streams.create(owner, { name: 's' })
  const { groups, records } = world.service
  await groups.create(owner, 's', { name: 'g', settings: { ackTimeoutMs: 1000, maxTries: 2 } })
  return { world, owner, groups, records, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}
const bodies = (claimed: readonly Claimed[]): readonly unknown[] => claimed.flatMap((c) => values(c.batches))

describe('groups of the service', () => {
  it('hand each record to one, again where it is not acknowledged, then set it aside', async () => {
    await using t = await opened()
    const { owner, groups, records, world } = t
    await records.publish(owner, 's', json(0, 1, 2, 3))
    const [a] = await groups.claim(owner, 's', 'g', { limit: 2 })
    const [b] = await groups.claim(owner, 's', 'g', { limit: 5, consumer: 'b' })
    assert.deepEqual(
      [bodies([a as Claimed]), bodies([b as Claimed])],
      [
        [0, 1],
        [2, 3],
      ],
    )
    assert.deepEqual(await groups.claim(owner, 's', 'g'), [])
    await groups.ack(owner, 's', 'g', a?.lease.id ?? '', [{ first: 0n, next: 1n }])
    await groups.nack(owner, 's', 'g', { lease: b?.lease.id ?? '', reason: 'no' })
    assert.deepEqual(bodies(await groups.claim(owner, 's', 'g')), [2, 3])
    world.pass(900)
    await groups.extend(owner, 's', 'g', a?.lease.id ?? '')
    world.pass(500)
    assert.deepEqual(await groups.claim(owner, 's', 'g'), [])
    assert.deepEqual(
      (await groups.deadLetters(owner, 's', 'g')).items.map((d) => [d.offset, d.tries]),
      [
        [2n, 2],
        [3n, 2],
      ],
    )
    world.pass(1000)
    assert.deepEqual(bodies(await groups.claim(owner, 's', 'g')), [1])
    assert.equal(await groups.retryDeadLetters(owner, 's', 'g', [2n]), 1)
    assert.equal(await groups.dropDeadLetters(owner, 's', 'g', [3n]), 1)
    assert.deepEqual(bodies(await groups.claim(owner, 's', 'g')), [2])
    await assert.rejects(groups.ack(owner, 's', 'g', a?.lease.id ?? ''), code('LEASE_UNKNOWN'))
  })

  // A consumer could delete the owner's group: its place and its dead letters were gone for all.
  it('are changed, emptied and deleted by owners, and by whoever made them', async () => {
    await using t = await opened()
    const { owner, groups, records, world } = t
    const consumer = await world.user()
    const rights = { isOwner: false, isProducer: false, isConsumer: true }
    await world.service.sharing.grant(owner, 's', { actor: consumer }, rights)
    await records.publish(owner, 's', json(0))
    const [claimed] = await groups.claim(consumer, 's', 'g')
    await groups.nack(consumer, 's', 'g', { lease: claimed?.lease.id ?? '', reason: 'no' })
    for (const change of [
      () => groups.delete(consumer, 's', 'g'),
      () => groups.update(consumer, 's', 'g', { maxTries: 9 }),
      () => groups.dropDeadLetters(consumer, 's', 'g', [0n]),
    ])
      await assert.rejects(change, code('ACCESS_DENIED'))
    assert.equal(await groups.retryDeadLetters(consumer, 's', 'g', [0n]), 0)
    await groups.create(consumer, 's', { name: 'own' })
    assert.equal((await groups.update(consumer, 's', 'own', { maxTries: 9 })).settings.maxTries, 9)
    assert.equal(await groups.dropDeadLetters(consumer, 's', 'own', [0n]), 0)
    await groups.delete(consumer, 's', 'own')
    await groups.create(consumer, 's', { name: 'theirs' })
    await groups.delete(owner, 's', 'theirs')
    await groups.delete(owner, 's', 'g')
    await assert.rejects(groups.delete(owner, 's', 'g'), code('GROUP_UNKNOWN'))
  })

  it('begin where they are told, and are kept within limits', async () => {
    await using t = await opened()
    const { owner, groups, records } = t
    await records.publish(owner, 's', json(0, 1, 2))
    await groups.create(owner, 's', { name: 'late', from: { from: 'last', count: 1 } })
    assert.deepEqual(bodies(await groups.claim(owner, 's', 'late')), [2])
    assert.deepEqual((await groups.get(owner, 's', 'late')).settings, { ackTimeoutMs: 30_000, maxTries: 5 })
    assert.deepEqual((await groups.update(owner, 's', 'late', { maxTries: 9 })).settings, {
      ackTimeoutMs: 30_000,
      maxTries: 9,
    })
    assert.deepEqual(
      (await groups.list(owner, 's')).items.map((g) => g.name),
      ['g', 'late'],
    )
    await groups.delete(owner, 's', 'late')
    await assert.rejects(groups.get(owner, 's', 'late'), code('GROUP_UNKNOWN'))
    for (const bad of [
      () => groups.create(owner, 's', { name: 'a b' }),
      () => groups.create(owner, 's', { name: 'x', settings: { ackTimeoutMs: 0 } }),
      () => groups.update(owner, 's', 'g', { maxTries: 1.5 }),
      () => groups.claim(owner, 's', 'g', { limit: 0 }),
      () => groups.claim(owner, 's', 'g', { consumer: '' }),
    ])
      await assert.rejects(bad, code('CONTROL_ARGUMENT'))
    await assert.rejects(groups.claim({ ...owner, scopes: ['records:write'] }, 's', 'g'), code('ACCESS_DENIED'))
  })

  it('give back what is too much for one answer, and do not count it as tried', async () => {
    await using t = await opened()
    const { owner, groups, records } = t
    const big = RecordBatch.of([{ body: Buffer.alloc(40 * 1024 * 1024, 0x20).fill('1', 0, 1) }])
    for (let i = 0; i < 3; i++) await records.publish(owner, 's', big)
    for (let i = 0; i < 2; i++) {
      const claimed = await groups.claim(owner, 's', 'g')
      assert.deepEqual(
        claimed.map((c) => [c.lease.ranges, c.lease.attempt]),
        i === 0 ? [[[{ first: 0n, next: 1n }], 1]] : [[[{ first: 1n, next: 2n }], 1]],
      )
    }
    assert.equal((await groups.get(owner, 's', 'g')).returned, 1n)
  })
})
