/** Runs every command of the README, in a clone of the repository, as it stands there. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { canClone, type Clone, cleanEnvironment, cloneHere, root } from './support/clone.ts'

const lacking = ['git', 'npx', 'bash'].find((program) => spawnSync(program, ['--version']).error !== undefined)
const skip = lacking !== undefined ? `needs ${lacking}` : canClone() ? false : 'needs a clone of the repository'

/** The lines of the shell blocks of a page, without comments and without what installs or tests the repository. */
const commandsOf = (page: string): readonly string[] =>
  [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)]
    .flatMap((block) => (block[1] ?? '').split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '' && !/\bnpm ci\b/.test(line))

describe('the README', { skip }, () => {
  let clone: Clone
  before(() => {
    clone = cloneHere()
  })
  after(() => clone?.[Symbol.dispose]())

  it('has commands that work, one after the other', () => {
    const commands = commandsOf(readFileSync(join(root, 'README.md'), 'utf8'))
    assert.ok(commands.length >= 8, commands.join('\n'))
    const path = `${join(clone.folder, 'node_modules/.bin')}${delimiter}${process.env['PATH']}`
    for (const command of commands) {
      const done = spawnSync('bash', ['-euo', 'pipefail', '-c', command], {
        cwd: clone.folder,
        encoding: 'utf8',
        env: cleanEnvironment({ PATH: path, npm_config_offline: 'true', npm_config_update_notifier: 'false' }),
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 60_000,
      })
      assert.equal(done.status, 0, `${command}\n${done.stdout}${done.stderr}`)
      assert.doesNotMatch(done.stderr, /\n\s+at .*:\d+:\d+/, command)
    }
    assert.match(readFileSync(join(clone.folder, 'out/hello.jsonl'), 'utf8'), /^\{"value":"world"\}\n$/)
    assert.ok(existsSync(join(clone.folder, 'history.duckdb')))
    const states = readFileSync(join(clone.folder, 'state.json'), 'utf8').trimEnd().split('\n')
    assert.ok(states.length >= 2)
    for (const state of states) assert.ok(JSON.parse(state))
  })
})
