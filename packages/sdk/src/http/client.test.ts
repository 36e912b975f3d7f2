import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createSecureServer } from 'node:https'
import { createServer as createPlainServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { describeError, isMillraceError, type MillraceError } from '../errors/error.ts'
import { createLogger } from '../log/logger.ts'
import { encodeJson } from '../message/json.ts'
import { fakeClock, sendJson, startHttpServer } from '../testing/http-server.ts'
import { httpClient } from './client.ts'
import { statusOf } from './failures.ts'
import type { HttpClientOptions } from './types.ts'

const secret = 's3cr3t-value'
const failure = async (work: Promise<unknown>): Promise<MillraceError> => {
  try {
    await work
  } catch (e) {
    if (!isMillraceError(e)) throw e
    assert.ok(!describeError(e).includes(secret), `a secret is shown: ${describeError(e)}`)
    return e
  }
  throw new Error('it should have failed')
}
const quick = { attempts: 3, baseMs: 100, maxMs: 1000, maxWaitMs: 600_000 }
const clientOf = (baseUrl: string, options: Partial<HttpClientOptions> = {}) => {
  const clock = fakeClock()
  return { client: httpClient({ baseUrl, clock, retry: quick, ...options }), clock }
}

test('each style of auth goes where it belongs, and nothing of it into the log', async () => {
  await using server = await startHttpServer((_, r) => sendJson(r, []))
  const lines: string[] = []
  const log = createLogger({ format: 'json', level: 'debug', write: (line) => lines.push(line) })
  for (const auth of [
    { style: 'header', name: 'X-Api-Key', value: secret },
    { style: 'bearer', token: `${secret}\n` },
    { style: 'basic', user: 'ann', password: secret },
    { style: 'query', name: 'key', value: secret },
  ] as const) {
    await using client = httpClient({ baseUrl: `${server.url}/v1/`, auth, log })
    await client.get('/things?a=1', { query: { b: [2, 3] } })
  }
  const [header, bearer, basic, query] = server.requests
  assert.equal(header?.headers['x-api-key'], secret)
  assert.equal(bearer?.headers.authorization, `Bearer ${secret}`)
  assert.equal(basic?.headers.authorization, `Basic ${Buffer.from(`ann:${secret}`).toString('base64')}`)
  assert.equal(query?.url, `/v1/things?a=1&b=2&b=3&key=${secret}`)
  assert.equal(lines.length, 4)
  assert.ok(!lines.join('').includes(secret) && !lines.join('').includes('a=1'), lines.join(''))
})

test('numbers of an answer keep their digits', async () => {
  const body = '{"id":12345678901234567890,"rate":0.1234567890123456789012345}'
  await using server = await startHttpServer((_, r) => sendJson(r, body))
  await using client = httpClient({ baseUrl: server.url })
  assert.equal(encodeJson((await client.get('/')).json()), body)
})

test('packed answers are unpacked, whatever packed them', async () => {
  const body = JSON.stringify({ text: 'x'.repeat(10_000) })
  const packers = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync } as const
  await using server = await startHttpServer((q, r) => {
    const encoding = q.url.slice(1) as keyof typeof packers
    r.writeHead(200, { 'content-encoding': encoding, 'content-type': 'application/json' })
    r.end(packers[encoding](body))
  })
  await using client = httpClient({ baseUrl: server.url })
  for (const encoding of Object.keys(packers)) assert.equal((await client.get(`/${encoding}`)).bytes.toString(), body)
})

test('a failing server is asked again after growing waits, then the fault is told', async () => {
  let n = 0
  await using server = await startHttpServer((q, r) => {
    if (q.url === '/heals' && n++ === 2) sendJson(r, 'true')
    else sendJson(r, '', { status: 503 })
  })
  const { client, clock } = clientOf(server.url)
  assert.equal((await client.get('/heals')).json(), true)
  assert.deepEqual(clock.slept, [100, 200])
  const e = await failure(client.get('/stays', { query: { token: secret } }))
  assert.equal(e.code, 'SOURCE_UNAVAILABLE')
  assert.equal(e.exitCode, 69)
  assert.equal(e.message, `GET ${server.url}/stays: answered 503 (tried 3 times)`)
  assert.equal(statusOf(e), 503)
  client.close()
})

