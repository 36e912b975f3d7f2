/** What programs meet on the surface of StreamDuo besides the behaviours that its own tests pin down (streamduo.test.ts). */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
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

describe('the surface of StreamDuo', () => {
  it('says that it is well, and takes paths with and without their slash', async () => {
    assert.equal((await sdk.health()).bytes.toString(), 'OK')
    const { stream, records } = await streamOf(1)
    for (const path of [`/stream/${stream}`, `/stream/${stream}/`])
      assert.equal((await sdk.call(streamScope, 'GET', path)).status, 200)
    for (const path of ['record/unread', 'record/unread/', 'batch/unread/', `record/unread?count=1`])
      assert.equal((await sdk.call(recordScope, 'GET', `/stream/${stream}/${path}`)).status, 200)
    for (const plural of ['stream', 'streams'])
      assert.equal(
        (
          await sdk.call(recordScope, 'POST', `/${plural}/${stream}/schemas/`, {
            body: { schema: {}, schemaType: 'JSON' },
          })
        ).status,
        200,
      )
    assert.equal((await sdk.call(recordScope, 'POST', `/stream/${stream}/record/${records[0]}/mark-read/`)).status, 200)
  })

  it('reads since a record, and samples', async () => {
    const { stream, records } = await streamOf(9)
    const since = await sdk.read(stream, 'READ_SINCE_RECORD_ID', { recordId: records[6], recordCount: 5 })
    assert.deepEqual(payloads(since), [{ payload: 8 }, { payload: 9 }])
    for (const recordCount of [1, 4, 8, 20]) {
      const sample = ids(await sdk.read(stream, 'SAMPLE', { recordCount, markAsRead: false }))
      assert.equal(new Set(sample).size, Math.min(recordCount, 9))
      assert.deepEqual(
        sample,
        records.filter((id) => sample.includes(id)),
      )
    }
  })

  it('takes what early clients sent: an empty text for a count, a text for a flag', async () => {
    const { stream } = await streamOf(2)
    assert.equal((await sdk.read(stream, 'UNREAD', { recordCount: '', markAsRead: 'true' })).json().length, 2)
    assert.equal((await sdk.readUnread(stream, false, 5)).json().length, 0)
  })

  it('leaves the payloads out where a client prefers it', async () => {
    const { stream } = await streamOf(2)
    const body = { readRecordRequestType: 'UNREAD', recordCount: 2, markAsRead: false }
    const bare = await sdk.call(recordScope, 'POST', `/stream/${stream}/record-request`, {
      body,
      headers: { prefer: 'return=minimal' },
    })
    assert.deepEqual(payloads(bare), [null, null])
  })

  it('writes a record once that comes again under its key', async () => {
    const stream = await newStream()
    const body = { dataPayload: one }
    const write = async (key: string): Promise<string> =>
      (
        await sdk.call(recordScope, 'POST', `/stream/${stream}/record`, { body, headers: { 'idempotency-key': key } })
      ).json().recordId
    assert.equal(await write('a'), await write('a'))
    await write('b')
    assert.equal((await sdk.readUnread(stream, false, 5)).json().length, 2)
  })

  it('lets each scope do what is its own', async () => {
    const { stream } = await streamOf(1)
    await raises(sdk.call(recordScope, 'POST', '/stream', { body: { displayName: 'x' } }), 403)
    await raises(sdk.call(recordScope, 'DELETE', `/stream/${stream}`), 403)
    await raises(sdk.call(recordScope, 'GET', '/client'), 403)
    await raises(sdk.call(streamScope, 'POST', `/stream/${stream}/record`, { body: { dataPayload: 1 } }), 403)
    await raises(
      sdk.call(streamScope, 'POST', `/stream/${stream}/record-request`, { body: { readRecordRequestType: 'LAST_N' } }),
      403,
    )
  })

  it('gives producers and consumers their rights, and nobody more', async () => {
    const stream = await newStream()
    const partner = async (name: string, isProducer: boolean, isConsumer: boolean): Promise<StreamDuoSdk> => {
      const added = (await sdk.addMachineClient(stream, name, isProducer, isConsumer)).json()
      const { actorId, clientSecret } = added.streamActorPermissionRecords.find(
        (r: { actorDisplayName: string }) => r.actorDisplayName === name,
      )
      return new StreamDuoSdk({ url: `${manager.url}/streamduo`, clientId: actorId, clientSecret })
    }
    const [producer, consumer, nobody] = [
      await partner('p', true, false),
      await partner('c', false, true),
      await partner('n', false, false),
    ]
    // Who owns nothing sees its own entry; its name was its id.
    const seen = (await consumer.getStream(stream)).json().streamActorPermissionRecords
    assert.equal(seen.length, 1)
    assert.deepEqual([seen[0].actorDisplayName, seen[0].isProducer, seen[0].isConsumer], ['c', false, true])
    await producer.writeRecord(stream, one)
    assert.deepEqual(payloads(await consumer.readUnread(stream, true, 5)), [one])
    // The read status is the stream's.
    assert.deepEqual(payloads(await sdk.readUnread(stream, false, 5)), [])
    await raises(producer.readUnread(stream, false, 5), 403)
    await raises(consumer.writeRecord(stream, one), 403)
    await raises(nobody.readUnread(stream, false, 5), 403)
    await raises(consumer.createSchema(stream, {}), 403)
    await raises(producer.addMachineClient(stream, 'x'), 403)
    assert.equal((await nobody.getStream(stream)).json().streamActorPermissionRecords.length, 1)
    await sdk.removeActor(
      stream,
      (await nobody.getStream(stream)).json().streamActorPermissionRecords[0].actorId,
      'CLIENT',
    )
    await raises(nobody.getStream(stream), 404)
    const stranger = await sdkOf('stranger')
    await raises(stranger.getStream(stream), 404)
    await raises(stranger.readUnread(stream, false, 5), 404)
    await raises(stranger.unreadBatches(stream), 404)
  })

  it('refuses who shows no token, and a scope or a secret that is none', async () => {
    const url = `${manager.url}/streamduo`
    assert.equal((await fetch(`${url}/client`)).status, 401)
    const { id, secret } = await manager.client('login')
    const ask = async (fields: Record<string, string>): Promise<readonly [number, string]> => {
      const response = await fetch(`${url}/oauth2/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: id,
          client_secret: secret,
          ...fields,
        }),
      })
      return [response.status, ((await response.json()) as { readonly error: string }).error]
    }
    assert.deepEqual(await ask({ scope: 'https://api.streamduo.com/all' }), [400, 'invalid_scope'])
    assert.deepEqual(await ask({ client_secret: 'wrong', scope: streamScope }), [401, 'invalid_client'])
  })

  it('tells what is wrong with a body', async () => {
    const stream = await newStream()
    const bad = async (path: string, body: unknown): Promise<void> =>
      await raises(sdk.call(recordScope, 'POST', path, { body }), 400)
    await bad(`/stream/${stream}/record`, '{"dataPayload": ')
    await bad(`/stream/${stream}/record`, [])
    await bad(`/stream/${stream}/record`, { recordId: 'x' })
    await bad(`/stream/${stream}/record-request`, { readRecordRequestType: 'EVERYTHING' })
    await bad(`/stream/${stream}/keys/`, { publicKey: 'short' })
    await bad(`/stream/${stream}/batch/init`, { hashes: { zero: 'x' } })
    const begun = await sdk.initBatch(stream, Buffer.from('x'), 'x.csv')
    const part = `/stream/${stream}/batch/${begun.batchId}/upload-part/1`
    await raises(sdk.call(recordScope, 'POST', part, { body: { file: 'x' } }), 400)
    await raises(sdk.sendPart({ ...begun, batchId: 'nothing' }, 1, Buffer.from('x')), 404)
    await raises(sdk.sendPart(begun, 1, Buffer.alloc(17 * 1024 * 1024)), 413)
  })

  it('gives each unread record to one of many that ask at once', async () => {
    const { stream, records } = await streamOf(40)
    const found = await Promise.all(Array.from({ length: 8 }, () => sdk.readUnread(stream, true, 10)))
    const all = found.flatMap(ids)
    assert.equal(new Set(all).size, all.length)
    const rest = ids(await sdk.readUnread(stream, true, 100))
    assert.deepEqual([...all, ...rest].sort(), [...records].sort())
  })
})
