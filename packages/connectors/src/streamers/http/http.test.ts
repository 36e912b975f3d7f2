import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  createLogger,
  encodeJson,
  type JsonObject,
  type MillraceError,
  parseExact,
  resolveConfig,
  runStreamer,
  type StreamerRunOptions,
  silentLogger,
} from '@millrace/sdk'
import { type SeenRequest, sendJson, startHttpServer, streamerSuite, type TestServer } from '@millrace/sdk/testing'
import { http } from './index.ts'

interface Read {
  readonly lines: readonly JsonObject[]
  readonly records: readonly JsonObject[]
  readonly schemas: readonly JsonObject[]
  readonly state: JsonObject | undefined
  readonly error: MillraceError | undefined
  readonly text: string
  /** Types of the lines; of several STATEs in a row one. */
  readonly types: readonly string[]
}

const configOf = (settings: JsonObject): Readonly<Record<string, unknown>> =>
  resolveConfig(http.config, {
    kind: 'streamer',
    name: 'http',
    file: { retryMs: 1, tries: 3, ...settings },
    strict: true,
  }).config

const read = async (settings: JsonObject, options: Partial<StreamerRunOptions> = {}): Promise<Read> => {
  let text = ''
  let error: MillraceError | undefined
  await runStreamer(http, {
    command: 'sync',
    config: configOf(settings),
    log: silentLogger,
    signal: new AbortController().signal,
    ...options,
    write: async (chunk) => {
      text += Buffer.from(chunk).toString()
      await options.write?.(chunk)
    },
  }).catch((e: MillraceError) => {
    error = e
  })
  const lines = text
    .split('\n')
    .filter((l) => l !== '' && options.command === undefined)
    .map((l) => parseExact(l) as JsonObject)
  const of = (type: string): JsonObject[] => lines.filter((m) => m['type'] === type)
  return {
    lines,
    text,
    types: lines.map((m) => String(m['type'])).filter((t, i, all) => t !== 'STATE' || all[i - 1] !== t),
    records: of('RECORD').map((m) => m['record'] as JsonObject),
    schemas: of('SCHEMA').map((m) => (m['schema'] as JsonObject)['properties'] as JsonObject),
    state: of('STATE').at(-1)?.['value'] as JsonObject | undefined,
    error,
  }
}
const bookmarkOf = (r: Read, substream: string): JsonObject =>
  (((r.state as JsonObject)['bookmarks'] as JsonObject)[substream] as JsonObject)['bookmark'] as JsonObject
const query = (q: SeenRequest, name: string): string | null => new URL(q.url, 'http://x').searchParams.get(name)

/** An API with three kinds of things: orders by cursor, their lines below them, and customers by offset. */
const shop = (q: SeenRequest, r: ServerResponse): void => {
  const { pathname } = new URL(q.url, 'http://x')
  const at = Number(query(q, 'cursor') ?? query(q, 'offset') ?? 0)
  const lines = /^\/orders\/(\d+)\/lines$/.exec(pathname)
  if (lines !== null) {
    const order = Number(lines[1])
    if (order % 7 === 0) sendJson(r, '', { status: 404 })
    else sendJson(r, { data: [0, 1].map((line) => ({ line, sku: `sku-${order}-${line}` })) })
  } else if (pathname === '/orders')
    sendJson(r, {
      data: Array.from({ length: 20 }, (_, i) => ({
        id: at + i + 1,
        total: `${at + i}.50`,
        updated_at: new Date(Date.UTC(2020, 0, 1) + (((at + i) * 7919) % 86_400_000)).toISOString(),
        note: i % 3 === 0 ? null : 'é "quoted"\n',
        tags: ['a', 'b'],
      })),
      next: at + 20 < 80 ? String(at + 20) : null,
    })
  else
    sendJson(
      r,
      Array.from({ length: at < 50 ? 25 : 3 }, (_, i) => ({ id: `c${at + i}`, balance: (at + i) / 4 })),
    )
}
const shopSettings = {
  substreams: {
    orders: {
      path: '/orders',
      records: 'data',
      pages: { style: 'cursor', at: 'next', parameter: 'cursor' },
      keys: ['id'],
      replicationKey: 'updated_at',
    },
    lines: {
      parent: 'orders',
      path: '/orders/{parent.id}/lines',
      records: 'data',
      keys: ['order_id', 'line'],
      parentFields: { order_id: 'id' },
    },
    customers: {
      path: '/customers',
      pages: { style: 'offset', parameter: 'offset', limit: 25, limit_parameter: 'limit' },
      keys: 'id',
    },
  },
}

