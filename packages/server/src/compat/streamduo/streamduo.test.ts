/**
 * What the integration tests of StreamDuo's SDK pin down, each behaviour by its number in docs/reference/streamduo.md, through a client
 * that sends what the SDK sends, against a whole manager.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import sodium from 'libsodium-wrappers'
import { startTestManager, type TestManager } from '../testing/manager.ts'
import { type Answer, HttpError, recordScope, StreamDuoSdk, streamScope } from './testing/sdk.ts'

let manager: TestManager
let sdk: StreamDuoSdk
before(async () => {
  manager = await startTestManager()
  sdk = await sdkOf('partner')
})
after(() => manager[Symbol.asyncDispose]())

const sdkOf = async (name: string): Promise<StreamDuoSdk> => {
  const { id, secret } = await manager.client(name)
  return new StreamDuoSdk({ url: `${manager.url}/streamduo`, clientId: id, clientSecret: secret })
}
const newStream = async (): Promise<string> => (await sdk.createStream('test_stream')).json().streamId
const raises = async (work: Promise<unknown>, ...statuses: readonly number[]): Promise<void> =>
  await assert.rejects(work, (e) => e instanceof HttpError && (statuses.length === 0 || statuses.includes(e.status)))
const payloads = (answer: Answer): readonly unknown[] =>
  answer.json().map(({ dataPayload }: { readonly dataPayload: unknown }) => dataPayload)
const ids = (answer: Answer): readonly string[] =>
  answer.json().map(({ recordId }: { readonly recordId: string }) => recordId)
/** A stream with so many records. */
const streamOf = async (count: number): Promise<{ readonly stream: string; readonly records: readonly string[] }> => {
  const stream = await newStream()
  const records: string[] = []
  for (let n = 1; n <= count; n++) records.push((await sdk.writeRecord(stream, { payload: n })).json().recordId)
  return { stream, records }
}
const one = { payload: 1 }
const two = { payload: 2 }
const three = { payload: 3 }

const carSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  $id: 'https://example.com/object1644429127.json',
  type: 'object',
  required: ['Make', 'Price', 'Odometer (KM)', 'Colour', 'Doors'],
  properties: {
    Make: { $id: '#root/Make', type: 'string' },
    Price: { type: 'string' },
    'Odometer (KM)': { type: 'integer' },
    Colour: { type: 'string' },
    Doors: { type: 'string' },
  },
}
const car = { Make: 'Nissan', Price: '$9,700.00', 'Odometer (KM)': 31600, Colour: 'White', Doors: '4' }

