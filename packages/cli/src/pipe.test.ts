import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { test } from 'node:test'
import { openDatabaseReader } from '@millrace/connectors'
import { collected, millrace, shell, start, temporaryFolder } from './fixtures/program.ts'

const lines = (text: string): readonly string[] => text.split('\n').filter((l) => l !== '')

const repositoryIn = (folder: string): { readonly path: string; readonly commit: (name: string) => void } => {
  const path = join(folder, 'repo')
  mkdirSync(path)
  const git = (...args: readonly string[]): void => {
    execFileSync(
      'git',
      ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org', '-c', 'init.defaultBranch=main', ...args],
      { cwd: path, stdio: 'ignore' },
    )
  }
  git('init')
  const commit = (name: string): void => {
    writeFileSync(join(path, name), name)
    git('add', '.')
    git('commit', '-m', `add ${name}`)
  }
  for (const name of ['a', 'b', 'c']) commit(name)
  return { path, commit }
}

test('one record from printf lands in hello.jsonl', async () => {
  using folder = temporaryFolder()
  const { code, stdout } = await shell(
    `printf '{"type":"RECORD","stream":"hello","record":{"value":"world"}}\\n' | millrace persister jsonl`,
    folder.path,
  )
  assert.equal(code, 0)
  assert.equal(stdout, '')
  assert.equal(readFileSync(join(folder.path, 'hello.jsonl'), 'utf8'), '{"value":"world"}\n')
})

test('streamer git | persister duckdb >> state.json, twice: the second run has only what is new', async () => {
  using folder = temporaryFolder()
  const { path, commit } = repositoryIn(folder.path)
  const pipe = `touch state.json; millrace streamer git --path '${path}' --state state.json > messages.jsonl && millrace persister duckdb --path out.duckdb < messages.jsonl >> state.json`
  const first = await shell(pipe, folder.path)
  assert.equal(first.code, 0, first.stderr)
  const records = (): number =>
    readFileSync(join(folder.path, 'messages.jsonl'), 'utf8').match(/"type":"RECORD","stream":"commits"/g)?.length ?? 0
  assert.equal(records(), 3)
  commit('d')
  const second = await shell(pipe, folder.path)
  assert.equal(second.code, 0, second.stderr)
  assert.equal(records(), 1)
  for (const line of lines(readFileSync(join(folder.path, 'state.json'), 'utf8'))) assert.ok(JSON.parse(line))
  await using database = await openDatabaseReader(join(folder.path, 'out.duckdb'))
  assert.deepEqual((await database.query('select count(*) from commits')).rows, [['4']])
})

test("Singer's flags: --config, several of them, ENV, --discover, --catalog, --properties, --about, the environment and .env", async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  writeFileSync(join(cwd, 'a.json'), '{"count": 5, "name": "file"}')
  writeFileSync(join(cwd, 'b.json'), '{"count": 2, "colour": 1}')
  writeFileSync(join(cwd, '.env'), 'TAP_HELLO_NAME=dotenv\n')
  const both = await millrace(['tap', 'hello', '-c', 'a.json', '--config', 'b.json'], { cwd })
  assert.equal(both.stdout.match(/"RECORD"/g)?.length, 2)
  assert.match(both.stdout, /Hello, dotenv!/)
  assert.match(both.stderr, /not a setting.*"key":"colour"/)
  const real = await millrace(['tap', 'hello', '--config', 'ENV'], { cwd, env: { TAP_HELLO_NAME: 'real' } })
  assert.match(real.stdout, /Hello, real!/)
  assert.match(
    (await millrace(['tap', 'hello', '--name', 'flag'], { cwd, env: { TAP_HELLO_NAME: 'real' } })).stdout,
    /Hello, flag!/,
  )
  assert.match((await millrace(['tap', 'hello', '--set', 'name=set'], { cwd })).stdout, /Hello, set!/)

  const catalog = (await millrace(['tap', 'hello', '--discover'], { cwd })).stdout
  assert.equal((await millrace(['tap', 'hello', 'discover'], { cwd })).stdout, catalog)
  writeFileSync(join(cwd, 'none.json'), catalog.replace('"selected-by-default": true', '"selected": false'))
  for (const flag of ['--catalog', '--properties', '-p'])
    assert.doesNotMatch((await millrace(['tap', 'hello', flag, 'none.json'], { cwd })).stdout, /RECORD/)

  const about = JSON.parse((await millrace(['target', 'jsonl', '--about'], { cwd })).stdout) as {
    kind: string
    supports: { upsert: boolean }
    settings: object
  }
  assert.equal(about.kind, 'persister')
  assert.equal(about.supports.upsert, false)
  assert.ok('properties' in about.settings)
})

