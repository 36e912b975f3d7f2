import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { JsonObject } from '@millrace/sdk'
import { streamerSuite } from '@millrace/sdk/testing'
import { github } from './index.ts'
import { substreamSpecs } from './substreams.ts'
import { run } from './testing/run.ts'
import { conditional, type FakeGitHub, startGitHub } from './testing/server.ts'
import { at, commitOf, issueOf, repositoryOf } from './testing/world.ts'

const all = substreamSpecs.map((s) => s.name)
const keyOf = (name: string): string => substreamSpecs.find((s) => s.name === name)?.keys.at(-1) ?? ''
const settingsOf = (server: FakeGitHub, repository: string): JsonObject => ({ baseUrl: server.url, repository })

const suiteServer = await startGitHub(repositoryOf(1, 'octo/one', 45), repositoryOf(2, 'octo/two', 7))
after(() => suiteServer.close())
streamerSuite(github, {
  config: {
    accessToken: 'ghp_good',
    baseUrl: suiteServer.url,
    repository: 'octo/one octo/two',
    pageSize: 20,
    retryMs: 1,
  },
  module: new URL('./index.ts', import.meta.url),
  incremental: true,
  stops: 3,
})

test('every substream is read whole, over pages of any size, each record once', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 23), repositoryOf(2, 'octo/two', 5))
  for (const pageSize of [2, 10, 100]) {
    const got = await run({ ...settingsOf(server, 'octo/one,octo/two'), pageSize }, { only: all })
    assert.equal(got.error, undefined)
    for (const name of all) {
      const keys = got.records
        .filter((r) => r.substream === name)
        .map((r) => `${r.record['repository_id']} ${r.record[keyOf(name)]}`)
      assert.equal(keys.length, 28, `${name}, ${pageSize} a page`)
      assert.equal(new Set(keys).size, 28, `${name}, ${pageSize} a page: no record twice`)
    }
    assert.deepEqual(new Set(got.records.map((r) => r.record['_sdc_repository'])), new Set(['octo/one', 'octo/two']))
  }
})

test('nothing new: one conditional request for each substream and repository, none else, and no record', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 25), repositoryOf(2, 'octo/two', 20))
  // 20 is a multiple of both: the last page is full.
  for (const pageSize of [4, 5, 100]) {
    const settings = { ...settingsOf(server, 'octo/one octo/two'), pageSize }
    const first = await run(settings, { only: all })
    const asked = server.requests.length
    const spent = server.remaining
    const second = await run(settings, { only: all, state: first.state })
    const requests = server.requests.slice(asked)
    assert.equal(second.error, undefined)
    assert.equal(second.records.length, 0)
    assert.equal(requests.length, all.length * 2)
    assert.equal(conditional(requests).length, requests.length)
    assert.equal(
      new Set(requests.map((r) => r.url.split('?')[0])).size,
      (all.length - 1) * 2,
      'pulls are asked for twice: reviews too',
    )
    assert.equal(server.remaining, spent, 'they cost nothing of the limit')
    assert.deepEqual(second.state, first.state)
  }
})

