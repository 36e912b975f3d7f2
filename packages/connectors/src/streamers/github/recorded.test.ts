/** Answers that GitHub gave, as @octokit/fixtures recorded them: their fields and headers, not ours. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { isObject, type Json, type JsonObject, runStreamer, silentLogger } from '@millrace/sdk'
import { sendJson, startHttpServer, type TestServer, violationOf } from '@millrace/sdk/testing'
import { github } from './index.ts'
import * as schemas from './schemas.ts'
import { run } from './testing/run.ts'

interface Recorded {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly response: Json
  readonly headers: Readonly<Record<string, string | number>>
}

const folder = join(
  dirname(createRequire(import.meta.url).resolve('@octokit/fixtures/package.json')),
  'scenarios/api.github.com',
)
const recorded = (scenario: string): readonly Recorded[] =>
  JSON.parse(readFileSync(join(folder, scenario, 'normalized-fixture.json'), 'utf8')) as readonly Recorded[]

/** Serves what was recorded for a path; pages by the recorded Link headers, with our host in them. */
const serve = async (answers: Readonly<Record<string, Recorded>>): Promise<TestServer> => {
  const server: TestServer = await startHttpServer((request, response) => {
    const url = new URL(request.url, 'http://x')
    const key = `${url.pathname}${url.searchParams.has('page') ? `?page=${url.searchParams.get('page')}` : ''}`
    const found = answers[key]
    if (found === undefined) return sendJson(response, { message: 'Not Found' }, { status: 404 })
    const headers = Object.fromEntries(
      Object.entries(found.headers)
        .filter(([name]) => /^(link|etag|location|content-type|x-ratelimit-.*)$/.test(name))
        .map(([name, value]) => [name, String(value).replaceAll('https://api.github.com', server.url)]),
    )
    sendJson(response, found.response, { status: found.status, headers })
  })
  return server
}

test('recorded pages of issues are followed by their own Link headers', async () => {
  const pages = recorded('paginate-issues').filter((r) => r.method === 'get')
  const repository = recorded('get-repository').find((r) => r.method === 'get') as Recorded
  const of = (n: number): Recorded => pages[n - 1] as Recorded
  await using server = await serve({
    '/repos/octokit-fixture-org/paginate-issues': {
      ...repository,
      response: { ...(repository.response as JsonObject), id: 1000, full_name: 'octokit-fixture-org/paginate-issues' },
    },
    '/repositories/1000/issues': of(1),
    ...Object.fromEntries([2, 3, 4, 5].map((n) => [`/repositories/1000/issues?page=${n}`, of(n)])),
  })
  const got = await run(
    { baseUrl: server.url, repository: 'octokit-fixture-org/paginate-issues', pageSize: 3 },
    { only: ['issues'] },
  )
  assert.equal(got.error, undefined)
  assert.deepEqual(got.of('issues', 'number'), [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
  for (const { record } of got.records) assert.equal(violationOf(schemas.issue, record), undefined)
})

test('a recorded redirect of a renamed repository leads to it', async () => {
  const all = recorded('rename-repository')
  const moved = all.find((r) => r.status === 301) as Recorded
  const there = all.find((r) => r.method === 'get' && r.status === 200) as Recorded
  await using server = await serve({
    '/repos/octokit-fixture-org/rename-repository': moved,
    '/repositories/1000': there,
  })
  await runStreamer(github, {
    command: 'check',
    config: {
      ...(await import('./testing/run.ts')).configOf({
        baseUrl: server.url,
        repository: 'octokit-fixture-org/rename-repository',
      }),
    },
    log: silentLogger,
    signal: new AbortController().signal,
    write: () => {},
  })
  assert.deepEqual(
    server.requests.map((r) => r.url),
    ['/repos/octokit-fixture-org/rename-repository', '/repositories/1000'],
  )
})

test('recorded labels, releases and users fit the schemas', () => {
  const fits = (schema: JsonObject, value: Json): void =>
    assert.equal(violationOf(schema, { ...(value as JsonObject), _sdc_repository: 'a/b', repository_id: 1 }), undefined)
  const labels = recorded('labels').find((r) => r.method === 'get' && Array.isArray(r.response)) as Recorded
  for (const label of labels.response as readonly Json[]) fits(schemas.label, label)
  const release = recorded('release-assets').find((r) => r.path.includes('/tags/')) as Recorded
  fits(schemas.release, release.response)
  const assets = recorded('release-assets').find((r) => r.path.endsWith('/assets') && r.method === 'get') as Recorded
  fits(schemas.release, { ...(release.response as JsonObject), assets: assets.response })
  assert.ok(isObject(release.response))
})