test('a wrong configuration names every problem, and exits 78', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  writeFileSync(join(cwd, 'bad.json'), '{"token": "s3cr3t",')
  const broken = await millrace(['tap', 'hello', '--config', 'bad.json'], { cwd })
  assert.equal(broken.code, 78)
  assert.match(broken.stderr, /CONFIG_FILE/)
  assert.doesNotMatch(broken.stderr, /s3cr3t/)
  const wrong = await millrace(['tap', 'hello', '--count', 'many', '--updates', '7', '--log-format', 'text'], { cwd })
  assert.equal(wrong.code, 78)
  assert.match(wrong.stderr, /count must be a whole number.*updates must be a number/)
  const missing = await millrace(['tap', 'hello', '--state', 'no.json'], { cwd })
  assert.equal(missing.code, 78)
  assert.match(missing.stderr, /STATE_UNREADABLE/)
})

test('a state file that was appended to counts by its last complete line; a torn one does not, garbage is refused', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  const state = (n: number): string => `{"bookmarks":{"hello":{"bookmark":${n}}}}`
  const records = async (content: string): Promise<number | undefined> => {
    writeFileSync(join(cwd, 'state.json'), content)
    const { code, stdout } = await millrace(['tap', 'hello', '--count', '9', '--state', 'state.json'], { cwd })
    return code === 0 ? (stdout.match(/"RECORD"/g)?.length ?? 0) : undefined
  }
  assert.equal(await records(''), 9)
  assert.equal(await records(`${state(3)}\n${state(7)}\n`), 2)
  assert.equal(await records(`${state(3)}\n${state(7)}\n{"bookma`), 2)
  assert.equal(await records(`${state(3)}\nnonsense\n`), undefined)
  // Each of these was taken for the beginning.
  assert.equal(await records(`{"type":"STATE","value":${state(7)}}\n`), 2)
  assert.equal(await records('null\n'), undefined)
  for (const bookmark of ['"x"', '[]', '-1', '{"n":1}'])
    assert.equal(await records(`{"bookmarks":{"hello":{"bookmark":${bookmark}}}}`), undefined, bookmark)
})

test('an invalid record stops the run with one line; what came before is stored and its state printed', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  const input = [
    '{"type":"SCHEMA","stream":"t","schema":{"type":"object","properties":{"id":{"type":"integer"}}},"key_properties":["id"]}',
    '{"type":"RECORD","stream":"t","record":{"id":1}}',
    '{"type":"STATE","value":{"at":1}}',
    '{"type":"RECORD","stream":"t","record":{"id":"two"}}',
    '{"type":"STATE","value":{"at":2}}',
    '',
  ].join('\n')
  const args = ['persister', 'jsonl', '--path', 'out']
  const stopped = await millrace([...args, '--log-format', 'text'], { cwd, input })
  assert.equal(stopped.code, 65)
  assert.equal(stopped.stdout, '{"at":1}\n')
  assert.match(stopped.stderr, /line 4: stream t, key id="two": field id must be integer {3}\[RECORD_INVALID, never\]/)
  assert.equal(readFileSync(join(cwd, 'out/t.jsonl'), 'utf8'), '{"id":1}\n')

  const log = JSON.parse(
    lines((await millrace([...args, '--path', 'two'], { cwd, input })).stderr).at(-1) as string,
  ) as Record<string, unknown>
  assert.equal(log['level'], 'error')
  assert.equal(log['code'], 'RECORD_INVALID')

  const aside = await millrace([...args, '--path', 'three', '--on-invalid', 'dead-letter'], { cwd, input })
  assert.equal(aside.code, 0, aside.stderr)
  assert.equal(aside.stdout, '{"at":2}\n')
  const letters = JSON.parse((await millrace(['dead-letters', 'list', '--json'], { cwd })).stdout) as {
    text: string
    pipeline: string
    id: number
  }[]
  assert.equal(letters.length, 1)
  assert.equal(letters[0]?.pipeline, 'pipe-to-jsonl')
  const { stdout: shown } = await millrace(['dead-letters', 'show', String(letters[0]?.id)], { cwd })
  assert.match(shown, /"two"/)
  assert.equal(shown.match(/line \d+/g)?.length, 1, `the place is told once: ${shown}`)
  const replayed = await shell(
    'millrace dead-letters replay pipe-to-jsonl --print --mark | millrace persister jsonl --path three --no-validate',
    cwd,
  )
  assert.equal(replayed.code, 0, replayed.stderr)
  assert.equal(readFileSync(join(cwd, 'three/t.jsonl'), 'utf8'), '{"id":1}\n{"id":"two"}\n')
  assert.equal((await millrace(['dead-letters', 'list', '--json'], { cwd })).stdout, '[]\n')

  assert.equal((await millrace([...args, '--path', 'four', '--no-validate'], { cwd, input })).code, 0)
})