test('waits are shortened at random, so that many clients do not come back at once', async () => {
  await using server = await startHttpServer((_, r) => sendJson(r, '', { status: 500 }))
  const clock = fakeClock(0, 0.5)
  const { client } = clientOf(server.url, { clock })
  await failure(client.get('/'))
  assert.deepEqual(clock.slept, [75, 150])
  client.close()
})

test('a POST is sent twice only where that does no harm', async () => {
  await using server = await startHttpServer((_, r) => sendJson(r, '', { status: 500 }))
  const { client } = clientOf(server.url, { side: 'destination' })
  const e = await failure(client.request({ method: 'POST', path: '/', body: '[]' }))
  assert.equal(e.code, 'DESTINATION_UNAVAILABLE')
  assert.equal(server.requests.length, 1)
  await failure(client.request({ method: 'POST', path: '/', body: '[]', idempotent: true }))
  assert.equal(server.requests.length, 4)
  client.close()
})

test('Retry-After is honoured, and does not use up the tries', async () => {
  let n = 0
  await using server = await startHttpServer((_, r) => {
    n++
    if (n <= 5) sendJson(r, '', { status: 429, headers: { 'retry-after': '7' } })
    else sendJson(r, '1', n <= 7 ? { status: 503 } : {})
  })
  const { client, clock } = clientOf(server.url)
  assert.equal((await client.get('/')).json(), 1)
  assert.deepEqual(clock.slept, [7000, 7000, 7000, 7000, 7000, 100, 200])
  client.close()
})

test('a storm of 429 ends with exit code 75, with or without a stated wait', async () => {
  await using server = await startHttpServer((q, r) =>
    sendJson(r, '', { status: 429, headers: q.url === '/stated' ? { 'retry-after': '120' } : {} }),
  )
  const { client, clock } = clientOf(server.url)
  const stated = await failure(client.get('/stated'))
  assert.equal(stated.code, 'SOURCE_LIMITED')
  assert.equal(stated.exitCode, 75)
  assert.match(stated.message, /too many requests \(429\); the next is allowed in 120 s/)
  assert.deepEqual(clock.slept, [120_000, 120_000, 120_000, 120_000, 120_000])
  const bare = clientOf(server.url)
  assert.equal((await failure(bare.client.get('/bare'))).exitCode, 75)
  assert.deepEqual(bare.clock.slept, [100, 200])
  client.close()
  bare.client.close()
})

