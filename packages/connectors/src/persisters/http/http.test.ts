import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import {
  describeError,
  isMillraceError,
  type JsonObject,
  type MillraceError,
  parseExact,
  resolveConfig,
  runPersister,
  silentLogger,
} from '@millrace/sdk'
import { persisterSuite, type SeenRequest, sendJson, startHttpServer, type TestServer } from '@millrace/sdk/testing'
import { http } from './index.ts'

/** An endpoint that takes each key once, and keeps what it took by folder and substream. */
class Endpoint {
  readonly #keys = new Set<string>()
  readonly #rows = new Map<string, Map<string, JsonObject[]>>()

  take(q: SeenRequest): void {
    const url = new URL(q.url, 'http://x')
    const key = String(q.headers['idempotency-key'])
    if (this.#keys.has(key)) return
    this.#keys.add(key)
    const substream = url.searchParams.get('name') ?? ''
    const held = this.rows(url.pathname)
    held.set(substream, [...(held.get(substream) ?? []), ...(parseExact(q.body.toString()) as readonly JsonObject[])])
  }

  rows(path: string): Map<string, JsonObject[]> {
    let held = this.#rows.get(path)
    if (held === undefined) {
      held = new Map()
      this.#rows.set(path, held)
    }
    return held
  }
}

const endpoint = new Endpoint()
let server: TestServer
before(async () => {
  server = await startHttpServer((q, r) => {
    if (q.method !== 'HEAD') endpoint.take(q)
    sendJson(r, '')
  })
})
after(() => server.close())
persisterSuite('http', {
  persister: http,
  config: (dir) => ({ url: `${server.url}/${basename(dir)}?name={substream}`, batchRecords: 100 }),
  read: async (dir) => endpoint.rows(`/${basename(dir)}`),
  module: new URL('./index.ts', import.meta.url),
  kills: 6,
  remote: true,
})

const record = (id: number, text = `text ${id}`): string =>
  `${JSON.stringify({ type: 'RECORD', stream: 'things', record: { id, text } })}\n`
const schema =
  '{"type":"SCHEMA","stream":"things","schema":{"type":"object","properties":{"id":{"type":"integer"},"text":{"type":"string"}}},"key_properties":["id"]}\n'
const state = (n: number): string => `{"type":"STATE","value":${n}}\n`
const things = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => record(from + i)).join('')

interface Ran {
  readonly states: readonly string[]
  readonly error: MillraceError | undefined
}
const run = async (settings: JsonObject, input: string | readonly string[]): Promise<Ran> => {
  const states: string[] = []
  let error: MillraceError | undefined
  await runPersister(http, {
    config: resolveConfig(http.config, {
      kind: 'persister',
      name: 'http',
      file: { retryMs: 1, tries: 3, ...settings },
      strict: true,
    }).config,
    input: (async function* () {
      for (const piece of typeof input === 'string' ? [input] : input) yield Buffer.from(piece)
    })(),
    log: silentLogger,
    signal: new AbortController().signal,
    flushRecords: 1,
    writeState: (line) => {
      states.push(line.trim())
    },
  }).catch((e: unknown) => {
    if (!isMillraceError(e)) throw e
    assert.doesNotMatch(describeError(e), /private|s3cr3t|text \d/)
    error = e
  })
  return { states, error }
}
const keysOf = (s: TestServer): unknown[] => s.requests.map((q) => q.headers['idempotency-key'])

test('records come as an array, as lines or in an envelope, packed where that is asked for', async () => {
  await using s = await startHttpServer((_, r) => sendJson(r, 'private', { status: 202 }))
  const input = schema + things(1, 3) + state(1)
  for (const format of ['json', 'ndjson', 'envelope'])
    assert.deepEqual((await run({ url: `${s.url}/in/{substream}`, format, compression: 'gzip' }, input)).states, ['1'])
  const rows = '{"id":1,"text":"text 1"},{"id":2,"text":"text 2"}'
  assert.deepEqual(
    s.requests.map((q) => [q.url, q.headers['content-type'], gunzipSync(q.body).toString()]),
    [
      ['/in/things', 'application/json', `[${rows}]`],
      ['/in/things', 'application/x-ndjson', `${rows.replace('},{', '}\n{')}\n`],
      ['/in/things', 'application/json', `{"substream":"things","keys":["id"],"records":[${rows}]}`],
    ],
  )
})

