import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { after, describe, test } from 'node:test'
import { isMillraceError, type MillraceError } from '@millrace/sdk'
import { type S3Access, startS3 } from '../testing/services/s3.ts'
import { freePort } from '@millrace/sdk/testing'
import { ObjectStore } from './store.ts'
import { partBytes } from './spare-parts.ts'
import { ObjectUpload } from './upload.ts'

const server = await startS3()
after(() => server[Symbol.asyncDispose]())

const open = async (bucket: string, access: S3Access = server.access): Promise<ObjectStore> =>
  await ObjectStore.open({
    settings: { region: 'us-east-1', sessionToken: undefined, addressing: 'auto', ...access },
    bucket,
    side: 'DESTINATION',
  })

/** What the promise failed with: an error of ours, of one line, that names no secret. */
const failureOf = async (work: Promise<unknown>): Promise<MillraceError> => {
  const e = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(isMillraceError(e), String(e))
  assert.doesNotMatch(`${e.message} ${e.fix}`, /\n|testing/)
  return e
}

const patterned = (bytes: number): Buffer => {
  const b = Buffer.allocUnsafe(bytes)
  for (let i = 0; i < bytes; i++) b[i] = (i * 31 + (i >> 13)) & 255
  return b
}

/** A port that passes bytes on to the server, and cuts its connections once so many came in; the first `times` times. */
const cutting = async (
  afterBytes: number,
  times: number,
): Promise<{ readonly port: number; readonly server: Server }> => {
  const target = Number(new URL(server.access.endpoint).port)
  let left = times
  const proxy = createServer((client) => {
    const up = connect(target, '127.0.0.1')
    let came = 0
    client.on('error', () => up.destroy()).on('close', () => up.destroy())
    up.on('error', () => client.destroy()).on('close', () => client.destroy())
    client.on('data', (chunk: Buffer) => {
      came += chunk.length
      if (came < afterBytes || left === 0) return
      left--
      client.destroy()
    })
    client.pipe(up).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return { port: (proxy.address() as AddressInfo).port, server: proxy }
}

describe('object store', { skip: server.skip }, () => {
  test('a small object and one of several parts arrive as they were, in any pieces', async () => {
    using bucket = await server.bucket()
    using store = await open(bucket.name)
    const large = patterned(2 * partBytes + 12_345)
    const small = new ObjectUpload(store, 'a/small')
    await small.add(Buffer.from('hel'))
    await small.add(Buffer.from('lo'))
    const upload = new ObjectUpload(store, 'a/large')
    for (let at = 0; at < large.length; at += 1_000_003) {
      const piece = Buffer.from(large.subarray(at, at + 1_000_003))
      await upload.add(piece)
      piece.fill(0)
    }
    assert.deepEqual(await bucket.keys(), [], 'nothing is visible before it is whole')
    assert.equal((await small.complete()).bytes, 5)
    const done = await upload.complete()
    assert.equal(done.bytes, large.length)
    assert.equal(await bucket.text('a/small'), 'hello')
    const digest = (b: Buffer): string => createHash('sha256').update(b).digest('hex')
    assert.equal(digest(await bucket.bytes('a/large')), digest(large))
    assert.equal((await store.head('a/large'))?.etag, done.etag)
    assert.equal(await store.head('a/nothing'), undefined)
    assert.deepEqual(await bucket.unfinished(), [])
  })

  test('an upload that is given up leaves nothing', async () => {
    using bucket = await server.bucket()
    using store = await open(bucket.name)
    const upload = new ObjectUpload(store, 'x')
    await upload.add(patterned(partBytes + 1))
    await upload.abort()
    assert.deepEqual([await bucket.keys(), await bucket.unfinished()], [[], []])
  })

  test('lists by pages, and reads from a place on', async () => {
    using bucket = await server.bucket()
    using store = await open(bucket.name)
    for (const n of [3, 1, 2]) await bucket.put(`d/${n}`, `number ${n}`)
    await bucket.put('e/1', '')
    const keys = (await Array.fromAsync(store.list('d/'))).flat().map((o) => `${o.key} ${o.size}`)
    assert.deepEqual(keys, ['d/1 8', 'd/2 8', 'd/3 8'])
    const chunks = await Array.fromAsync(await store.read('d/2', 4, undefined))
    assert.equal(Buffer.concat(chunks as Buffer[]).toString(), 'er 2')
    assert.equal((await store.slice('d/2', 0, 6)).toString(), 'number')
  })

  test('a connection that is cut in the middle of a part is made again', async () => {
    using bucket = await server.bucket()
    const { port, server: proxy } = await cutting(1_000_000, 2)
    using store = await open(bucket.name, { ...server.access, endpoint: `http://127.0.0.1:${port}` })
    const upload = new ObjectUpload(store, 'x')
    await upload.add(patterned(partBytes + 1_000))
    assert.equal((await upload.complete()).bytes, partBytes + 1_000)
    assert.equal((await bucket.bytes('x')).length, partBytes + 1_000)
    proxy.close()
  })

  test('where every connection is cut, the upload fails with one line and can be given up', async () => {
    using bucket = await server.bucket()
    const { port, server: proxy } = await cutting(1_000_000, Infinity)
    using store = await open(bucket.name, { ...server.access, endpoint: `http://127.0.0.1:${port}` })
    const upload = new ObjectUpload(store, 'x')
    await upload.add(patterned(partBytes))
    const e = await failureOf(upload.complete())
    assert.equal(e.code, 'DESTINATION_UNAVAILABLE')
    await upload.abort()
    assert.deepEqual([await bucket.keys(), await bucket.unfinished()], [[], []])
    proxy.close()
  })

  test('a bucket that is not there, a wrong secret, an unknown key, a key without rights', async () => {
    using bucket = await server.bucket()
    const fault = async (name: string, access: S3Access): Promise<MillraceError> => {
      using store = await open(name, access)
      return await failureOf(store.put('x', Buffer.from('x')))
    }
    const gone = await fault('millrace-nowhere', server.access)
    assert.match(gone.message, /^s3:\/\/millrace-nowhere\/x: there is no bucket millrace-nowhere$/)
    assert.equal(gone.exitCode, 78)
    const secret = await fault(bucket.name, { ...server.access, secretAccessKey: 'wrong' })
    assert.match(secret.message, /the secret is not that of the access key/)
    assert.match(secret.fix, /AWS_SECRET_ACCESS_KEY/)
    const unknown = await fault(bucket.name, { ...server.access, accessKeyId: 'nobody' })
    assert.equal(unknown.code, 'DESTINATION_REFUSED')
    const stranger = await fault(bucket.name, server.stranger)
    assert.match(stranger.message, /access is denied/)
    assert.match(stranger.fix, /s3:PutObject/)
  })

  test('an endpoint that is not there, one that speaks no TLS', async () => {
    const port = await freePort()
    using nobody = await open('b', { ...server.access, endpoint: `http://127.0.0.1:${port}` })
    const away = await failureOf(nobody.put('x', Buffer.from('x')))
    assert.equal(away.code, 'DESTINATION_UNAVAILABLE')
    assert.match(away.message, new RegExp(`http://127.0.0.1:${port} cannot be reached \\(ECONNREFUSED\\)`))
    using plain = await open('b', { ...server.access, endpoint: server.access.endpoint.replace('http:', 'https:') })
    const tls = await failureOf(plain.put('x', Buffer.from('x')))
    assert.equal(tls.code, 'DESTINATION_REFUSED')
    assert.match(tls.fix, /http or https/)
  })

  /** What AWS does and the server of these tests does not. */
  test('with If-None-Match: an object of ours whose answer was lost is known again, that of another is not touched', async () => {
    const asked: string[] = []
    let etag = ''
    const aws = createHttpServer((request, response) => {
      asked.push(`${request.method} ${request.headers['if-none-match'] ?? ''}`.trim())
      request.resume().on('end', () => {
        if (request.method === 'HEAD') response.writeHead(200, { etag, 'content-length': '4' }).end()
        else
          response
            .writeHead(412, { 'content-type': 'application/xml' })
            .end('<?xml version="1.0"?><Error><Code>PreconditionFailed</Code><Message>no</Message></Error>')
      })
    }).listen(0, '127.0.0.1')
    await once(aws, 'listening')
    const endpoint = `http://127.0.0.1:${(aws.address() as AddressInfo).port}`
    using store = await open('b', { ...server.access, endpoint })
    etag = `"${createHash('md5').update('mine').digest('hex')}"`
    assert.equal(await store.put('x', Buffer.from('mine')), etag)
    assert.deepEqual(asked, ['PUT *', 'HEAD'])
    const e = await failureOf(store.put('x', Buffer.from('else')))
    assert.match(e.message, /an object of that name is there already/)
    aws.closeAllConnections()
    aws.close()
  })
})