test('when no request is left, the next one waits for the reset; a reset that is too far away is tried', async () => {
  const date = new Date(Date.UTC(2026, 0, 1)).toUTCString()
  const inSeconds = (s: number): string => String(Date.UTC(2026, 0, 1) / 1000 + s)
  await using server = await startHttpServer((q, r) =>
    sendJson(r, '1', {
      headers: { date, 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': inSeconds(q.url === '/far' ? 3600 : 30) },
    }),
  )
  const { client, clock } = clientOf(server.url)
  await client.get('/near')
  await client.get('/far')
  assert.deepEqual(clock.slept, [30_000])
  await client.get('/near')
  assert.deepEqual(clock.slept, [30_000])
  client.close()
})

test('no more requests are under way than allowed', async () => {
  let open = 0
  let most = 0
  const held: (() => void)[] = []
  const two = Promise.withResolvers<void>()
  await using server = await startHttpServer((_, r) => {
    most = Math.max(most, ++open)
    held.push(() => {
      open--
      sendJson(r, '1')
    })
    if (held.length === 2) two.resolve()
    if (held.length > 2) held.at(-1)?.()
  })
  const { client } = clientOf(server.url, { maxConcurrent: 2 })
  const all = Promise.all(Array.from({ length: 6 }, () => client.get('/')))
  await two.promise
  for (const answer of held.slice(0, 2)) answer()
  await all
  assert.equal(most, 2)
  client.close()
})

test('an answer known already is not sent again', async () => {
  await using server = await startHttpServer((q, r) =>
    q.headers['if-none-match'] === '"v1"'
      ? sendJson(r, '', { status: 304 })
      : sendJson(r, '[1]', { headers: { etag: '"v1"' } }),
  )
  const { client } = clientOf(server.url)
  const first = await client.get('/')
  const second = await client.get('/', { etag: first.etag })
  assert.deepEqual([first.notModified, second.notModified, second.bytes.length], [false, true, 0])
  client.close()
})

test('a server that hangs, before its headers or within its body, is given up', async () => {
  await using server = await startHttpServer((q, r) => {
    if (q.url === '/body') r.writeHead(200, { 'content-length': '100' }).write('[1,')
  })
  const { client } = clientOf(server.url, {
    retry: { ...quick, attempts: 2 },
    timeouts: { headersMs: 40, idleMs: 40, totalMs: 5000 },
  })
  const [headers, body] = [await failure(client.get('/headers')), await failure(client.get('/body'))]
  assert.match(headers.message, /no answer within 0.04 s \(tried 2 times\)/)
  assert.match(body.message, /the answer stopped for 0.04 s \(tried 2 times\)/)
  assert.deepEqual([headers.exitCode, body.exitCode], [69, 69])
  client.close()
})

test('a body that drips for ever is given up', async () => {
  const timers: NodeJS.Timeout[] = []
  await using server = await startHttpServer((_, r) => {
    timers.push(setInterval(() => r.write(' '), 5))
  })
  const { client } = clientOf(server.url, {
    retry: { ...quick, attempts: 1 },
    timeouts: { headersMs: 1000, idleMs: 1000, totalMs: 60 },
  })
  assert.match((await failure(client.get('/'))).message, /no whole answer within 0.06 s/)
  for (const timer of timers) clearInterval(timer)
  client.close()
})

test('a connection cut in the middle of an answer is tried again', async () => {
  let n = 0
  const whole = gzipSync(JSON.stringify(Array.from({ length: 1000 }, (_, i) => i)))
  await using server = await startHttpServer((q, r) => {
    if (n++ % 2 === 1) {
      r.writeHead(200, { 'content-encoding': 'gzip' }).end(whole)
      return
    }
    if (q.url === '/packed') r.writeHead(200, { 'content-encoding': 'gzip' }).end(whole.subarray(0, 50))
    else {
      r.writeHead(200, { 'content-length': '1000' })
      r.write('[1,2')
      r.socket?.end()
    }
  })
  const { client } = clientOf(server.url)
  assert.equal(((await client.get('/plain')).json() as unknown[]).length, 1000)
  assert.equal(((await client.get('/packed')).json() as unknown[]).length, 1000)
  client.close()
})

test('an answer over the limit is refused, also one that only unpacking makes large', async () => {
  await using server = await startHttpServer((_, r) => {
    r.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(4_000_000, 32)))
  })
  const { client } = clientOf(server.url, { maxResponseBytes: 1_000_000 })
  const e = await failure(client.get('/'))
  assert.equal(e.code, 'SOURCE_MALFORMED')
  assert.match(e.message, /larger than 1000000 bytes/)
  assert.equal(server.requests.length, 1, 'it does not get smaller by asking again')
  client.close()
})