describe('reading records of StreamDuo', () => {
  it('1: UNREAD without a mark gives all three, as often as it is asked', async () => {
    const { stream } = await streamOf(3)
    for (let i = 0; i < 2; i++) assert.deepEqual(payloads(await sdk.readUnread(stream, false, 5)), [one, two, three])
  })

  it('2: a SINGLE that marks leaves two, and marking those leaves an empty list', async () => {
    const { stream, records } = await streamOf(3)
    await sdk.readRecord(stream, records[1] as string, true)
    assert.deepEqual(payloads(await sdk.readUnread(stream, true, 5)), [one, three])
    const last = await sdk.readUnread(stream, false, 5)
    assert.deepEqual([last.status, last.json()], [200, []])
  })

  it('3: GET record/unread needs no count, and marks', async () => {
    const { stream, records } = await streamOf(3)
    await sdk.readRecord(stream, records[1] as string, true)
    assert.deepEqual(payloads(await sdk.simpleReadUnread(stream)), [one, three])
    assert.deepEqual(payloads(await sdk.simpleReadUnread(stream)), [])
  })

  it('4: a SINGLE that marks tells the status from before', async () => {
    const { stream, records } = await streamOf(1)
    const status = async (): Promise<string> =>
      (await sdk.readRecord(stream, records[0] as string, true)).json()[0].readStatus
    assert.deepEqual([await status(), await status()], ['false', 'true'])
  })

  it('5: LAST_N gives the newest, read or not, and no more than there are', async () => {
    const { stream, records } = await streamOf(3)
    await sdk.readRecord(stream, records[2] as string, true)
    const last = async (recordCount: number): Promise<readonly unknown[]> =>
      payloads(await sdk.read(stream, 'LAST_N', { recordCount, markAsRead: false }))
    assert.deepEqual(
      [await last(2), await last(10)],
      [
        [two, three],
        [one, two, three],
      ],
    )
  })

  it('6: since the full stamp of a record, brackets included, only what came after it', async () => {
    const { stream } = await streamOf(3)
    const [, second] = (await sdk.read(stream, 'LAST_N', { recordCount: 3 })).json()
    assert.match(second.recordTimeStampISO, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\[UTC\]$/)
    const since = await sdk.read(stream, 'READ_SINCE_TIMESTAMP', {
      recordTimeStampISO: second.recordTimeStampISO,
      markAsRead: false,
      recordCount: 5,
    })
    assert.deepEqual(payloads(since), [three])
  })

  it('7: since the same cut to seconds, that record too', async () => {
    const stream = await newStream()
    const read = async (recordTimeStampISO: string): Promise<readonly unknown[]> =>
      payloads(await sdk.read(stream, 'READ_SINCE_TIMESTAMP', { recordTimeStampISO, recordCount: 5 }))
    const first = (await sdk.writeRecord(stream, one)).json()
    // Until a second that has another number.
    let second = first
    while (second.recordTimeStampISO.slice(0, 19) === first.recordTimeStampISO.slice(0, 19))
      second = (await sdk.writeRecord(stream, two)).json()
    await sdk.writeRecord(stream, three)
    assert.deepEqual(await read(second.recordTimeStampISO.slice(0, 19)), [two, three])
    // Early clients gave the minute alone.
    assert.ok((await read(second.recordTimeStampISO.slice(0, 16))).length >= 2)
  })

  it('8: two writes of one id are two versions of it', async () => {
    const stream = await newStream()
    await sdk.writeRecord(stream, { Inventory: 20000 }, '111111111')
    const second = await sdk.writeRecord(stream, { Inventory: 15000 }, '111111111')
    assert.equal(second.json().recordId, '111111111')
    assert.deepEqual(payloads(await sdk.readRecord(stream, '111111111', false)), [{ Inventory: 15000 }])
    const history = await sdk.read(stream, 'SINGLE', { recordId: '111111111', recordCount: 3, markAsRead: true })
    assert.deepEqual(payloads(history), [{ Inventory: 15000 }, { Inventory: 20000 }])
    assert.deepEqual(payloads(await sdk.readUnread(stream, false, 5)), [])
  })

  it('9: an id is any text', async () => {
    const stream = await newStream()
    for (const id of ['order 7/2026?', 'ключ 🔑', '../..', 'x'.repeat(400)]) {
      await sdk.writeRecord(stream, { id }, id)
      assert.deepEqual(payloads(await sdk.readRecord(stream, id, false)), [{ id }])
      await sdk.markRead(stream, id)
    }
    assert.deepEqual(payloads(await sdk.readUnread(stream, false, 5)), [])
  })

  it('10: a write to a stream that is not there, or is of others, fails in the same way', async () => {
    const others = await sdkOf('others')
    const theirs = (await others.createStream('theirs')).json().streamId
    for (const id of ['madeupsstreamid', theirs]) await raises(sdk.writeRecord(id, one), 404)
  })

  it('11: a payload is any JSON, and comes back with all its digits', async () => {
    const stream = await newStream()
    const payload = { level_1a: [{ level_2a: 99 }, { level_2b: 'wayne' }], level_1b: 'some text é 🌊' }
    assert.deepEqual((await sdk.writeRecord(stream, payload)).json().dataPayload, payload)
    for (const text of ['12345678901234567890.123456789', '[1.0,1e400,null]', '"text"', 'null', 'true'])
      await sdk.call(recordScope, 'POST', `/stream/${stream}/record/`, {
        body: `{"recordId": null, "streamId": null, "recordTimeStampISO": null, "readStatus": null, "dataPayload": ${text}}`,
      })
    const answered = (await sdk.readUnread(stream, false, 10)).bytes.toString()
    assert.match(answered, /"dataPayload":12345678901234567890\.123456789\}/)
    assert.match(answered, /"dataPayload":\[1,1e400,null\]\}/)
    assert.match(answered, /"dataPayload":null\}.*"dataPayload":true\}/)
  })
})

