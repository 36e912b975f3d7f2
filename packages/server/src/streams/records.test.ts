import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Offset, offset, RecordBatch, type StoredBatch } from '@millrace/engine'
import type { Principal } from '../domain/access.ts'
import { code, json, keyed, openWorld, values, type World } from './testing/world.ts'

const numbers = (from: number, to: number): readonly number[] => Array.from({ length: to - from }, (_, i) => from + i)
const withStream = async (world: World) => {
  const owner = await world.user()
  const stream = await world.service.streams.create(owner, { name: 's' })
  return { owner, stream }
}
const grantee = async (world: World, owner: Principal, rights: object): Promise<Principal> => {
  const user = await world.user()
  const all = { isOwner: false, isProducer: false, isConsumer: false, ...rights }
  await world.service.sharing.grant(owner, 's', { actor: { type: 'user', id: user.id } }, all)
  return user
}

describe('publishing and reading', () => {
  it('gives back what was published, page by page', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const { records } = world.service
    const done = await records.publish(owner, 's', json(...numbers(0, 25)))
    assert.deepEqual([done.first, done.next, done.isRepeated], [0n, 25n, false])
    const seen: unknown[] = []
    let from: Offset = offset(0)
    for (let isAtEnd = false; !isAtEnd; ) {
      const page = await records.read(owner, 's', { from: { from: 'offset', offset: from }, limit: 10 })
      seen.push(...values(page.batches))
      from = page.next
      isAtEnd = page.isAtEnd
    }
    assert.deepEqual(seen, numbers(0, 25))
    assert.deepEqual(values((await records.read(owner, 's', { from: { from: 'last', count: 2 } })).batches), [23, 24])
    await assert.rejects(records.read(owner, 's', { limit: 10_001 }), code('CONTROL_ARGUMENT'))
    await assert.rejects(
      records.read(owner, 's', { from: { from: 'offset', offset: offset(26) } }),
      code('LOG_OFFSET_AHEAD'),
    )
  })

  it('lets a producer write, a consumer read, and hides the stream from all others', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const { records } = world.service
    const producer = await grantee(world, owner, { isProducer: true })
    const consumer = await grantee(world, owner, { isConsumer: true })
    const stranger = await world.user()
    const administrator = await world.user({ isAdministrator: true })
    await records.publish(producer, 's', json(1))
    assert.deepEqual(values((await records.read(consumer, 's')).batches), [1])
    for (const refused of [
      records.read(producer, 's'),
      records.publish(consumer, 's', json(1)),
      records.read(administrator, 's'),
      records.publish({ ...owner, scopes: ['records:read'] }, 's', json(1)),
      records.read({ ...owner, scopes: ['records:write', 'streams:manage', 'admin'] }, 's'),
      records.readers(consumer, 's', 'x'),
    ])
      await assert.rejects(refused, code('ACCESS_DENIED'))
    const id = (await world.service.streams.get(owner, 's')).id
    for (const ref of ['s', id, 'none'])
      for (const hidden of [
        () => records.read(stranger, ref),
        () => records.publish(stranger, ref, json(1)),
        () => records.get(stranger, ref, 'x'),
        () => records.markRead(stranger, ref, { before: 1n }),
        () => world.service.streams.get(stranger, ref),
        () => world.service.streams.delete(stranger, ref),
        () => world.service.groups.list(stranger, ref),
        () => world.service.sharing.list(stranger, ref),
        () => world.service.parts.schemas(stranger, ref),
        () => world.service.batches.begin(stranger, ref, { hashes: {} }),
        async () => {
          for await (const _ of records.follow(stranger, ref, { from: 'first' }, { signal: AbortSignal.abort() })) break
        },
      ])
        await assert.rejects(hidden, (e: Error) => {
          assert.equal(e.message, `there is no stream "${ref}"`)
          return code('STREAM_UNKNOWN')(e)
        })
  })

  it('refuses what is not what it says, and stores nothing of it', async () => {
    await using world = await openWorld()
    const { owner, stream } = await withStream(world)
    const { records, parts } = world.service
    const odd = (body: string | Uint8Array, contentType?: string, key?: string) =>
      RecordBatch.of([
        { body: Buffer.from('1') },
        { body: typeof body === 'string' ? Buffer.from(body) : body, contentType, key },
      ])
    for (const bad of [
      odd('{"a":1'),
      odd(''),
      odd('1], [2'),
      odd(Buffer.from([0x22, 0xff, 0x22])),
      odd('x', 'application/problem+json; charset=utf-8'),
      odd('1', 'nothing'),
      odd('1', 'text/plain\r\nx: y'),
      odd('1', undefined, ''),
      odd('1', undefined, 'k'.repeat(1001)),
    ])
      await assert.rejects(records.publish(owner, 's', bad), code('RECORD_INVALID'))
    await records.publish(owner, 's', odd(Buffer.from([255, 0, 10]), 'application/octet-stream'))
    await world.service.streams.update(owner, 's', { contentType: 'text/plain' })
    await records.publish(owner, 's', odd('no JSON'))

    const schema = await parts.addSchema(owner, 's', { type: 'JSON', text: 'good' })
    await parts.activateSchema(owner, 's', schema.id)
    await assert.rejects(records.publish(owner, 's', json('good', 'bad')), (e: Error) => {
      assert.match(e.message, /line 2: stream s.*lacks good/)
      return code('RECORD_INVALID')(e)
    })
    await records.publish(owner, 's', json('good one'))
    await parts.activateSchema(owner, 's', undefined)
    await records.publish(owner, 's', json('bad'))
    assert.equal((await world.service.streams.stat(owner, stream.id)).next, 6n)
  })

  it('appends once what is published again with a key, or by a writer', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const { records } = world.service
    const first = await records.publish(owner, 's', json(1, 2), { idempotencyKey: 'k' })
    world.pass(1000)
    const again = await records.publish(owner, 's', json(1, 2), { idempotencyKey: 'k' })
    assert.deepEqual(again, { ...first, isRepeated: true })
    await assert.rejects(records.publish(owner, 's', json(3), { idempotencyKey: 'k' }), code('IDEMPOTENCY_MISMATCH'))
    const other = await grantee(world, owner, { isProducer: true })
    assert.equal((await records.publish(other, 's', json(1, 2), { idempotencyKey: 'k' })).first, 2n)
    const writer = { id: 'w', seq: 7n }
    assert.equal((await records.publish(owner, 's', json(5), { writer })).isRepeated, false)
    assert.equal((await records.publish(owner, 's', json(5), { writer })).isRepeated, true)
    assert.deepEqual(await records.writer(owner, 's', 'w'), { seq: 7n })
    assert.equal(await records.writer(other, 's', 'w'), undefined)
    assert.equal((await records.publish(other, 's', json(5), { writer })).isRepeated, false)
    assert.equal((await world.service.streams.stat(owner, 's')).next, 6n)
  })

  it('appends once where nobody lived to note the answer of the first try', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const { finish } = world.control.idempotency
    world.control.idempotency.finish = () => Promise.reject(new Error('killed'))
    await assert.rejects(world.service.records.publish(owner, 's', json(1), { idempotencyKey: 'k' }), /killed/)
    world.control.idempotency.finish = finish
    const again = await world.service.records.publish(owner, 's', json(1), { idempotencyKey: 'k' })
    assert.deepEqual([again.first, again.next, again.isRepeated], [0n, 1n, true])
  })

  it('follows what comes, until the right to read is gone', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const consumer = await grantee(world, owner, { isConsumer: true })
    const { records } = world.service
    await records.publish(owner, 's', json(0, 1, 2))
    const stop = new AbortController()
    const seen: unknown[] = []
    const following = (async () => {
      for await (const some of records.follow(
        consumer,
        's',
        { from: 'offset', offset: offset(1) },
        { signal: stop.signal },
      )) {
        seen.push(...values(some))
        if (seen.length === 2) await records.publish(owner, 's', json(3))
        if (seen.length === 3) {
          await world.service.sharing.revoke(owner, 's', { type: 'user', id: consumer.id })
          world.pass(10_000)
          await records.publish(owner, 's', json(4))
        }
      }
    })()
    await assert.rejects(following, code('STREAM_UNKNOWN'))
    assert.deepEqual(seen, [1, 2, 3])
    stop.abort()
  })

  it('follows no more when what its token was signed with is refused at once', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const administrator = await world.user({ isAdministrator: true })
    await world.logins.signingKey()
    const { records } = world.service
    await records.publish(owner, 's', json(0))
    const seen: unknown[] = []
    const following = (async () => {
      const signal = new AbortController().signal
      for await (const some of records.follow(owner, 's', { from: 'first' }, { signal })) {
        seen.push(...values(some))
        await world.logins.rotateSigningKey(administrator, { atOnce: seen.length === 2 })
        world.pass(10_000)
        await records.publish(owner, 's', json(seen.length))
      }
    })()
    await assert.rejects(following, code('ACCESS_DENIED'))
    assert.deepEqual(seen, [0, 1])
  })
})