test('a state comes back only when the server has taken everything before it', async () => {
  let taken = 0
  await using s = await startHttpServer((q, r) => {
    taken += (JSON.parse(q.body.toString()) as unknown[]).length
    sendJson(r, '', taken > 25 ? { status: 500 } : {})
  })
  const input = [schema + things(0, 10) + state(10), things(10, 25) + state(25), things(25, 30) + state(30)]
  const { states, error } = await run({ url: s.url, batchRecords: 5 }, input)
  assert.deepEqual(states, ['10', '25'])
  assert.deepEqual([error?.code, error?.exitCode], ['DESTINATION_UNAVAILABLE', 69])
})

test('a batch that is tried again has the same key, a batch that only looks the same has another', async () => {
  let n = 0
  await using s = await startHttpServer((_, r) => {
    n++
    if (n === 1) r.destroy()
    else sendJson(r, '', n === 2 ? { status: 409 } : {})
  })
  const same = record(1) + state(1)
  const { states } = await run({ url: s.url }, [schema + same, same, same])
  assert.equal(states.length, 3)
  const [cut, working, first, second, third] = keysOf(s)
  assert.equal(keysOf(s).length, 5)
  assert.deepEqual([cut, working], [first, first])
  assert.equal(new Set([first, second, third]).size, 3)
})

test('with a key file, a run after a crash sends the same batches under the same keys, and new ones under new', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-keys-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  let isDown = false
  await using s = await startHttpServer((q, r) =>
    sendJson(r, '', isDown && q.body.includes('"id":8') ? { status: 500 } : {}),
  )
  const settings = { url: s.url, batchRecords: 3, tries: 1, keyFile: join(folder, 'keys.json') }
  const first = schema + things(0, 3) + state(3)
  const second = schema + things(3, 9) + state(9)
  assert.deepEqual((await run(settings, first)).states, ['3'])
  isDown = true
  assert.equal((await run(settings, second)).error?.exitCode, 69)
  isDown = false
  assert.deepEqual((await run(settings, second)).states, ['9'])
  const [, a, b, againA, againB] = keysOf(s)
  assert.deepEqual([againA, againB], [a, b])
  await run(settings, second)
  assert.equal(new Set(keysOf(s)).size, 5)
  writeFileSync(join(folder, 'keys.json'), '{}')
  assert.equal((await run(settings, first)).error?.code, 'CONFIG_INVALID')
})

test('a batch that is too large for the server is halved until it fits, and later ones are smaller', async () => {
  const sizes: number[] = []
  await using s = await startHttpServer((q, r) => {
    const { length } = JSON.parse(q.body.toString()) as unknown[]
    sizes.push(length)
    sendJson(r, '', length > 10 ? { status: 413 } : {})
  })
  const { states } = await run({ url: s.url }, [schema + things(0, 32) + state(1), things(32, 48) + state(2)])
  assert.deepEqual(states, ['1', '2'])
  assert.deepEqual(sizes.slice(0, 7), [32, 16, 8, 8, 16, 8, 8])
  assert.ok(
    sizes.slice(7).every((size) => size <= 8),
    String(sizes),
  )
  const large = await run({ url: s.url, batchRecords: 1 }, schema + record(1) + state(1))
  assert.equal(large.error, undefined)
})

test('no body is larger than asked for, whatever frames the records', async () => {
  await using s = await startHttpServer((_, r) => sendJson(r, ''))
  for (const format of ['json', 'ndjson', 'envelope'])
    await run({ url: s.url, format, batchBytes: 300 }, schema + things(0, 100) + state(100))
  const sizes = s.requests.map((q) => q.body.length)
  assert.ok(sizes.length < 60 && sizes.every((size) => size <= 300), String(sizes))
})

