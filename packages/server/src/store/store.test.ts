import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import type { Books, MillraceError } from '@millrace/sdk'
import { isAlive, markOf } from './liveness.ts'
import { hasStore, openStore, storeFile } from './open.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace-store-'))
after(() => rmSync(root, { recursive: true }))
const folder = (): string => mkdtempSync(join(root, 'p'))

const account = (records: number): { records: number; bytes: number; digest: string } => ({
  records,
  bytes: records,
  digest: '00000000000000ff',
})
const books = (records: number): Books => ({
  a: { received: account(records), stored: account(records), filtered: account(0), deadLettered: account(0) },
})
const begin = { pipeline: 'p', destination: 'd', mode: 'incremental' } as const

test('a run from begin to end: states, books, evidence and dead letters are kept exactly', () => {
  const dir = folder()
  assert.equal(hasStore(dir), false)
  using store = openStore(dir)
  assert.equal(hasStore(dir), true)
  assert.equal(readFileSync(join(dir, '.millrace', '.gitignore'), 'utf8'), '*\n')
  assert.equal(statSync(store.file).mode & 0o777, 0o600)
  const { run, state } = store.beginRun({ ...begin, definition: { big: 2n ** 70n } })
  assert.equal(state, undefined)
  assert.equal(run.mode, 'full')
  assert.deepEqual(run.definition, { big: 2n ** 70n })
  const text = '{"bookmarks": {"a": 9007199254740993,  "d": 1.10}}'
  const letter = {
    substream: 'a',
    line: 3,
    code: 'RECORD_INVALID',
    reason: 'field x must be string',
    text: 'a\u0000b',
    schema: '{"s":1}',
    field: 'x',
  }
  store.commit({ run: run.id, state: text, books: books(5), deadLetters: [letter, { ...letter, line: 4 }] })
  store.commit({ run: run.id, state: text, books: books(6), deadLetters: [] })
  store.commit({ run: run.id, books: books(7), deadLetters: [] })
  assert.equal(store.stateOf('p')?.text, text)
  assert.equal(store.stateLog('p').length, 1, 'an equal state makes no new entry')
  store.endRun({
    run: run.id,
    why: 'finished',
    exitCode: 0,
    books: books(7),
    evidence: [{ substream: 'a', rows: 7, marks: { n: 2n ** 65n } }],
  })
  assert.deepEqual(store.books(run.id), books(7))
  assert.deepEqual(store.evidence(run.id), [{ substream: 'a', rows: 7, marks: { n: 2n ** 65n } }])
  const ended = store.getRun('latest')
  assert.deepEqual([ended.why, ended.exitCode, ended.counts.received, ended.error], ['finished', 0, 7, undefined])
  assert.equal(store.getRun(run.id.slice(-4)).id, run.id)
  assert.throws(() => store.getRun('nope'), { code: 'RUN_UNKNOWN' })
  assert.deepEqual(
    store.deadLetters().map((l) => [l.line, l.text, l.schema, l.field, l.rule]),
    [
      [3, 'a\u0000b', '{"s":1}', 'x', undefined],
      [4, 'a\u0000b', '{"s":1}', 'x', undefined],
    ],
  )
  const first = store.deadLetters({ limit: 1 })[0]
  assert.ok(first !== undefined)
  store.markReplayed([first.id])
  assert.deepEqual(
    [
      store.countDeadLetters(),
      store.countDeadLetters({ replayed: true }),
      store.countDeadLetters({ replayed: 'any', pipeline: 'p' }),
    ],
    [1, 1, 2],
  )
  assert.equal(store.deadLetters({ after: first.id }).length, 1)
  const second = store.beginRun(begin)
  assert.equal(second.state?.text, text)
  assert.equal(second.run.mode, 'incremental')
  assert.ok(second.run.id > run.id, 'ids sort by time')
  assert.deepEqual(
    store.listRuns().map((r) => r.id),
    [second.run.id, run.id],
  )
})

