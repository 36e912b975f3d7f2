import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isMissingTool } from './test/rules.ts'

const script = fileURLToPath(new URL('./test.ts', import.meta.url))
const launch = fileURLToPath(new URL('./launch.mjs', import.meta.url))
const head = `import { describe, it } from 'node:test'\nimport assert from 'node:assert/strict'\n`

/** Runs scripts/test.ts over a folder with these test files. */
const run = (
  t: TestContext,
  files: Record<string, string>,
  options: { args?: string[]; env?: Record<string, string> } = {},
) => {
  const root = mkdtempSync(join(tmpdir(), 'millrace räce '))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), head + text)
  }
  const { CI: _, ...env } = process.env
  const done = spawnSync(process.execPath, [launch, script, ...(options.args ?? [])], {
    encoding: 'utf8',
    env: { ...env, MILLRACE_TEST_ROOT: root, ...options.env },
    timeout: 30_000,
  })
  const lines = done.stdout.trimEnd().split('\n')
  return { code: done.status, last: lines.at(-1), out: done.stdout + done.stderr }
}

/** Whether a process runs; one that ended and waits to be reaped does not. */
const isRunning = (pid: number): boolean => {
  const stat = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
  return stat !== '' && !stat.startsWith('Z')
}

describe('scripts/test.ts', { concurrency: 2 }, () => {
  it('counts leaves and ends with one exact line', (t) => {
    const r = run(t, {
      'packages/a/src/a.test.ts': `describe('s', () => { it('one', () => assert.ok(1)); it('two', () => assert.ok(1)) })`,
      'tests/b.test.ts': `it('three', () => assert.ok(1))`,
    })
    assert.equal(r.last, '3 passed, 0 failed', r.out)
    assert.equal(r.code, 0)
  })

  it('shows the message of a failing test, counts it once, and exits 1', (t) => {
    const r = run(t, {
      'tests/a.test.ts': `describe('deep', () => { it('sums', () => assert.equal(1, 2, 'one is not two')); it('ok', () => assert.ok(1)) })`,
    })
    assert.equal(r.last, '1 passed, 1 failed', r.out)
    assert.match(r.out, /✖ deep › sums\n\s+one is not two/)
    assert.equal(r.code, 1)
  })

  it('counts a file that crashes before its first test, that has no test, or that ends badly', (t) => {
    const r = run(t, {
      'tests/crash.test.ts': `throw new Error('at import')`,
      'tests/none.test.ts': `assert.ok(it)`,
      'tests/exits.test.ts': `it('leaves', () => { assert.ok(1) }); process.on('exit', () => { process.exitCode = 3 })`,
    })
    assert.match(r.last ?? '', /, 3 failed$/, r.out)
    assert.match(r.out, /at import/)
    assert.match(r.out, /has no test/)
    assert.match(r.out, /ended with exit code 3 though no test failed/)
    assert.equal(r.code, 1)
  })

  it('counts a failing hook', (t) => {
    const r = run(t, {
      'tests/a.test.ts': `import { before } from 'node:test'\ndescribe('s', () => { before(() => { throw new Error('no ground') }); it('x', () => assert.ok(1)) })`,
    })
    assert.equal(r.code, 1, r.out)
    assert.match(r.out, /no ground/)
  })

  it('ends a file that hangs, with its children', (t) => {
    const r = run(
      t,
      {
        'tests/a.test.ts': `import { spawn } from 'node:child_process'\nit('hangs', () => { assert.ok(1); console.log('child', spawn('sleep', ['600']).pid); setInterval(() => {}, 1000) })`,
      },
      { env: { MILLRACE_TEST_TIMEOUT_MS: '1500' } },
    )
    assert.equal(r.last, '1 passed, 1 failed', r.out)
    assert.match(r.out, /not done after 1.5 s/)
    const child = Number(/child (\d+)/.exec(r.out)?.[1])
    assert.ok(child > 0, r.out)
    assert.ok(!isRunning(child))
  })

  it('lists skips with their reason; a missing tool fails in CI, a missing reason always', (t) => {
    const files = {
      'tests/a.test.ts': `it('x', { skip: 'needs rabbitmq-server' }, () => assert.ok(1)); it('r', { skip: 'runs as root' }, () => assert.ok(1)); it('y', () => assert.ok(1))`,
    }
    const here = run(t, files)
    assert.equal(here.last, '1 passed, 0 failed, 2 skipped', here.out)
    assert.match(here.out, /tests\/a.test.ts: x: needs rabbitmq-server/)
    assert.equal(here.code, 0)
    const ci = run(t, files, { env: { CI: 'true' } })
    assert.equal(ci.last, '1 passed, 1 failed, 1 skipped', ci.out)
    assert.equal(ci.code, 1)
    const silent = run(t, {
      'tests/a.test.ts': `it('x', { skip: true }, () => assert.ok(1)); it('y', () => assert.ok(1))`,
    })
    assert.equal(silent.last, '1 passed, 1 failed', silent.out)
  })

  it('runs only the paths asked for, and fails when there are none', (t) => {
    const files = {
      'tests/a.test.ts': `it('a', () => assert.ok(1))`,
      'tests/b.test.ts': `it('b', () => assert.fail('no'))`,
    }
    assert.equal(run(t, files, { args: ['a.test'] }).last, '1 passed, 0 failed')
    const none = run(t, files, { args: ['c.test'] })
    assert.equal(none.last, '0 passed, 0 failed')
    assert.equal(none.code, 1)
  })

  it('knows a missing tool from what a machine cannot be', () => {
    for (const reason of ['needs git', 'needs a tmpfs', 'duckdb is not installed', 'python3 not found'])
      assert.ok(isMissingTool(reason), reason)
    for (const reason of ['runs as root', 'needs a user other than root', 'todo'])
      assert.ok(!isMissingTool(reason), reason)
  })
})

