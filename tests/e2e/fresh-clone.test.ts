/** What somebody sees who has just cloned the repository: `npm start`, twice, without the network. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { canClone, type Clone, cleanEnvironment, cloneHere } from './support/clone.ts'

const lacking = ['git', 'npm'].find((program) => spawnSync(program, ['--version']).error !== undefined)
const skip = lacking !== undefined ? `needs ${lacking}` : canClone() ? false : 'needs a clone of the repository'

describe('a fresh clone, in a path with a space and an accent', { skip }, () => {
  let clone: Clone
  // A proxy that nobody listens at: whoever asks the network fails.
  const env = cleanEnvironment({
    https_proxy: 'http://127.0.0.1:9',
    http_proxy: 'http://127.0.0.1:9',
    npm_config_update_notifier: 'false',
  })
  const start = (...args: readonly string[]) =>
    spawnSync('npm', ['start', '--silent', ...(args.length > 0 ? ['--', ...args] : [])], {
      cwd: clone.folder,
      encoding: 'utf8',
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    })
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['-C', clone.folder, ...args], { encoding: 'utf8', env }).trim()

  before(() => {
    clone = cloneHere()
  })
  after(() => clone?.[Symbol.dispose]())

  it('moves its own history on npm start, and only what is new the next time', () => {
    const first = start()
    assert.equal(first.status, 0, first.stdout + first.stderr)
    const said = first.stdout + first.stderr
    const commits = git('rev-list', '--count', 'HEAD')
    assert.match(said, new RegExp(`commits\\b.*\\b${commits}\\b`), said)
    assert.ok(!/\n\s+at .*\d+:\d+/.test(said), said)

    git('-c', 'user.name=Zoë', '-c', 'user.email=z@example.org', 'commit', '--quiet', '--allow-empty', '-m', 'one more')
    const second = start()
    assert.equal(second.status, 0, second.stdout + second.stderr)
    assert.match(second.stdout + second.stderr, /new|incremental/i)
    assert.match(second.stdout + second.stderr, new RegExp(`commits\\b.*\\b${Number(commits) + 1}\\b`), second.stdout)
  })

  it('has a good result in a shallow clone too', () => {
    const shallow = join(clone.folder, '..', 'shallow é')
    execFileSync('git', ['clone', '--quiet', '--depth', '2', `file://${clone.folder}`, shallow], { env, stdio: 'pipe' })
    try {
      const done = start(shallow)
      assert.equal(done.status, 0, done.stdout + done.stderr)
      assert.match(done.stdout + done.stderr, /commits\b.*\b2\b/)
    } finally {
      rmSync(shallow, { recursive: true, force: true })
    }
  })

  it('is started by a Node that is too old as well', (t) => {
    const old = (process.env['PATH'] ?? '')
      .split(delimiter)
      .map((folder) => join(folder, 'node'))
      .find(
        (node) =>
          existsSync(node) && Number(/^v(\d+)/.exec(execFileSync(node, ['--version'], { encoding: 'utf8' }))?.[1]) < 24,
      )
    if (old === undefined) return t.skip('this machine has no Node older than 24')
    const done = spawnSync(old, ['packages/cli/bin/millrace.mjs', '--version'], {
      cwd: clone.folder,
      encoding: 'utf8',
      env,
    })
    assert.match(done.stdout, /^\d+\.\d+\.\d+\n$/, done.stderr)
    assert.equal(done.stderr, '')
  })
})
