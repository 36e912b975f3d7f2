/** Packs `millrace`, installs it in an empty folder elsewhere, without the network, and uses it. */
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { canClone, type Clone, cleanEnvironment, cloneHere, root } from './support/clone.ts'
import { serveModules } from './support/registry.ts'

const execute = promisify(execFile)
const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined
const lacking = ['git', 'npm', 'tar'].find((program) => !has(program))
const skip = lacking !== undefined ? `needs ${lacking}` : canClone() ? false : 'needs a clone of the repository'

const hello = '{"type":"RECORD","stream":"hello","record":{"value":"world"}}\n'

describe('the packed millrace', { skip }, () => {
  let clone: Clone
  let folder: string
  let tarball: string
  let contents: readonly string[]
  const run = (args: readonly string[], input = '') =>
    spawnSync(process.execPath, [join(folder, 'node_modules/millrace/bin/millrace.mjs'), ...args], {
      cwd: folder,
      encoding: 'utf8',
      env: cleanEnvironment(),
      input,
    })

  before(async () => {
    clone = cloneHere()
    folder = mkdtempSync(join(tmpdir(), 'millrace empty é '))
    const env = cleanEnvironment({
      npm_config_cache: join(folder, '..', `${folder}.cache`),
      npm_config_update_notifier: 'false',
    })
    await execute('npm', ['pack', '-w', 'millrace', '--silent'], { cwd: clone.folder, env })
    const { version } = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8')) as { version: string }
    tarball = join(clone.folder, `millrace-${version}.tgz`)
    contents = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n')
    await using registry = await serveModules(join(root, 'node_modules'))
    const options = ['--registry', registry.url, '--no-audit', '--no-fund', '--silent']
    await execute('npm', ['install', tarball, ...options], { cwd: folder, env })
  })
  after(() => {
    clone?.[Symbol.dispose]()
    for (const path of [folder, `${folder}.cache`])
      if (path !== undefined) rmSync(path, { recursive: true, force: true })
  })

  it('holds compiled code, declarations and the licence, and no sources', () => {
    for (const file of [
      'package.json',
      'LICENSE',
      'README.md',
      'CHANGELOG.md',
      'bin/millrace.mjs',
      'dist/main.js',
      'dist/index.d.ts',
    ]) {
      assert.ok(contents.includes(`package/${file}`), file)
    }
    for (const name of ['sdk', 'connectors', 'server']) {
      for (const file of ['package.json', 'LICENSE', 'dist/index.js', 'dist/index.d.ts']) {
        assert.ok(contents.includes(`package/node_modules/@millrace/${name}/${file}`), `${name}/${file}`)
      }
    }
    const unwanted = contents.filter((file) =>
      /(?<!\.d)\.ts$|\.map$|\.test\.|fixtures|tsbuildinfo|\.original$/.test(file),
    )
    assert.deepEqual(unwanted, [])
  })

  it('points to files that are there, types first, and asks for exact versions', () => {
    const installed = join(folder, 'node_modules/millrace')
    const packages = [
      installed,
      ...['sdk', 'connectors', 'server'].map((name) => join(installed, 'node_modules/@millrace', name)),
    ]
    for (const home of packages) {
      const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as {
        exports: Record<string, string | Record<string, string>>
        dependencies?: Record<string, string>
      }
      for (const target of Object.values(manifest.exports)) {
        if (typeof target === 'object') assert.equal(Object.keys(target)[0], 'types')
        for (const file of typeof target === 'string' ? [target] : Object.values(target))
          assert.ok(existsSync(join(home, file)), `${home} ${file}`)
      }
      for (const [name, version] of Object.entries(manifest.dependencies ?? {})) assert.match(version, /^\d/, name)
    }
  })

  it('leaves the clone as it was', () => {
    const now = JSON.parse(readFileSync(join(clone.folder, 'packages/cli/package.json'), 'utf8')) as {
      exports: unknown
    }
    const before = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8')) as { exports: unknown }
    assert.deepEqual(now, before)
    const left = readdirSync(join(clone.folder, 'packages/cli')).filter(
      (name) => !['bin', 'src', 'package.json', 'tsconfig.json', 'templates'].includes(name),
    )
    assert.deepEqual(
      left.filter(
        (name) => name !== 'node_modules' || existsSync(join(clone.folder, 'packages/cli/node_modules/@millrace')),
      ),
      [],
    )
  })

  it('tells its version', () => {
    const done = run(['--version'])
    assert.equal(done.stdout, `${/([^-/]*)\.tgz$/.exec(tarball)?.[1]}\n`, done.stderr)
    assert.equal(done.status, 0)
  })

  it('fills every kind of destination, in a pipe and as a run', () => {
    const messages = run(['streamer', 'hello', '--count', '3'])
    assert.equal(messages.status, 0, messages.stderr)
    for (const [name, path] of [
      ['jsonl', 'lines'],
      ['csv', 'tables'],
      ['sqlite', 'hello.db'],
      ['duckdb', 'hello.duckdb'],
    ] as const) {
      const done = run(['persister', name, '--path', path], messages.stdout)
      assert.equal(done.status, 0, done.stderr)
      assert.match(done.stdout.trimEnd().split('\n').at(-1) ?? '', /^\{.*"hello".*3/, name)
      assert.ok(existsSync(join(folder, path)), path)
    }
    const ran = run(['run', '--from', 'hello', '--from.count', '3', '--to', 'sqlite', '--to.path', 'run.db'])
    assert.equal(ran.status, 0, ran.stderr)
    assert.ok(existsSync(join(folder, '.millrace/millrace.db')))
  })

  it('runs a connector of somebody else, with the very classes that it imports', () => {
    writeFileSync(
      join(folder, 'refusing.mjs'),
      `import { defineStreamer, MillraceError } from 'millrace'
export default defineStreamer({
  name: 'refusing', doc: 'Refuses.', config: {},
  substreams: () => { throw new MillraceError('CONFIG_INVALID', { what: 'refusing', problems: ['as it should'], fix: 'Nothing.' }) },
})\n`,
    )
    const done = run(['streamer', './refusing.mjs', 'sync'])
    assert.match(done.stderr, /as it should.*CONFIG_INVALID/s)
    assert.notEqual(done.status, 70, done.stderr)
  })

  it('keeps and shares streams, with the threads that a manager works in', { timeout: 60_000 }, async () => {
    const program = join(folder, 'node_modules/millrace/bin/millrace.mjs')
    const manager = spawn(process.execPath, [program, 'up', '--listen', '127.0.0.1:0'], {
      cwd: folder,
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      const ready = await Promise.race([once(manager.stdout, 'data'), once(manager, 'exit')])
      assert.match(String(ready[0]), /ready at http/)
      for (const [args, input] of [
        [['streams', 'create', 'packed'], ''],
        [['publish', 'packed'], '{"n":1}\n{"n":2}\n'],
      ] as const) {
        const done = run(args, input)
        assert.equal(done.status, 0, done.stderr)
      }
      const read = run(['consume', 'packed', '--from', 'first'])
      assert.equal(read.stdout, '{"n":1}\n{"n":2}\n', read.stderr)
    } finally {
      if (manager.exitCode === null && manager.kill('SIGTERM')) await once(manager, 'exit')
    }
  })

  it('says under an older Node what is needed, and is started again by a newer one beside it', () => {
    const bin = join(folder, 'node_modules/millrace/bin')
    const text = readFileSync(join(bin, 'millrace.mjs'), 'utf8')
    const old = text.replace('neededMajor = 24', 'neededMajor = 999')
    assert.notEqual(old, text)
    writeFileSync(join(bin, 'old.mjs'), old)
    const done = spawnSync(process.execPath, [join(bin, 'old.mjs'), '--version'], { cwd: folder, encoding: 'utf8' })
    assert.equal(done.status, 78)
    assert.match(done.stderr, /^Node \S+ is too old: Millrace needs Node 999 or newer .*\[NODE_TOO_OLD, after-fix\]\n/)
    assert.doesNotMatch(done.stderr, /\n\s+at /)
  })

  it('stores the hello of the README', () => {
    const done = run(['persister', 'jsonl', '--path', 'out'], hello)
    assert.equal(done.status, 0, done.stderr)
    assert.equal(done.stdout, '')
    const files = readdirSync(join(folder, 'out')).filter((file) => file.startsWith('hello'))
    assert.equal(files.length, 1)
    assert.match(readFileSync(join(folder, 'out', files[0] ?? ''), 'utf8'), /"value":"world"/)
  })

  it('loads every streamer and persister that it lists', () => {
    const script = `
      import { builtInPersisters, builtInStreamers } from './node_modules/millrace/node_modules/@millrace/connectors/dist/index.js'
      for (const registry of [builtInStreamers(), builtInPersisters()]) for (const name of registry.names()) console.log((await registry.get(name)).name, name)`
    const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: folder, encoding: 'utf8' })
    assert.equal(done.status, 0, done.stderr)
    const lines = done.stdout.trim().split('\n')
    assert.ok(lines.length >= 7, done.stdout)
    for (const line of lines) assert.match(line, /^(\S+) \1$/)
  })

  it('gives authors the sdk, with its types', () => {
    writeFileSync(
      join(folder, 'use.mjs'),
      `import { MillraceError, defineStreamer } from 'millrace'\nimport { httpClient } from 'millrace/http'\nimport { ManagerClient } from 'millrace/manager'\nconsole.log(typeof defineStreamer, typeof httpClient, typeof ManagerClient, new MillraceError('NODE_TOO_OLD', { found: '1' }).code)\n`,
    )
    const done = spawnSync(process.execPath, ['use.mjs'], { cwd: folder, encoding: 'utf8' })
    assert.equal(done.stdout, 'function function function NODE_TOO_OLD\n', done.stderr)

    mkdirSync(join(folder, 'typed'), { recursive: true })
    writeFileSync(
      join(folder, 'typed/ok.mts'),
      `import { type Streamer, nearest } from 'millrace'\nexport const names: readonly string[] = nearest('a', ['b'])\nexport type S = Streamer\n// @ts-expect-error: the types are really there, and nearest takes a text\nnearest(1, [])\n`,
    )
    writeFileSync(
      join(folder, 'typed/tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          module: 'nodenext',
          target: 'es2024',
          strict: true,
          noEmit: true,
          skipLibCheck: false,
          types: ['node'],
          typeRoots: [join(root, 'node_modules/@types')],
          lib: ['es2024', 'esnext.disposable'],
        },
      }),
    )
    const typed = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'typed'], {
      cwd: folder,
      encoding: 'utf8',
    })
    assert.equal(typed.stdout, '')
    assert.equal(typed.status, 0)
  })
})
