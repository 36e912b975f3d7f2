import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { collected, millrace, shell, start, temporaryFolder } from './fixtures/program.ts'

const waffle = fileURLToPath(new URL('../../../examples/waffle/waffle.ts', import.meta.url))

test('an operation changes lines, with settings from flags, environment and file', async () => {
  using folder = temporaryFolder()
  const run = async (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> => {
    const { code, stdout, stderr } = await millrace(['operation', waffle, ...args], {
      cwd: folder.path,
      input: 'a pancake\nand a crêpe',
      env,
    })
    assert.equal(code, 0, stderr)
    return stdout
  }
  assert.equal(await run([]), 'a waffle\nand a crêpe\n')
  assert.equal(await run(['--to=crumpet']), 'a crumpet\nand a crêpe\n')
  assert.equal(await run([], { MILLRACE_OPERATION_WAFFLE_TO: 'scone' }), 'a scone\nand a crêpe\n')
  writeFileSync(join(folder.path, 'c.json'), '{"from":"crêpe"}')
  assert.equal(await run(['--config', 'c.json']), 'a pancake\nand a waffle\n')
  const about = JSON.parse(await run(['--about'])) as { readonly kind: string; readonly takes: string }
  assert.deepEqual([about.kind, about.takes], ['operation', 'lines'])
  assert.match(await run(['--help']), /MILLRACE_OPERATION_WAFFLE_FROM/)
})

test('an operation begun with new is tested, and stands between a streamer and a persister', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  assert.equal((await millrace(['new', 'operation', 'up-case'], { cwd })).code, 0)
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const tested = spawnSync(process.execPath, ['--test', 'up-case/up-case.test.ts'], { cwd, env })
  assert.equal(tested.status, 0, tested.stdout.toString())
  assert.match(tested.stdout.toString(), /pass 1/)
  const { code, stdout, stderr } = await shell(
    'millrace streamer hello --count 3 | millrace operation ./up-case | millrace persister jsonl --path out',
    cwd,
  )
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^\{"bookmarks"/)
  assert.match(readFileSync(join(cwd, 'out/hello.jsonl'), 'utf8'), /"HELLO, WORLD!"/)
  const mixed = await millrace(['operation', './up-case'], { cwd, input: '{"type":"STATE","value":1}\nno message\n' })
  assert.equal(mixed.code, 65)
  assert.equal(mixed.stdout, '{"type":"STATE","value":1}\n')
  assert.match(mixed.stderr, /line 2: not a JSON message/)
})

test('an operation that is not there, or is none, or throws, says so', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  assert.match((await millrace(['operation'], { cwd })).stderr, /needs the file of an operation/)
  writeFileSync(join(cwd, 'mine.ts'), 'export const x = 1\n')
  assert.match((await millrace(['operation', 'mine'], { cwd })).stderr, /did you mean \.\/mine\?/)
  assert.match(
    (await millrace(['operation', './mine.ts'], { cwd })).stderr,
    /exports no operation \(see defineOperation\)/,
  )
  writeFileSync(
    join(cwd, 'broken.ts'),
    `import { defineOperation } from '@millrace/sdk'
export const broken = defineOperation({ name: 'broken', doc: 'Fails.', config: {}, lines: () => {
  throw new Error('no luck') } })
`,
  )
  const { code, stderr } = await millrace(['operation', './broken.ts', '--log-format', 'text'], { cwd, input: 'x\n' })
  assert.equal(code, 70)
  assert.match(stderr, /^operation broken failed: no luck/)
  assert.match(stderr, /broken\.ts, line 3;/)
  assert.doesNotMatch(stderr, /mistake of ours|\n\s+at /)
})

test('an operation holds back its source, and ends when its reader is gone', async () => {
  using folder = temporaryFolder()
  const child = start(['operation', waffle], { cwd: folder.path })
  const ended = new Promise<number | null>((done) => child.on('close', done))
  const { stdin, stdout } = child
  assert.ok(stdin !== null && stdout !== null)
  stdin.on('error', () => {})
  const line = Buffer.from(`${'pancake '.repeat(8000)}\n`)
  // Nobody reads: what can be written is what fits into pipes and buffers, far from everything.
  let written = 0
  const until = Date.now() + 1500
  while (Date.now() < until && written < 64_000_000) {
    if (stdin.write(line)) await new Promise(setImmediate)
    else await Promise.race([once(stdin, 'drain'), new Promise((done) => setTimeout(done, 300))])
    if (stdin.writableLength > 1_000_000) break
    written += line.length
  }
  assert.ok(written < 32_000_000, `${written} bytes were taken though nobody reads`)
  stdout.destroy()
  assert.equal(await ended, 75)
})

test('Ctrl-C ends an operation that waits for its source', async () => {
  using folder = temporaryFolder()
  const child = start(['operation', waffle, '--log-format', 'text'], { cwd: folder.path })
  const ended = collected(child)
  child.stdin?.write('a pancake\nhalf a panc')
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
  child.kill('SIGINT')
  const { code, stdout, stderr } = await ended
  assert.equal(code, 130, stderr)
  assert.equal(stdout, 'a waffle\n')
  assert.match(stderr, /INTERRUPTED/)
})