test('later runs give what is new, and nothing that is older', async () => {
  const one = repositoryOf(1, 'octo/one', 30)
  await using server = await startGitHub(one)
  const settings = { ...settingsOf(server, 'octo/one'), pageSize: 10 }
  const first = await run(settings, { only: all })
  one.commits.push(commitOf('e'.repeat(40), 9000), commitOf('f'.repeat(40), 9001))
  for (const path of ['issues', 'issues/comments', 'pulls', 'pulls/comments'])
    one.lists.get(path)?.push(issueOf(777, 20_000))
  one.lists.get('issues')?.splice(3, 1, issueOf(101_003, 20_001, { title: 'changed' }))
  one.lists.set('pulls/777/reviews', [{ id: 888, state: 'COMMENTED', submitted_at: at(20_000), user: null }])
  one.lists
    .get('events')
    ?.unshift({ id: '99999', type: 'ForkEvent', payload: {}, public: true, created_at: at(20_000) })
  one.lists.get('stargazers')?.push({ starred_at: at(20_000), user: { id: 999, login: 'new' } })
  const second = await run(settings, { only: all, state: first.state })
  assert.equal(second.error, undefined)
  assert.deepEqual(second.of('commits', 'sha'), ['e'.repeat(40), 'f'.repeat(40)])
  assert.deepEqual(
    second.of('issues').filter((id) => Number(id) !== 101_029),
    [777, 101_003],
  )
  assert.ok(second.of('issue_comments').includes(777) && second.of('issue_comments').length <= 4)
  assert.deepEqual(second.of('pull_requests')[0], 777)
  assert.ok(second.of('pull_requests').length <= 2)
  assert.ok(second.of('reviews').includes(888))
  assert.equal(second.of('events')[0], '99999')
  assert.equal(second.of('stargazers', 'user_id').length, 31, 'a full list is read whole where it changed')
  assert.equal(second.of('labels').length, 0)
  const third = await run(settings, { only: all, state: second.state })
  assert.equal(third.records.length, 0)
})

test('records that change while pages are read are neither lost nor given as they were for ever', async () => {
  const one = repositoryOf(1, 'octo/one', 40)
  await using server = await startGitHub(one)
  const settings = { ...settingsOf(server, 'octo/one'), pageSize: 10 }
  const issues = one.lists.get('issues') as JsonObject[]
  let changed = 0
  server.fault = (request) => {
    // After each page the oldest record that is left changes, and moves to the end of the list.
    if (request.url.includes('/issues?'))
      issues.push({ ...(issues.shift() as JsonObject), updated_at: at(50_000 + changed++) })
    return false
  }
  const first = await run(settings, { only: ['issues'] })
  server.fault = undefined
  const second = await run(settings, { only: ['issues'], state: first.state })
  const latest = new Map([...first.records, ...second.records].map((r) => [r.record['id'], r.record['updated_at']]))
  assert.deepEqual(latest, new Map(issues.map((i) => [i['id'], i['updated_at']])))
  assert.ok(changed > 3)
})

test('more records of one second than a page holds are all read', async () => {
  const one = repositoryOf(1, 'octo/one', 1)
  one.lists.set(
    'issues',
    Array.from({ length: 57 }, (_, i) => issueOf(i + 1, i < 50 ? 10 : 11 + i)),
  )
  await using server = await startGitHub(one)
  const settings = { ...settingsOf(server, 'octo/one'), pageSize: 10 }
  const got = await run(settings, { only: ['issues'] })
  assert.deepEqual(
    [...got.of('issues')].sort((a, b) => Number(a) - Number(b)),
    Array.from({ length: 57 }, (_, i) => i + 1),
  )
})

test('commits older than the last run that a merge brings are read', async () => {
  const one = repositoryOf(1, 'octo/one', 10)
  await using server = await startGitHub(one)
  const first = await run(settingsOf(server, 'octo/one'), { only: ['commits'] })
  one.commits.push(commitOf('a'.repeat(40), 5), commitOf('b'.repeat(40), 900))
  const second = await run(settingsOf(server, 'octo/one'), { only: ['commits'], state: first.state })
  assert.deepEqual(second.of('commits', 'sha'), ['a'.repeat(40), 'b'.repeat(40)])
})

test('a branch that was rewritten is read again', async () => {
  const one = repositoryOf(1, 'octo/one', 10)
  await using server = await startGitHub(one)
  const first = await run({ ...settingsOf(server, 'octo/one'), pageSize: 4 }, { only: ['commits'] })
  one.commits = [...one.commits.slice(0, 5), commitOf('d'.repeat(40), 950)]
  const second = await run(
    { ...settingsOf(server, 'octo/one'), pageSize: 4 },
    { only: ['commits'], state: first.state },
  )
  assert.equal(second.error, undefined)
  assert.equal(second.of('commits').length, 6)
  assert.match(second.logged.join('\n'), /rewritten/)
})