describe('read status of records', () => {
  it('gives what is unread, oldest first, and marks it when told to', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const { records } = world.service
    await records.publish(owner, 's', json(0, 1, 2))
    const unread = async (more: object = {}) =>
      values((await records.read(owner, 's', { unread: true, ...more })).batches)
    for (let i = 0; i < 2; i++) assert.deepEqual(await unread({ limit: 5 }), [0, 1, 2])
    const page = await records.read(owner, 's')
    const ids = records.ids(await world.service.streams.get(owner, 's'), page.batches[0] as StoredBatch)
    const one = await records.get(owner, 's', ids[1] ?? '', { markRead: true })
    assert.deepEqual([one.wasRead, one.offset, one.id], [false, 1n, ids[1]])
    assert.equal((await records.get(owner, 's', ids[1] ?? '')).wasRead, true)
    assert.equal(await records.countUnread(owner, 's'), 2n)
    assert.deepEqual(await unread({ limit: 1, markRead: true }), [0])
    assert.deepEqual(await unread({ markRead: true }), [2])
    assert.deepEqual(await unread({ markRead: true }), [])
    assert.equal(await records.countUnread(owner, 's', 'shared'), 3n)
    assert.equal(await records.markUnread(owner, 's', { ids: [ids[2] ?? ''] }), 1n)
    assert.deepEqual(await unread(), [2])
    assert.deepEqual((await records.read(owner, 's', { withStatus: true })).readBefore, [{ first: 0n, next: 2n }])
    await assert.rejects(records.markRead(owner, 's', { ids: ['none'] }), code('RECORD_UNKNOWN'))
    assert.equal(await records.markRead(owner, 's', { before: 1_000n, ranges: [{ first: 90n, next: 99n }] }), 1n)
  })

  it('walks unread pages through many marks, to the last', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const { records } = world.service
    const count = 5_000
    for (let i = 0; i < 10; i++) await records.publish(owner, 's', json(...numbers(i * 500, i * 500 + 500)))
    const isMarked = (n: number): boolean => n % 3 === 0 || (n > 1000 && n < 3500) || n === count - 1
    const ranges = numbers(0, count)
      .filter(isMarked)
      .map((n) => ({ first: BigInt(n), next: BigInt(n + 1) }))
    await records.markRead(owner, 's', { ranges })
    const wanted = numbers(0, count).filter((n) => !isMarked(n))
    for (const limit of [7, 333, 10_000]) {
      const seen: unknown[] = []
      let from = offset(0)
      for (let isAtEnd = false; !isAtEnd; ) {
        const page = await records.read(owner, 's', {
          from: { from: 'offset', offset: from },
          unread: true,
          limit,
          maxBytes: 900,
        })
        assert.ok(page.batches.reduce((n, b) => n + b.records.count, 0) <= limit)
        assert.ok(page.next > from || page.isAtEnd)
        seen.push(...values(page.batches))
        from = page.next
        isAtEnd = page.isAtEnd
      }
      assert.deepEqual(seen, wanted)
    }
  })

  it('gives each record to one of those who claim the unread at once', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const { records } = world.service
    await records.publish(owner, 's', json(...numbers(0, 100)))
    const pages = await Promise.all(
      numbers(0, 12).map(() => records.read(owner, 's', { unread: true, markRead: true, limit: 9, as: 'shared' })),
    )
    const seen = pages.flatMap((page) => values(page.batches)) as number[]
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      numbers(0, 100),
    )
  })

  it('knows a record by what its publisher called it, with its versions', async () => {
    await using world = await openWorld()
    const { owner, stream } = await withStream(world)
    const { records } = world.service
    await records.publish(owner, 's', keyed('111111111', { v: 1 }))
    await records.publish(owner, 's', json('between'))
    const { first } = await records.publish(owner, 's', keyed('111111111', { v: 2 }))
    const bodies = async (limit: number) =>
      (await records.history(owner, 's', '111111111', { limit })).map(
        (r) => JSON.parse(Buffer.from(r.body).toString()).v,
      )
    assert.deepEqual([await bodies(1), await bodies(3)], [[2], [2, 1]])
    assert.equal(await records.place(owner, 's', '111111111'), first)
    assert.equal(await records.place(owner, 's', 'none'), undefined)
    assert.deepEqual(await records.history(owner, 's', 'none', { limit: 1 }), [])
    await assert.rejects(records.get(owner, 's', 'none'), code('RECORD_UNKNOWN'))
    const [batch] = (await records.read(owner, 's', { from: { from: 'last', count: 1 } })).batches
    assert.deepEqual(records.ids(stream, batch as StoredBatch), ['111111111'])
  })

  it('takes the id of a record of another stream for none', async () => {
    await using world = await openWorld()
    const { owner, stream } = await withStream(world)
    const { records, streams } = world.service
    const other = await streams.create(owner, { name: 'other' })
    for (const name of ['s', 'other']) await records.publish(owner, name, json(1))
    const [batch] = (await records.read(owner, 's')).batches
    const [id] = records.ids(stream, batch as StoredBatch)
    assert.notEqual(id, records.ids(other, batch as StoredBatch)[0])
    assert.equal((await records.get(owner, 's', id ?? '')).offset, 0n)
    await assert.rejects(records.get(owner, 'other', id ?? ''), code('RECORD_UNKNOWN'))
  })

  it('tells an owner who has read a record', async () => {
    await using world = await openWorld()
    const { owner } = await withStream(world)
    const { records } = world.service
    const [a, b] = [
      await grantee(world, owner, { isConsumer: true }),
      await grantee(world, owner, { isConsumer: true }),
    ]
    await grantee(world, owner, { isProducer: true })
    await records.publish(owner, 's', keyed('k', 1))
    await records.read(b, 's', { markRead: true })
    const first = await records.readers(owner, 's', 'k', { limit: 2 })
    const second = await records.readers(owner, 's', 'k', { limit: 2, after: first.next })
    assert.deepEqual(
      [...first.items, ...second.items].map((r) => [r.actor.id, r.hasRead]),
      [
        [owner.id, false],
        [a.id, false],
        [b.id, true],
      ],
    )
    assert.equal(second.next, undefined)
  })
})
