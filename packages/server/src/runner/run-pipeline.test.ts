// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the project file look like templates
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { MillraceError } from '@millrace/sdk'
import { isAlive, markOf } from '../store/liveness.ts'
import type { ExecEnd } from '../domain/pipeline.ts'
import { bench, connector, eventually, fixture, foreign, privateFolders } from './testing.ts'

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i + 1)

test('any Singer tap into any Singer target: states kept as they come, the next run goes on', async () => {
  using b = bench()
  const ends = { from: foreign('polite', { records: 10, every: 5 }), to: foreign('target', { path: b.path }) }
  const first = await b.run(ends)
  assert.deepEqual(
    [first.why, first.exitCode, first.mode, first.failure, first.booksKept],
    ['finished', 0, 'full', undefined, false],
  )
  assert.equal(first.stateAfter, '{"bookmarks":{"a":{"id":10}}}')
  assert.deepEqual(b.ids(), range(0, 10))
  assert.equal(b.store.stateOf('p')?.text, first.stateAfter)
  const second = await b.run({ ...ends, from: foreign('polite', { records: 12, every: 5 }) })
  assert.deepEqual([second.mode, second.stateBefore], ['incremental', first.stateAfter])
  assert.ok(b.logs().includes('INFO begins at 10'))
  assert.deepEqual(b.ids(), range(0, 12))
  assert.deepEqual(
    b.store.listRuns().map((r) => [r.why, r.exitCode]),
    [
      ['finished', 0],
      ['finished', 0],
    ],
  )
  const full = await b.run({ ...ends, from: foreign('polite', { records: 2 }) }, { fullRefresh: true })
  assert.deepEqual([full.why, full.mode, full.stateBefore], ['finished', 'full', undefined])
  const given = await b.run(ends, { stateOverride: { text: '{"bookmarks":{"a":{"id":8}}}\n', source: 's.json' } })
  assert.deepEqual([given.why, given.mode], ['finished', 'override'])
  assert.ok(b.logs().includes('INFO begins at 8'))
})

test('the salt of maps comes from the environment, and the maps file says it', async () => {
  using b = bench()
  const to = connector('persister', { path: b.path, echo: true })
  const maps = { a: { mask: { pad: 'hash' }, mask_salt: '${SALT}', rename_to: 'b' } }
  const unset = b.run({ from: foreign('polite', { records: 1 }), to, maps })
  await assert.rejects(unset, (e: MillraceError) => e.code === 'CONFIG_INVALID' && /SALT is not set/.test(e.message))
  await b.run({ from: foreign('polite', { records: 1 }), to, maps }, { env: { ...process.env, SALT: 'pepper' } })
  assert.ok(
    b.logs().some((l) => l.includes('"mask_salt":"pepper","rename_to":"b"')),
    b.logs().join('\n'),
  )
})

test('a reporting persister: books, dead letters, progress, evidence; its arguments', async () => {
  using b = bench()
  const outcome = await b.run({
    from: foreign('polite', { records: 10, every: 5 }),
    to: connector('persister', { path: b.path, letters: [3, 10], echo: true }),
    onInvalid: 'dead-letter',
    validate: false,
    maps: { a: { drop: ['pad'] } },
  })
  assert.deepEqual([outcome.why, outcome.open, outcome.deadLetters], ['finished', [], 2])
  assert.equal(outcome.books['a']?.received.records, 10)
  assert.deepEqual(
    b.store.deadLetters().map((l) => l.text),
    ['{"id":3,"pad":""}', '{"id":10,"pad":""}'],
  )
  assert.deepEqual(b.store.evidence(outcome.run), [{ substream: 'a', rows: 8, marks: {} }])
  assert.ok(
    b.logs().includes('INFO called with --config --maps --on-invalid dead-letter --no-validate'),
    b.logs().join('\n'),
  )
  const progress = b.events.filter((e) => e.kind === 'progress')
  assert.equal(progress.at(-1)?.records, 10)
  assert.deepEqual(
    b.events.filter((e) => e.kind === 'state').map((e) => e.text),
    ['{"bookmarks":{"a":{"id":5}}}', '{"bookmarks":{"a":{"id":10}}}'],
  )
})