test('what the server will never take ends it with the substream and the lines, and without its content', async () => {
  await using s = await startHttpServer((q, r) =>
    sendJson(r, '{"message":"private"}', { status: Number(q.url.slice(1, 4)) }),
  )
  for (const [status, words] of [
    [400, /does not take a batch of 3 records of things \(400, lines 2 to 4 of the input\)/],
    [422, /does not take a batch of 3 records of things \(422/],
    [413, /a single record of things is too large for it \(413, \d+ bytes, line 2 of the input\)/],
    [401, /credentials are not accepted/],
  ] as const) {
    const settings = { url: `${s.url}/${status}?key=s3cr3t`, auth: 'bearer', token: 's3cr3t' }
    const { states, error } = await run(settings, schema + things(0, 3) + state(3))
    assert.deepEqual([states, error?.code, error?.exitCode], [[], 'DESTINATION_REFUSED', 78])
    assert.match(error?.message ?? '', words)
  }
})

test('of a single record the words of the server are kept for its dead letter, and told nowhere else', async () => {
  // The letter said only the status, and the line of a part of the input.
  for (const [body, words] of [
    ['{"message":"private\\n words"}', 'private words'],
    ['{"title":"private","detail":"d","errors":[{"reason":"r"}]}', 'private d r'],
    ['private  text', 'private text'],
    [`"${'x'.repeat(2000)}"`, undefined],
    ['x'.repeat(2000), 'x'.repeat(500)],
    ['', undefined],
  ] as const) {
    await using s = await startHttpServer((_, r) => sendJson(r, body, { status: 422 }))
    const { error } = await run({ url: `${s.url}/in?key=s3cr3t` }, schema + record(7) + state(1))
    const what = `POST ${s.url}/in: it does not take a record of things (422`
    assert.equal(error?.message, `${what}, line 2 of the input)`)
    assert.equal(error?.details['reason'], `${what})${words === undefined ? '' : `: ${words}`}`)
  }
})

test('a busy server is waited for, for as long as it says; for ever it is not', async () => {
  let n = 0
  await using s = await startHttpServer((q, r) => {
    const isBusy = q.url === '/always' || n++ === 0
    sendJson(r, '', isBusy ? { status: 429, headers: { 'retry-after': q.url === '/always' ? '60' : '0' } } : {})
  })
  const input = schema + things(0, 3) + state(3)
  assert.deepEqual((await run({ url: `${s.url}/once` }, input)).states, ['3'])
  const { states, error } = await run({ url: `${s.url}/always`, maxWaitSeconds: 30 }, input)
  assert.deepEqual([states, error?.code, error?.exitCode], [[], 'DESTINATION_LIMITED', 75])
})

test('several batches may be under way, and no more than that', async () => {
  let open = 0
  let most = 0
  const held: ServerResponse[] = []
  await using s = await startHttpServer((_, r) => {
    most = Math.max(most, ++open)
    held.push(r)
    // Answered once three wait, or when no more can come.
    if (held.length === 3)
      for (const response of held.splice(0)) {
        open--
        sendJson(response, '')
      }
  })
  const { states } = await run({ url: s.url, maxConcurrent: 3, batchRecords: 1 }, schema + things(0, 9) + state(9))
  assert.deepEqual([states, most], [['9'], 3])
})

test('a substream that cannot stand in a path is refused, and a URL that is none', async () => {
  const dots = '{"type":"RECORD","stream":"..","record":{"id":1}}\n'
  const { error } = await run({ url: 'http://127.0.0.1:1/in/{substream}' }, dots)
  assert.match(error?.message ?? '', /called "\.\." cannot stand in a path/)
  assert.match((await run({ url: 'nonsense' }, dots)).error?.message ?? '', /url is not a URL/)
  const held = await run({ url: 'http://ann:s3cr3t@127.0.0.1/x' }, dots)
  assert.match(held.error?.message ?? '', /holds a user or password/)
})