test('states: set, revert, log; the beginning is a state too', () => {
  using store = openStore(folder())
  assert.throws(() => store.setState('p', '{"a'), { code: 'STATE_UNREADABLE' })
  assert.throws(() => store.revertState('p'), { code: 'STATE_UNREADABLE' })
  for (const n of [1, 2]) {
    const { run } = store.beginRun(begin)
    for (const part of [1, 2])
      store.commit({ run: run.id, state: `{"run":${n},"part":${part}}`, books: books(part), deadLetters: [] })
    assert.throws(() => store.setState('p', '{}'), { code: 'RUN_LOCKED' })
    assert.throws(() => store.revertState('p'), { code: 'RUN_LOCKED' })
    store.endRun({ run: run.id, why: 'finished', exitCode: 0, books: books(2), evidence: [] })
  }
  assert.equal(store.revertState('p').text, '{"run":1,"part":2}')
  assert.equal(store.stateOf('p')?.origin, 'revert')
  const first = store.stateLog('p').at(-1)
  assert.equal(store.revertState('p', first?.id).text, '{"run":1,"part":1}')
  assert.throws(() => store.revertState('p', 999), { code: 'STATE_UNREADABLE' })
  store.setState('p', undefined)
  assert.equal(store.stateOf('p'), undefined)
  assert.equal(store.stateLog('p').length, 7)
  assert.deepEqual(store.pipelines(), ['p'])
})

test('a state is good for the place it was made for, until somebody says otherwise', () => {
  using store = openStore(folder())
  const run = (place: string, mode: 'incremental' | 'full', state: string): void => {
    const { run } = store.beginRun({ ...begin, place, mode })
    store.commit({ run: run.id, state, books: books(1), deadLetters: [] })
    store.endRun({ run: run.id, why: 'finished', exitCode: 0, books: books(1), evidence: [] })
  }
  run('jsonl out', 'incremental', '{"n":1}')
  run('jsonl out', 'incremental', '{"n":1}')
  assert.throws(() => run('duckdb out.db', 'incremental', '{"n":2}'), {
    code: 'STATE_OF_OTHER_DESTINATION',
    message: /made for jsonl out, and it writes to duckdb out.db now/,
  })
  run('duckdb out.db', 'full', '{"n":1}')
  run('duckdb out.db', 'incremental', '{"n":1}')
  assert.throws(() => run('jsonl out', 'incremental', '{"n":2}'), { code: 'STATE_OF_OTHER_DESTINATION' })
  store.setState('p', '{"n":1}')
  run('jsonl out', 'incremental', '{"n":2}')
  assert.equal(store.stateLog('p').length, 4)
})

test('evidence of the last run that wrote a substream stands', () => {
  using store = openStore(folder())
  const run = (pipeline: string, destination: string, evidence: Record<string, number>): string => {
    const { run } = store.beginRun({ pipeline, destination, mode: 'incremental' })
    store.endRun({
      run: run.id,
      why: 'finished',
      exitCode: 0,
      books: {},
      evidence: Object.entries(evidence).map(([substream, rows]) => ({ substream, rows, marks: {} })),
    })
    return run.id
  }
  const first = run('p', 'd', { a: 1, b: 1 })
  const second = run('q', 'd', { b: 2 })
  run('p', 'other', { a: 9 })
  run('p', 'd', {})
  assert.deepEqual(
    store.standingEvidence('d').map((e) => [e.substream, e.rows, e.run]),
    [
      ['a', 1, first],
      ['b', 2, second],
    ],
  )
})