let server: TestServer
before(async () => {
  server = await startHttpServer(shop)
})
after(() => server.close())
streamerSuite(http, {
  config: async () => ({ base_url: server.url, ...shopSettings }),
  module: new URL('./index.ts', import.meta.url),
  stops: 2,
})

test('records of every kind come with the schema of their first pages, children with fields of their parents', async () => {
  const all = await read({ baseUrl: server.url, ...shopSettings })
  assert.equal(all.error, undefined)
  const of = (name: string): JsonObject[] =>
    all.lines.filter((m) => m['type'] === 'RECORD' && m['stream'] === name).map((m) => m['record'] as JsonObject)
  assert.deepEqual([of('orders').length, of('customers').length], [80, 53])
  assert.equal(of('lines').length, (80 - 11) * 2, 'a parent without children is no fault')
  assert.deepEqual(of('lines')[0], { line: 0, sku: 'sku-1-0', order_id: 1 })
  const schema = all.lines.find((m) => m['type'] === 'SCHEMA' && m['stream'] === 'orders')
  assert.deepEqual(((schema as JsonObject)['schema'] as JsonObject)['properties'], {
    id: { type: 'integer' },
    total: { type: ['null', 'string'] },
    updated_at: { type: ['null', 'string'], format: 'date-time' },
    note: { type: ['null', 'string'] },
    tags: { type: ['null', 'array'], items: { type: 'string' } },
  })
})

test('discovery infers schemas from the first pages, and fields that are not chosen do not come', async () => {
  const found = await read({ baseUrl: server.url, ...shopSettings }, { command: 'discover' })
  const catalog = parseExact(found.text) as { streams: JsonObject[] }
  assert.deepEqual(
    catalog.streams.map((s) => s['stream']),
    ['orders', 'lines', 'customers'],
  )
  const [orders] = catalog.streams
  ;((orders as JsonObject)['metadata'] as JsonObject[]).push({
    breadcrumb: ['properties', 'note'],
    metadata: { selected: false },
  })
  const chosen = await read({ baseUrl: server.url, ...shopSettings }, { catalog: { streams: [orders as JsonObject] } })
  assert.equal(chosen.records.length, 80)
  assert.ok(!('note' in (chosen.records[0] as JsonObject)) && !('note' in (chosen.schemas[0] as JsonObject)))
})

test('a later run asks for what is new, and says nothing of what it had', async () => {
  const stamps = ['2020-01-03T00:00:00Z', '2020-01-01T00:00:00Z', '2020-01-02T00:00:00Z']
  await using s = await startHttpServer((q, r) => {
    const since = query(q, 'since')
    sendJson(
      r,
      stamps.map((at, id) => ({ id, at })).filter((x) => since === null || x.at >= since),
    )
  })
  const settings = {
    baseUrl: s.url,
    substreams: { things: { path: '/', keys: ['id'], replicationKey: 'at', startParameter: 'since' } },
  }
  const first = await read(settings)
  assert.equal(first.records.length, 3)
  assert.deepEqual(bookmarkOf(first, 'things'), { since: '2020-01-03T00:00:00Z' })
  stamps.push('2020-01-04T00:00:00Z')
  const second = await read(settings, { state: first.state })
  assert.equal(s.requests.at(-1)?.url, '/?since=2020-01-03T00%3A00%3A00Z')
  assert.deepEqual(
    second.records.map((r) => r['id']),
    [0, 3],
  )
  assert.deepEqual(bookmarkOf(second, 'things'), { since: '2020-01-04T00:00:00Z' })
})

test('where the server cannot be asked for what is new, old records are dropped here; newest first, the rest is not read', async () => {
  await using s = await startHttpServer((q, r) => {
    const page = Number(query(q, 'page') ?? 1)
    sendJson(
      r,
      Array.from({ length: page > 5 ? 0 : 10 }, (_, i) => ({ id: 100 - (page - 1) * 10 - i })),
    )
  })
  const things = { path: '/', keys: ['id'], replicationKey: 'id', pages: { style: 'page', parameter: 'page' } }
  const state = { bookmarks: { things: { bookmark: { since: 85 } } } }
  const plain = await read({ baseUrl: s.url, substreams: { things } }, { state })
  assert.equal(plain.records.length, 16)
  assert.equal(s.requests.length, 6)
  const falling = await read({ baseUrl: s.url, substreams: { things: { ...things, order: 'falling' } } }, { state })
  assert.equal(falling.records.length, 16)
  assert.equal(s.requests.length, 8)
  assert.deepEqual(bookmarkOf(falling, 'things'), { since: 100 })
})