test('books that do not close make the run red', async () => {
  using b = bench()
  const outcome = await b.run({ from: foreign('polite'), to: connector('persister', { path: b.path, loses: 1 }) })
  assert.deepEqual([outcome.why, outcome.exitCode, outcome.failure?.code], ['failed', 70, 'BOOKS_OPEN'])
  assert.match(String(outcome.failure?.message), /a: 10 received, but 9 stored/)
  const silent = await b.run({
    from: foreign('polite', { records: 20 }),
    to: connector('persister', { path: b.path, silent: true }),
  })
  assert.match(String(silent.failure?.message), /without closing its books/)
})

test('what is set aside and a state are asked for with the selection as a catalog', async () => {
  using b = bench()
  const ends = { from: foreign('polite'), to: foreign('target', { path: b.path }) }
  const outcome = await b.run({ ...ends, select: { a: ['!pad'] } })
  assert.equal(outcome.why, 'finished')
  assert.ok(
    b
      .logs()
      .some((l) =>
        l.startsWith(
          'INFO catalog [{"breadcrumb":[],"metadata":{"selected":true}},{"breadcrumb":[],"metadata":{"selected":false}}]',
        ),
      ),
    b.logs().join('\n'),
  )
  const wrong = await b.run({ ...ends, select: { c: true } })
  assert.deepEqual([wrong.why, wrong.failure?.code, wrong.exitCode], ['failed', 'CATALOG_INVALID', 78])
})

test('an emptier state, or one that is not JSON, is refused and the stored one stays', async () => {
  using b = bench()
  const good = '{"bookmarks":{"a":{"id":5}}}'
  for (const [lines, code] of [
    [[good, '{}'], 'STATE_EMPTIER'],
    [[good, '{"bookmarks":{"b":1}}'], 'STATE_EMPTIER'],
    [[good, 'done!'], 'STATE_UNREADABLE'],
  ] as const) {
    const outcome = await b.run(
      { from: foreign('polite', { records: 10 }), to: foreign('target', { path: b.path, lines }) },
      { fullRefresh: true },
    )
    assert.deepEqual([outcome.why, outcome.failure?.code, outcome.exitCode], ['failed', code, 78], lines[1])
    assert.equal(b.store.stateOf('p')?.text, good)
  }
  const allowed = await b.run(
    { from: foreign('polite', { records: 10 }), to: foreign('target', { path: b.path, lines: ['{}'] }) },
    { allowEmptierState: true },
  )
  assert.deepEqual([allowed.why, allowed.stateAfter], ['finished', '{}'])
  await assert.rejects(
    b.run(
      { from: foreign('polite'), to: foreign('target', { path: b.path }) },
      { stateOverride: { text: '{"a', source: 's.json' } },
    ),
    { code: 'STATE_UNREADABLE' },
  )
})

test('a streamer that dies: what came is settled, its words are the reason, its exit the run’s', async () => {
  using b = bench()
  const to = foreign('target', { path: b.path })
  const settings = await b.run({ from: foreign('exits-78'), to })
  assert.deepEqual([settings.why, settings.exitCode, settings.failure?.code], ['failed', 78, 'PROCESS_FAILED'])
  assert.match(String(settings.failure?.message), /streamer node ended with exit code 78: CRITICAL no such account$/)
  const late = await b.run({ from: foreign('fails-at-end'), to })
  assert.match(String(late.failure?.message), /exit code 3: FATAL could not log out/)
  assert.equal(late.exitCode, 75)
  assert.equal(late.stateAfter, '{"bookmarks":{"a":{"id":10}}}')
  assert.deepEqual(b.ids(), range(0, 10))
})