test('a repository without commits gives none, and its first ones later', async () => {
  const one = repositoryOf(1, 'octo/one', 3)
  const { commits } = one
  one.commits = []
  await using server = await startGitHub(one)
  const first = await run(settingsOf(server, 'octo/one'), { only: ['commits', 'labels', 'contributors'] })
  assert.equal(first.error, undefined)
  assert.equal(first.of('commits').length + first.of('contributors').length, 0)
  assert.equal(first.of('labels').length, 3)
  // Without a place for commits every run asked who the repository is.
  const before = server.requests.length
  await run(settingsOf(server, 'octo/one'), { only: ['commits', 'labels', 'contributors'], state: first.state })
  assert.deepEqual(
    server.requests.slice(before).map((q) => q.url.replace(/\?.*/, '')),
    ['commits', 'labels', 'contributors'].map((name) => `/api/v3/repositories/1/${name}`),
  )
  one.commits = commits
  const second = await run(settingsOf(server, 'octo/one'), { only: ['commits'], state: first.state })
  assert.equal(second.of('commits').length, 3)
})

test('a renamed repository goes on where it was, under either name', async () => {
  const one = repositoryOf(1, 'octo/old', 5)
  await using server = await startGitHub(one)
  const only = ['commits', 'issues']
  const first = await run(settingsOf(server, 'octo/old'), { only })
  one.former.push('octo/old')
  one.full_name = 'octo/new'
  const old = await run(settingsOf(server, 'octo/old'), { only, state: first.state })
  const fresh = await run(settingsOf(server, 'octo/new'), { only, state: first.state })
  assert.deepEqual([old.records.length, fresh.records.length], [0, 0])
  assert.deepEqual(
    Object.keys((fresh.state as { bookmarks: { issues: { bookmark: object } } }).bookmarks.issues.bookmark),
    ['octo/new'],
  )
  const redirected = await run(settingsOf(server, 'octo/old'), { only })
  assert.equal(redirected.of('issues').length, 5)
  assert.deepEqual(new Set(redirected.of('issues', '_sdc_repository')), new Set(['octo/old']))
  // Its place was kept under the new name and looked for under the old one: every run asked who it is.
  const before = server.requests.length
  const again = await run(settingsOf(server, 'octo/old'), { only, state: redirected.state })
  assert.deepEqual([again.error, again.records.length], [undefined, 0])
  const asked = server.requests.slice(before)
  assert.deepEqual(
    asked.map((q) => [q.url.replace(/\?.*/, ''), q.headers['if-none-match'] !== undefined]),
    only.map((name) => [`/api/v3/repositories/1/${name}`, true]),
  )
})

test('a name in other letters is spelt as GitHub spells it, in every run', async () => {
  const one = repositoryOf(1, 'octo/One', 2)
  await using server = await startGitHub(one)
  const first = await run(settingsOf(server, 'OCTO/one'), { only: ['issues'] })
  one.lists.get('issues')?.push(issueOf(1_000_900, 900))
  const second = await run(settingsOf(server, 'OCTO/one'), { only: ['issues'], state: first.state })
  assert.ok(second.records.length > 0)
  assert.deepEqual(
    new Set([...first.of('issues', '_sdc_repository'), ...second.of('issues', '_sdc_repository')]),
    new Set(['octo/One']),
  )
})

test('a substream that is gone or not enabled is left out; the others are read', async () => {
  for (const status of [404, 410, 451]) {
    const one = repositoryOf(1, 'octo/one', 5)
    one.gone.set('issues', status)
    one.gone.set('labels', status)
    one.gone.set('pulls/2/reviews', status)
    await using server = await startGitHub(one)
    const got = await run(settingsOf(server, 'octo/one'), { only: ['issues', 'labels', 'reviews', 'commits'] })
    assert.equal(got.error, undefined)
    assert.deepEqual(
      ['issues', 'labels', 'reviews', 'commits'].map((n) => got.of(n, 'node_id').length),
      [0, 0, 4, 5],
    )
    assert.match(got.logged.join('\n'), new RegExp(`not shown to this token \\(${status}\\)`))
  }
})

