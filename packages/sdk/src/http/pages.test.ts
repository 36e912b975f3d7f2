import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMillraceError, type MillraceError } from '../errors/error.ts'
import { encodeJson, type Json } from '../message/json.ts'
import { fakeClock, sendJson, startHttpServer } from '../testing/http-server.ts'
import { httpClient } from './client.ts'
import { jsonPath, valueAt, withValueAt } from './json-path.ts'
import { statedLimit } from './limits.ts'
import { nextLink } from './link-header.ts'
import { type PagePosition, type PageStyle, type PagesRequest, pages } from './pages.ts'
import { inOrder, Slots } from './slots.ts'
import type { HttpClient } from './types.ts'

const ids = Array.from({ length: 25 }, (_, i) => ({ id: i + 1 }))

/** A server that pages 25 records in every style. */
const paged = () =>
  startHttpServer((q, r) => {
    const url = new URL(q.url, 'http://x')
    const of = (name: string, otherwise: number): number => Number(url.searchParams.get(name) ?? otherwise)
    const [first, size] = [
      of('cursor', 0) || of('offset', 0) || of('after', 0) || (of('page', 1) - 1) * 10,
      of('limit', 10),
    ]
    const items = ids.slice(first, first + size)
    const end = first + size
    const hasMore = end < ids.length
    if (url.pathname === '/link')
      sendJson(r, items, {
        headers: hasMore
          ? {
              link: `</link?page=1>; rel="first", <${server(q)}/link?page=${of('page', 1) + 1}>; title="a, b"; rel="next"`,
            }
          : {},
      })
    else
      sendJson(r, {
        data: { items },
        next: hasMore ? `/next?cursor=${end}&key=s3cr3t` : null,
        cursor: hasMore ? end : '',
        hasMore,
      })
  })
const server = (q: { readonly headers: { readonly host?: string | undefined } }): string => `http://${q.headers.host}`

const all = async (
  client: HttpClient,
  request: PagesRequest,
): Promise<{ ids: Json[]; next: (PagePosition | undefined)[] }> => {
  const result: { ids: Json[]; next: (PagePosition | undefined)[] } = { ids: [], next: [] }
  for await (const page of pages(client, request)) {
    result.ids.push(...page.records.map((v) => (v as { id: number }).id))
    result.next.push(page.next)
  }
  return result
}
const expected = ids.map((r) => r.id)

const styles: readonly (readonly [string, PageStyle, string?])[] = [
  ['/link', { style: 'link' }, ''],
  ['/next', { style: 'next-url', at: '/next' }],
  ['/cursor', { style: 'cursor', at: 'cursor', parameter: 'cursor' }],
  ['/after', { style: 'last-record', at: 'id', parameter: 'after', more: 'hasMore' }],
  ['/offset', { style: 'offset', parameter: 'offset', limit: 5, limitParameter: 'limit' }],
  ['/offset', { style: 'offset', parameter: 'offset' }],
  ['/page', { style: 'page', parameter: 'page', limit: 10 }],
  ['/page', { style: 'page', parameter: 'page', more: '$.hasMore' }],
]
for (const [path, style, recordsAt = '/data/items'] of styles)
  test(`pages of style ${style.style} give every record once, and go on from any page: ${JSON.stringify(style)}`, async () => {
    await using s = await paged()
    await using client = httpClient({ baseUrl: s.url })
    const request: PagesRequest = { path, pages: style, recordsAt, secretParameters: ['key'] }
    const whole = await all(client, request)
    assert.deepEqual(whole.ids, expected)
    assert.ok(!encodeJson(whole.next as Json[]).includes('s3cr3t'), 'a position holds no secret')
    const from = whole.next[0] as PagePosition
    const rest = await all(client, { ...request, from })
    assert.deepEqual(rest.ids, expected.slice(expected.length - rest.ids.length))
    assert.ok(rest.ids.length < 25 && rest.ids.length >= 15)
  })

const fault = async (work: Promise<unknown>): Promise<MillraceError> => {
  const e = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(isMillraceError(e), String(e))
  return e
}