test('half a line: of a streamer that died it follows, of one that ended well it is the failure', async () => {
  using b = bench()
  const died = await b.run({ from: foreign('half-a-line', { code: 1 }), to: connector('persister', { path: b.path }) })
  assert.match(String(died.failure?.message), /streamer node ended with exit code 1: CRITICAL lost the connection/)
  assert.equal(died.stateAfter, '{"bookmarks":{"a":{"id":3}}}')
  const well = await b.run({ from: foreign('half-a-line', { code: 0 }), to: connector('persister', { path: b.path }) })
  assert.deepEqual([well.failure?.code, well.exitCode], ['MESSAGE_INCOMPLETE', 65])
})

test('a persister that dies: the streamer is stopped, the persister is the reason', async () => {
  using b = bench()
  for (const streamer of ['floods-stdout', 'hangs', 'polite']) {
    const from = foreign(streamer, { records: 0 })
    const full = await b.run({ from, to: connector('persister', { path: b.path, failsAt: 3 }) })
    assert.deepEqual([full.why, full.exitCode, full.failure?.code], ['failed', 75, 'DESTINATION_FULL'], streamer)
    assert.equal(full.failure?.fix, 'Free some space.')
    const killed = await b.run({ from, to: foreign('target', { path: b.path, dieAfter: 3 }) })
    assert.match(String(killed.failure?.message), /persister node ended with signal SIGKILL/, streamer)
    assert.ok(['stopped', 'signalled', 'failed', 'finished'].includes(String(killed.streamer?.why)))
  }
  const early = await b.run(
    { from: foreign('floods-stdout'), to: foreign('target', { path: b.path, early: 2 }) },
    { graceMs: 200 },
  )
  assert.deepEqual([early.why, early.failure?.code], ['failed', 'PROCESS_FAILED'])
})

test('a shell command finds its state in MILLRACE_STATE, and is warned where it does not look', async () => {
  using b = bench()
  const tap = `${JSON.stringify(process.execPath)} ${JSON.stringify(fixture('polite'))}`
  const shell = (exec: string): ExecEnd => ({ kind: 'exec', exec, config: undefined, env: {} })
  const to = foreign('target', { path: b.path })
  for (const [exec, begins, warned] of [
    [`${tap} \${MILLRACE_STATE:+--state "$MILLRACE_STATE"} | cat`, 0, false],
    [`${tap} \${MILLRACE_STATE:+--state "$MILLRACE_STATE"} | cat`, 10, false],
    [tap, 0, true],
  ] as const) {
    assert.equal((await b.run({ from: shell(exec), to })).why, 'finished')
    assert.ok(b.logs().includes(`INFO begins at ${begins}`), exec)
    assert.equal(
      b.logs().some((l) => /does not use \$MILLRACE_STATE/.test(l)),
      warned,
      exec,
    )
  }
})

test('a program that is not there', async () => {
  using b = bench()
  const nothing = { kind: 'exec', exec: ['no-such-program'], config: undefined, env: {} } as const
  const to = foreign('target', { path: b.path })
  for (const ends of [
    { from: nothing, to },
    { from: foreign('hangs'), to: nothing },
  ]) {
    const outcome = await b.run(ends)
    assert.deepEqual([outcome.why, outcome.failure?.code, outcome.exitCode], ['failed', 'PROCESS_NOT_STARTED', 78])
    assert.match(String(outcome.failure?.message), /there is no program "no-such-program"/)
  }
})

test('stderr is always read: a flood of it stops nothing, a long line is cut, METRIC lines count', async () => {
  using b = bench()
  const to = foreign('target', { path: b.path })
  let longest = 0
  const flood = await b.run(
    { from: foreign('floods-stderr'), to },
    {
      onEvent: (e) => {
        if (e.kind === 'log') longest = Math.max(longest, e.line.length)
      },
    },
  )
  assert.deepEqual([flood.why, flood.stateAfter], ['finished', '{"bookmarks":{"a":{"id":3}}}'])
  assert.equal(longest, 64 * 1024)
  const only = await b.run({ from: foreign('stderr-only'), to })
  assert.equal(only.why, 'finished')
  assert.deepEqual(
    b.events.filter((e) => e.kind === 'log').map((e) => [e.level, e.line]),
    [
      ['warn', 'WARNING nothing new'],
      ['debug', 'DEBUG a last line without its newline'],
    ],
  )
  assert.deepEqual(
    b.events.filter((e) => e.kind === 'progress').map((e) => e.substreams),
    [{ a: { received: 7, stored: 0 } }],
  )
})

