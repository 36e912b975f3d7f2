import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { testManager } from '../api/testing/manager.ts'

/** Sends bytes and answers what comes until the connection ends. */
const raw = async (url: string, text: string): Promise<string> => {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(text)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  // Who is refused while still sending may see the connection reset behind the answer.
  socket.on('error', () => {})
  await new Promise((closed) => socket.once('close', closed))
  return Buffer.concat(chunks).toString()
}

describe('the HTTP server', () => {
  it('ends slow bodies with 408, and lives on; requests without a body have all the time', async () => {
    await using manager = await testManager({ bodyMs: 100, bodyIdleMs: 100, heartbeatMs: 20 })
    const head = (path: string, type: string) =>
      `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${manager.token}\r\ncontent-type: ${type}\r\ncontent-length: 100\r\n\r\n`
    await manager.good('POST', '/api/v1/streams', { name: 's' })
    const following = await fetch(`${manager.url}/api/v1/streams/s/follow`, {
      headers: { authorization: `Bearer ${manager.token}` },
    })
    for (const [path, type] of [
      ['/api/v1/streams', 'application/json'],
      ['/api/v1/streams/s/records', 'application/json'],
      ['/api/v1/streams/s/records', 'application/x-ndjson'],
      ['/api/v1/oauth/token', 'application/x-www-form-urlencoded'],
    ] as const) {
      const answer = await raw(manager.url, `${head(path, type)}{`)
      assert.match(answer, /^HTTP\/1\.1 408 /, path)
      assert.match(answer, /REQUEST_TOO_SLOW/)
      assert.match(answer, /connection: close/i)
    }
    assert.equal((await manager.ask('GET', '/health')).status, 200)
    const reader = following.body?.getReader()
    // Three times as long as a body may take.
    for (let beats = 0; beats < 15; beats++) assert.equal((await reader?.read())?.done, false)
    await reader?.cancel()
  })

  it('refuses huge bodies and heads without taking them', async () => {
    await using manager = await testManager({ bodyBytes: 1000, lineBytes: 1000 })
    await manager.good('POST', '/api/v1/streams', { name: 's' })
    const big = JSON.stringify({ a: 'x'.repeat(5000) })
    for (const [path, type] of [
      ['/api/v1/streams', 'application/json'],
      ['/api/v1/streams/s/records', 'application/json'],
      ['/api/v1/streams/s/records', 'application/x-ndjson'],
      ['/api/v1/streams/s/records', 'application/octet-stream'],
    ] as const) {
      const { status, text } = await manager.ask('POST', path, { body: big, headers: { 'content-type': type } })
      assert.equal(status, 413, `${path} ${type}: ${text}`)
    }
    const answer = await raw(manager.url, `GET /health HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 431 /)
    assert.equal((await manager.ask('GET', '/api/v1/streams/s/stat')).json<{ readonly next: number }>().next, 0)
  })

  it('answers with a problem also where no route is reached, and does not repeat what was asked', async () => {
    // The framework's own answers had another form, and a path that was too long came back in full.
    await using manager = await testManager()
    for (const [path, status] of [
      ['/api/v1/streams/%zz', 400],
      ['/streamduo/stream/%zz', 400],
      ['/v2/import/%zz', 400],
      [`/api/v1/streams/s/records/${'9'.repeat(9000)}`, 414],
    ] as const) {
      const answer = await manager.ask('GET', path)
      assert.equal(answer.status, status, path)
      assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/)
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
      assert.ok(answer.text.length < 1000)
      const problem = answer.json<{ readonly code: string; readonly status: number }>()
      assert.deepEqual([problem.code, problem.status], ['REQUEST_INVALID', status])
    }
    for (const [head, status, code] of [
      [`GET /health HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'REQUEST_TOO_LARGE'],
      ['what is this\r\n\r\n', 400, 'REQUEST_INVALID'],
    ] as const) {
      const answer = await raw(manager.url, head)
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
      assert.match(answer, /content-type: application\/problem\+json/)
      const problem = JSON.parse(answer.split('\r\n\r\n')[1] ?? '') as {
        readonly code: string
        readonly status: number
      }
      assert.deepEqual([problem.code, problem.status], [code, status])
    }
  })

  it('has an actor keep to its rate, and says when to come again', async () => {
    await using manager = await testManager({ requestsPerSecond: 1, requestBurst: 5 })
    const answers = await Promise.all(Array.from({ length: 10 }, () => manager.ask('GET', '/api/v1/streams')))
    const limited = answers.filter((a) => a.status === 429)
    assert.ok(limited.length >= 4)
    assert.match(limited[0]?.headers.get('retry-after') ?? '', /^\d+$/)
  })

  it('has an address that guesses secrets wait, and others not', async () => {
    await using manager = await testManager({ failedLoginsPerMinute: 3 })
    const guess = () =>
      manager.ask('POST', '/oauth2/token', {
        token: undefined,
        body: 'grant_type=client_credentials&client_id=x&client_secret=y',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
    const statuses: number[] = []
    for (let i = 0; i < 5; i++) statuses.push((await guess()).status)
    assert.deepEqual(statuses, [401, 401, 401, 429, 429])
    assert.equal((await manager.ask('GET', '/api/v1/me')).status, 200)
  })

  it('answers all that was begun when it stops, and tells followers', async () => {
    const manager = await testManager()
    await manager.good('POST', '/api/v1/streams', { name: 's' })
    const following = await fetch(`${manager.url}/api/v1/streams/s/follow`, {
      headers: { authorization: `Bearer ${manager.token}` },
    })
    const said = following.text()
    await manager[Symbol.asyncDispose]()
    assert.match(await said, /event: problem\ndata: .*INTERRUPTED/)
    const socket = connect(Number(new URL(manager.url).port), '127.0.0.1')
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNREFUSED')
  })
})
