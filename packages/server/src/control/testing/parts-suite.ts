import assert from 'node:assert/strict'
import { it } from 'node:test'
import { act, allPages, code, type ControlPlaneSuiteOptions, freshId, second, withStream } from './world.ts'

/** Schemas, keys, batches and subscriptions of a stream. */
export const partsSuite = ({ make }: ControlPlaneSuiteOptions): void => {
  it('keeps schemas and keys, of which one each may be active', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const other = await withStream(plane)
    const schema = { id: freshId(), streamId, type: 'JSON', text: '{"a": 1.0}', createdAt: second(1) } as const
    const avro = { ...schema, id: freshId(), type: 'AVRO' } as const
    await plane.parts.addSchema(act(1), schema)
    await plane.parts.addSchema(act(2), avro)
    assert.deepEqual(await plane.parts.schemas(streamId), [schema, avro])
    assert.deepEqual(await plane.parts.schema(streamId, schema.id), schema)
    assert.equal(await plane.parts.schema(other.streamId, schema.id), undefined)
    await plane.parts.activateSchema(act(3), streamId, schema.id)
    assert.equal((await plane.streams.find(streamId))?.activeSchemaId, schema.id)
    await assert.rejects(plane.parts.activateSchema(act(), other.streamId, schema.id), code('SCHEMA_UNKNOWN'))
    await plane.parts.removeSchema(act(4), streamId, avro.id)
    assert.equal((await plane.streams.find(streamId))?.activeSchemaId, schema.id)
    await plane.parts.removeSchema(act(5), streamId, schema.id)
    assert.equal((await plane.streams.find(streamId))?.activeSchemaId, undefined)
    await assert.rejects(plane.parts.removeSchema(act(), streamId, schema.id), code('SCHEMA_UNKNOWN'))

    const key = {
      id: freshId(),
      streamId,
      algorithm: 'CURVE25519',
      encoding: 'BASE64',
      value: 'AAAA',
      description: undefined,
      createdAt: second(1),
    }
    await plane.parts.addKey(act(), key)
    assert.deepEqual(await plane.parts.keys(streamId), [key])
    assert.deepEqual(await plane.parts.key(streamId, key.id), key)
    await plane.parts.activateKey(act(), streamId, key.id)
    assert.equal((await plane.streams.find(streamId))?.activeKeyId, key.id)
    await plane.parts.activateKey(act(), streamId, undefined)
    assert.equal((await plane.streams.find(streamId))?.activeKeyId, undefined)
    await assert.rejects(plane.parts.activateKey(act(), streamId, 'none'), code('KEY_UNKNOWN'))
    await assert.rejects(plane.parts.activateKey(act(), 'none', undefined), code('STREAM_UNKNOWN'))
    assert.deepEqual((await plane.audit.list({ streamId })).items.length, 9)
  })

  it('says which parts of a batch are outstanding, and finishes it once', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const id = freshId()
    const parts = [1, 2, 10].map((number) => ({ number, hash: `h${number}` }))
    const batch = await plane.batches.create(act(1), {
      id,
      streamId,
      parts,
      attributes: { fileName: 'ü.csv', n: null },
    })
    assert.deepEqual(batch, {
      id,
      streamId,
      outstanding: [1, 2, 10],
      parts: parts.map((p) => ({ ...p, offset: undefined })),
      attributes: { fileName: 'ü.csv', n: null },
      createdAt: second(1),
      offset: undefined,
    })
    assert.deepEqual(await plane.batches.find(streamId, id), batch)
    assert.deepEqual((await plane.batches.partCame(streamId, id, { number: 10, offset: 0n })).outstanding, [1, 2])
    assert.deepEqual((await plane.batches.partCame(streamId, id, { number: 10, offset: 1n })).parts[2]?.offset, 1n)
    const got = await Promise.all([1, 2].map((number) => plane.batches.partCame(streamId, id, { number, offset: 5n })))
    assert.equal(got.filter((b) => b.outstanding.length === 0).length, 1)
    const finished = await Promise.all([7n, 8n].map((offset) => plane.batches.finish(act(2), streamId, id, offset)))
    assert.deepEqual([...finished].sort(), [false, true])
    assert.ok((await plane.batches.find(streamId, id))?.offset !== undefined)
    assert.deepEqual((await allPages((after) => plane.batches.list(streamId, { after, limit: 1 }))).items.length, 1)
    await plane.batches.remove(act(3), streamId, id)
    assert.equal(await plane.batches.find(streamId, id), undefined)
    for (const call of [
      () => plane.batches.remove(act(), streamId, id),
      () => plane.batches.finish(act(), streamId, id, 1n),
      () => plane.batches.partCame(streamId, id, { number: 1, offset: 0n }),
    ])
      await assert.rejects(call, code('BATCH_UNKNOWN'))
  })

  it('keeps subscriptions, where they are and how they fare', async () => {
    await using plane = await make()
    const { streamId } = await withStream(plane)
    const other = await withStream(plane)
    const subscription = {
      id: freshId(),
      streamId,
      settings: { url: 'x' },
      position: 5n,
      tries: 0,
      state: 'new',
      createdAt: second(1),
    }
    await plane.subscriptions.create(act(1), subscription)
    await plane.subscriptions.create(act(1), { ...subscription, id: freshId(), streamId: other.streamId })
    const { id } = subscription
    const how = { position: 9n, tries: 2, state: 'waiting' }
    assert.equal(await plane.subscriptions.note(id, 'a', how), false)
    assert.equal(await plane.subscriptions.hold(id, { holder: 'a', at: second(1), until: second(10) }), true)
    assert.equal(await plane.subscriptions.hold(id, { holder: 'b', at: second(9), until: second(20) }), false)
    assert.equal(await plane.subscriptions.hold(id, { holder: 'a', at: second(9), until: second(12) }), true)
    assert.equal(await plane.subscriptions.hold(id, { holder: 'b', at: second(12), until: second(20) }), true)
    assert.equal(await plane.subscriptions.hold(freshId(), { holder: 'b', at: second(1), until: second(2) }), false)
    assert.equal(await plane.subscriptions.note(id, 'a', { ...how, position: 7n }), false)
    assert.equal(await plane.subscriptions.note(id, 'b', how), true)
    await plane.subscriptions.update(act(2), streamId, subscription.id, { url: 'y' })
    const now = { ...subscription, settings: { url: 'y' }, position: 9n, tries: 2, state: 'waiting' }
    assert.deepEqual(await plane.subscriptions.find(streamId, subscription.id), now)
    assert.deepEqual((await plane.subscriptions.list({ streamId })).items, [now])
    assert.equal((await allPages((after) => plane.subscriptions.list({ after, limit: 1 }))).pages, 2)
    assert.equal(await plane.subscriptions.find(other.streamId, subscription.id), undefined)
    await plane.subscriptions.remove(act(3), streamId, subscription.id)
    for (const call of [
      () => plane.subscriptions.remove(act(), streamId, subscription.id),
      () => plane.subscriptions.update(act(), streamId, subscription.id, {}),
    ])
      await assert.rejects(call, code('SUBSCRIPTION_UNKNOWN'))
  })
}
