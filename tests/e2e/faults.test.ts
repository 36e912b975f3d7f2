// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the project file look like templates
/**
 * Whole runs that meet what happens: a disk that is full, a pipe that is closed, a streamer that hangs, a source of
 * mostly newer versions, and a streamer of 2016. Nothing is lost, and what is wrong is said.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../packages/cli/bin/millrace.mjs', import.meta.url))
const persisters = [
  ['jsonl', 'out'],
  ['csv', 'out'],
  ['sqlite', 'out.db'],
  ['duckdb', 'out.duckdb'],
] as const

const environment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(MILLRACE_|TAP_|TARGET_|NODE_TEST|FORCE_COLOR$)/.test(name)),
  )

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a script with /bin/sh where `millrace` is on the PATH; pipes fail where any of their programs does. */
const sh = async (script: string, cwd: string): Promise<Ended> => {
  const child = spawn(
    'bash',
    ['-c', `set -o pipefail\nmillrace() { "${process.execPath}" "${bin}" "$@"; }\n${script}`],
    {
      cwd,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  const code = await new Promise<number | null>((done) => child.on('close', done))
  return { code, stdout, stderr }
}

const folderOf = (): { readonly path: string } & Disposable => {
  const path = mkdtempSync(join(tmpdir(), 'millrace faults é '))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** A project whose only pipeline loads as many orders as COUNT says. */
const orders = (persister: string, path: string, updates: number): string => `version: 1
pipelines:
  orders:
    from: { streamer: hello, config: { shape: wide, count: '\${COUNT}', updates: ${updates} } }
    to: { persister: ${persister}, config: { path: ${path} } }
`

/** How many different ids a destination holds, and how many rows. */
const held = async (name: string, cwd: string, path: string, table: string): Promise<readonly [number, number]> => {
  if (name === 'sqlite' || name === 'duckdb') {
    const { stdout, stderr } = await sh(
      `millrace query --json ${path} "select count(distinct id) as ids, count(*) as n from ${table}"`,
      cwd,
    )
    const [row] = JSON.parse(stdout || `"${stderr}"`) as { readonly ids: string; readonly n: string }[]
    return [Number(row?.ids), Number(row?.n)]
  }
  const lines = readFileSync(join(cwd, path, `${table}.${name}`), 'utf8')
    .trimEnd()
    .split('\n')
  const ids =
    name === 'csv'
      ? lines.flatMap((l) => /^(\d+),ORD-\d+,/.exec(l)?.[1] ?? [])
      : lines.map((l) => /"id":(\d+)/.exec(l)?.[1])
  return [new Set(ids).size, ids.length]
}

/** A file system of a given size; undefined, with the reason, where none can be made. */
const smallDisk = (dir: string, mebibytes: number): (Disposable & { grow: (mebibytes: number) => void }) | string => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux, to mount a small disk'
  mkdirSync(dir)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', dir], { encoding: 'utf8' })
  if (mounted.status !== 0) return `needs mount: ${mounted.stderr.trim()}`
  return {
    grow: (size) => assert.equal(spawnSync('mount', ['-o', `remount,size=${size}m`, dir]).status, 0),
    [Symbol.dispose]: () => void spawnSync('umount', ['-l', dir]),
  }
}

for (const [name, path] of persisters)
  test(`a full disk under ${name}: the run says so, its state is not ahead, and the next run completes it`, async (t) => {
    using folder = folderOf()
    const disk = smallDisk(join(folder.path, 'disk'), 4)
    if (typeof disk === 'string') return t.skip(disk)
    using _disk = disk
    writeFileSync(join(folder.path, 'millrace.yaml'), orders(name, `disk/${path}`, 0))
    const run = (count: number): string => `COUNT=${count} millrace run`
    const first = await sh(run(2000), folder.path)
    assert.equal(first.code, 0, first.stderr)
    const full = await sh(run(40_000), folder.path)
    assert.equal(full.code, 75, full.stderr)
    assert.match(full.stderr, /DESTINATION_FULL/)
    assert.doesNotMatch(full.stderr, /\n\s+at .*:\d+:\d+/)
    const { stdout } = await sh('millrace state --json', folder.path)
    const text = (JSON.parse(stdout) as { readonly value?: { bookmarks?: Record<string, { bookmark: number }> } }[])[0]
    const reached = Object.values(text?.value?.bookmarks ?? {})[0]?.bookmark ?? 0
    assert.ok(reached >= 2000 && reached < 40_000, stdout)
    disk.grow(200)
    const [before] = await held(name, folder.path, `disk/${path}`, 'orders')
    assert.ok(before >= reached, `${before} records are there, the state says ${reached}`)
    const second = await sh(run(40_000), folder.path)
    assert.equal(second.code, 0, second.stderr)
    const [ids, rows] = await held(name, folder.path, `disk/${path}`, 'orders')
    assert.equal(ids, 40_000)
    if (name === 'sqlite' || name === 'duckdb') assert.equal(rows, 40_000)
    assert.equal((await sh('millrace verify last', folder.path)).code, 0)
  })

test('a closed pipe on either side ends both programs, with one line and no stack trace', async () => {
  using folder = folderOf()
  const left = await sh(
    'millrace streamer hello --count 10000000 --shape narrow | head -c 1000 > /dev/null',
    folder.path,
  )
  assert.equal(left.code, 75)
  assert.match(left.stderr, /PIPE_CLOSED/)
  // The states of the persister have no reader: what it stored is durable, and it says that nobody knows of it.
  const right = await sh(
    'millrace streamer hello --count 300000 --shape narrow --state-every 1000 | millrace persister jsonl --path out --flush-records 1000 | true',
    folder.path,
  )
  assert.equal(right.code, 75, right.stderr)
  assert.match(right.stderr, /PIPE_CLOSED/)
  // A streamer that is killed in the middle: the half line is told, what was whole before it is stored.
  const cut = await sh(
    'millrace streamer hello --count 300000 --shape narrow --state-every 1000 | head -c 1000001 | millrace persister jsonl --path cut > states',
    folder.path,
  )
  assert.equal(cut.code, 65, cut.stderr)
  assert.match(cut.stderr, /MESSAGE_INCOMPLETE|ends in the middle/)
  const state = JSON.parse(readFileSync(join(folder.path, 'states'), 'utf8').trimEnd().split('\n').at(-1) as string)
  const stored = readFileSync(join(folder.path, 'cut/points.jsonl'), 'utf8').trimEnd().split('\n')
  assert.ok(stored.length >= state.bookmarks.points.bookmark)
  assert.ok(stored.every((line) => line.endsWith('}')))
  for (const { stderr } of [left, right, cut]) assert.doesNotMatch(stderr, /\n\s+at .*:\d+:\d+/)
})

test('a streamer that hangs is ended by --idle-timeout: what it gave is stored, its state kept, no process left', async () => {
  using folder = folderOf()
  writeFileSync(
    join(folder.path, 'hangs.sh'),
    `echo '{"type":"RECORD","stream":"t","record":{"id":1}}'\necho '{"type":"STATE","value":{"at":1}}'\nsleep 613\n`,
  )
  const { code, stderr } = await sh(
    `millrace run --from-exec 'exec sh hangs.sh' --to sqlite --to.path out.db --idle-timeout 2`,
    folder.path,
  )
  assert.equal(code, 75, stderr)
  assert.match(stderr, /PROCESS_STALLED/)
  assert.deepEqual(await held('sqlite', folder.path, 'out.db', 't'), [1, 1])
  assert.match((await sh('millrace state show', folder.path)).stdout, /\{"at":1\}/)
  assert.equal(spawnSync('pgrep', ['-f', 'sleep 613']).status, 1)
})

for (const [name, path] of persisters.slice(2))
  test(`30 % newer versions into ${name}: one row a key, the newest, and verify agrees`, async () => {
    using folder = folderOf()
    const count = 20_000
    writeFileSync(join(folder.path, 'millrace.yaml'), orders(name, path, 0.3))
    const first = await sh(`COUNT=${count / 2} millrace run`, folder.path)
    assert.equal(first.code, 0, first.stderr)
    const second = await sh(`COUNT=${count} millrace run --json`, folder.path)
    assert.equal(second.code, 0, second.stderr)
    const outcome = JSON.parse(second.stdout) as { readonly mode: string; readonly pipeline: string }
    assert.equal(outcome.mode, 'incremental')
    // The newest version of each record, as the stream has them, against what is stored.
    const all = await sh(`millrace streamer hello --shape wide --updates 0.3 --count ${count}`, folder.path)
    const newest = new Map<number, number>()
    for (const line of all.stdout.split('\n').filter((l) => l.startsWith('{"type":"RECORD"'))) {
      const { record } = JSON.parse(line) as { readonly record: { readonly id: number; readonly quantity: number } }
      newest.set(record.id, record.quantity)
    }
    assert.ok(newest.size < count * 0.8, 'some records are updates')
    const { stdout } = await sh(`millrace query --json ${path} "select id, quantity from orders"`, folder.path)
    const rows = JSON.parse(stdout) as { readonly id: string; readonly quantity: string }[]
    assert.equal(rows.length, newest.size)
    for (const row of rows) assert.equal(Number(row.quantity), newest.get(Number(row.id)), `id ${row.id}`)
    const verified = await sh('millrace verify last', folder.path)
    assert.equal(verified.code, 0, verified.stderr)
  })

test('a streamer of 2016, header and transit, into every persister, digit for digit', async () => {
  using folder = folderOf()
  writeFileSync(
    join(folder.path, 'old.sh'),
    `cat <<'END'
stitchstream/0.1
Content-Type: transit
--
["^ ","type","SCHEMA","stream","users","schema",["^ ","type","object","properties",["^ ","id",["^ ","type","integer","key",true],"n",["^ ","type","integer"],"seen",["^ ","type","string","format","date-time"]]]]
["^ ","type","RECORD","stream","users","key_fields",["id"],"record",["^ ","id",1,"n","~n12345678901234567890","seen","~m1479384000000"]]
["^ ","type","RECORD","stream","users","key_fields",["id"],"record",["^ ","id",2,"n",7,"seen","~t2016-11-17T12:00:00.000Z"]]
["^ ","type","BOOKMARK","value",["^ ","users",2]]
END
`,
  )
  for (const [name, path] of persisters.slice(0, 2)) {
    const dir = join(folder.path, name)
    mkdirSync(dir)
    const { code, stdout, stderr } = await sh(
      `sh ../old.sh | millrace persister ${name} sync --config <(echo '{"path":"${path}"}') >> state.json; tail -1 state.json`,
      dir,
    )
    assert.equal(code, 0, stderr)
    assert.equal(stdout, '{"users":2}\n', stderr)
    const text = readFileSync(join(dir, path, `users.${name}`), 'utf8')
    assert.match(text, /12345678901234567890/)
    assert.match(text, /2016-11-17T12:00:00/)
  }
  for (const [name, path] of persisters.slice(2)) {
    const dir = join(folder.path, name)
    mkdirSync(dir)
    const { code, stdout, stderr } = await sh(
      `sh ../old.sh | sed 's/~n12345678901234567890/~n9007199254740993/' | millrace persister ${name} sync --path ${path} >> state.json; tail -1 state.json
       millrace query --json ${path} "select id, n, cast(seen as varchar) as seen from users order by id"`,
      dir,
    )
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^\{"users":2\}\n/)
    assert.match(stdout, /"n": "?9007199254740993"?/)
    assert.match(stdout, /2016-11-17.12:00:00/)
  }
})
