/** What a person is told: in the words of the command, where it matters, and never what is not so. */
import assert from 'node:assert/strict'
import { mkdirSync, openSync, closeSync, writeFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { collected, millrace, shell, start, temporaryFolder } from './fixtures/program.ts'

test('an answer that could not be written fails the command', {
  skip: existsSync('/dev/full') ? false : 'needs /dev/full, which Linux has',
}, async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  await millrace(['run', '--from', 'hello', '--to', 'jsonl', '--to.path', 'out'], { cwd })
  for (const args of [['runs'], ['--help'], ['run', '--from', 'hello', '--to', 'jsonl', '--to.path', 'out']]) {
    const full = openSync('/dev/full', 'w')
    try {
      const { code, stderr } = await collected(start(args, { cwd }, ['ignore', full, 'pipe']))
      assert.equal(code, 69, `${args.join(' ')}: ${stderr}`)
      assert.match(stderr, /stdout: the disk is full/)
    } finally {
      closeSync(full)
    }
  }
  assert.equal((await shell('millrace runs | head -0; millrace runs | true', cwd)).code, 0)
})

test('what was asked for by name and is not there is an error, also where nothing ever ran', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  const codes: (number | null)[] = []
  for (const args of [['runs', 'show', 'x'], ['verify', 'x'], ['verify'], ['dead-letters', 'show', '1']])
    codes.push((await millrace(args, { cwd })).code)
  assert.deepEqual(codes, [78, 78, 78, 64])
  assert.match((await millrace(['verify'], { cwd })).stderr, /Nothing has run in/)
  assert.equal((await millrace(['runs'], { cwd })).code, 0)
})

test('files that cannot be read are told in words, by their name', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  mkdirSync(join(cwd, 'folder'))
  writeFileSync(join(cwd, 'list.json'), '[1]\n')
  const told = async (...args: readonly string[]): Promise<string> =>
    (await millrace([...args, '--log-format', 'text'], { cwd })).stderr
  assert.match(await told('streamer', 'hello', '--state', 'none'), /state none .*: there is no such file or folder/)
  assert.match(await told('streamer', 'hello', '--state', 'folder'), /state folder .*: it is a folder/)
  assert.match(await told('streamer', 'hello', '--state', 'list.json'), /state list\.json .*: it is not a JSON object/)
  const run = ['run', '--from', 'hello', '--to', 'jsonl', '--to.path', 'out']
  assert.match(await told(...run, '--state', 'none'), /state none .*: there is no such file/)
  for (const [file, why] of [
    ['none.db', /none\.db: there is no such file/],
    ['folder', /folder: it is no file/],
  ] as const) {
    const { code, stderr } = await millrace(['query', file], { cwd })
    assert.equal(code, 64, stderr)
    assert.match(stderr, why)
  }
  writeFileSync(join(cwd, 'torn.db'), Buffer.alloc(4096))
  assert.match(
    (await millrace(['query', 'torn.db', 'select 1'], { cwd })).stderr,
    /torn\.db.*neither a SQLite nor a DuckDB database/,
  )
})

test('a slip of the pen is answered with the help of its own command', async () => {
  using folder = temporaryFolder()
  const told = async (...args: readonly string[]): Promise<string> =>
    (await millrace(args, { cwd: folder.path })).stderr
  assert.match(
    await told('streamer', 'hello', 'snyc'),
    /^"snyc" is not one of sync, check, discover — did you mean sync\?/,
  )
  assert.match(
    await told('demo', '--to', 'sqlit'),
    /^--to: "sqlit" is not one of duckdb, sqlite — did you mean sqlite\?/,
  )
  assert.match(await told('state', 'set', 'x'), /See `millrace state set --help`/)
})