test('pages are asked for by POST where there is a body: what the style counts or carries is put into it', async () => {
  let busy = 1
  await using s = await startHttpServer((q, r) => {
    assert.deepEqual([q.method, q.headers['content-type'], q.url], ['POST', 'application/json', '/search?v=1'])
    // Asking twice does no harm, so a failure that may pass is tried again.
    if (busy-- > 0) {
      sendJson(r, '', { status: 503 })
      return
    }
    const { after, from = 0, size = 10, keep } = JSON.parse(q.body.toString()) as Record<string, never>
    assert.deepEqual(keep, { this: ['too'] })
    const first = after === undefined ? Number(from) : Number(after[1])
    const items = ids.slice(first, first + Number(size)).map(({ id }) => ({ id, sort: ['x', id] }))
    sendJson(r, { items, page: { end: { at: first + Number(size) }, more: first + Number(size) < ids.length } })
  })
  await using client = httpClient({ baseUrl: s.url, retry: { baseMs: 1 } })
  const request = { path: '/search', query: { v: 1 }, body: { keep: { this: ['too'] } }, recordsAt: 'items' }
  const offset = { style: 'offset', parameter: 'from', limit: 5, limitParameter: 'size' } as const
  assert.deepEqual((await all(client, { ...request, pages: offset })).ids, expected)
  // A place that is a list stays one: search_after of a search engine.
  const after = { style: 'last-record', at: 'sort', parameter: 'after', more: 'page.more' } as const
  const whole = await all(client, { ...request, pages: after })
  assert.deepEqual([whole.ids, whole.next[0]], [expected, { at: ['x', 10] }])
  const rest = await all(client, { ...request, pages: after, from: whole.next[1], etag: '"not sent"' })
  assert.deepEqual(rest.ids, expected.slice(20))
  assert.equal(s.requests.at(-1)?.headers['if-none-match'], undefined)
})

test('a parameter in a body may stand deep in it, and what is there is kept', async () => {
  await using s = await startHttpServer((q, r) => {
    const { variables } = JSON.parse(q.body.toString()) as { variables: { first: number; after?: number; of: string } }
    assert.equal(variables.of, 'ann')
    const { first, after = 0 } = variables
    sendJson(r, { data: { nodes: ids.slice(after, after + first), end: after + first < 25 ? after + first : null } })
  })
  await using client = httpClient({ baseUrl: s.url })
  const style = {
    style: 'cursor',
    at: 'data.end',
    parameter: 'variables.after',
    limit: 7,
    limitParameter: 'variables.first',
  } as const
  const body = { query: 'query ($after: Int) { nodes }', variables: { of: 'ann' } }
  const { ids: found } = await all(client, { path: '/graphql', body, pages: style, recordsAt: 'data.nodes' })
  assert.deepEqual(found, expected)
})

test('a value is put into a body where it stands, also in a list, and nothing beside it is touched', () => {
  const body = { filters: [{ field: 'at', value: null }, 5], size: 1 }
  const at = (path: string): Json => withValueAt(body, jsonPath(path), 7)
  assert.deepEqual(at('filters.0.value'), { filters: [{ field: 'at', value: 7 }, 5], size: 1 })
  assert.deepEqual(at('filters.9.value'), { filters: [...body.filters, { value: 7 }], size: 1 })
  assert.deepEqual(at('page.after'), { ...body, page: { after: 7 } })
  assert.deepEqual(at('/size'), { ...body, size: 7 })
  assert.equal(encodeJson(withValueAt({}, ['__proto__', 'x'], 7)), '{"__proto__":{"x":7}}')
  assert.deepEqual(body, { filters: [{ field: 'at', value: null }, 5], size: 1 })
})

test('an answer of 200 that tells errors is a refusal, and its words are not told', async () => {
  const answers: Json[] = [
    { data: null, errors: [{ message: 'private' }] },
    { data: [], errors: 'private' },
    { data: [{ id: 1 }], errors: [] },
    { data: [{ id: 2 }], errors: null },
  ]
  await using s = await startHttpServer((_, r) => sendJson(r, answers.shift()))
  await using client = httpClient({ baseUrl: s.url })
  const request = { path: '/', body: {}, pages: { style: 'none' }, recordsAt: 'data', errorsAt: 'errors' } as const
  for (let i = 0; i < 2; i++) {
    const e = await fault(all(client, request))
    assert.deepEqual([e.code, e.exitCode], ['SOURCE_REFUSED', 78])
    assert.match(e.message, /tells errors at errors/)
    assert.ok(!`${e.message}${e.fix}`.includes('private'))
  }
  assert.deepEqual((await all(client, request)).ids, [1])
  assert.deepEqual((await all(client, request)).ids, [2])
})

