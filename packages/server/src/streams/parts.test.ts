import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { schemaCompiler } from '../schemas/index.ts'
import { code, json, openWorld, values } from './testing/world.ts'

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('base64')
const opened = async () => {
  const world = await openWorld(schemaCompiler)
  const owner = await world.user()
  await world.service.streams.create(owner, { name: 's' })
  return { world, owner, ...world.service, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

describe('schemas and keys of a stream', () => {
  it('let pass what conforms to the active schema only', async () => {
    await using t = await opened()
    const { owner, parts, records, streams } = t
    const text = '{"type":"object","properties":{"Doors":{"type":"string"}}}'
    const schema = await parts.addSchema(owner, 's', { type: 'JSON', text })
    assert.deepEqual(await parts.schema(owner, 's', schema.id), schema)
    await records.publish(owner, 's', json({ Doors: 4 }))
    await parts.activateSchema(owner, 's', schema.id)
    assert.equal((await streams.get(owner, 's')).activeSchemaId, schema.id)
    await assert.rejects(records.publish(owner, 's', json({ Doors: '4' }, { Doors: 4 })), code('RECORD_INVALID'))
    await records.publish(owner, 's', json({ Doors: '4' }))
    await parts.deleteSchema(owner, 's', schema.id)
    await records.publish(owner, 's', json({ Doors: 4 }))
    assert.equal((await streams.stat(owner, 's')).next, 3n)
    await assert.rejects(parts.addSchema(owner, 's', { type: 'JSON', text: '{"$id":"a b"}' }), code('SCHEMA_INVALID'))
    await assert.rejects(parts.addSchema(owner, 's', { type: 'AVRO', text: '{"type":"x"}' }), code('SCHEMA_INVALID'))
    await assert.rejects(parts.schema(owner, 's', schema.id), code('SCHEMA_UNKNOWN'))
    assert.deepEqual(await parts.schemas(owner, 's'), [])
  })

  it('are looked at by those who may use the stream, and changed by its owner', async () => {
    await using t = await opened()
    const { owner, parts, sharing, world } = t
    const producer = await world.user()
    await sharing.grant(owner, 's', { actor: producer }, { isOwner: false, isProducer: true, isConsumer: false })
    const key = await parts.addKey(owner, 's', { algorithm: 'CURVE25519', encoding: 'BASE64', value: 'A'.repeat(44) })
    await parts.activateKey(owner, 's', key.id)
    assert.deepEqual(await parts.key(producer, 's', key.id), key)
    assert.deepEqual(await parts.keys(producer, 's'), [key])
    await assert.rejects(parts.activateKey(producer, 's', undefined), code('ACCESS_DENIED'))
    await assert.rejects(parts.addSchema(producer, 's', { type: 'JSON', text: '{}' }), code('ACCESS_DENIED'))
    await assert.rejects(parts.key(owner, 's', 'none'), code('KEY_UNKNOWN'))
    await assert.rejects(parts.addKey(owner, 's', { algorithm: '', encoding: '', value: '' }), code('CONTROL_ARGUMENT'))
  })
})

describe('batches of a stream', () => {
  const parts = [Buffer.from('one'), Buffer.from('two'), Buffer.alloc(1000, 3)]
  const hashes = Object.fromEntries(parts.map((bytes, i) => [i + 1, md5(bytes)]))

  it('become one record when all parts are there, in whatever order and however often they come', async () => {
    await using t = await opened()
    const { owner, batches, records } = t
    const batch = await batches.begin(owner, 's', { hashes, attributes: { fileName: 'a.csv' } })
    assert.deepEqual(batch.outstanding, [1, 2, 3])
    const put = (part: number, bytes = parts[part - 1] as Buffer) =>
      batches.putPart(owner, 's', { batch: batch.id, part, bytes })
    assert.deepEqual((await put(3)).outstanding, [1, 2])
    assert.deepEqual((await put(3)).outstanding, [1, 2])
    await assert.rejects(put(2, Buffer.from('other')), code('BATCH_PART'))
    await assert.rejects(put(4, Buffer.from('x')), code('BATCH_PART'))
    await assert.rejects(batches.getPart(owner, 's', batch.id, 1), code('BATCH_PART'))
    assert.deepEqual(values((await records.read(owner, 's')).batches), [])
    const last = await Promise.all([put(1), put(2), put(1), put(2)])
    assert.ok(last.some((b) => b.outstanding.length === 0))
    assert.equal((await batches.get(owner, 's', batch.id)).offset, 0n)
    const page = await records.read(owner, 's', { unread: true })
    assert.deepEqual(values(page.batches), [{ fileName: 'a.csv', batchId: batch.id }])
    assert.equal((await records.get(owner, 's', batch.id)).key, batch.id)
    for (const [i, bytes] of parts.entries())
      assert.deepEqual(Buffer.from(await batches.getPart(owner, 's', batch.id, i + 1)), bytes)
    await batches.delete(owner, 's', batch.id)
    await assert.rejects(batches.get(owner, 's', batch.id), code('BATCH_UNKNOWN'))
    assert.equal((await records.get(owner, 's', batch.id)).offset, 0n)
  })

  it('are finished by whoever comes after one who died before the record was noted', async () => {
    await using t = await opened()
    const { owner, batches, records, world } = t
    const batch = await batches.begin(owner, 's', { hashes: { 1: md5(Buffer.from('x')) } })
    const put = () => batches.putPart(owner, 's', { batch: batch.id, part: 1, bytes: Buffer.from('x') })
    const { finish } = world.control.batches
    world.control.batches.finish = () => Promise.reject(new Error('killed'))
    await assert.rejects(put(), /killed/)
    world.control.batches.finish = finish.bind(world.control.batches)
    assert.equal((await put()).offset, 0n)
    assert.equal((await put()).offset, 0n)
    assert.equal((await records.read(owner, 's')).next, 1n)
  })

  it('without parts are a record at once, with the body that the way in wants', async () => {
    await using t = await opened()
    const { owner, batches, records } = t
    const record = () => ({ body: Buffer.from('{"empty":true}'), contentType: 'application/json' })
    const batch = await batches.begin(owner, 's', { hashes: {}, record })
    assert.equal(batch.offset, 0n)
    assert.deepEqual(values((await records.read(owner, 's')).batches), [{ empty: true }])
    for (const bad of [{ 0: hashes[1] }, { 1: 'short' }, { x: hashes[1] }])
      await assert.rejects(batches.begin(owner, 's', { hashes: bad as Record<string, string> }), code('BATCH_PART'))
  })
})