describe('scripts/launch.mjs', () => {
  it('passes arguments and the exit code, and names a script that is not there', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-launch-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'show.ts')
    writeFileSync(
      file,
      `const told: string[] = process.argv.slice(2)\nconsole.log(JSON.stringify(told), Number(process.versions.node.split('.')[0]) >= 24)\nprocess.exitCode = 7`,
    )
    const done = spawnSync(process.execPath, [launch, file, 'a b', '--c'], { encoding: 'utf8' })
    assert.equal(done.stdout, '["a b","--c"] true\n', done.stderr)
    assert.equal(done.status, 7)
    const none = spawnSync(process.execPath, [launch, join(folder, 'none.ts')], { encoding: 'utf8' })
    assert.equal(none.status, 78)
    assert.match(none.stderr, /there is no .*none\.ts\n$/)
  })

  it('under an older Node starts the pinned one, passes signals on and ends as the script ended', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-launch-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    mkdirSync(join(folder, 'scripts'))
    mkdirSync(join(folder, 'node_modules/node/bin'), { recursive: true })
    symlinkSync(process.execPath, join(folder, 'node_modules/node/bin/node'))
    // This Node is taken for an old one by asking for one that is not made yet.
    const text = readFileSync(launch, 'utf8').replace('neededMajor = 24', 'neededMajor = 999')
    writeFileSync(join(folder, 'scripts/launch.mjs'), text)
    writeFileSync(
      join(folder, 'wait.ts'),
      `process.on('SIGTERM', () => process.exit(9))\nsetInterval(() => {}, 1000)\nconsole.log(process.argv[2])`,
    )
    const child = spawn(process.execPath, ['scripts/launch.mjs', 'wait.ts', 'ready'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [first] = (await once(child.stdout, 'data')) as [Buffer]
    assert.equal(first.toString(), 'ready\n')
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [9, null])

    rmSync(join(folder, 'node_modules'), { recursive: true })
    const none = spawnSync(process.execPath, ['scripts/launch.mjs', 'wait.ts'], { cwd: folder, encoding: 'utf8' })
    assert.equal(none.status, 78)
    assert.match(none.stderr, /^launch: Node 999 or newer is needed, this is .*"npm ci" brings one along\.\n$/)
  })
})