test('in rising order a state is kept after every page, until the order turns out to be another', async () => {
  const pages = [
    [1, 2],
    [3, 4],
    [2, 9],
    [10, 11],
  ]
  await using s = await startHttpServer((q, r) => {
    const page = pages[Number(query(q, 'page') ?? 1) - 1] ?? []
    sendJson(
      r,
      page.map((id) => ({ id })),
    )
  })
  const things = {
    path: '/',
    keys: ['id'],
    replicationKey: 'id',
    order: 'rising',
    pages: { style: 'page', parameter: 'page' },
  }
  const warned: string[] = []
  const log = createLogger({ format: 'text', level: 'warn', write: (line) => warned.push(line) })
  const all = await read({ baseUrl: s.url, inferRecords: 1, substreams: { things } }, { log })
  const since = all.lines
    .filter((m) => m['type'] === 'STATE')
    .map(
      (m) =>
        ((m['value'] as JsonObject)['bookmarks'] as { things: { bookmark: { since: number } } }).things.bookmark.since,
    )
  assert.deepEqual([...new Set(since)], [2, 4, 11])
  assert.equal(all.records.length, 8)
  assert.match(warned.join(''), /do not come in rising order/)
})

test('a replication key that no record has is told once; null in some of them is not', async () => {
  // A misspelt key was accepted without a word, and every run read everything.
  const page = (n: number): JsonObject[] => [{ id: n, at: n === 1 ? null : '2026-01-01T00:00:00Z' }]
  await using s = await startHttpServer((q, r) => {
    const n = Number(query(q, 'page') ?? 1)
    sendJson(r, n > 3 || q.url.startsWith('/none') ? [] : page(n))
  })
  for (const [path, replicationKey, count] of [
    ['/', 'updated', 1],
    ['/', 'at', 0],
    ['/none', 'updated', 0],
  ] as const) {
    const warned: string[] = []
    const log = createLogger({ format: 'text', level: 'warn', write: (line) => warned.push(line) })
    const things = { path, keys: ['id'], replicationKey, pages: { style: 'page', parameter: 'page' } }
    const { error } = await read({ baseUrl: s.url, inferRecords: 1, substreams: { things } }, { log })
    assert.equal(error, undefined)
    assert.equal(warned.filter((w) => w.includes('no record has the replication key')).length, count, replicationKey)
  }
})

test('a record that changes while others are read is read again by the next run', async () => {
  const began = '2020-05-01T10:00:00Z'
  await using s = await startHttpServer((q, r) => {
    const page = Number(query(q, 'page') ?? 1)
    const late = page === 1 ? '2020-05-01T09:00:00Z' : '2020-05-01T10:00:30Z'
    sendJson(r, page > 2 ? [] : [{ id: page, at: late }], { headers: { date: new Date(began).toUTCString() } })
  })
  const things = { path: '/', keys: ['id'], replicationKey: 'at', pages: { style: 'page', parameter: 'page' } }
  const all = await read({ baseUrl: s.url, substreams: { things } })
  assert.deepEqual(bookmarkOf(all, 'things'), { since: began })
})

test('a new field or type widens the schema before its record comes, and a given schema may refuse it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-schemas-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  await using s = await startHttpServer((q, r) => {
    const page = Number(query(q, 'page') ?? 1)
    sendJson(r, [[{ id: 1, n: 1 }], [{ id: 2, n: 2.5, extra: 'x' }], []][page - 1])
  })
  const settings: JsonObject = {
    baseUrl: s.url,
    inferRecords: 1,
    schemaFolder: folder,
    substreams: { things: { path: '/', keys: ['id'], pages: { style: 'page', parameter: 'page' } } },
  }
  const grown = { id: { type: 'integer' }, n: { type: ['null', 'number'] }, extra: { type: ['null', 'string'] } }
  const first = await read(settings)
  assert.deepEqual(first.types, ['SCHEMA', 'RECORD', 'SCHEMA', 'RECORD', 'STATE'])
  assert.deepEqual(first.schemas, [{ id: { type: 'integer' }, n: { type: ['null', 'integer'] } }, grown])
  const second = await read(settings)
  assert.deepEqual(second.schemas, [grown], 'what was learnt is held from run to run')
  const file = join(folder, 'things.schema.json')
  const { properties } = JSON.parse(readFileSync(file, 'utf8')) as { properties: JsonObject }
  assert.deepEqual(properties, grown)
  writeFileSync(
    file,
    JSON.stringify({ type: 'object', properties: { id: { type: 'integer' }, n: { type: 'integer' } } }),
  )
  const refused = await read({ ...settings, onSchemaChange: 'refuse' })
  assert.deepEqual([refused.error?.code, refused.error?.exitCode], ['SOURCE_MALFORMED', 65])
  assert.match(refused.error?.message ?? '', /things do not fit .*: field n has another type, field extra is new/)
  assert.equal(refused.records.length, 1, 'what fitted was sent')
})

