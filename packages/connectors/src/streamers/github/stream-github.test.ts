import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { JsonObject } from '@millrace/sdk'
import { catalogOf } from './testing/run.ts'
import { startGitHub } from './testing/server.ts'
import { at, commitOf, repositoryOf } from './testing/world.ts'

const bin = fileURLToPath(new URL('../../../../cli/bin/stream-github.mjs', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'millrace github '))
after(() => rmSync(folder, { recursive: true, force: true }))
const one = repositoryOf(1, 'octo/one', 5)
const server = await startGitHub(one)
after(() => server.close())
const tokens = { GITHUB_ACCESS_TOKEN: 'ghp_good', GITHUB_REPO_PATH: 'octo/one' }

interface Ended {
  readonly code: number | null
  readonly lines: readonly string[]
  readonly stderr: string
}

const program = async (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> => {
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'], GITHUB_API_URL: server.url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = async (from: AsyncIterable<Buffer>): Promise<string> =>
    Buffer.concat(await Array.fromAsync(from)).toString()
  const ended = new Promise<number | null>((done) => child.on('close', done))
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, lines: stdout.split('\n').filter((l) => l !== ''), stderr }
}
const write = (name: string, content: unknown): string => {
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  return name
}
const messages = (lines: readonly string[]): readonly JsonObject[] => lines.map((l) => JSON.parse(l) as JsonObject)

test('settings in the environment and a bookmark file: format 0.1, as the first generation wrote it', async () => {
  const first = await program([], tokens)
  assert.equal(first.code, 0, first.stderr)
  assert.deepEqual(first.lines.slice(0, 3), ['stitchstream/0.1', 'Content-Type: jsonline', '--'])
  const all = messages(first.lines.slice(3))
  const commits = all.filter((m) => m['type'] === 'RECORD' && m['stream'] === 'commits')
  assert.equal(commits.length, 5)
  assert.deepEqual(commits[0]?.['key_fields'], ['sha'])
  const last = all.at(-1) as JsonObject
  assert.equal(last['type'], 'BOOKMARK')
  const file = write('bookmark', `${JSON.stringify(last['value'])}\n`)
  const second = messages((await program([file], tokens)).lines.slice(3))
  assert.equal(second.filter((m) => m['type'] === 'RECORD').length, 0)
  one.commits.push(commitOf('9'.repeat(40), 5000))
  const third = messages((await program([file], tokens)).lines.slice(3))
  assert.deepEqual(
    third.filter((m) => m['type'] === 'RECORD').map((m) => (m['record'] as JsonObject)['sha']),
    ['9'.repeat(40)],
  )
  // The first streamer kept a date, and read the last line of its file as it stood.
  for (const old of [at(1000), `"${at(1000)}"`]) {
    const got = messages((await program([write('old', `${old}\n`)], tokens)).lines.slice(3))
    assert.equal(got.filter((m) => m['type'] === 'RECORD' && m['stream'] === 'commits').length, 1)
  }
})

test('sync --config --state, check and discover', async () => {
  const config = write('c.json', { access_token: 'ghp_good', repo_path: 'octo/one' })
  const checked = await program(['check', '--config', config])
  assert.deepEqual([checked.code, checked.lines], [0, []])
  const state = write('s.json', { commits: '2017-01-17T20:32:05Z', issues: null })
  const got = messages((await program(['sync', '--config', config, '--state', state])).lines)
  assert.deepEqual(new Set(got.map((m) => m['type'])), new Set(['SCHEMA', 'RECORD', 'STATE']))
  const catalog = JSON.parse((await program(['discover', '--config', config])).lines.join('\n')) as {
    streams: readonly unknown[]
  }
  assert.equal(catalog.streams.length, 12)
})

test("Singer's flags", async () => {
  const config = write('c.json', {
    access_token: 'ghp_good',
    repository: 'octo/one',
    start_date: '2020-01-01T00:00:00Z',
  })
  const catalog = JSON.parse((await program(['--config', config, '--discover'])).lines.join('\n')) as {
    streams: readonly unknown[]
  }
  assert.equal(catalog.streams.length, 12)
  const chosen = write('catalog.json', catalogOf(['labels']))
  for (const flag of ['--catalog', '--properties']) {
    const got = messages((await program(['--config', config, flag, chosen])).lines)
    assert.deepEqual(new Set(got.filter((m) => m['type'] === 'RECORD').map((m) => m['stream'])), new Set(['labels']))
  }
})

test('without settings it says everything that is missing, on stderr, and ends with 78', async () => {
  const got = await program([])
  assert.equal(got.code, 78)
  assert.match(got.stderr, /accessToken is missing[\s\S]*repository is missing/)
  assert.equal(got.lines.length, 0)
})
