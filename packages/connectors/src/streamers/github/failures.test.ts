import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Json, type JsonObject, resolveConfig } from '@millrace/sdk'
import { github } from './index.ts'
import { olderState } from './older-states.ts'
import { wantedOf } from './settings.ts'
import { configOf, run } from './testing/run.ts'
import { type FakeGitHub, secondaryLimit, startGitHub } from './testing/server.ts'
import { at, issueOf, repositoryOf } from './testing/world.ts'

const settingsOf = (server: FakeGitHub): JsonObject => ({ baseUrl: server.url, repository: 'octo/one', pageSize: 10 })
const only = ['issues']
const ids = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => 101_000 + i)

test('a token that is not accepted is told in one line, with exit code 78, and never printed', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 3))
  server.token = 'ghp_other'
  const got = await run(settingsOf(server), { only })
  assert.equal(got.error?.code, 'SOURCE_REFUSED')
  assert.match(got.error?.message ?? '', /credentials are not accepted \(401\)/)
  assert.equal(got.records.length, 0)
  assert.doesNotMatch(JSON.stringify([got.error, got.logged]), /ghp_/)
})

test('a token revoked in the middle: what came before is covered by the state, the next run brings the rest', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 35))
  server.fault = (_, __, count) => {
    if (count === 4) server.token = 'ghp_new'
    return false
  }
  const first = await run(settingsOf(server), { only })
  assert.equal(first.error?.code, 'SOURCE_REFUSED')
  server.fault = undefined
  const second = await run({ ...settingsOf(server), accessToken: 'ghp_new' }, { only, state: first.state })
  assert.equal(second.error, undefined)
  assert.ok(first.records.length >= 10 && second.records.length < 35)
  assert.deepEqual([...new Set([...first.of('issues'), ...second.of('issues')])], ids(35))
})

test('at the primary limit it waits until the reset and goes on', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 35))
  server.remaining = 3
  server.resetSeconds = 1
  let refused = 0
  server.fault = () => {
    if (server.remaining <= 0 && ++refused > 0) server.remaining = 100
    return false
  }
  const got = await run(settingsOf(server), { only })
  assert.equal(got.error, undefined)
  assert.deepEqual(got.of('issues'), ids(35))
})

test('a primary limit whose reset is too far away ends the run, to be tried later', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 35))
  server.remaining = 3
  server.resetSeconds = 3000
  const got = await run({ ...settingsOf(server), maxWaitSeconds: 2 }, { only })
  assert.equal(got.error?.code, 'SOURCE_LIMITED')
  assert.ok(got.records.length >= 10)
  server.remaining = 5000
  const rest = await run(settingsOf(server), { only, state: got.state })
  assert.deepEqual([...new Set([...got.of('issues'), ...rest.of('issues')])], ids(35))
})

test('a secondary limit is waited for, with Retry-After and without', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 15))
  for (const retryAfter of [1, undefined]) {
    let times = 0
    server.fault = (request, response) => {
      if (!request.url.includes('/issues') || ++times !== 2) return false
      secondaryLimit(response, retryAfter)
      return true
    }
    const got = await run({ ...settingsOf(server), limitWaitSeconds: 0.01 }, { only })
    assert.equal(got.error, undefined)
    assert.deepEqual(got.of('issues'), ids(15))
    assert.match(got.logged.join('\n'), /waiting/)
  }
})

test('a secondary limit that does not end is told as a limit', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 15))
  server.fault = (_, response) => {
    secondaryLimit(response)
    return true
  }
  const got = await run({ ...settingsOf(server), limitWaitSeconds: 0.01, maxWaitSeconds: 0.1 }, { only })
  assert.equal(got.error?.code, 'SOURCE_LIMITED')
})

test('403 without a limit says which rights the token needs', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 15))
  server.fault = (_, response) => {
    response.writeHead(403, { 'content-type': 'application/json', 'x-ratelimit-remaining': '4000' })
    response.end('{"message":"Resource not accessible by personal access token"}')
    return true
  }
  const got = await run(settingsOf(server), { only })
  assert.equal(got.error?.code, 'SOURCE_REFUSED')
  assert.match(String(got.error?.details['fix']), /scope repo/)
})

test('errors of the server and cut connections are tried again; nothing is doubled', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 35))
  server.fault = (_, response, count) => {
    if (count % 3 === 0) response.writeHead(502).end('<html>Server Error</html>')
    else if (count % 3 === 1) {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
      response.write('[{"id":')
      response.destroy()
    } else return false
    return true
  }
  const got = await run(settingsOf(server), { only })
  assert.equal(got.error, undefined)
  assert.deepEqual(got.of('issues'), ids(35))
})