test('pages that do not end are noticed: the same cursor, a circle, more than allowed', async () => {
  await using s = await startHttpServer((q, r) => {
    const n = Number(new URL(q.url, 'http://x').searchParams.get('c') ?? 0)
    sendJson(r, {
      items: [{ id: n }],
      next: q.url.startsWith('/same') ? 'x' : q.url.startsWith('/circle') ? (n + 1) % 3 || '0' : n + 1,
    })
  })
  await using client = httpClient({ baseUrl: s.url })
  const style = { style: 'cursor', at: 'next', parameter: 'c' } as const
  for (const [path, words] of [
    ['/same', /a next page that was read already/],
    ['/circle', /a next page that was read already/],
    ['/long', /more than 7 pages/],
  ] as const) {
    const e = await fault(all(client, { path, pages: style, recordsAt: 'items', maxPages: 7 }))
    assert.equal(e.code, 'SOURCE_MALFORMED')
    assert.match(e.message, words)
  }
})

test('a server that does not know the page parameter is noticed by its page coming again', async () => {
  await using s = await startHttpServer((_, r) => sendJson(r, [{ id: 1 }, { id: 2 }]))
  await using client = httpClient({ baseUrl: s.url })
  const e = await fault(all(client, { path: '/', pages: { style: 'page', parameter: 'p' } }))
  assert.match(e.message, /the pages do not end: the same page came twice/)
  assert.equal(s.requests.length, 2)
})

test('a next page on another host is not asked for', async () => {
  await using s = await startHttpServer((_, r) => sendJson(r, { items: [], next: 'https://evil.example/x' }))
  await using client = httpClient({ baseUrl: s.url })
  const e = await fault(all(client, { path: '/', pages: { style: 'next-url', at: 'next' }, recordsAt: 'items' }))
  assert.deepEqual([e.code, e.exitCode], ['SOURCE_REFUSED', 78])
  assert.match(e.message, /another host \(evil.example\)/)
})

test('a path that begins with two slashes stays a path', async () => {
  await using s = await startHttpServer((q, r) =>
    sendJson(r, { items: [{ id: 1 }], next: q.url === '/' ? `http://${q.headers.host}//evil.example/x` : null }),
  )
  await using client = httpClient({ baseUrl: s.url })
  const { ids } = await all(client, { path: '/', pages: { style: 'next-url', at: 'next' }, recordsAt: 'items' })
  assert.deepEqual([ids.length, s.requests[1]?.url], [2, '//evil.example/x'])
})

test('records that are not where they should be are told; a list left out is an empty one', async () => {
  await using s = await startHttpServer((q, r) => sendJson(r, q.url === '/empty' ? { data: {} } : { error: 'private' }))
  await using client = httpClient({ baseUrl: s.url })
  assert.deepEqual((await all(client, { path: '/empty', pages: { style: 'none' }, recordsAt: 'data.items' })).ids, [])
  const e = await fault(all(client, { path: '/x', pages: { style: 'none' }, recordsAt: 'data.items' }))
  assert.match(e.message, /there are no records at data.items/)
})

test('a client_credentials token is fetched once, renewed when it ends, and again when it is revoked', async () => {
  let given = 0
  let revoked = false
  await using s = await startHttpServer((q, r) => {
    if (q.url === '/token') {
      assert.equal(q.headers.authorization, `Basic ${Buffer.from('me:s3cr3t').toString('base64')}`)
      assert.equal(q.body.toString(), 'scope=read&grant_type=client_credentials')
      sendJson(r, { access_token: `t${++given}`, expires_in: 600 })
    } else if (revoked && q.headers.authorization === 'Bearer t2') sendJson(r, '', { status: 401 })
    else sendJson(r, JSON.stringify(q.headers.authorization))
  })
  const clock = fakeClock()
  await using client = httpClient({
    baseUrl: s.url,
    clock,
    auth: { style: 'client-credentials', tokenUrl: '/token', clientId: 'me', clientSecret: 's3cr3t', scope: 'read' },
  })
  const ask = async (): Promise<Json> => (await client.get('/x')).json()
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), ['Bearer t1', 'Bearer t1', 'Bearer t1'])
  await clock.sleep(580_000)
  assert.equal(await ask(), 'Bearer t2')
  revoked = true
  assert.deepEqual(await Promise.all([ask(), ask()]), ['Bearer t3', 'Bearer t3'])
  assert.equal(given, 3)
})