test('numbers keep their digits from the API to the record', async () => {
  const body = '[{"id":9007199254740993,"rate":3.14159265358979323846264338327950288}]'
  await using s = await startHttpServer((_, r) => sendJson(r, body))
  const all = await read({ baseUrl: s.url, substreams: { things: { path: '/', keys: ['id'] } } })
  assert.equal(encodeJson(all.records), body)
})

test('several parents share one request where the API allows it', async () => {
  await using s = await startHttpServer((q, r) => {
    if (q.url === '/posts')
      sendJson(
        r,
        Array.from({ length: 25 }, (_, i) => ({ id: i + 1 })),
      )
    else
      sendJson(
        r,
        (query(q, 'post_ids') ?? '').split(',').map((post) => ({ id: `${post}-1`, post })),
      )
  })
  const all = await read({
    baseUrl: s.url,
    substreams: {
      posts: { path: '/posts', keys: ['id'], selected: false },
      comments: {
        parent: 'posts',
        path: '/comments',
        query: { post_ids: '{parent.id}' },
        parentsPerRequest: 10,
        keys: ['id'],
      },
    },
  })
  assert.equal(all.records.length, 25)
  assert.equal(s.requests.length, 4)
})

test('children that stand in their parents need no request of their own, and only those of new parents come', async () => {
  const orders = [1, 2, 3].map((id) => ({
    id,
    at: `2020-01-0${id}T00:00:00Z`,
    lines: id === 2 ? null : [{ n: 1 }, { n: 2 }],
  }))
  await using s = await startHttpServer((q, r) =>
    sendJson(
      r,
      orders.filter((o) => o.at >= (query(q, 'since') ?? '')),
    ),
  )
  const settings = {
    baseUrl: s.url,
    substreams: {
      orders: { path: '/', keys: ['id'], replicationKey: 'at', startParameter: 'since', selected: false },
      lines: {
        parent: 'orders',
        within: 'lines',
        keys: ['order', 'n'],
        parentFields: { order: 'id', order_at: 'at' },
        replicationKey: 'order_at',
      },
    },
  }
  const first = await read(settings)
  assert.deepEqual(
    first.records.map((r) => [r['order'], r['n']]),
    [
      [1, 1],
      [1, 2],
      [3, 1],
      [3, 2],
    ],
  )
  const second = await read(settings, { state: first.state })
  assert.deepEqual(
    second.records.map((r) => [r['order'], r['n']]),
    [
      [3, 1],
      [3, 2],
    ],
  )
  assert.equal(s.requests.length, 2)
})

test('a key in the query is sent with every page and stands in no state', async () => {
  await using s = await startHttpServer((q, r) => {
    const at = Number(query(q, 'at') ?? 0)
    sendJson(
      r,
      query(q, 'api_key') !== 's3cr3t'
        ? ''
        : { data: [{ id: at }], next: at < 3 ? `/?at=${at + 1}&api_key=s3cr3t` : null },
    )
  })
  const things = {
    path: '/',
    query: { api_key: 's3cr3t' },
    records: 'data',
    pages: { style: 'next-url', at: 'next' },
    resume: true,
    keys: ['id'],
  }
  const all = await read({ baseUrl: s.url, inferRecords: 1, substreams: { things } })
  assert.deepEqual([all.error, all.records.length], [undefined, 4])
  assert.ok(all.text.includes('"url":"/?at=3"') && !all.text.includes('s3cr3t'), all.text)
})

