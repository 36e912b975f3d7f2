import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { streamName } from '@millrace/engine'
import { code, json, openWorld, values } from './testing/world.ts'
import type { SettingsChange } from './types.ts'

describe('streams of the service', () => {
  it('are made with the name that was chosen, or one of their own', async () => {
    await using world = await openWorld()
    const user = await world.user()
    const { streams } = world.service
    const made = await streams.create(user, { name: 'orders', displayName: 'All orders', settings: { maxRecords: 9 } })
    assert.deepEqual(
      [made.name, made.displayName, made.contentType, made.rights?.isOwner, 'state' in made],
      ['orders', 'All orders', 'application/json', true, false],
    )
    assert.deepEqual(await streams.get(user, 'orders'), made)
    assert.equal((await streams.stat(user, made.id)).retention.maxRecords, 9)
    const twins = [
      await streams.create(user, { displayName: 'Tëst stream/1' }),
      await streams.create(user, { displayName: 'Tëst stream/1' }),
    ]
    for (const { name } of twins) assert.match(name, /^Te-st-stream-1-[0-9a-f]{12}$/)
    assert.notEqual(twins[0]?.name, twins[1]?.name)
    assert.match((await streams.create(user, { displayName: '🚚' })).name, /^stream-/)
    assert.match((await streams.create(user, { displayName: 'millrace.x' })).name, /^x-/)
    for (const name of [
      '',
      'a b',
      '../x',
      'millrace.batch.x',
      made.id,
      made.id.toUpperCase(),
      'ü',
      "x' or 1=1--",
      'x'.repeat(201),
    ])
      await assert.rejects(streams.create(user, { name }), code('STREAM_NAME_INVALID'))
    await assert.rejects(streams.create(user, { name: 'orders' }), code('STREAM_EXISTS'))
    await assert.rejects(streams.create(user, { name: 'y', displayName: 'x'.repeat(501) }), code('CONTROL_ARGUMENT'))
    await assert.rejects(streams.create(user, { name: 'y', contentType: 'json' }), code('CONTROL_ARGUMENT'))
    await assert.rejects(streams.create({ ...user, scopes: ['records:write'] }, { name: 'y' }), code('ACCESS_DENIED'))
  })

  it('are listed to those who were granted something, and all to an administrator', async () => {
    await using world = await openWorld()
    const [a, b] = [await world.user(), await world.user()]
    const administrator = await world.user({ isAdministrator: true })
    const { streams, sharing } = world.service
    for (const name of ['a1', 'a2']) await streams.create(a, { name })
    await streams.create(b, { name: 'b1' })
    await sharing.grant(b, 'b1', { actor: a }, { isOwner: false, isProducer: true, isConsumer: false })
    const names = async (...[p, query]: Parameters<typeof streams.list>) =>
      (await streams.list(p, query)).items.map((s) => [s.name, s.rights?.isOwner])
    assert.deepEqual(await names(a), [
      ['a1', true],
      ['a2', true],
      ['b1', false],
    ])
    assert.deepEqual(await names(b), [['b1', true]])
    assert.deepEqual(await names(administrator), [
      ['a1', undefined],
      ['a2', undefined],
      ['b1', undefined],
    ])
    assert.deepEqual(await names({ ...administrator, scopes: ['streams:manage'] }), [])
    assert.deepEqual(await names(a, { prefix: 'a' }), [
      ['a1', true],
      ['a2', true],
    ])
    await assert.rejects(streams.list({ ...a, scopes: [] }), code('ACCESS_DENIED'))
  })

  it('go with all that is theirs, and their name is free for somebody else', async () => {
    await using world = await openWorld()
    const [a, b] = [await world.user(), await world.user()]
    const { streams, records, batches } = world.service
    const first = await streams.create(a, { name: 's' })
    await records.publish(a, 's', json('secret'))
    const batch = await batches.begin(a, 's', { hashes: { 1: 'XUFAKrxLKna5cZ2REBfFkg==' } })
    await batches.putPart(a, 's', { batch: batch.id, part: 1, bytes: Buffer.from('hello') })
    await streams.delete(a, 's')
    assert.deepEqual(await Array.fromAsync(world.engine.list()), [])
    await assert.rejects(streams.get(a, first.id), code('STREAM_UNKNOWN'))
    await streams.create(b, { name: 's' })
    assert.deepEqual(values((await records.read(b, 's')).batches), [])
    await assert.rejects(records.read(a, 's'), code('STREAM_UNKNOWN'))
    await records.publish(b, 's', json(1))
    assert.deepEqual(values((await records.read(b, 's')).batches), [1])
  })

  it('do not leave records behind for the next of their name, whenever whoever drops them dies', async () => {
    await using world = await openWorld()
    const [a, b] = [await world.user(), await world.user()]
    const { streams, records } = world.service
    await streams.create(a, { name: 's' })
    await records.publish(a, 's', json('secret'))
    const { drop } = world.engine
    world.engine.drop = () => Promise.reject(new Error('killed'))
    await assert.rejects(streams.delete(a, 's'), /killed/)
    await assert.rejects(streams.get(a, 's'), code('STREAM_UNKNOWN'))
    await assert.rejects(streams.create(b, { name: 's' }), code('STREAM_EXISTS'))
    world.engine.drop = drop
    world.pass(61_000)
    await streams.create(b, { name: 's' })
    assert.deepEqual(values((await records.read(b, 's')).batches), [])
  })

  it('that were half made are not seen, and may be made again', async () => {
    await using world = await openWorld()
    const user = await world.user()
    const { streams } = world.service
    const { made } = world.control.streams
    world.control.streams.made = () => Promise.reject(new Error('killed'))
    await assert.rejects(streams.create(user, { name: 's' }), /killed/)
    world.control.streams.made = made.bind(world.control.streams)
    assert.deepEqual((await streams.list(user)).items, [])
    world.pass(61_000)
    assert.equal((await streams.create(user, { name: 's' })).name, 's')
  })

  it('are not shared over AMQP where the log does not speak it, and nothing is left of the try', async () => {
    await using world = await openWorld()
    const user = await world.user()
    const wanted = { name: 's', settings: { amqp: true } }
    await assert.rejects(world.service.streams.create(user, wanted), code('LOG_ARGUMENT'))
    assert.deepEqual((await world.service.streams.list(user)).items, [])
    assert.equal((await world.service.streams.create(user, { name: 's' })).name, 's')
  })

  it('keep the settings that a change does not name, and refuse one of what stays', async () => {
    // A change of one setting dropped all others, amqp with them: the stream said that it had no exchange while it stood.
    await using world = await openWorld()
    const user = await world.user()
    const { streams } = world.service
    const { settings, id } = await streams.create(user, { name: 's', settings: { maxBytes: 9, amqp: false } })
    assert.deepEqual(settings, { maxBytes: 9 })
    const set = async (change: SettingsChange) => (await streams.update(user, 's', { settings: change })).settings
    assert.deepEqual(await set({ maxAgeMs: 5, amqp: false }), { maxBytes: 9, maxAgeMs: 5 })
    assert.deepEqual(await set({ maxAgeMs: null }), { maxBytes: 9 })
    assert.deepEqual((await streams.stat(user, 's')).retention.maxAgeMs, undefined)
    assert.deepEqual((await streams.stat(user, 's')).retention.maxBytes, 9)
    await assert.rejects(set({ amqp: true }), code('CONTROL_ARGUMENT'))
    // As it stands where the log speaks AMQP.
    const by = { by: { type: user.type, id: user.id }, at: new Date(0) }
    await world.control.streams.update(by, id, { settings: { maxBytes: 9, amqp: true } })
    assert.deepEqual(await set({ maxBytes: 10 }), { maxBytes: 10, amqp: true })
    assert.deepEqual(await set({ amqp: true }), { maxBytes: 10, amqp: true })
    await assert.rejects(set({ amqp: false }), code('CONTROL_ARGUMENT'))
    assert.deepEqual((await streams.get(user, 's')).settings, { maxBytes: 10, amqp: true })
  })

  it('are not put upon a log that somebody else keeps', async () => {
    await using world = await openWorld()
    const user = await world.user()
    const log = await world.engine.create(streamName('theirs'))
    await log.append(json('theirs'))
    await assert.rejects(world.service.streams.create(user, { name: 'theirs' }), code('STREAM_EXISTS'))
    world.pass(61_000)
    await assert.rejects(world.service.streams.create(user, { name: 'theirs' }), code('STREAM_EXISTS'))
    assert.equal((await log.bounds()).next, 1n)
  })

  it('are changed and trimmed by their owner, and what was done stands in the audit log', async () => {
    await using world = await openWorld()
    const user = await world.user()
    const { streams, records } = world.service
    await streams.create(user, { name: 's' })
    await records.publish(user, 's', json(1, 2, 3))
    await records.read(user, 's', { markRead: true })
    await records.read(user, 's')
    const changed = await streams.update(user, 's', { description: 'd', settings: { maxAgeMs: 5 } })
    assert.deepEqual([changed.description, changed.settings], ['d', { maxAgeMs: 5 }])
    assert.equal((await streams.stat(user, 's')).retention.maxAgeMs, 5)
    assert.equal((await streams.trim(user, 's', { from: 'last', count: 1 })).first, 2n)
    assert.deepEqual(values((await records.read(user, 's')).batches), [3])
    assert.deepEqual(
      (await streams.audit(user, 's')).items.map((l) => l.action),
      ['stream.trimmed', 'stream.changed', 'records.read', 'stream.created'],
    )
    world.pass(11 * 60_000)
    await records.read(user, 's')
    assert.equal((await streams.audit(user, 's')).items[0]?.action, 'records.read')
    await assert.rejects(world.service.audit(user), code('ACCESS_DENIED'))
    assert.ok((await world.service.audit(await world.user({ isAdministrator: true }))).items.length > 4)
  })

  it('stay few that are open, and are read by those who have them open', async () => {
    await using world = await openWorld()
    const user = await world.user()
    const { streams, records } = world.service
    const names = Array.from({ length: 12 }, (_, i) => `s${i}`)
    for (const name of names) {
      await streams.create(user, { name })
      await records.publish(user, name, json(name))
    }
    const stop = new AbortController()
    const seen: unknown[] = []
    const following = names.slice(0, 6).map(async (name) => {
      for await (const some of records.follow(user, name, { from: 'first' }, { signal: stop.signal })) {
        seen.push(...values(some))
        if (seen.length === 12) stop.abort()
      }
    })
    for (let round = 0; round < 2; round++)
      for (const name of names) assert.equal(values((await records.read(user, name)).batches)[0], name)
    for (const name of names.slice(0, 6)) await records.publish(user, name, json('more'))
    await Promise.all(following)
    assert.equal(seen.filter((v) => v === 'more').length, 6)
  })
})
