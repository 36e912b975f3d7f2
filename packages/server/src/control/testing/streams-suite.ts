import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Actor, noRights, ownerRights } from '../../domain/access.ts'
import type { ControlPlane } from '../control-plane.ts'
import {
  act,
  allPages,
  code,
  type ControlPlaneSuiteOptions,
  newClient,
  newStream,
  newUser,
  second,
  somebody,
  withStream,
} from './world.ts'

const userOf = async (plane: ControlPlane): Promise<Actor> => ({
  type: 'user',
  id: (await plane.users.create(act(), newUser())).id,
})

/** Streams, who may use them, and the audit lines of both. */
export const streamsSuite = ({ make }: ControlPlaneSuiteOptions): void => {
  it('shows a stream from when its log is there until it goes', async () => {
    await using plane = await make()
    const owner = await userOf(plane)
    const wanted = newStream(owner, { name: 'orders', settings: { maxAgeMs: 5, amqp: true }, description: 'ü "x"' })
    const made = await plane.streams.create(act(1, owner), wanted)
    assert.deepEqual(made, {
      id: wanted.id,
      name: 'orders',
      displayName: 'S',
      description: 'ü "x"',
      contentType: 'application/json',
      settings: { maxAgeMs: 5, amqp: true },
      state: 'making',
      createdAt: second(1),
      activeSchemaId: undefined,
      activeKeyId: undefined,
    })
    assert.equal(await plane.streams.find('orders'), undefined)
    assert.equal(await plane.streams.access(wanted.id, owner), undefined)
    assert.deepEqual((await plane.streams.list({})).items, [])
    assert.deepEqual((await plane.streams.unfinished(second(1))).length, 0)
    assert.deepEqual(
      (await plane.streams.unfinished(second(2))).map((s) => s.id),
      [wanted.id],
    )
    await assert.rejects(plane.streams.create(act(1), newStream(owner, { name: 'orders' })), code('STREAM_EXISTS'))

    await plane.streams.made(wanted.id)
    for (const ref of ['orders', wanted.id]) {
      assert.deepEqual(await plane.streams.find(ref), { ...made, state: 'there' })
      assert.deepEqual(await plane.streams.access(ref, owner), {
        stream: { ...made, state: 'there' },
        rights: ownerRights,
      })
      assert.deepEqual((await plane.streams.access(ref, somebody))?.rights, undefined)
    }
    assert.equal(await plane.streams.find('other'), undefined)

    await plane.streams.beginRemoval(act(5, owner), wanted.id)
    assert.equal(await plane.streams.find('orders'), undefined)
    await assert.rejects(plane.streams.beginRemoval(act(5), wanted.id), code('STREAM_UNKNOWN'))
    await assert.rejects(plane.streams.create(act(5), newStream(owner, { name: 'orders' })), code('STREAM_EXISTS'))
    assert.deepEqual(
      (await plane.streams.unfinished(second(6))).map((s) => s.state),
      ['going'],
    )
    await plane.streams.remove(wanted.id)
    await plane.streams.remove(wanted.id)
    await plane.streams.create(act(6, owner), newStream(owner, { name: 'orders' }))
    const audit = (await plane.audit.list({ streamId: wanted.id })).items
    assert.deepEqual(
      audit.map((line) => [line.action, line.by, line.at, line.details]),
      [
        ['stream.deleted', owner, second(5), { name: 'orders' }],
        ['stream.created', owner, second(1), { name: 'orders' }],
      ],
    )
  })

  it('takes everything that hangs on a stream with it, but its audit lines', async () => {
    await using plane = await make()
    const { streamId, owner } = await withStream(plane)
    const of = { streamId, reader: 'shared' as never }
    const group = { streamId, name: 'g' }
    await plane.readStatus.mark(of, [{ first: 0n, next: 5n }])
    await plane.groups.create(act(), group, { ackTimeoutMs: 1000, maxTries: 1 }, 0n)
    await plane.parts.addSchema(act(), { id: 'x', streamId, type: 'JSON', text: '{}', createdAt: second(0) })
    await plane.batches.create(act(), { id: 'b', streamId, parts: [{ number: 1, hash: undefined }], attributes: {} })
    await plane.streams.beginRemoval(act(), streamId)
    await plane.streams.remove(streamId)
    assert.deepEqual(await plane.permissions.list(streamId), [])
    assert.equal(await plane.readStatus.countUnread(of, { first: 0n, next: 9n }), 9n)
    assert.deepEqual((await plane.readStatus.readersOf(streamId, 0n, {})).items, [])
    assert.equal(await plane.groups.find(group), undefined)
    assert.deepEqual(await plane.parts.schemas(streamId), [])
    assert.equal(await plane.batches.find(streamId, 'b'), undefined)
    assert.deepEqual((await plane.streams.list({ actor: owner })).items, [])
    assert.ok((await plane.audit.list({ streamId })).items.length >= 5)
  })

  it('changes what is told to change, and leaves the rest', async () => {
    await using plane = await make()
    const { streamId, stream } = await withStream(plane)
    const changed = await plane.streams.update(act(3), streamId, { description: 'new', settings: { maxBytes: 7 } })
    assert.deepEqual(changed, { ...stream, state: 'there', description: 'new', settings: { maxBytes: 7 } })
    assert.deepEqual(await plane.streams.find(streamId), changed)
    await assert.rejects(plane.streams.update(act(), 'nobody', {}), code('STREAM_UNKNOWN'))
  })

  it('lists streams by name in pages: all, those of an actor, those with a prefix', async () => {
    await using plane = await make()
    const [a, b] = [await userOf(plane), await userOf(plane)]
    const names = Array.from({ length: 25 }, (_, i) => `n${String((i * 7) % 25).padStart(2, '0')}`)
    for (const [i, name] of names.entries()) {
      const s = await plane.streams.create(act(), newStream(i % 5 === 0 ? b : a, { name }))
      await plane.streams.made(s.id)
    }
    const walk = async (query: object) => {
      const { items, pages } = await allPages((after) => plane.streams.list({ ...query, after, limit: 4 }))
      return { names: items.map((s) => s.stream.name), pages }
    }
    assert.deepEqual(await walk({}), { names: [...names].sort(), pages: 7 })
    const ofB = names.filter((_, i) => i % 5 === 0).sort()
    assert.deepEqual(await walk({ actor: b }), { names: ofB, pages: 2 })
    assert.deepEqual(await walk({ actor: b, all: true }), { names: [...names].sort(), pages: 7 })
    const rights = (await plane.streams.list({ actor: b, all: true })).items.map((s) => s.rights?.isOwner)
    assert.equal(rights.filter((isOwner) => isOwner === true).length, 5)
    assert.equal(rights.filter((isOwner) => isOwner === undefined).length, 20)
    assert.deepEqual((await walk({ prefix: 'n1' })).names, [...names].sort().slice(10, 20))
    assert.deepEqual(
      (await walk({ prefix: 'n1', actor: b })).names,
      ofB.filter((n) => n.startsWith('n1')),
    )
    assert.deepEqual((await walk({ actor: somebody })).names, [])
    for (const limit of [0, 1001, 1.5, Number.NaN])
      await assert.rejects(plane.streams.list({ limit }), code('CONTROL_ARGUMENT'))
  })

  it('prefers an id to a name that looks like it', async () => {
    await using plane = await make()
    const one = await withStream(plane)
    const two = await withStream(plane, { name: one.streamId })
    assert.equal((await plane.streams.find(one.streamId))?.id, one.streamId)
    assert.equal((await plane.streams.access(one.streamId, two.owner))?.rights, undefined)
  })

  it('grants exactly what is said, and never leaves a stream without an owner', async () => {
    await using plane = await make()
    const { streamId, owner } = await withStream(plane)
    const client = await plane.clients.create(act(), newClient(owner, { displayName: 'robot' }))
    const robot: Actor = { type: 'client', id: client.id }
    const { email, id } = await plane.users.create(act(), newUser())
    const other: Actor = { type: 'user', id }

    await plane.permissions.grant(act(1, owner), streamId, robot, { ...noRights, isConsumer: true })
    await plane.permissions.grant(act(2, owner), streamId, other, noRights)
    await plane.permissions.grant(act(3, owner), streamId, robot, { ...noRights, isProducer: true })
    assert.deepEqual(await plane.permissions.of(streamId, robot), { ...noRights, isProducer: true })
    assert.deepEqual(
      (await plane.permissions.list(streamId)).map((p) => [
        p.actor,
        p.displayName,
        p.isOwner,
        p.isProducer,
        p.grantedAt,
      ]),
      [
        [owner, (await plane.users.find(owner.id))?.email, true, true, second(0)],
        [robot, 'robot', false, true, second(1)],
        [other, email, false, false, second(2)],
      ],
    )
    assert.deepEqual(
      (await plane.streams.list({ actor: other })).items.map((s) => s.stream.id),
      [streamId],
    )

    await assert.rejects(plane.permissions.revoke(act(), streamId, owner), code('LAST_OWNER'))
    await assert.rejects(plane.permissions.grant(act(), streamId, owner, noRights), code('LAST_OWNER'))
    await assert.rejects(plane.users.remove(act(), owner.id), code('LAST_OWNER'))
    await assert.rejects(plane.permissions.grant(act(), streamId, somebody, noRights), code('ACTOR_UNKNOWN'))
    await assert.rejects(plane.permissions.revoke(act(), streamId, somebody), code('ACTOR_UNKNOWN'))
    await assert.rejects(plane.permissions.grant(act(), 'none', robot, noRights), code('STREAM_UNKNOWN'))
    assert.deepEqual(await plane.permissions.of(streamId, owner), ownerRights)

    await plane.permissions.grant(act(4, owner), streamId, other, ownerRights)
    await plane.permissions.revoke(act(5, other), streamId, owner)
    assert.equal(await plane.permissions.of(streamId, owner), undefined)
    assert.equal((await plane.streams.access(streamId, owner))?.rights, undefined)
    const lines = (await plane.audit.list({ streamId, limit: 2 })).items
    assert.deepEqual(
      lines.map((l) => [l.action, l.by, l.subject]),
      [
        ['permission.revoked', other, `user:${owner.id}`],
        ['permission.granted', owner, `user:${other.id}`],
      ],
    )
  })

  it('keeps the audit log in order, in pages, by stream and by who did it', async () => {
    await using plane = await make()
    const by = { type: 'manager', id: 'manager' } as const
    for (let i = 0; i < 6; i++)
      await plane.audit.append({ by: i % 2 === 0 ? by : somebody, at: second(i) }, [
        { action: 'records.read', streamId: `s${i % 3}`, details: { i } },
      ])
    const walk = (query: object) => allPages((after) => plane.audit.list({ ...query, after, limit: 2 }))
    const seen = (items: readonly { details: object }[]) => items.map((l) => (l.details as { i: number }).i)
    const all = await walk({})
    assert.deepEqual([seen(all.items), all.pages], [[5, 4, 3, 2, 1, 0], 3])
    assert.deepEqual(seen((await walk({ streamId: 's1' })).items), [4, 1])
    assert.deepEqual(seen((await walk({ by })).items), [4, 2, 0])
    assert.deepEqual(seen((await walk({ by, streamId: 's2' })).items), [2])
    await assert.rejects(plane.audit.list({ after: "1' or '1'='1" }), code('CONTROL_ARGUMENT'))
    assert.deepEqual([await plane.audit.forgetBefore(second(0)), await plane.audit.forgetBefore(second(4))], [0, 4])
    assert.deepEqual(seen((await walk({})).items), [5, 4])
    assert.deepEqual([await plane.audit.forgetBefore(second(99)), await plane.audit.forgetBefore(second(99))], [2, 0])
  })
}