test('a rotated refresh token is kept before its access token is used, and asked with the next time', async () => {
  const kept: string[] = []
  let valid = 'r0'
  await using s = await startHttpServer((q, r) => {
    if (q.url !== '/token') {
      assert.equal(kept.at(-1), valid, 'the token in use is not kept yet')
      sendJson(r, '1')
      return
    }
    const form = new URLSearchParams(q.body.toString())
    if (form.get('refresh_token') !== valid) sendJson(r, { error: 'invalid_grant', detail: 'private' }, { status: 400 })
    else {
      valid = `r${Number(valid.slice(1)) + 1}`
      sendJson(r, { access_token: 'a', expires_in: 10, refresh_token: valid })
    }
  })
  const store = {
    load: async () => kept.at(-1),
    save: async (_: string, token: string) => {
      kept.push(token)
    },
  }
  const run = async (): Promise<void> => {
    const clock = fakeClock()
    const auth = { style: 'refresh-token', tokenUrl: '/token', clientId: 'me', refreshToken: 'r0', store } as const
    await using client = httpClient({ baseUrl: s.url, clock, auth })
    await client.get('/x')
    await clock.sleep(20_000)
    await client.get('/x')
  }
  await run()
  await run()
  assert.deepEqual(kept, ['r1', 'r2', 'r3', 'r4'])
  valid = 'r99'
  const e = await fault(run())
  assert.deepEqual([e.code, e.exitCode], ['SOURCE_REFUSED', 78])
  assert.match(e.message, /POST http:\/\/[\d.:]+\/token: no token was given \(400, invalid_grant\)/)
})

test('places in JSON are written as pointers or as names with points', () => {
  const value = { 'a/b': [{ c: 1 }], data: { items: [7] } }
  for (const [text, found] of [
    ['/a~1b/0/c', 1],
    ['data.items.0', 7],
    ['$.data.items[*]', [7]],
    ['', value],
    ['/no/such', undefined],
    ['constructor', undefined],
  ] as const)
    assert.deepEqual(valueAt(value as unknown as Json, jsonPath(text)), found)
})

test('the next link is found among others, whatever stands in quotes', () => {
  for (const [header, next] of [
    ['<https://a/?p=2>; rel="next", <https://a/?p=9>; rel="last"', 'https://a/?p=2'],
    ['<https://a/?p=1>; rel=prev,<https://a/?p=3,4;5>; foo="a, b"; rel="last next"', 'https://a/?p=3,4;5'],
    ['<https://a/>; title="rel=next"', undefined],
    ['nonsense', undefined],
    [undefined, undefined],
  ] as const)
    assert.equal(nextLink(header), next)
})

test('limits are read in every spelling', () => {
  const now = Date.UTC(2026, 0, 1)
  for (const [headers, expected] of [
    [{ 'retry-after': '5' }, { waitMs: 5000, isReached: true }],
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT' }, { waitMs: 9000, isReached: true }],
    [
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now / 1000 + 3) },
      { waitMs: 3000, isReached: true },
    ],
    [
      { 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': String(now + 250) },
      { waitMs: 250, isReached: true },
    ],
    [
      { 'ratelimit-remaining': '0', 'ratelimit-reset': '4' },
      { waitMs: 4000, isReached: true },
    ],
    [{ ratelimit: 'limit=10, remaining=0, reset=6' }, { waitMs: 6000, isReached: true }],
    [{ ratelimit: '"default";r=0;t=8' }, { waitMs: 8000, isReached: true }],
    [
      { 'x-ratelimit-remaining': '3', 'x-ratelimit-reset': '60' },
      { waitMs: undefined, isReached: false },
    ],
    [
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '99999999999999' },
      { waitMs: undefined, isReached: true },
    ],
    [{ 'retry-after': 'soon' }, { waitMs: undefined, isReached: false }],
    [{}, { waitMs: undefined, isReached: false }],
  ] as const)
    assert.deepEqual(statedLimit(headers as Record<string, string>, now), expected, JSON.stringify(headers))
})

test('work side by side gives its results in order, and never more at once than allowed', async () => {
  const slots = new Slots(3)
  let open = 0
  let most = 0
  const results: number[] = []
  for await (const n of inOrder([5, 1, 4, 2, 3, 0], 4, (n) =>
    slots.with(async () => {
      most = Math.max(most, ++open)
      for (let i = 0; i < n; i++) await new Promise((done) => setImmediate(done))
      open--
      return n
    }),
  ))
    results.push(n)
  assert.deepEqual(results, [5, 1, 4, 2, 3, 0])
  assert.equal(most, 3)
})