describe('streams and actors of StreamDuo', () => {
  it('12: a stream that was deleted (204) is not there any more', async () => {
    const stream = await newStream()
    const deleted = await sdk.deleteStream(stream)
    assert.deepEqual([deleted.status, deleted.bytes.length], [204, 0])
    await raises(sdk.getStream(stream), 404)
  })

  it('13: the user to whom a stream belongs cannot be taken from it, nor its owner', async () => {
    const stream = await newStream()
    const { userId } = (await sdk.getUser()).json()
    assert.ok(userId)
    await raises(sdk.removeActor(stream, userId, 'USER'))
    const [owner] = (await sdk.getStream(stream)).json().streamActorPermissionRecords
    await raises(sdk.removeActor(stream, owner.actorId, owner.actorType), 409)
    assert.equal((await sdk.getStream(stream)).json().streamActorPermissionRecords.length, 1)
  })

  it('14: a client that is deleted is gone from the streams', async () => {
    const stream = await newStream()
    const added = (await sdk.addMachineClient(stream, 'test_client')).json()
    const { actorId } = added.streamActorPermissionRecords.find(
      (r: { actorDisplayName: string }) => r.actorDisplayName === 'test_client',
    )
    assert.equal((await sdk.deleteClient(actorId)).status, 200)
    assert.equal((await sdk.getStream(stream)).json().streamActorPermissionRecords.length, 1)
    await raises(sdk.getClient(actorId), 404)
  })

  it('15: after all own clients are deleted there are none, and a new one is there', async () => {
    for (const { clientId } of (await sdk.getClients()).json()) await sdk.deleteClient(clientId)
    assert.deepEqual((await sdk.getClients()).json(), [])
    const made = (await sdk.createClient('client display name test', 'client description test')).json()
    assert.deepEqual((await sdk.getClients()).json(), [
      {
        clientId: made.clientId,
        clientDisplayName: 'client display name test',
        clientDescription: 'client description test',
      },
    ])
    await sdk.deleteClient(made.clientId)
    assert.deepEqual((await sdk.getClients()).json(), [])
  })

  it('16: a client that loses a stream is still there', async () => {
    const stream = await newStream()
    const added = (await sdk.addMachineClient(stream, 'test_client', true, false)).json()
    assert.equal(added.streamActorPermissionRecords.length, 2)
    const { clientSecret, ...record } = added.streamActorPermissionRecords[1]
    assert.deepEqual(record, {
      actorId: record.actorId,
      actorDisplayName: 'test_client',
      actorType: 'CLIENT',
      isProducer: true,
      isConsumer: false,
    })
    assert.ok(clientSecret)
    const left = (await sdk.removeActor(stream, record.actorId, 'CLIENT')).json()
    assert.equal(left.streamActorPermissionRecords.length, 1)
    assert.equal((await sdk.getClient(record.actorId)).json().clientDisplayName, 'test_client')
  })

  it('adds a user by the e-mail address, and takes it away', async () => {
    const stream = await newStream()
    await sdk.addUser(stream, 'steve@example.com')
    const found = async () =>
      (await sdk.getStream(stream))
        .json()
        .streamActorPermissionRecords.find(
          (r: { actorDisplayName: string }) => r.actorDisplayName === 'steve@example.com',
        )
    const { actorId, actorType } = await found()
    assert.equal(actorType, 'USER')
    // The first clients did not say what kind of actor it is.
    await sdk.call(streamScope, 'DELETE', `/stream/${stream}/permissions`, { body: { actorId } })
    assert.equal(await found(), undefined)
  })
})