test('what is not JSON is told by its path, kind and length, never by its content', async () => {
  await using server = await startHttpServer((q, r) => {
    if (q.url.startsWith('/page')) r.writeHead(200, { 'content-type': 'text/html' }).end(`<p>${secret}</p>`)
    else if (q.url === '/deep') sendJson(r, '['.repeat(100_000))
    else if (q.url === '/latin') sendJson(r, Buffer.from([34, 0xe9, 34]).toString('latin1'))
    else r.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([34, 0xff, 34]))
  })
  const { client } = clientOf(server.url)
  const why = async (path: string): Promise<string> => {
    const answer = await client.get(path)
    try {
      answer.json()
      return ''
    } catch (e) {
      assert.equal((e as MillraceError).code, 'SOURCE_MALFORMED')
      assert.ok(!describeError(e as MillraceError).includes(secret))
      return (e as MillraceError).message
    }
  }
  assert.match(
    await why('/page?q=1'),
    /^GET http:\/\/[\d.:]+\/page: the answer is not JSON \(200, text\/html, 19 bytes\)/,
  )
  assert.match(await why('/deep'), /deeper than 1000 levels/)
  assert.match(await why('/bytes'), /it is not utf-8/)
  client.close()
})

test('credentials that are not accepted end it at once, with exit code 78', async () => {
  await using server = await startHttpServer((q, r) => sendJson(r, '{}', { status: Number(q.url.slice(1)) }))
  const { client } = clientOf(server.url, { auth: { style: 'bearer', token: secret } })
  for (const [status, words] of [
    [401, /credentials are not accepted/],
    [403, /not allowed/],
    [404, /not there/],
    [418, /answered 418/],
  ] as const) {
    const e = await failure(client.get(`/${status}`))
    assert.deepEqual([e.code, e.exitCode, statusOf(e)], ['SOURCE_REFUSED', 78, status])
    assert.match(e.message, words)
  }
  assert.equal(server.requests.length, 4)
  assert.equal((await client.get('/404', { accept: [404] })).status, 404)
  client.close()
})

test('a redirect is followed, and takes the credentials to no other host', async () => {
  await using other = await startHttpServer((_, r) => sendJson(r, '"other"'))
  await using server = await startHttpServer((q, r) => {
    if (q.url === '/away') r.writeHead(302, { location: `${other.url}/x` }).end()
    else if (q.url === '/moved') r.writeHead(301, { location: '/here' }).end()
    else if (q.url === '/round') r.writeHead(302, { location: '/round' }).end()
    else sendJson(r, '"here"')
  })
  const { client } = clientOf(server.url, { auth: { style: 'bearer', token: secret }, headers: { 'X-Key': secret } })
  const moved = await client.get('/moved')
  assert.deepEqual([moved.json(), moved.url.pathname], ['here', '/here'])
  assert.equal((await client.get('/away')).json(), 'other')
  assert.deepEqual(
    [other.requests[0]?.headers.authorization, other.requests[0]?.headers['x-key']],
    [undefined, undefined],
  )
  assert.match((await failure(client.get('/round'))).message, /redirected more than 5 times/)
  const e = await failure(client.request({ method: 'POST', path: '/away', body: '1' }))
  assert.equal(e.code, 'SOURCE_REFUSED')
  assert.match((await failure(client.get(`${other.url}/x`))).message, /links to another host/)
  client.close()
})

test('no host, nobody listening, no HTTP: each is told in its own words', async () => {
  const nobody = await startHttpServer(() => {})
  await nobody.close()
  const gone = clientOf(nobody.url)
  assert.match(
    (await failure(gone.client.get('/'))).message,
    /nothing listens there \(ECONNREFUSED\) \(tried 3 times\)/,
  )
  const host = await failure(clientOf('http://no-such-host.invalid').client.get('/'))
  assert.deepEqual([host.code, host.exitCode], ['SOURCE_UNAVAILABLE', 69])
  assert.match(host.message, /no such host|could not be looked up/)
  const smtp = createPlainServer((socket) => socket.end('220 mail.example ESMTP\r\n')).listen(0, '127.0.0.1')
  await once(smtp, 'listening')
  const { port } = smtp.address() as { port: number }
  const e = await failure(clientOf(`http://127.0.0.1:${port}`).client.get('/'))
  assert.match(e.message, /does not speak HTTP/)
  smtp.close()
  const tls = await startHttpServer(() => {})
  assert.match(
    (await failure(clientOf(tls.url.replace('http', 'https')).client.get('/'))).message,
    /does not speak TLS there|no secure connection/,
  )
  await tls.close()
})

