import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Ended, millrace, temporaryFolder } from './fixtures/program.ts'

const tapPy = fileURLToPath(new URL('../../connectors/src/singer/fixtures/tap.py', import.meta.url))
const skip =
  spawnSync('python3', ['-c', 'import venv, ensurepip']).status === 0 ? false : 'needs python3 with venv and pip'

/** A wheel made by hand, so that nothing is built: pip needs no network for it. */
const makeWheel = (folder: string, name: string, entryPoint: string): string => {
  const made = spawnSync(
    'python3',
    [
      '-c',
      `
import sys, zipfile
folder, name, entry, tap = sys.argv[1:]
module = name.replace("-", "_")
info = "%s-1.0.dist-info" % module
path = "%s/%s-1.0-py3-none-any.whl" % (folder, module)
files = {
    module + ".py": open(tap).read().replace("\\n\\nmain()\\n", "\\n"),
    info + "/METADATA": "Metadata-Version: 2.1\\nName: %s\\nVersion: 1.0\\n" % name,
    info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: hand\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    info + "/entry_points.txt": "[console_scripts]\\n%s = %s:main\\n" % (entry, module),
}
files[info + "/RECORD"] = "".join("%s,,\\n" % n for n in files) + info + "/RECORD,,\\n"
with zipfile.ZipFile(path, "w") as wheel:
    for n, text in files.items():
        wheel.writestr(n, text)
print(path)
`,
      folder,
      name,
      entryPoint,
      tapPy,
    ],
    { encoding: 'utf8' },
  )
  assert.equal(made.status, 0, made.stderr)
  return made.stdout.trim()
}

const project = `# Kept: a comment of ours.
version: 1

pipelines:
  shop:
    from:
      streamer: tap-shop
      config: { token: t, count: 4 }
    to: { persister: jsonl, config: { path: out } }
`

const inProject = (): {
  readonly path: string
  readonly run: (...args: readonly string[]) => Promise<Ended>
} & Disposable => {
  const folder = temporaryFolder()
  writeFileSync(join(folder.path, 'millrace.yaml'), project.replace(/^pipelines:[\s\S]*/m, ''))
  return {
    path: folder.path,
    run: async (...args) => await millrace(args, { cwd: folder.path }),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

test('a wheel: installed, locked, in millrace.yaml, run, and installed again from the lock', { skip }, async () => {
  using at = inProject()
  makeWheel(at.path, 'tap-shop', 'tap-shop')
  const added = await at.run('add', 'tap-shop', './tap_shop-1.0-py3-none-any.whl')
  assert.equal(added.code, 0, added.stderr)
  const yaml = readFileSync(join(at.path, 'millrace.yaml'), 'utf8')
  assert.match(yaml, /# Kept: a comment of ours\.\n/)
  assert.match(yaml, /connectors:\n +tap-shop:\n +install: \.\/tap_shop-1\.0-py3-none-any\.whl\n/)
  const lock = readFileSync(join(at.path, 'millrace-lock/tap-shop.txt'), 'utf8')
  assert.match(lock, /^\.\/tap_shop-1\.0-py3-none-any\.whl/m)
  writeFileSync(join(at.path, 'millrace.yaml'), `${yaml}${project.slice(project.indexOf('pipelines:'))}`)
  const ran = await at.run('run', 'shop')
  assert.equal(ran.code, 0, ran.stderr)
  assert.match(readFileSync(join(at.path, 'out/orders.jsonl'), 'utf8'), /"id": 4/)

  rmSync(join(at.path, '.millrace/environments'), { recursive: true })
  const missing = await at.run('check', 'shop')
  assert.equal(missing.code, 78)
  assert.match(missing.stdout, /there is no program[\s\S]*millrace add/)
  const restored = await at.run('add')
  assert.equal(restored.code, 0, restored.stderr)
  assert.match(restored.stdout, /tap-shop: installed/)
  assert.match((await at.run('add')).stdout, /tap-shop: as its lock says/)
  assert.equal((await at.run('check', 'shop')).code, 0)
  assert.equal(readFileSync(join(at.path, 'millrace-lock/tap-shop.txt'), 'utf8'), lock)
})

test('what cannot be installed leaves what was there, and says why in a line', { skip }, async () => {
  using at = inProject()
  makeWheel(at.path, 'tap-other', 'tap-other-name')
  const added = await at.run('add', 'tap-shop', './tap_other-1.0-py3-none-any.whl')
  assert.equal(added.code, 0, added.stderr)
  assert.match(readFileSync(join(at.path, 'millrace.yaml'), 'utf8'), /executable: tap-other-name/)
  const program = join(at.path, '.millrace/environments/tap-shop/bin/tap-other-name')
  assert.ok(existsSync(program))
  for (const [args, why] of [
    [['tap-shop', './nowhere.whl'], /cannot install tap-shop: .*nowhere\.whl/],
    [
      ['tap-shop', 'tap-shop==9', '--index-url', 'http://127.0.0.1:9/simple'],
      /cannot install tap-shop: the registry cannot be reached/,
    ],
    [['tap-shop', '--python', 'python-that-is-not'], /there is no program "python-that-is-not"/],
  ] as const) {
    const ended = await millrace(['add', ...args], {
      cwd: at.path,
      env: { PIP_RETRIES: '1', PIP_CONFIG_FILE: '/dev/null' },
    })
    assert.equal(ended.code, 78, ended.stderr)
    assert.match(ended.stderr, why)
    assert.ok(existsSync(program), String(args))
  }
})

test('a folder as an npm package', async () => {
  using at = inProject()
  const folder = join(at.path, 'tap-node')
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'tap-node', version: '1.0.0', bin: { 'tap-node': 'tap.sh' } }),
  )
  writeFileSync(join(folder, 'tap.sh'), `#!/bin/sh\necho '{"type":"RECORD","stream":"a","record":{"id":1}}'\n`)
  chmodSync(join(folder, 'tap.sh'), 0o755)
  const added = await at.run('add', 'tap-node', 'npm:./tap-node')
  assert.equal(added.code, 0, added.stderr)
  const ran = await at.run(
    'run',
    '--from-exec',
    '.millrace/environments/tap-node/node_modules/.bin/tap-node',
    '--to',
    'jsonl',
    '--to.path',
    'out',
  )
  assert.equal(ran.code, 0, ran.stderr)
  rmSync(join(at.path, '.millrace/environments'), { recursive: true })
  assert.match((await at.run('add')).stdout, /tap-node: installed by npm/)
})

test('names and places that cannot be used are told', async () => {
  using at = inProject()
  assert.match((await at.run('add', './tap')).stderr, /cannot be a connector's name/)
  using empty = temporaryFolder()
  assert.equal((await millrace(['add', 'tap-x'], { cwd: empty.path })).code, 78)
  writeFileSync(join(at.path, 'millrace.yaml'), 'version: 1\nconnectors: { tap-x: { instal: y, executable: a/b } }\n')
  const { stderr, code } = await at.run('add')
  assert.equal(code, 78)
  assert.match(stderr, /has no "instal"; did you mean install\?/)
  assert.match(stderr, /executable must be a name/)
})