test('a streamer that hangs is ended by the idle timeout; one that works is not', async () => {
  using b = bench()
  const hangs = await b.run({ from: foreign('hangs'), to: foreign('target', { path: b.path }) }, { idleTimeoutMs: 300 })
  assert.deepEqual([hangs.why, hangs.failure?.code, hangs.exitCode], ['failed', 'PROCESS_STALLED', 75])
  assert.equal(hangs.stateAfter, '{"bookmarks":{"a":{"id":3}}}')
  const deaf = await b.run(
    { from: foreign('polite', { records: 5 }), to: foreign('target', { path: b.path, deaf: true }) },
    { idleTimeoutMs: 300, graceMs: 100 },
  )
  assert.deepEqual([deaf.failure?.code, deaf.persister], ['PROCESS_STALLED', { why: 'stopped', forced: true }])
})

test('the first signal: the streamer stops, the persister settles, no process is left', async () => {
  using b = bench()
  const stop = new AbortController()
  const outcome = await b.run(
    { from: foreign('polite', { records: 0, every: 100 }), to: connector('persister', { path: b.path }) },
    { signal: stop.signal, onEvent: (e) => e.kind === 'state' && stop.abort('SIGINT') },
  )
  assert.deepEqual(
    [outcome.why, outcome.exitCode, outcome.failure?.code, outcome.open],
    ['stopped', 130, 'INTERRUPTED', []],
  )
  assert.deepEqual([outcome.streamer, outcome.persister], [{ why: 'stopped', forced: false }, { why: 'finished' }])
  const at = (JSON.parse(String(outcome.stateAfter)) as { bookmarks: { a: { id: number } } }).bookmarks.a.id
  assert.deepEqual(b.ids(), range(0, at), 'all that was read is settled, and nothing is missing')
})

test('a streamer that is deaf to SIGTERM is killed after the grace; the second signal kills at once', async () => {
  using b = bench()
  const stop = new AbortController()
  const to = foreign('target', { path: b.path })
  const deaf = await b.run(
    { from: foreign('deaf'), to },
    { graceMs: 100, signal: stop.signal, onEvent: (e) => e.kind === 'state' && stop.abort('SIGINT') },
  )
  assert.deepEqual(
    [deaf.why, deaf.streamer, deaf.stateAfter],
    ['stopped', { why: 'stopped', forced: true }, '{"bookmarks":{"a":{"id":3}}}'],
  )
  const first = new AbortController()
  const second = new AbortController()
  const killed = await b.run(
    { from: foreign('deaf'), to: foreign('target', { path: b.path, deaf: true }) },
    {
      signal: first.signal,
      kill: second.signal,
      onEvent: (e) => {
        if (e.kind === 'state') first.abort('SIGINT')
        if (e.kind === 'stopping') second.abort('SIGINT')
      },
    },
  )
  assert.deepEqual(
    [killed.why, killed.streamer, killed.persister],
    ['stopped', { why: 'stopped', forced: true }, { why: 'stopped', forced: true }],
  )
  const before = new AbortController()
  before.abort('SIGINT')
  assert.equal((await b.run({ from: foreign('hangs'), to }, { signal: before.signal })).why, 'stopped')
})

test('grandchildren end with their parent, also where they keep its pipes open', async () => {
  using b = bench()
  for (const ends of [true, false]) {
    const pidFile = join(b.dir, `pid-${ends}`)
    const stop = new AbortController()
    const outcome = await b.run(
      { from: foreign('forks', { pidFile, ends }), to: foreign('target', { path: b.path }) },
      { graceMs: 200, signal: stop.signal, onEvent: (e) => e.kind === 'state' && !ends && stop.abort() },
    )
    assert.equal(outcome.why, ends ? 'finished' : 'stopped')
    await eventually('the grandchild is there', () => existsSync(pidFile))
    const pid = Number(readFileSync(pidFile, 'utf8'))
    await eventually('the grandchild is gone', () => !isAlive(markOf(pid)) || !existsSync(`/proc/${pid}`))
  }
})