test('a line break in a header ends it before anything is sent', async () => {
  await using server = await startHttpServer((_, r) => sendJson(r, '1'))
  const { client } = clientOf(server.url, { auth: { style: 'bearer', token: `${secret}\nX: y` } })
  assert.match((await failure(client.get('/'))).message, /a character that HTTP does not allow/)
  assert.equal(server.requests.length, 0)
})

const certificates = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
after(() => rmSync(certificates, { recursive: true, force: true }))
const hasOpenssl = ((): boolean => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

test('a certificate that is not good is refused, with exit code 78', {
  skip: hasOpenssl ? false : 'needs openssl',
}, async () => {
  const at = (name: string): string => join(certificates, name)
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'ignore', cwd: certificates })
  }
  openssl(
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key.pem'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', 'request.pem'],
  )
  for (const [name, days] of [
    ['good.pem', '30'],
    ['expired.pem', '-1'],
  ] as const)
    openssl(
      ...['x509', '-req', '-in', 'request.pem', '-signkey', 'key.pem', '-copy_extensions', 'copy'],
      ...['-days', days, '-out', name],
    )
  const authorities = getCACertificates('default')
  for (const [name, isTrusted, words] of [
    ['good.pem', false, /its certificate is signed by itself/],
    ['expired.pem', true, /its certificate has expired/],
    ['good.pem', true, undefined],
  ] as const) {
    const cert = readFileSync(at(name))
    setDefaultCACertificates(isTrusted ? [...authorities, cert] : authorities)
    await using server = await startHttpServer(
      (_, r) => sendJson(r, '1'),
      (listener) => createSecureServer({ key: readFileSync(at('key.pem')), cert }, listener),
    )
    const { client, clock } = clientOf(server.url.replace('http:', 'https:'))
    if (words === undefined) {
      assert.equal((await client.get('/')).json(), 1)
      continue
    }
    const e = await failure(client.get('/'))
    assert.deepEqual([e.code, e.exitCode], ['SOURCE_REFUSED', 78])
    assert.match(e.message, words)
    assert.deepEqual(clock.slept, [], 'a second try does not mend it')
    client.close()
  }
  setDefaultCACertificates(authorities)
})

test('a proxy of the environment is used', async () => {
  await using proxy = await startHttpServer((q, r) => sendJson(r, JSON.stringify(q.url)))
  const before = process.env['http_proxy']
  process.env['http_proxy'] = proxy.url
  try {
    await using client = httpClient({ baseUrl: 'http://no-such-host.invalid' })
    assert.equal((await client.get('/x')).json(), 'http://no-such-host.invalid/x')
  } finally {
    if (before === undefined) delete process.env['http_proxy']
    else process.env['http_proxy'] = before
  }
})

test('asked to stop, it stops in the middle of a request and of a wait', async () => {
  const asked = Promise.withResolvers<void>()
  await using server = await startHttpServer(() => asked.resolve())
  const stop = new AbortController()
  const { client } = clientOf(server.url, { signal: stop.signal })
  const waiting = client.get('/')
  await asked.promise
  stop.abort(new Error('stop'))
  await assert.rejects(waiting, /^Error: stop$/)
  await assert.rejects(client.get('/'), /^Error: stop$/)
})

test('a base URL that is none, or holds a password, is refused without showing it', async () => {
  for (const [url, words] of [
    ['example.com', /not a URL/],
    ['ftp://example.com', /begins with ftp:/],
    [`https://ann:${secret}@example.com`, /holds a user or password/],
  ] as const) {
    const e = await failure((async () => httpClient({ baseUrl: url }))())
    assert.equal(e.code, 'CONFIG_INVALID')
    assert.match(e.message, words)
  }
})
