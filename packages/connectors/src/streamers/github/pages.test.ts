/** Runs the pages of docs that read GitHub, with local servers in place of GitHub, Stitch and the warehouse. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startStitchServer } from '@millrace/sdk/testing'
import { runPage } from '../../testing/run-page.ts'
import { findPostgres } from '../../testing/services/postgres.ts'
import { type FakeGitHub, startGitHub } from './testing/server.ts'
import { type FakeRepository, repositoryOf } from './testing/world.ts'

const github = async (): Promise<{ readonly server: FakeGitHub; readonly repository: FakeRepository }> => {
  const repository = repositoryOf(1, 'octocat/hello-world', 5)
  const server = await startGitHub(repository)
  server.token = 'your-access-token'
  return { server, repository }
}

test('the Stitch guide does what it says, and each row is in Stitch once', async () => {
  const { server, repository } = await github()
  await using _ = server
  await using stitch = await startStitchServer({ token: 'your-import-api-token', clientId: 1234 })
  const blocks = await runPage('the-stitch-guide.md', { env: { GITHUB_API_URL: server.url, STITCH_URL: stitch.url } })
  assert.ok(blocks >= 7)
  assert.deepEqual(
    new Set(stitch.tables.rows('commits').map((r) => r['sha'])),
    new Set(repository.commits.map((c) => c['sha'])),
  )
  for (const table of [
    'issues',
    'issue_comments',
    'pull_requests',
    'review_comments',
    'releases',
    'events',
    'stargazers',
    'labels',
  ])
    assert.equal(stitch.tables.rows(table).length, 5, table)
  assert.deepEqual(stitch.tables.rows('hello'), [{ value: 'world' }])
})

const postgres = await findPostgres()
test('GitHub into PostgreSQL does what it says', { skip: postgres.skip }, async () => {
  const { server } = await github()
  await using _ = server
  await using db = await postgres.database()
  const blocks = await runPage('github-into-postgresql.md', {
    env: { GITHUB_API_URL: server.url },
    replace: { 'postgresql://loader@db.example.com/warehouse': db.url },
  })
  assert.ok(blocks >= 6)
  const rows = await db.query('select count(*)::int as n, count(distinct id)::int as ids from github.issues')
  assert.deepEqual(rows, [{ n: 5, ids: 5 }])
})
