import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { brotliCompressSync, createGzip, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { testManager } from '../api/testing/manager.ts'

const pack = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
const bytes = (packed: Buffer): Uint8Array<ArrayBuffer> => new Uint8Array(packed)

describe('bodies that were packed', () => {
  it('are published as they were before', async () => {
    // The encoding was ignored: what gzip made was kept as text/plain.
    await using manager = await testManager()
    await manager.good('POST', '/api/v1/streams', { name: 's', contentType: 'text/plain' })
    for (const [encoding, packed] of Object.entries(pack))
      for (const [type, body, records] of [
        ['text/plain', `hello ${encoding}`, 1],
        ['application/json', '[{"a":1},{"a":2}]', 2],
        ['application/x-ndjson', '{"a":1}\n{"a":2}\n{"a":3}\n', 3],
      ] as const) {
        const headers = { 'content-type': type, 'content-encoding': encoding }
        const path = '/api/v1/streams/s/records'
        const answer = await manager.ask('POST', path, { body: bytes(packed(body)), headers })
        assert.equal(answer.status, 201, `${encoding} ${type}: ${answer.text}`)
        assert.equal(answer.json<{ records: number }>().records, records)
      }
    const { text } = await manager.ask('GET', '/api/v1/streams/s/records?from=first&limit=1')
    assert.match(text, /hello gzip/)
  })

  it('are refused where they are not what they say, or of an encoding that is not known', async () => {
    await using manager = await testManager()
    await manager.good('POST', '/api/v1/streams', { name: 's' })
    const post = async (
      type: string,
      encoding: string,
      body: Uint8Array<ArrayBuffer>,
      more: Readonly<Record<string, string>> = {},
    ): Promise<string> => {
      const headers = { 'content-type': type, 'content-encoding': encoding, ...more }
      const { status, text } = await manager.ask('POST', '/api/v1/streams/s/records', { body, headers })
      return `${status} ${text}`
    }
    const types = ['application/json', 'text/plain', 'application/x-ndjson']
    for (const type of types) {
      for (const [encoding, packed] of Object.entries(pack)) {
        assert.match(await post(type, encoding, Buffer.from('{"a":1}\n')), /^400 .*REQUEST_INVALID/, encoding)
        const whole = packed(JSON.stringify('x'.repeat(100)))
        const cut = bytes(whole.subarray(0, whole.length - 3))
        assert.match(await post(type, encoding, cut), /^400 .*REQUEST_INVALID/, `${encoding} that was cut`)
      }
      for (const encoding of ['compress', 'gzip, gzip', 'constructor'])
        assert.match(await post(type, encoding, Buffer.from('1')), /^415 .*MEDIA_TYPE_UNSUPPORTED/)
    }
    // Of a writer it is looked up first how far it came, while the body waits.
    const writer = { 'millrace-writer': 'w' }
    assert.match(await post('application/x-ndjson', 'gzip', Buffer.from('{"a":1}\n'), writer), /^400 .*REQUEST_INVALID/)
    assert.equal((await manager.ask('GET', '/api/v1/streams/s/stat')).json<{ readonly next: number }>().next, 0)
  })

  it('are held to the limits by what is unpacked', async () => {
    await using manager = await testManager({ bodyBytes: 100_000, lineBytes: 100_000 })
    await manager.good('POST', '/api/v1/streams', { name: 's' })
    const bomb = JSON.stringify('x'.repeat(50_000_000))
    for (const [encoding, packed] of Object.entries(pack))
      for (const type of ['application/json', 'application/x-ndjson']) {
        const headers = { 'content-type': type, 'content-encoding': encoding }
        const body = bytes(packed(bomb))
        const { status } = await manager.ask('POST', '/api/v1/streams/s/records', { body, headers })
        assert.equal(status, 413, `${encoding} ${type}`)
      }
  })

  it('of lines are acknowledged while they come', async () => {
    await using manager = await testManager()
    await manager.good('POST', '/api/v1/streams', { name: 's' })
    const sent = request(`${manager.url}/api/v1/streams/s/records`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${manager.token}`,
        'content-type': 'application/x-ndjson',
        'content-encoding': 'gzip',
        accept: 'application/x-ndjson',
      },
    })
    const packer = createGzip()
    packer.pipe(sent)
    const send = (line: string): void => {
      packer.write(line)
      packer.flush()
    }
    send('{"n":1}\n')
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    const acknowledged = createInterface(answer)[Symbol.asyncIterator]()
    const next = async (): Promise<string> => String((await acknowledged.next()).value)
    assert.match(await next(), /"records":1,/)
    for (const n of [2, 3]) {
      send(`{"n":${n}}\n`)
      assert.match(await next(), new RegExp(`"records":${n},`))
    }
    packer.end()
    assert.match(await next(), /"done":true/)
  })
})