test('--dry-run reads everything, writes nothing and gives out no state', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  const input = '{"type":"RECORD","stream":"t","record":{"id":1}}\n{"type":"STATE","value":1}\n'
  const { code, stdout, stderr } = await millrace(['persister', 'jsonl', '--path', 'out', '-n'], { cwd, input })
  assert.equal(code, 0)
  assert.equal(stdout, '')
  assert.match(stderr, /t: 1 record, 1 would be stored/)
  assert.deepEqual(readdirSync(cwd), [])
})

test('--cwd is the folder for relative settings, and for .env', async () => {
  using folder = temporaryFolder()
  const sub = join(folder.path, 'sub')
  mkdirSync(sub)
  writeFileSync(join(sub, '.env'), 'TARGET_JSONL_PATH=there\n')
  const input = '{"type":"RECORD","stream":"t","record":{"id":1}}\n'
  assert.equal((await millrace(['persister', 'jsonl', '--cwd', 'sub'], { cwd: folder.path, input })).code, 0)
  assert.equal(readFileSync(join(sub, 'there/t.jsonl'), 'utf8'), '{"id":1}\n')
})

test('--input, --maps, --require-schema and --max-line-bytes', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  writeFileSync(join(cwd, 'in.jsonl'), '{"type":"RECORD","stream":"t","record":{"id":1,"secret":"x"}}\n')
  writeFileSync(join(cwd, 'maps.json'), '{"t":{"drop":["secret"]}}')
  const mapped = await millrace(['persister', 'jsonl', '--input', 'in.jsonl', '--maps', 'maps.json'], { cwd })
  assert.equal(mapped.code, 0, mapped.stderr)
  assert.equal(readFileSync(join(cwd, 't.jsonl'), 'utf8'), '{"id":1}\n')
  assert.match(
    (await millrace(['persister', 'jsonl', '--input', 'in.jsonl', '--require-schema'], { cwd })).stderr,
    /in\.jsonl line 1.*RECORD_WITHOUT_SCHEMA/,
  )
  const long = await millrace(['persister', 'jsonl', '--input', 'in.jsonl', '--max-line-bytes', '20'], { cwd })
  assert.equal(long.code, 65)
  assert.match(long.stderr, /MESSAGE_TOO_LONG/)
  assert.match(
    (await millrace(['persister', 'jsonl', '--input', 'no.jsonl'], { cwd })).stderr,
    /no\.jsonl: there is no such file/,
  )
})

test('a reader that closes the pipe ends the streamer with one line and exit code 75', async () => {
  using folder = temporaryFolder()
  const child = start(['streamer', 'hello', '--count', '1000000', '--log-format', 'text'], { cwd: folder.path })
  child.stdout?.once('data', () => child.stdout?.destroy())
  const ended = collected(child)
  const { code, stderr } = await ended
  assert.equal(code, 75)
  assert.match(stderr, /^the reader of our output closed the pipe {3}\[PIPE_CLOSED, later\]\n {2}[^\n]*\n$/)
})