test('a stopped run goes on at its page; where that page is gone, from the beginning', async () => {
  let isExpired = false
  const stop = new AbortController()
  await using s = await startHttpServer((q, r) => {
    const at = Number(query(q, 'cursor') ?? 0)
    if (at === 15) stop.abort()
    if (isExpired && at > 0) {
      isExpired = false
      sendJson(r, '', { status: 410 })
    } else sendJson(r, { data: Array.from({ length: 5 }, (_, i) => ({ id: at + i })), next: at < 40 ? at + 5 : null })
  })
  const settings = {
    baseUrl: s.url,
    inferRecords: 1,
    substreams: {
      things: { path: '/', records: 'data', keys: ['id'], pages: { style: 'cursor', at: 'next', parameter: 'cursor' } },
    },
  }
  const first = await read(settings, { signal: stop.signal })
  assert.deepEqual([first.error, first.records.length], [undefined, 15])
  const { page } = bookmarkOf(first, 'things') as { page: { at: number } }
  assert.equal(page.at, first.records.length)
  const rest = await read(settings, { state: first.state })
  assert.deepEqual(rest.records[0], { id: page.at })
  assert.deepEqual(bookmarkOf(rest, 'things'), {}, 'the next run reads all of it again')
  isExpired = true
  const again = await read(settings, { state: first.state })
  assert.equal(again.records.length, 45)
})

test('a page that is missing in the middle ends the run, it is not begun again', async () => {
  await using s = await startHttpServer((q, r) =>
    query(q, 'cursor') === '20' ? sendJson(r, '', { status: 404 }) : shop(q, r),
  )
  const { orders } = shopSettings.substreams
  const all = await read({ baseUrl: s.url, inferRecords: 1, substreams: { orders } })
  assert.deepEqual([all.error?.code, all.error?.exitCode, all.records.length], ['SOURCE_REFUSED', 78, 20])
})

test('a list on one page that did not change is not sent again', async () => {
  await using s = await startHttpServer((q, r) =>
    q.headers['if-none-match'] === '"1"'
      ? sendJson(r, '', { status: 304 })
      : sendJson(r, [{ id: 1 }], { headers: { etag: '"1"' } }),
  )
  const settings = { baseUrl: s.url, substreams: { things: { path: '/', keys: ['id'], versioned: true } } }
  const first = await read(settings)
  assert.deepEqual(first.types, ['SCHEMA', 'RECORD', 'ACTIVATE_VERSION', 'STATE'])
  const second = await read(settings, { state: first.state })
  assert.deepEqual(second.types, ['STATE'])
  assert.deepEqual(second.state, first.state)
})

/** A GraphQL API: repositories by cursor, with what changed since, and the issues of some of them. */
const graph = (q: SeenRequest, r: ServerResponse): void => {
  const { query: text, variables } = JSON.parse(q.body.toString()) as { query: string; variables: JsonObject }
  const after = Number(variables['after'] ?? 0)
  if (text.startsWith('query issues')) {
    const issues = (variables['repos'] as number[]).map((repo) => ({ repo, title: `of ${repo}` }))
    sendJson(r, { data: { issues } })
    return
  }
  const all = Array.from({ length: 7 }, (_, i) => ({ id: i + 1, updated: i + 1 })).filter(
    ({ updated }) => updated >= Number(variables['since'] ?? 0),
  )
  sendJson(r, {
    data: {
      repos: { nodes: all.slice(after, after + 3), pageInfo: { end: String(after + 3), more: after + 3 < all.length } },
    },
  })
}
const graphSettings = {
  repos: {
    path: '/graphql',
    body: { query: 'query repos($after: String) { repos { nodes { id } } }', variables: { after: null } },
    records: 'data.repos.nodes',
    errors: 'errors',
    pages: {
      style: 'cursor',
      at: 'data.repos.pageInfo.end',
      parameter: 'variables.after',
      more: 'data.repos.pageInfo.more',
    },
    keys: ['id'],
    replicationKey: 'updated',
    startParameter: 'variables.since',
  },
  issues: {
    parent: 'repos',
    path: '/graphql',
    body: { query: 'query issues($repos: [Int]) { issues }', variables: { repos: '{parent.id}' } },
    records: 'data.issues',
    pages: { style: 'none' },
    parentsPerRequest: 5,
    keys: ['repo'],
  },
}