test('all repositories of an organisation are read', async () => {
  await using server = await startGitHub(
    repositoryOf(1, 'octo/one', 2),
    repositoryOf(2, 'octo/two', 2),
    repositoryOf(3, 'other/x', 2),
  )
  for (const settings of [{ repository: 'octo/*' }, { organization: 'octo' }, { organizations: ['octo'] }]) {
    const got = await run({ baseUrl: server.url, pageSize: 1, ...settings }, { only: ['labels'] })
    assert.deepEqual(new Set(got.of('labels', '_sdc_repository')), new Set(['octo/one', 'octo/two']))
  }
})

test('startDate leaves out what is older', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 30))
  const got = await run(
    { ...settingsOf(server, 'octo/one'), start_date: at(200), pageSize: 7 },
    { only: ['commits', 'issues', 'pull_requests'] },
  )
  for (const { record } of got.records) assert.ok(String(record['updated_at']) >= at(200))
  assert.equal(got.of('issues').length, 10)
})

test('stopped in the middle of the first reading of pull requests and commits, it goes on from that page', async () => {
  await using server = await startGitHub(repositoryOf(1, 'octo/one', 40))
  const settings = { ...settingsOf(server, 'octo/one'), pageSize: 5 }
  for (const name of ['pull_requests', 'commits', 'reviews']) {
    const whole = await run(settings, { only: [name] })
    let pages = 0
    server.fault = (request, response) => {
      if (!/sort=created|sha=/.test(request.url) || ++pages <= 4) return false
      response.destroy()
      return true
    }
    const first = await run(settings, { only: [name] })
    assert.equal(first.error?.code, 'SOURCE_UNAVAILABLE')
    server.fault = undefined
    const second = await run(settings, { only: [name], state: first.state })
    assert.ok(first.records.length > 5 && second.records.length < 40, name)
    const key = keyOf(name)
    assert.deepEqual(new Set([...first.of(name, key), ...second.of(name, key)]), new Set(whole.of(name, key)))
    assert.equal(first.records.length + second.records.length, 40, `${name}: none twice`)
    assert.equal((await run(settings, { only: [name], state: second.state })).records.length, 0)
  }
})

test('stopped in the middle, and the page is gone: it is read from the first; a repository that is gone is left out', async () => {
  const one = repositoryOf(1, 'octo/one', 12)
  await using server = await startGitHub(one)
  const settings = { ...settingsOf(server, 'octo/one'), pageSize: 5 }
  const state = (url: string): JsonObject => ({
    bookmarks: { commits: { bookmark: { 'octo/one': { id: 1, reading: { url, until: 'x' } } } } },
  })
  const rewritten = state('/api/v3/repositories/1/commits?sha=gone&per_page=5&page=2')
  const again = await run(settings, { only: ['commits'], state: rewritten })
  assert.equal(again.error, undefined)
  assert.equal(again.of('commits').length, 12)
  one.gone.set('commits', 404)
  const gone = await run(settings, { only: ['commits'], state: rewritten })
  assert.equal(gone.error, undefined)
  assert.match(gone.logged.join('\n'), /not shown to this token/)
})

test('an edit in an early page of a long list comes when the list is old enough', async () => {
  const one = repositoryOf(1, 'octo/one', 25)
  await using server = await startGitHub(one)
  const settings = { ...settingsOf(server, 'octo/one'), pageSize: 10 }
  server.now = Date.UTC(2026, 5, 1)
  const first = await run(settings, { only: ['labels'] })
  one.lists.get('labels')?.splice(0, 1, { id: 105_000, name: 'renamed' })
  server.now += 3600_000
  assert.equal((await run(settings, { only: ['labels'], state: first.state })).records.length, 0)
  server.now += 24 * 3600_000
  const later = await run(settings, { only: ['labels'], state: first.state })
  assert.equal(later.of('labels', 'name')[0], 'renamed')
})
