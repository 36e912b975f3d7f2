import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Ended, millrace, shell, temporaryFolder } from './fixtures/program.ts'

const project = `version: 1
pipelines:
  greetings:
    from: { streamer: hello, config: { count: '\${COUNT:-5}', name: '\${GREETED}' } }
    to: { persister: sqlite, config: { path: out.db } }
  orders:
    from: { exec: [sh, orders.sh] }
    to: { persister: jsonl, config: { path: orders } }
    on-invalid: dead-letter
`

const ordersScript = (id: string): string => `cat <<'END'
{"type":"SCHEMA","stream":"orders","schema":{"type":"object","properties":{"id":{"type":"integer"}}},"key_properties":["id"]}
{"type":"RECORD","stream":"orders","record":{"id":1}}
{"type":"RECORD","stream":"orders","record":{"id":${id}}}
{"type":"STATE","value":{"at":2}}
END
`

const inProject = (): {
  readonly path: string
  readonly run: (...args: readonly string[]) => Promise<Ended>
} & Disposable => {
  const folder = temporaryFolder()
  writeFileSync(join(folder.path, 'millrace.yaml'), project)
  writeFileSync(join(folder.path, '.env'), 'GREETED=moon\n')
  writeFileSync(join(folder.path, 'orders.sh'), ordersScript('"x"'))
  return {
    path: folder.path,
    run: async (...args) => await millrace(args, { cwd: folder.path }),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

const json = <T>(ended: Ended): T => JSON.parse(ended.stdout) as T

test('plan says which maps name a substream that the source does not have', async () => {
  using at = inProject()
  const file = join(at.path, 'millrace.yaml')
  const maps = `version: 1
pipelines:
  greetings:
    from: { streamer: hello }
    to: { persister: sqlite, config: { path: out.db } }
    maps:
      helo: { mask: { value: redact } }
`
  writeFileSync(file, maps)
  const planned = await at.run('plan', 'greetings')
  assert.equal(planned.code, 0, planned.stderr)
  assert.match(planned.stderr, /the maps name what is not read: helo/)
  const { destination } = json<{ destination: { unmatchedMaps: string[] } }>(
    await at.run('plan', 'greetings', '--json'),
  )
  assert.deepEqual(destination.unmatchedMaps, ['helo'])
})

test('plan, run, run again: full, then incremental, with closed books', async () => {
  using at = inProject()
  const planned = await at.run('plan', 'greetings')
  assert.equal(planned.code, 0, planned.stderr)
  assert.match(planned.stdout, /full: from the beginning: no state is stored/)
  assert.match(planned.stdout, /create table/i)
  assert.equal(existsSync(join(at.path, '.millrace')), false)
  assert.equal(existsSync(join(at.path, 'out.db')), false)

  const first = await at.run('run', 'greetings')
  assert.equal(first.code, 0, first.stderr)
  assert.match(first.stdout, /hello +5 +5 +5 +0 +0/)
  assert.match(first.stdout, /The books close/)
  assert.match(first.stderr, /5 records stored, from the beginning/)

  const second = await at.run('run', 'greetings')
  assert.equal(second.code, 0)
  assert.match(second.stderr, /found nothing new/)
  assert.match((await at.run('plan', 'greetings')).stdout, /incremental: from state 1, which run .* left at/)
  assert.match((await at.run('plan', 'greetings', '--full-refresh')).stdout, /full: .*--full-refresh/)
  assert.deepEqual(
    json(await at.run('query', 'out.db', 'select count(*) as n, max(value) as v from hello', '--json')),
    [{ n: '5', v: 'Hello, moon!' }],
  )
  assert.match((await at.run('query', 'out.db')).stdout, /^hello +5$/m)
})

test('runs, verify: what a run stored is asked for again, and a change is seen', async () => {
  using at = inProject()
  await at.run('run', 'greetings')
  await at.run('run', 'greetings')
  const runs = json<{ id: string; mode: string; why: string }[]>(await at.run('runs', '--json'))
  assert.deepEqual(
    runs.map((r) => [r.mode, r.why]),
    [
      ['incremental', 'finished'],
      ['full', 'finished'],
    ],
  )
  assert.match((await at.run('runs', 'show', 'last')).stdout, /of greetings, incremental/)
  const good = await at.run('verify', 'last')
  assert.equal(good.code, 0, good.stderr)
  assert.match(good.stdout, /hello +5 +5/)
  execFileSync(
    process.execPath,
    ['-e', `new (require('node:sqlite').DatabaseSync)('out.db').exec("delete from hello where id = 3")`],
    { cwd: at.path, stdio: 'ignore' },
  )
  const bad = await at.run('verify', String(runs[1]?.id))
  assert.equal(bad.code, 65)
  assert.match(bad.stderr, /does not hold what run .* stored: hello/)
  assert.equal((await at.run('verify', 'nosuchrun')).code, 78)
})

test('state show, log, diff, set and revert', async () => {
  using at = inProject()
  await at.run('run', 'greetings')
  const shown = (await at.run('state', 'show', 'greetings')).stdout
  const { bookmarks } = JSON.parse(shown) as { bookmarks: { hello: { bookmark: number } } }
  assert.equal(bookmarks.hello.bookmark, 5)
  writeFileSync(join(at.path, 'state.json'), `${shown.replace('5', '3')}`)
  assert.match(
    (await at.run('state', 'diff', 'greetings', '--file', 'state.json')).stdout,
    /^~ bookmarks\.hello\.bookmark: 5 → 3$/m,
  )
  assert.equal((await at.run('state', 'set', 'greetings', 'state.json')).code, 0)
  assert.match((await at.run('run', 'greetings')).stdout, /hello +2 +2 +2/)
  assert.equal(json<unknown[]>(await at.run('state', 'log', 'greetings', '--json')).length, 3)
  const emptier = await at.run('state', 'set', 'greetings', '--value', '{}')
  assert.equal(emptier.code, 78)
  assert.match(emptier.stderr, /STATE_EMPTIER/)
  assert.equal((await at.run('state', 'revert', 'greetings', '1')).code, 0)
  assert.equal((await at.run('state', 'set', 'greetings', '--beginning')).code, 0)
  assert.match((await at.run('run', 'greetings')).stdout, /hello +5 +5 +5/)
  // A writer that is slower than we are: the pipe is empty when it is first looked at.
  const piped = await shell(`(sleep 0.4; echo 7) | millrace state set greetings - --allow-emptier-state`, at.path)
  assert.equal(piped.code, 0, piped.stderr)
  assert.equal((await at.run('state', 'set', 'greetinks', '--value', '1')).code, 78)
  assert.match((await at.run('state', 'show', 'greetinks')).stderr, /did you mean greetings/)
  // It is in millrace.yaml, and did not run yet.
  const never = await at.run('state', 'show', 'orders')
  assert.deepEqual([never.code, never.stderr], [0, 'It has no state: its next run reads from the beginning.\n'])
})

test('dead letters of a pipeline: listed, shown, refused again, and replayed after the fix', async () => {
  using at = inProject()
  const ran = await at.run('run', 'orders')
  assert.equal(ran.code, 0, ran.stderr)
  assert.match(ran.stderr, /dead-letters list orders/)
  assert.match(
    (await at.run('dead-letters', 'list', 'orders')).stdout,
    /orders +orders +3 +RECORD_INVALID +.*field id must be integer/,
  )
  const refused = await at.run('dead-letters', 'replay', 'orders')
  assert.equal(refused.code, 65, refused.stderr)
  assert.match(refused.stderr, /0 dead letters of orders replayed, 1 refused again/)
  const replayed = await at.run('dead-letters', 'replay', 'orders', '--no-validate')
  assert.equal(replayed.code, 0, replayed.stderr)
  assert.equal(readFileSync(join(at.path, 'orders/orders.jsonl'), 'utf8'), '{"id":1}\n{"id":"x"}\n')
  assert.match((await at.run('dead-letters', 'list', 'orders')).stderr, /None/)
  assert.equal((await at.run('verify', 'last')).code, 0)
})

test('dead letters are replayed against the schema that the source has by now', async () => {
  using folder = temporaryFolder()
  const run = (...args: readonly string[]): Promise<Ended> => millrace(args, { cwd: folder.path })
  const withType = (type: string): void =>
    writeFileSync(
      join(folder.path, 'millrace.yaml'),
      `version: 1
pipelines:
  t:
    from: { streamer: files, config: { path: t.csv, keys: id, schema: { properties: { n: { type: ${type} } } } } }
    to: { persister: sqlite, config: { path: t.db } }
    on-invalid: dead-letter
`,
    )
  writeFileSync(join(folder.path, 't.csv'), 'id,n\n1,5\n2,x\n')
  withType('integer')
  assert.equal((await run('run', 't')).code, 0)
  assert.equal(json<unknown[]>(await run('dead-letters', '--json')).length, 1)
  withType('string')
  const replayed = await run('dead-letters', 'replay', 't')
  assert.equal(replayed.code, 0, replayed.stderr)
  assert.deepEqual(json(await run('query', 't.db', 'select id, n from t order by id', '--json')), [
    { id: '1', n: '5' },
    { id: '2', n: 'x' },
  ])
  assert.equal((await run('verify', 'last')).code, 0)
})

test('run put together on the command line keeps its state; --select, --full-refresh and --state', async () => {
  using at = inProject()
  const words = ['run', '--from', 'hello', '--from.count', '4', '--to', 'csv', '--to.path', 'csv', '--json']
  type Outcome = { mode: string; pipeline: string; books: { hello: { stored: { records: number } } } }
  const stored = async (...extra: readonly string[]): Promise<readonly [string, number]> => {
    const outcome = json<Outcome>(await at.run(...words, ...extra))
    return [outcome.mode, outcome.books.hello.stored.records]
  }
  assert.deepEqual(await stored(), ['full', 4])
  assert.deepEqual(await stored(), ['incremental', 0])
  assert.deepEqual(await stored('--full-refresh'), ['full', 4])
  writeFileSync(join(at.path, 's.json'), '{"bookmarks":{"hello":{"bookmark":3}}}')
  assert.deepEqual(await stored('--state', 's.json'), ['override', 1])
  const wrong = await at.run(...words, '--select', 'helo')
  assert.equal(wrong.code, 78)
  assert.match(wrong.stdout + wrong.stderr, /no substream is called so; did you mean hello/)
})

test('discover and preview show the source and move nothing', async () => {
  using at = inProject()
  assert.match((await at.run('discover', 'greetings')).stdout, /hello +yes +id +\S+ +id, value/)
  const previewed = await at.run('preview', 'greetings', '--limit', '2')
  assert.equal(previewed.code, 0, previewed.stderr)
  assert.equal(previewed.stdout.match(/Hello, moon!/g)?.length, 2)
  assert.equal(json<{ hello: unknown[] }>(await at.run('preview', 'greetings', '--json')).hello.length, 5)
  assert.equal(
    json<{ orders: unknown[] }>(await at.run('preview', '--from-exec', 'sh orders.sh', '--json')).orders.length,
    2,
  )
  assert.equal(existsSync(join(at.path, '.millrace')), false)
})

test('check finds every mistake, config list says where values come from and hides what is referred to', async () => {
  using at = inProject()
  const good = await at.run('check')
  assert.equal(good.code, 0, good.stderr + good.stdout)
  assert.match(good.stdout, /greetings, from hello: its settings are good/)
  const list = (await at.run('config', 'list')).stdout
  assert.match(list, /greetings +from hello +name +\$\{GREETED\} +file: millrace\.yaml/)
  assert.match(list, /greetings +from hello +seed +1 +default/)
  writeFileSync(
    join(at.path, 'millrace.yaml'),
    project.replace('streamer: hello', 'streamer: helo').replace('path: out.db', 'pth: out.db'),
  )
  const named = await at.run('check')
  assert.equal(named.code, 78)
  assert.match(named.stdout, /line \d+ column \d+: no streamer is called "helo"; did you mean hello/)
  assert.match(named.stdout, /BAD greetings, to sqlite/)
  writeFileSync(join(at.path, 'millrace.yaml'), project.replace('path: out.db', 'pth: out.db'))
  const settings = await at.run('check')
  assert.equal(settings.code, 78)
  assert.match(
    settings.stdout,
    /BAD greetings, to sqlite: .*path is missing.*"pth" is not a setting; did you mean path/,
  )
})

test('check tells every problem at once, each with its line', async () => {
  // One was told, and the next only after that was mended; those of settings had no line.
  using at = inProject()
  writeFileSync(
    join(at.path, 'millrace.yaml'),
    [
      'version: 1',
      'pipelines:',
      '  a:',
      '    from: { streamer: helo }',
      '    to: { persister: jsonl, config: { path: out } }',
      '    slect: { hello: true }',
      '  b:',
      '    from:',
      '      streamer: hello',
      '      config:',
      '        count: x',
      '        name: ${NOT_SET}',
      '    to:',
      '      persister: sqlite',
      '      config:',
      '        pth: x.db',
    ].join('\n'),
  )
  const { code, stdout } = await at.run('check')
  assert.equal(code, 78)
  for (const problem of [
    /line 4 column \d+: no streamer is called "helo"/,
    /line 6 column \d+: pipeline a has no "slect"/,
    /line 11 column \d+: count must be a whole number/,
    /line 12 column \d+: the variable NOT_SET is not set/,
    /line 13 column \d+: path is missing/,
    /line 16 column \d+: "pth" is not a setting/,
  ])
    assert.match(stdout, problem)
})

test('check finds what a run would refuse: filters, and names in select and maps that the source does not have', async () => {
  // It said that all was good, and plan and run refused the pipeline.
  using at = inProject()
  writeFileSync(
    join(at.path, 'millrace.yaml'),
    [
      'version: 1',
      'pipelines:',
      '  a:',
      '    from: { streamer: hello }',
      '    to: { persister: jsonl, config: { path: out } }',
      '    maps:',
      '      hello: { filter: "record.id <" }',
      '  b:',
      '    from: { streamer: hello }',
      '    to: { persister: jsonl, config: { path: out } }',
      '    select: { nope: true }',
      '    maps:',
      '      hello: { mask: { valu: hash }, drop: [id] }',
    ].join('\n'),
  )
  const { code, stdout } = await at.run('check')
  assert.equal(code, 78)
  for (const problem of [
    /BAD a, maps: .*line 7 column \d+: maps of hello have a filter that cannot be read/,
    /BAD b, select and maps: .*line 11 column \d+: select\.nope: no substream is called so/,
    /line 13 column \d+: maps of hello mask valu, a field that it does not have; did you mean value/,
    /line 13 column \d+: maps of hello drop key property id/,
  ])
    assert.match(stdout, problem)
  assert.equal(existsSync(join(at.path, '.millrace/millrace.db')), false)
})

test('init makes a project whose pipeline runs, in a repository and elsewhere', async () => {
  using folder = temporaryFolder()
  const run = (...args: readonly string[]): Promise<Ended> => millrace(args, { cwd: folder.path })
  assert.equal((await run('init')).code, 0)
  assert.match(readFileSync(join(folder.path, 'millrace.yaml'), 'utf8'), /^# yaml-language-server: \$schema=/)
  assert.match(readFileSync(join(folder.path, '.gitignore'), 'utf8'), /^\.millrace\/$/m)
  const schema = join(folder.path, '.millrace/millrace.schema.json')
  assert.equal((JSON.parse(readFileSync(schema, 'utf8')) as { title: string }).title, 'millrace.yaml')
  rmSync(schema)
  assert.equal((await run('check')).code, 0)
  assert.equal(existsSync(schema), true)
  assert.equal((await run('run', 'first')).code, 0)
  const again = await run('init')
  assert.equal(again.code, 64)
  assert.match(again.stderr, /is there already/)
  assert.equal((await run('run', 'frist')).code, 78)
  assert.match((await run('doctor')).stdout, /^ok +project: .*pipelines: first$/m)
})

test('outside of any project a pipeline cannot be named', async () => {
  using folder = temporaryFolder()
  const { code, stderr } = await millrace(['run', 'history', '--log-format', 'text'], { cwd: folder.path })
  assert.equal(code, 78)
  assert.match(
    stderr,
    /no millrace\.yaml in .* or above {3}\[PROJECT_NOT_FOUND, after-fix\]\n {2}Make one with `millrace init`/,
  )
  assert.match((await millrace(['runs'], { cwd: folder.path })).stderr, /Nothing has run in/)
})

test('demo: a whole history, then only what is new, then nothing', async () => {
  using folder = temporaryFolder()
  const repo = join(folder.path, 'répo')
  mkdirSync(repo)
  const git = (...args: readonly string[]): void =>
    void execFileSync(
      'git',
      ['-c', 'user.name=Ann', '-c', 'user.email=a@example.org', '-c', 'init.defaultBranch=main', ...args],
      { cwd: repo, stdio: 'ignore' },
    )
  git('init')
  for (const n of [1, 2, 3]) git('commit', '--allow-empty', '-m', `commit ${n}`)
  const demo = (): Promise<Ended> => millrace(['demo', 'répo'], { cwd: folder.path })
  const first = await demo()
  assert.equal(first.code, 0, first.stderr)
  assert.match(first.stdout, /commit 3/)
  assert.match(first.stdout, /^commits +3$/m)
  assert.match(first.stdout, /3 commits read from the beginning/)
  git('commit', '--allow-empty', '-m', 'commit 4')
  assert.match((await demo()).stdout, /Incremental: 1 new commit since/)
  const third = await demo()
  assert.match(third.stdout, /Incremental: nothing new since/)
  const typed = [...third.stderr.matchAll(/^ {2}(millrace .*)$/gm)].map((m) => m[1] as string)
  assert.ok(typed.length >= 5, third.stderr)
  for (const line of typed) {
    const pasted = await shell(line, folder.path)
    assert.equal(pasted.code, 0, `${line}\n${pasted.stderr}`)
  }
  rmSync(repo, { recursive: true })
  mkdirSync(repo)
  const none = await demo()
  assert.notEqual(none.code, 0)
  assert.match(none.stderr, /not a git repository/i)
})

test('new, inside the repository of Millrace, goes among the connectors', async () => {
  using folder = temporaryFolder()
  mkdirSync(join(folder.path, 'packages/connectors/src'), { recursive: true })
  writeFileSync(join(folder.path, 'package.json'), '{"name":"millrace-workspace"}')
  const made = await millrace(['new', 'persister', 'my-lake'], { cwd: join(folder.path, 'packages') })
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stdout, /connectors\/src\/persisters\/my-lake\/my-lake\.test\.ts/)
  assert.match(
    readFileSync(join(folder.path, 'packages/connectors/src/persisters/my-lake/index.ts'), 'utf8'),
    /export const myLake: Persister/,
  )
  const twice = await millrace(['new', 'persister', 'my-lake'], { cwd: folder.path })
  assert.equal(twice.code, 64)
  assert.match((await millrace(['new', 'streamer', 'My Lake'], { cwd: folder.path })).stderr, /cannot be its name/)
})

test('a folder that is not there, or may not be written, is told without a stack trace', async () => {
  using folder = temporaryFolder()
  const missing = await millrace(['init', '--cwd', 'nowhere'], { cwd: folder.path })
  assert.equal(missing.code, 64)
  assert.match(missing.stderr, /--cwd nowhere: there is no such folder/)
  writeFileSync(join(folder.path, 'file'), '')
  const inFile = await millrace(['init', '--cwd', 'file'], { cwd: folder.path })
  assert.equal(inFile.code, 78)
  assert.match(inFile.stderr, /a part of the path is not a folder {3}\[DESTINATION_REFUSED/)
})

test('verify last looks at the newest run, never at that of another pipeline', async () => {
  using at = inProject()
  await at.run('run', 'greetings')
  assert.equal((await at.run('verify', 'last')).code, 0)
  const foreign = await at.run('run', '--from', 'hello', '--to-exec', 'cat > /dev/null')
  assert.equal(foreign.code, 0, foreign.stderr)
  assert.match(foreign.stdout, /^No books: a persister of somebody else keeps none/m)
  const last = await at.run('verify', 'last')
  assert.notEqual(last.code, 0, `${last.stdout}${last.stderr}`)
  assert.match(last.stderr, /evidence/)
})