describe('schemas and keys of StreamDuo', () => {
  it('17: a schema that is none is refused, though the SDK took it', async () => {
    const stream = await newStream()
    const { schemaId } = (await sdk.createSchema(stream, carSchema)).json()
    const bad = { ...carSchema, properties: { ...carSchema.properties, Make: { $id: '#root/Make 2', type: 'string' } } }
    await raises(sdk.createSchema(stream, bad), 400, 422)
    await raises(sdk.createSchema(stream, { $ref: '#/definitions/nowhere' }), 400, 422)
    const kept = (await sdk.getSchema(stream, schemaId)).json()
    assert.equal(kept.schemaType, 'JSON')
    assert.deepEqual(JSON.parse(kept.schema), carSchema)
    assert.equal((await sdk.deleteSchema(stream, schemaId)).status, 204)
    await raises(sdk.getSchema(stream, schemaId), 404)
  })

  it('18: records are checked against the active schema', async () => {
    const stream = await newStream()
    assert.equal((await sdk.getStream(stream)).json().activeSchemaId, null)
    const { schemaId } = (await sdk.createSchema(stream, carSchema)).json()
    assert.deepEqual((await sdk.setActiveSchema(stream, schemaId)).json(), { status: 'Success' })
    assert.equal((await sdk.getStream(stream)).json().activeSchemaId, schemaId)
    assert.equal((await sdk.writeRecord(stream, car)).status, 200)
    await raises(sdk.writeRecord(stream, { ...car, Doors: 4 }), 422)
    assert.deepEqual(payloads(await sdk.readUnread(stream, false, 5)), [car])
  })

  it('18, of Avro: records are checked against the active schema', async () => {
    const stream = await newStream()
    const avro = {
      type: 'record',
      name: 'car',
      fields: [
        { name: 'Make', type: 'string' },
        { name: 'Doors', type: ['null', 'int'], default: null },
      ],
    }
    const { schemaId } = (await sdk.createSchema(stream, avro, 'AVRO')).json()
    await sdk.setActiveSchema(stream, schemaId)
    await sdk.writeRecord(stream, { Make: 'Nissan', Doors: 4 })
    await sdk.writeRecord(stream, { Make: 'Nissan' })
    for (const bad of [{ Make: 7 }, { Doors: 4 }, { Make: 'Nissan', Doors: 'four' }, 'Nissan'])
      await raises(sdk.writeRecord(stream, bad), 422)
    await raises(sdk.createSchema(stream, { type: 'record', name: 'car' }, 'AVRO'), 400, 422)
  })

  it('19: a key that is active is shown with the stream', async () => {
    const stream = await newStream()
    const { publicKeyId } = (await sdk.uploadKey(stream, randomBytes(32).toString('base64'))).json()
    assert.equal((await sdk.setActiveKey(stream, publicKeyId)).status, 200)
    assert.equal((await sdk.getStream(stream)).json().activeKeyId, publicKeyId)
  })
})

