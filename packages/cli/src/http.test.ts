import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sendJson, startHttpServer } from '@millrace/sdk/testing'
import { type Ended, millrace, temporaryFolder } from './fixtures/program.ts'

const secrets = { SHOP_SECRET: 'swordfish-7', SHOP_REFRESH: 'refresh-0' }

const inProject = (
  pipeline: object,
): { readonly path: string; readonly run: (...args: readonly string[]) => Promise<Ended> } & Disposable => {
  const folder = temporaryFolder()
  // JSON is YAML.
  writeFileSync(join(folder.path, 'millrace.yaml'), JSON.stringify({ version: 1, pipelines: { shop: pipeline } }))
  return {
    path: folder.path,
    run: async (...args) => {
      const ended = await millrace(args, { cwd: folder.path, env: secrets })
      for (const secret of [...Object.values(secrets), 'access-', 'private'])
        assert.ok(!`${ended.stdout}${ended.stderr}`.includes(secret), `${secret} is shown`)
      return ended
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

/** Orders in pages of ten, behind OAuth 2 with a refresh token that is good once. */
const shop = (options: { readonly orders: number; readonly isRevoked: (page: number) => boolean }) => {
  let uses = 0
  return startHttpServer((q, r) => {
    const url = new URL(q.url, 'http://x')
    if (url.pathname === '/token') {
      if (new URLSearchParams(q.body.toString()).get('refresh_token') !== `refresh-${uses}`)
        return sendJson(r, { error: 'invalid_grant', private: true }, { status: 400 })
      uses++
      return sendJson(r, { access_token: `access-${uses}`, refresh_token: `refresh-${uses}`, expires_in: 3600 })
    }
    const page = Number(url.searchParams.get('cursor') ?? 0)
    if (q.headers.authorization !== `Bearer access-${uses}` || options.isRevoked(page))
      return sendJson(r, { private: true }, { status: 401 })
    const data = Array.from({ length: 10 }, (_, i) => ({ id: page * 10 + i, note: 'private' }))
    sendJson(r, { data, next: (page + 1) * 10 < options.orders ? page + 1 : null })
  })
}

const from = (url: string): object => ({
  streamer: 'http',
  config: {
    baseUrl: url,
    auth: 'refresh-token',
    tokenUrl: '/token',
    clientId: 'me',
    clientSecret: '${SHOP_SECRET}',
    refreshToken: '${SHOP_REFRESH}',
    tokenFile: 'token.json',
    retryMs: 1,
    inferRecords: 1,
    substreams: {
      orders: {
        path: '/orders',
        records: 'data',
        keys: ['id'],
        pages: { style: 'cursor', at: 'next', parameter: 'cursor' },
      },
    },
  },
})

test('a token revoked in the middle of a run: exit code 78, and the next run goes on with the token that was kept', async () => {
  let isRevoked = true
  await using source = await shop({ orders: 100, isRevoked: (page) => isRevoked && page === 6 })
  using at = inProject({ from: from(source.url), to: { persister: 'jsonl', config: { path: 'out' } } })
  const first = await at.run('run', 'shop')
  assert.equal(first.code, 78, first.stderr)
  assert.match(first.stderr, /the credentials are not accepted \(401\)/)
  isRevoked = false
  const asked = source.requests.length
  const second = await at.run('run', 'shop')
  assert.equal(second.code, 0, second.stderr)
  assert.deepEqual(
    source.requests.slice(asked).map((q) => q.url),
    ['/token', ...[6, 7, 8, 9].map((page) => `/orders?cursor=${page}`)],
  )
  const ids = readFileSync(join(at.path, 'out/orders.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((l) => (JSON.parse(l) as { id: number }).id)
  assert.deepEqual(
    ids,
    Array.from({ length: 100 }, (_, i) => i),
  )
  assert.match(readFileSync(join(at.path, 'token.json'), 'utf8'), /"refresh-3"/)
})

test('a record that an endpoint does not take is found and set aside, the others are sent', async () => {
  await using source = await shop({ orders: 20, isRevoked: () => false })
  const taken = new Set<number>()
  await using endpoint = await startHttpServer((q, r) => {
    const ids = (JSON.parse(q.body.toString()) as { id: number }[]).map((row) => row.id)
    if (ids.includes(17)) return sendJson(r, { message: 'poison refused' }, { status: 422 })
    for (const id of ids) taken.add(id)
    sendJson(r, '')
  })
  using at = inProject({
    from: from(source.url),
    to: { persister: 'http', config: { url: `${endpoint.url}/in/{substream}`, retryMs: 1 } },
    'on-invalid': 'dead-letter',
  })
  const ran = await at.run('run', 'shop')
  assert.equal(ran.code, 0, ran.stderr)
  assert.match(ran.stdout, /orders +20 +20 +19 +0 +1/)
  assert.deepEqual([taken.size, taken.has(17)], [19, false])
  assert.doesNotMatch(ran.stdout + ran.stderr, /poison refused/)
  const listed = (await at.run('dead-letters', 'list', 'shop')).stdout
  const why = `POST ${endpoint.url}/in/orders: it does not take a record of orders (422): poison refused`
  assert.ok(listed.includes('DESTINATION_REFUSED') && listed.includes(why), listed)
})

test('an endpoint that is busy for longer than may be waited: exit code 75', async () => {
  await using source = await shop({ orders: 10, isRevoked: () => false })
  await using endpoint = await startHttpServer((_, r) =>
    sendJson(r, '', { status: 429, headers: { 'retry-after': '30' } }),
  )
  using at = inProject({
    from: from(source.url),
    to: { persister: 'http', config: { url: endpoint.url, maxWaitSeconds: 10 } },
  })
  const ran = await at.run('run', 'shop')
  assert.equal(ran.code, 75, ran.stderr)
  assert.match(ran.stderr, /too many requests \(429\); the next is allowed in 30 s/)
})
