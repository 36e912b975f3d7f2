/**
 * Runs the pages of docs that read GitHub: their blocks one after the other, with the programs of this clone and local servers in
 * place of GitHub, Stitch and the warehouse. What a block exports the later ones have.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startStitchServer } from '@millrace/sdk/testing'
import { findPostgres } from '../../testing/services/postgres.ts'
import { type FakeGitHub, startGitHub } from './testing/server.ts'
import { type FakeRepository, repositoryOf } from './testing/world.ts'

const docs = fileURLToPath(new URL('../../../../../docs/how-to/', import.meta.url))
const bins = fileURLToPath(new URL('../../../../cli/bin/', import.meta.url))

interface Page {
  readonly env: Readonly<Record<string, string>>
  readonly replace?: Readonly<Record<string, string>>
}

/** Runs a page; answers how many of its blocks were run. */
const runPage = async (name: string, page: Page): Promise<number> => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace page '))
  const [programs, work, exported] = [join(folder, 'bin'), join(folder, 'work'), join(folder, 'env')]
  mkdirSync(programs)
  mkdirSync(work)
  for (const program of ['millrace', 'stream-github', 'persist-stitch']) {
    writeFileSync(join(programs, program), `#!/bin/sh\nexec "${process.execPath}" "${bins}${program}.mjs" "$@"\n`)
    chmodSync(join(programs, program), 0o755)
  }
  writeFileSync(exported, '')
  const path = [programs, dirname(process.execPath), process.env['PATH']].join(delimiter)
  let output = ''
  let count = 0
  try {
    let text = readFileSync(join(docs, name), 'utf8')
    for (const [from, to] of Object.entries(page.replace ?? {})) text = text.replaceAll(from, to)
    for (const [, language, title, block = ''] of text.matchAll(/^```(\w+)(?: title=(\S+))?\n([\s\S]*?)^```$/gm)) {
      if (title !== undefined) writeFileSync(join(work, title), block)
      else if (language === 'text') {
        for (const line of block.split('\n').filter((l) => l !== ''))
          assert.match(output, patternOf(line), `${name}: ${line}`)
      } else {
        count++
        const ended = await bash(`. '${exported}'; set -eo pipefail\n${block}\nexport -p > '${exported}'`, {
          cwd: work,
          env: { PATH: path, HOME: folder, ...page.env },
        })
        assert.equal(ended.code, 0, `${name}:\n${block}\n${ended.stdout}${ended.stderr}`)
        output = ended.stdout
      }
    }
    return count
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const bash = async (
  script: string,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> => {
  const child = spawn('bash', ['-c', script], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = async (from: AsyncIterable<Buffer>): Promise<string> =>
    Buffer.concat(await Array.fromAsync(from)).toString()
  const ended = new Promise<number | null>((done) => child.on('close', done))
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, stdout, stderr }
}

/** A line of expected output as a pattern; … stands for anything. */
const patternOf = (line: string): RegExp =>
  new RegExp(
    line
      .trim()
      .split('…')
      .map((p) => p.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*'),
  )

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