test('any generation goes through: --to-format and convert', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  const direct = (await millrace(['tap', 'hello', '--count', '2'], { cwd })).stdout
  for (const format of ['0.1-jsonline', '0.1-transit']) {
    const old = await millrace(['tap', 'hello', '--count', '2', '--to-format', format], { cwd })
    assert.match(old.stdout, /^stitchstream\/0\.1\n/)
    const back = await millrace(['convert', '--to', 'singer'], { cwd, input: old.stdout })
    assert.equal(back.code, 0, back.stderr)
    const values = (text: string): unknown =>
      lines(text)
        .map((l) => JSON.parse(l) as { record?: object })
        .flatMap((m) => m.record ?? [])
    assert.deepEqual(values(back.stdout), values(direct))
  }
  assert.match(
    (await millrace(['convert', '--to', 'xml'], { cwd })).stderr,
    /--to: "xml" is not one of singer, 0\.1-jsonline, 0\.1-transit/,
  )
})

test('a persister reports to the descriptor it is given, commits before it prints a state', async () => {
  using folder = temporaryFolder()
  const child = start(['persister', 'jsonl'], { cwd: folder.path, env: { MILLRACE_REPORT_FD: '3' } }, [
    'pipe',
    'pipe',
    'pipe',
    'pipe',
  ])
  const reports: Buffer[] = []
  child.stdio[3]?.on('data', (chunk: Buffer) => reports.push(chunk))
  child.stdin?.end('{"type":"RECORD","stream":"t","record":{"id":1}}\n{"type":"STATE","value":1}\n')
  assert.equal((await collected(child)).stdout, '1\n')
  const kinds = lines(Buffer.concat(reports).toString()).map((l) => (JSON.parse(l) as { kind: string }).kind)
  assert.deepEqual(kinds, ['commit', 'closed'])
})

test('a persister whose runner is gone stops, and gives out no state', async () => {
  using folder = temporaryFolder()
  const child = start(
    ['persister', 'jsonl', '--log-format', 'text'],
    { cwd: folder.path, env: { MILLRACE_REPORT_FD: '3' } },
    ['pipe', 'pipe', 'pipe', 'pipe'],
  )
  const ended = collected(child)
  const reports = child.stdio[3] as Readable
  reports.destroy()
  await once(reports, 'close')
  child.stdin?.on('error', () => {})
  child.stdin?.end('{"type":"RECORD","stream":"t","record":{"id":1}}\n{"type":"STATE","value":1}\n')
  const { code, stdout, stderr } = await ended
  assert.equal(code, 75, stderr)
  assert.equal(stdout, '')
  assert.match(stderr, /the runner closed the pipe/)
})

test('an author runs a module of their own by its path', async () => {
  using folder = temporaryFolder()
  const cwd = folder.path
  // As `npm init` of npm 11 makes it: what `new` wrote was then taken for CommonJS and could not be started.
  writeFileSync(join(cwd, 'package.json'), '{ "type": "commonjs" }')
  assert.equal((await millrace(['new', 'streamer', 'weather'], { cwd })).code, 0)
  assert.equal((await millrace(['new', 'persister', 'text-file'], { cwd })).code, 0)
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const tests = ['weather/weather.test.ts', 'text-file/text-file.test.ts']
  const tested = spawnSync(process.execPath, ['--test', ...tests], { cwd, env })
  assert.equal(tested.status, 0, tested.stdout.toString())
  assert.match(tested.stdout.toString(), /pass 2/)
  const piped = await shell(
    'millrace streamer ./weather --days 3 | millrace persister ./text-file/index.ts --path out.txt',
    cwd,
  )
  assert.equal(piped.code, 0, piped.stderr)
  assert.equal(lines(readFileSync(join(cwd, 'out.txt'), 'utf8')).length, 3)
  assert.match((await millrace(['streamer', './text-file'], { cwd })).stderr, /exports no streamer/)
  assert.match((await millrace(['streamer', './nothing.ts'], { cwd })).stderr, /there is no such file/)
})