test('an API that is asked by POST: GraphQL, its pages, what is new, and children of several parents in one request', async () => {
  await using s = await startHttpServer(graph)
  const settings = { baseUrl: s.url, substreams: graphSettings }
  const first = await read(settings)
  assert.equal(first.error, undefined)
  const ids = (r: Read, name: string, field: string): unknown[] =>
    r.lines.filter((m) => m['type'] === 'RECORD' && m['stream'] === name).map((m) => (m['record'] as JsonObject)[field])
  assert.deepEqual(ids(first, 'repos', 'id'), [1, 2, 3, 4, 5, 6, 7])
  assert.deepEqual(ids(first, 'issues', 'repo'), [1, 2, 3, 4, 5, 6, 7])
  const bodies = (): JsonObject[] => s.requests.map((q) => parseExact(q.body.toString()) as JsonObject)
  // Without a start its variable is left out, and a parent's number stays a number.
  assert.deepEqual(bodies()[0]?.['variables'], { after: null })
  assert.ok(bodies().some((b) => encodeJson(b['variables'] as JsonObject) === '{"repos":[1,2,3]}'))
  const asked = s.requests.length
  const second = await read(settings, { state: first.state })
  assert.deepEqual(ids(second, 'repos', 'id'), [7])
  assert.deepEqual(bodies()[asked]?.['variables'], { after: null, since: 7 })
})

test('an API that answers 200 with errors ends the run, and what is no body is told', async () => {
  await using s = await startHttpServer((_, r) => sendJson(r, { data: null, errors: [{ message: 'private' }] }))
  const { error } = await read({ baseUrl: s.url, substreams: { repos: graphSettings.repos } })
  assert.deepEqual([error?.code, error?.exitCode], ['SOURCE_REFUSED', 78])
  const { error: wrong } = await read({ baseUrl: s.url, substreams: { a: { path: '/', body: [1] } } })
  assert.match(wrong?.message ?? '', /substreams\.a: body must be an object/)
})

test('a token revoked in the middle of a run ends it with exit code 78, and what came before is kept', async () => {
  let asked = 0
  await using s = await startHttpServer((q, r) => {
    if (++asked > 3) sendJson(r, { secret: 'private' }, { status: 401 })
    else shop(q, r)
  })
  const { orders } = shopSettings.substreams
  const settings = { baseUrl: s.url, auth: 'bearer', token: 's3cr3t', inferRecords: 1, substreams: { orders } }
  const first = await read(settings)
  assert.deepEqual([first.error?.code, first.error?.exitCode, first.records.length], ['SOURCE_REFUSED', 78, 60])
  assert.ok(!`${first.error?.message}${first.error?.fix}`.includes('s3cr3t'))
  asked = -100
  const rest = await read(settings, { state: first.state })
  assert.equal(rest.records.length, 20)
})

test('failures of the server come to their exit codes: 69, 75, 65', async () => {
  await using s = await startHttpServer((q, r) => {
    if (q.url === '/down') sendJson(r, '', { status: 502 })
    else if (q.url === '/busy') sendJson(r, '', { status: 429 })
    else if (q.url === '/html') r.writeHead(200, { 'content-type': 'text/html' }).end('<p>private</p>')
    else r.destroy()
  })
  for (const [path, code, exit] of [
    ['/down', 'SOURCE_UNAVAILABLE', 69],
    ['/cut', 'SOURCE_UNAVAILABLE', 69],
    ['/busy', 'SOURCE_LIMITED', 75],
    ['/html', 'SOURCE_MALFORMED', 65],
  ] as const) {
    const { error } = await read({ baseUrl: s.url, substreams: { things: { path } } })
    assert.deepEqual([error?.code, error?.exitCode], [code, exit])
    assert.ok(!(error?.message ?? '').includes('private'))
  }
})

test('every mistake in the settings is told at once, and none of the secrets', async () => {
  const { error } = await read({
    baseUrl: 'http://127.0.0.1:1',
    substreams: {
      a: { path: '/a', kees: ['id'], pages: { style: 'cursor' } },
      b: { parent: 'c', path: '/b' },
      d: { path: '/d/{parent.id}', order: 'up' },
      e: { parent: 'f', path: '/{parent.id}' },
      f: { parent: 'e', path: '/{parent.id}' },
    },
  })
  assert.equal(error?.exitCode, 78)
  for (const words of [
    /substreams\.a: "kees" is not a setting; did you mean keys\?/,
    /substreams\.a: pages\.at is missing/,
    /substreams\.b: its parent c is not there/,
    /substreams\.d: it uses \{parent/,
    /substreams\.d: order must be/,
    /has it as its own parent/,
  ])
    assert.match(error?.message ?? '', words)
  const auth = await read({ baseUrl: 'http://x', auth: 'basic', user: 'ann', substreams: { a: { path: '/' } } })
  assert.match(auth.error?.message ?? '', /password is missing \(auth: basic needs it\)/)
})