describe('files of StreamDuo', () => {
  const mebibyte = 1024 * 1024

  it('20: a file of 100 MiB has 20 parts; one that came is gone from the map, and at last all are', async () => {
    const stream = await newStream()
    const file = Buffer.alloc(100 * mebibyte, randomBytes(4099))
    const begun = await sdk.initBatch(stream, file, 'bigfile.dat')
    assert.equal(Object.keys(begun.outstandingParts).length, 20)
    const part = (n: number): Buffer => file.subarray((n - 1) * 5 * mebibyte, n * 5 * mebibyte)
    let batch = await sdk.sendPart(begun, 5, part(5))
    assert.ok(!('5' in batch.outstandingParts) && Object.keys(batch.outstandingParts).length === 19)
    // Again, and other bytes than were announced.
    await sdk.sendPart(begun, 5, part(5))
    await raises(sdk.sendPart(begun, 6, part(7)), 400, 422)
    await raises(sdk.sendPart(begun, 21, part(5)), 400, 404, 422)
    // A file of its own, its parts in an order of its own.
    const small = file.subarray(0, 11 * mebibyte)
    batch = await sdk.initBatch(stream, small, 'small.dat')
    for (const n of [3, 1, 2])
      batch = await sdk.sendPart(batch, n, small.subarray((n - 1) * 5 * mebibyte, n * 5 * mebibyte))
    assert.deepEqual(batch.outstandingParts, {})
    assert.ok((await sdk.getFile(stream, batch.batchId)).equals(small))
  })

  it('21: once a schema is active, a file that begins is told it', async () => {
    const stream = await newStream()
    const file = Buffer.from('Make,Doors\nNissan,4\n')
    const before = await sdk.initBatch(stream, file, 'car_sales.csv')
    assert.deepEqual([before.streamSchema, before.streamPublicKey, before.fileType], [null, null, 'CSV'])
    const { schemaId } = (await sdk.createSchema(stream, carSchema)).json()
    await sdk.setActiveSchema(stream, schemaId)
    const begun = await sdk.initBatch(stream, file, 'car_sales.csv')
    assert.equal(JSON.parse(begun.streamSchema?.schema ?? '').$id, carSchema.$id)
    // One that began before is not told it later.
    assert.equal((await sdk.getBatch(stream, before.batchId)).streamSchema, null)
    // A file is no record that the schema speaks of.
    assert.deepEqual((await sdk.sendFile(stream, file, { name: 'car_sales.csv' })).outstandingParts, {})
  })

  it('22: a file that is whole is one unread record, until it is marked', async () => {
    const stream = await newStream()
    await sdk.writeRecord(stream, one)
    assert.deepEqual((await sdk.unreadBatches(stream)).json(), [])
    await sdk.initBatch(stream, Buffer.from('begun and left'), 'left.csv')
    const { batchId } = await sdk.sendFile(stream, Buffer.from('a,b\n1,2\n'), { name: 'data.csv' })
    const [record, ...more] = (await sdk.unreadBatches(stream)).json()
    assert.deepEqual(
      [more.length, record.recordId, record.readStatus, record.dataPayload.fileName],
      [0, batchId, 'false', 'data.csv'],
    )
    await sdk.markRead(stream, batchId)
    assert.deepEqual((await sdk.unreadBatches(stream)).json(), [])
    // A file without a byte has no parts, and is whole at once.
    const empty = await sdk.sendFile(stream, Buffer.alloc(0), { name: 'empty.json' })
    assert.deepEqual(ids(await sdk.unreadBatches(stream)), [empty.batchId])
  })

  it('23: a file that is sealed comes back as it was, and nobody but the holder of the key reads it', async () => {
    await sodium.ready
    const stream = await newStream()
    const pair = (await sdk.generateKey(stream, 'test key integration')).json()
    const publicKey = sodium.from_base64(pair.publicKey.publicKeyValue, sodium.base64_variants.ORIGINAL)
    const privateKey = sodium.from_base64(pair.privateKeyValue, sodium.base64_variants.ORIGINAL)
    await sdk.setActiveKey(stream, pair.publicKey.publicKeyId)
    const file = randomBytes(6 * mebibyte)
    const batch = await sdk.sendFile(stream, file, {
      name: 'car_sales.csv',
      seal: (bytes, key) => sodium.crypto_box_seal(bytes, sodium.from_base64(key, sodium.base64_variants.ORIGINAL)),
    })
    assert.deepEqual([batch.outstandingParts, Object.keys(batch.hashes).length], [{}, 2])
    const sealed = await sdk.getFile(stream, batch.batchId)
    assert.equal(sealed.length, file.length + 48)
    assert.ok(Buffer.from(sodium.crypto_box_seal_open(sealed, publicKey, privateKey)).equals(file))
    assert.equal(
      (await sdk.getBatch(stream, batch.batchId)).streamPublicKey?.publicKeyValue,
      pair.publicKey.publicKeyValue,
    )
  })
})