test('the log of a run in JSON keeps the fields of what its programs say', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  writeFileSync(
    join(cwd, 'tap.sh'),
    `echo '{"time":"x","level":"warn","message":"slow","page":7,"of":"orders"}' >&2\necho '{"type":"RECORD","stream":"t","record":{"id":1}}'\n`,
  )
  const { stderr } = await millrace(
    ['run', '--from-exec', 'sh tap.sh', '--to', 'jsonl', '--to.path', 'out', '--log-format', 'json'],
    { cwd },
  )
  const line = stderr
    .split('\n')
    .filter((l) => l.includes('"slow"'))
    .map((l) => JSON.parse(l) as Record<string, unknown>)[0]
  assert.deepEqual(
    [line?.['level'], line?.['message'], line?.['page'], line?.['of'], line?.['side']],
    ['warn', 'slow', 7, 'orders', 'streamer'],
  )
})

test('plan refuses what run would refuse: a state that was made for another destination', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  const project = (path: string): void =>
    writeFileSync(
      join(cwd, 'millrace.yaml'),
      `version: 1\npipelines:\n  p:\n    from: { streamer: hello, config: { count: 3 } }\n    to: { persister: jsonl, config: { path: ${path} } }\n`,
    )
  project('one')
  assert.equal((await millrace(['run', 'p'], { cwd })).code, 0)
  assert.match((await millrace(['plan', 'p'], { cwd })).stdout, /^incremental/m)
  project('two')
  const [planned, run] = [await millrace(['plan', 'p'], { cwd }), await millrace(['run', 'p'], { cwd })]
  assert.deepEqual([planned.code, run.code], [78, 78])
  assert.match(planned.stderr, /made for jsonl one, and it writes to jsonl two now/)
  assert.match((await millrace(['plan', 'p', '--full-refresh'], { cwd })).stdout, /^full/m)
})

test('substreams without records are one line, and a run that was cut short does not cry over its books', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  writeFileSync(
    join(cwd, 'tap.sh'),
    `echo '{"type":"SCHEMA","stream":"t","schema":{"properties":{"id":{"type":"integer"}}},"key_properties":["id"]}'
echo '{"type":"SCHEMA","stream":"empty","schema":{},"key_properties":[]}'
echo '{"type":"RECORD","stream":"t","record":{"id":1}}'
[ "$BAD" = "" ] || echo '{"type":"RECORD","stream":"t","record":{"id":"x"}}'
`,
  )
  const good = await shell(`millrace run --from-exec 'sh tap.sh' --to jsonl --to.path out`, cwd)
  assert.equal(good.code, 0, good.stderr)
  assert.match(good.stdout, /^t +1 +1 /m)
  assert.doesNotMatch(good.stdout, /^empty +0/m)
  const bad = await shell(`millrace run --from-exec 'BAD=1 sh tap.sh' --to jsonl --to.path bad`, cwd)
  assert.equal(bad.code, 65)
  assert.match(bad.stdout, /Not settled when it ended: t: 2 received, but 1 stored/)
  assert.doesNotMatch(bad.stdout, /do not close/)
})

test('a pipeline put together from a module is named after it, without its folder', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  await millrace(['new', 'streamer', 'weather'], { cwd })
  for (const from of ['./weather', 'weather/index.ts'])
    assert.equal((await millrace(['run', '--from', from, '--to', 'jsonl', '--to.path', 'out'], { cwd })).code, 0)
  const { stdout } = await millrace(['state', '--json'], { cwd })
  const names = (JSON.parse(stdout) as { readonly pipeline: string }[]).map((s) => s.pipeline)
  assert.equal(names.length, 2)
  for (const name of names) assert.match(name, /^weather-to-jsonl-[0-9a-f]{6}$/)
})

test('a wrong setting of a pipeline is told by where it was written, and no run is begun', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  const { code, stderr } = await millrace(
    ['run', '--from', 'hello', '--from.updates', '30', '--to', 'jsonl', '--to.path', 'out'],
    { cwd },
  )
  assert.equal(code, 78)
  assert.match(stderr, /updates must be a number from 0 to 0\.99 \(from .*in the command line\)/)
  writeFileSync(
    join(cwd, 'millrace.yaml'),
    'version: 1\npipelines:\n  p:\n    from: { streamer: hello, config: { updates: 30 } }\n    to: { persister: jsonl, config: { path: out } }\n',
  )
  assert.match((await millrace(['run', 'p'], { cwd })).stderr, /in millrace\.yaml\)/)
  assert.equal(existsSync(join(cwd, '.millrace')), false)
})