test('one run at a time for a pipeline, in this process and between processes', async () => {
  const dir = folder()
  using store = openStore(dir)
  const child = spawn(process.execPath, [join(import.meta.dirname, 'fixtures/commit-forever.mjs'), dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  assert.throws(
    () => store.beginRun(begin),
    (e: MillraceError) => e.code === 'RUN_LOCKED' && e.details['pid'] === child.pid,
  )
  store.beginRun({ ...begin, pipeline: 'another' })
  assert.deepEqual(
    store.listRuns().map((r) => r.why),
    [undefined, undefined],
    'both run',
  )
  assert.throws(() => store.beginRun({ ...begin, pipeline: 'another' }), { code: 'RUN_LOCKED' })
  child.kill('SIGKILL')
  await once(child, 'exit')
  // Told before the next run writes it down.
  const [gone] = store.listRuns({ pipeline: 'p' })
  assert.deepEqual([gone?.why, store.getRun(String(gone?.id)).why], ['crashed', 'crashed'])
  const { run } = store.beginRun(begin)
  const crashed = store.listRuns({ pipeline: 'p' })[1]
  assert.equal(crashed?.why, 'crashed')
  assert.throws(() => store.commit({ run: String(crashed?.id), books: {}, deadLetters: [] }), { code: 'RUN_LOCKED' })
  store.commit({ run: run.id, books: {}, deadLetters: [] })
})

test('a run that was left without an end does not lock its pipeline for ever in a process that goes on', () => {
  const dir = folder()
  const first = openStore(dir)
  first.beginRun(begin)
  using second = openStore(dir)
  assert.throws(() => second.beginRun(begin), { code: 'RUN_LOCKED' })
  first[Symbol.dispose]()
  second.beginRun(begin)
  assert.equal(second.listRuns()[1]?.why, 'crashed')
})

test('a pid that was used again is another process', () => {
  const me = markOf(process.pid)
  assert.equal(isAlive(me), true)
  assert.equal(isAlive({ ...me, started: `${me.started}0` }), false)
})

test('kill -9 at any moment: state, books and dead letters agree', async () => {
  const seed = randomInt(2 ** 31)
  console.log(`seed ${seed}`)
  let random = seed
  const next = (below: number): number => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    return (random >>> 8) % below
  }
  const dir = folder()
  let letters = 0
  for (let kill = 0; kill < 24; kill++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'fixtures/commit-forever.mjs'), dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    const until = performance.now() + next(40)
    while (performance.now() < until) await new Promise((r) => setImmediate(r))
    child.kill('SIGKILL')
    await once(child, 'exit')
    using store = openStore(dir)
    const n = (JSON.parse(store.stateOf('p')?.text ?? '{"n":0}') as { n: number }).n
    const all = store.countDeadLetters()
    assert.equal(all, n, `kill ${kill}: as many dead letters as the state says`)
    const run = store.getRun('latest')
    assert.equal(run.counts.received, n - letters, `kill ${kill}: as many records as the state says`)
    letters = all
  }
  assert.ok(letters > 24, `only ${letters} commits`)
})

test('a damaged, foreign or newer file is refused with what is wrong', () => {
  const whole = folder()
  {
    using store = openStore(whole)
    const { run } = store.beginRun(begin)
    const text = JSON.stringify({ pad: 'x'.repeat(100_000) })
    store.commit({ run: run.id, state: text, books: books(1), deadLetters: [] })
  }
  const spoiled = (spoil: (file: string) => void): string => {
    const dir = folder()
    mkdirSync(dirname(storeFile(dir)))
    copyFileSync(storeFile(whole), storeFile(dir))
    spoil(storeFile(dir))
    return dir
  }
  for (const [what, dir, why] of [
    ['cut', spoiled((f) => truncateSync(f, statSync(f).size - 50_000)), /damaged/],
    ['torn first page', spoiled((f) => truncateSync(f, 1000)), /./],
    ['not a database', spoiled((f) => writeFileSync(f, 'hello '.repeat(2000))), /not a SQLite database/],
    [
      'overwritten',
      spoiled((f) => {
        const b = readFileSync(f)
        b.fill(0x5a, 4096, 60_000)
        writeFileSync(f, b)
      }),
      /damaged/,
    ],
    [
      'newer',
      spoiled((f) => {
        using db = new DatabaseSync(f)
        db.exec('pragma user_version = 99')
      }),
      /newer Millrace \(schema 99/,
    ],
    // It was taken as new, and everything was read again without a word.
    [
      'emptied',
      spoiled((f) => {
        truncateSync(f, 0)
        const later = Date.now() / 1000 + 60
        utimesSync(f, later, later)
      }),
      /it is empty and was not/,
    ],
  ] as const)
    assert.throws(
      () => openStore(dir),
      (e: MillraceError) => e.code === 'STORE_UNUSABLE' && why.test(e.message),
      what,
    )
  const appended = spoiled((f) => appendFileSync(f, 'rest'))
  openStore(appended)[Symbol.dispose]()
  // What a process leaves that is killed before it wrote anything.
  const begun = folder()
  mkdirSync(dirname(storeFile(begun)))
  writeFileSync(storeFile(begun), '')
  openStore(begun)[Symbol.dispose]()
  const blocked = folder()
  writeFileSync(join(blocked, '.millrace'), 'a file')
  assert.throws(() => openStore(blocked), { code: 'STORE_UNUSABLE' })
})

test('many processes may open a new store at once', async () => {
  const dir = folder()
  const open = join(import.meta.dirname, 'open.ts')
  const program = `import { openStore } from ${JSON.stringify(open)}; openStore(${JSON.stringify(dir)}).setState('p' + process.pid, '1')`
  const ends = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
        stdio: ['ignore', 'inherit', 'inherit'],
      })
      return (await once(child, 'exit'))[0] as number
    }),
  )
  assert.deepEqual(ends, [0, 0, 0, 0, 0, 0])
  using store = openStore(dir)
  assert.equal(store.pipelines().length, 6)
})