test('what is not JSON, and pages that never end, end the run', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 3))
  server.fault = (r, response) => {
    if (!r.url.includes('/labels')) return false
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>log in</html>')
    return true
  }
  const html = await run(settingsOf(server), { only: ['labels'] })
  assert.equal(html.error?.code, 'SOURCE_MALFORMED')
  for (const [name, path] of [
    ['labels', '/labels'],
    ['issues', '/issues'],
    ['commits', '/commits'],
    ['pull_requests', '/pulls'],
  ] as const) {
    server.fault = (r, response) => {
      if (!r.url.includes(path)) return false
      const link = `<${server.url}/repositories/1${path}?page=2>; rel="next"`
      response.writeHead(200, { 'content-type': 'application/json', link })
      response.end(JSON.stringify([issueOf(1, 10, { sha: 'abc' })]))
      return true
    }
    const got = await run(settingsOf(server), { only: [name] })
    assert.equal(got.error?.code, 'SOURCE_MALFORMED', name)
    assert.match(got.error?.message ?? '', /do not end/, name)
  }
})

test('a link to another host is refused: the token does not go there', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 3))
  server.fault = (r, response) => {
    if (!r.url.includes('/labels')) return false
    response.writeHead(200, { 'content-type': 'application/json', link: '<https://evil.example/x?page=2>; rel="next"' })
    response.end('[{"id":1}]')
    return true
  }
  const got = await run(settingsOf(server), { only: ['labels'] })
  assert.ok(got.error?.code === 'SOURCE_REFUSED' || got.error?.code === 'SOURCE_MALFORMED')
})

test('a name that is not there is told before anything is read, with all the others', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 3))
  const got = await run({ baseUrl: server.url, repository: 'octo/none octo/one octo/neither' })
  assert.equal(got.error?.code, 'SOURCE_REFUSED')
  assert.match(got.error?.message ?? '', /octo\/none, octo\/neither/)
  assert.equal(got.records.length, 0)
})

test('settings of every generation are accepted; everything missing is told at once', () => {
  const resolve = (file: JsonObject, env: Record<string, string> = {}): unknown =>
    wantedOf(
      resolveConfig(github.config, { kind: 'streamer', name: 'github', file, env, strict: true }).config as never,
    )
  const wanted = { names: ['a/b'], owners: [], startDate: undefined, token: 't' }
  assert.deepEqual(resolve({}, { GITHUB_ACCESS_TOKEN: 't', GITHUB_REPO_PATH: 'a/b' }), wanted)
  assert.deepEqual(resolve({ access_token: 't', repo_path: 'a/b' }), wanted)
  const tap = {
    access_token: 't',
    repository: 'a/b c/d e/*',
    start_date: '2026-01-01',
    request_timeout: 300,
    base_url: 'https://ghe.example/api/v3',
  }
  assert.deepEqual(resolve(tap), {
    names: ['a/b', 'c/d'],
    owners: ['e'],
    startDate: '2026-01-01T00:00:00Z',
    token: 't',
  })
  assert.deepEqual(resolve({ auth_token: 't', repositories: ['a/b', 'A/B'], organizations: ['e'] }), {
    ...wanted,
    owners: ['e'],
  })
  assert.deepEqual(resolve({ accessToken: 't', repository: 'https://github.com/a/b.git' }), wanted)
  assert.throws(
    () => resolve({}),
    (e: Error) => /accessToken is missing/.test(e.message) && /repository is missing/.test(e.message),
  )
  assert.throws(() => resolve({ accessToken: 't', repository: 'a' }), /"a" is not owner\/name/)
  assert.throws(() => resolve({ accessToken: 't', repository: 'a/b', startDate: 'soon' }), /startDate is not a date/)
  assert.ok(configOf({ repository: 'a/b' }))
})

test('states of every generation are gone on from', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 30))
  const expected = ids(30).slice(20)
  const since = at(200)
  const states: readonly Json[] = [
    { commits: '2017-01-17T20:32:05Z', issues: since },
    { bookmarks: { 'octo/one': { issues: { since } } } },
    {
      bookmarks: { issues: { 'octo/one': { since } } },
      currently_syncing: 'issues',
      currently_syncing_repo: 'octo/one',
    },
  ]
  for (const state of states) {
    const got = await run(settingsOf(server), { only, state })
    assert.equal(got.error, undefined)
    assert.deepEqual(got.of('issues'), expected)
    const again = await run(settingsOf(server), { only, state: got.state })
    assert.equal(again.records.length, 0)
  }
  const commits = await run(settingsOf(server), { only: ['commits'], state: at(100) })
  assert.equal(commits.of('commits').length, 13)
  assert.equal((await run(settingsOf(server), { only: ['commits'], state: commits.state })).records.length, 0)
  assert.equal((await run(settingsOf(server), { only, state: 'yesterday' })).error?.code, 'STATE_UNREADABLE')
  const ours = { bookmarks: { issues: { bookmark: { 'octo/one': { id: 1, since } } } } }
  assert.deepEqual(olderState(ours), ours)
})