test('secrets are in no argument, the private folder is the owner’s and goes; the environment is an allow-list', async () => {
  using b = bench()
  const before = privateFolders()
  const shell = {
    kind: 'exec',
    // In capitals, which are not known as secrets.
    exec: 'ls -l "$MILLRACE_CONFIG" >&2; (cat "$MILLRACE_CONFIG"; echo; echo "GIVEN=$GIVEN") | tr a-z A-Z >&2; env >&2',
    config: { token: '${TOKEN}' },
    env: { GIVEN: '${TOKEN}-x' },
  } as const
  const env = { ...process.env, TOKEN: 'hunter2', TAP_X: 'tap', OTHER: 'not passed', NAMED: 'yes' }
  const outcome = await b.run({ from: shell, to: foreign('target', { path: b.path }) }, { env, passOn: ['NAMED'] })
  assert.equal(outcome.why, 'finished')
  const logs = b.logs().join('\n')
  assert.match(logs, /^-rw------- .*streamer-sync\.json$/m)
  assert.match(logs, /^\{"TOKEN":"HUNTER2"\}$/m)
  assert.match(logs, /^GIVEN=HUNTER2-X$/m)
  assert.match(logs, /^TAP_X=tap$/m)
  assert.match(logs, /^NAMED=yes$/m)
  assert.match(logs, new RegExp(`^MILLRACE_RUN=${outcome.run}$`, 'm'))
  assert.doesNotMatch(logs, /not passed|^TOKEN=|hunter2/m)
  assert.deepEqual(privateFolders(), before)
  await assert.rejects(
    b.run({ from: shell, to: shell }),
    (e: MillraceError) => e.code === 'CONFIG_INVALID' && /TOKEN is not set/.test(e.message),
  )
})

test('data does not pass through the runner', {
  skip: process.platform !== 'linux',
}, async () => {
  using b = bench()
  // By thread: what is counted for the process holds what its ended children read.
  const moved = (): number =>
    readdirSync('/proc/self/task')
      .map((t) => Number(/rchar: (\d+)/.exec(readFileSync(`/proc/self/task/${t}/io`, 'utf8'))?.[1]))
      .reduce((sum, n) => sum + n, 0)
  const before = moved()
  const outcome = await b.run({
    from: foreign('polite', { records: 40_000, every: 5_000, pad: 1_000 }),
    to: foreign('target', { path: b.path }),
  })
  assert.equal(outcome.why, 'finished')
  assert.ok(moved() - before < 2_000_000, `${moved() - before} bytes were read by the runner of 40 MB`)
})

test('a foreign program that prints its settings does not bring a secret into the log or the store', async () => {
  using b = bench()
  const script =
    'cat "$2" >&2; echo "$TAP_TOKEN" >&2; printf "CRITICAL refused for https://x/?p=hunter%%202" >&2; exit 1'
  const from: ExecEnd = {
    kind: 'exec',
    exec: ['/bin/sh', '-c', script, 'tap'],
    config: { nested: { password: 'hunter 2' }, user: '${THE_TOKEN}', path: '${PLACE}/x', note: 'kept' },
    env: { TAP_TOKEN: 'quo"ted' },
  }
  const env = { ...process.env, THE_TOKEN: 'from-the-environment', PLACE: '/some/place' }
  const outcome = await b.run({ from, to: foreign('target', { path: b.path }) }, { env })
  const said = b.logs().join('\n')
  assert.match(said, /"nested":\{"password":"\*\*\*"\},"user":"\*\*\*","path":"\/some\/place\/x","note":"kept"/)
  assert.equal(outcome.failure?.message, 'streamer sh ended with exit code 1: CRITICAL refused for https://x/?p=***')
  const kept = JSON.stringify(b.store.getRun(outcome.run))
  for (const secret of ['hunter', 'from-the-environment', 'quo'])
    assert.ok(!`${said}${kept}`.includes(secret), `${secret} in ${said}${kept}`)
})
