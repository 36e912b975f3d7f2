import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { isAlive, markOf, type ProcessMark } from '../store/liveness.ts'
import { type Bench, bench, eventually, fixture, foreign, privateFolders } from './testing.ts'
import type { RunEvent } from './types.ts'

/** A runner in a process of its own, and what it tells. */
const startRunner = (
  b: Bench,
  streamer: string,
  config: object,
): {
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  readonly next: (kind: RunEvent['kind']) => Promise<RunEvent>
} => {
  const child = spawn(
    process.execPath,
    [fixture('runner'), b.dir, `${streamer}.mjs`, JSON.stringify(config), JSON.stringify({ path: b.path })],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })
  const seen: RunEvent[] = []
  const waiting: (() => void)[] = []
  lines.on('line', (line) => {
    seen.push(JSON.parse(line) as RunEvent)
    for (const wake of waiting.splice(0)) wake()
  })
  return {
    child,
    ended: once(child, 'exit'),
    next: async (kind) => {
      while (true) {
        const at = seen.findIndex((e) => e.kind === kind)
        if (at >= 0) return seen.splice(0, at + 1)[at] as RunEvent
        await new Promise<void>((resolve, reject) => {
          waiting.push(resolve)
          child.once('exit', () => reject(new Error(`the runner ended before it told ${kind}`)))
        })
      }
    },
  }
}

const marks = (running: RunEvent): readonly ProcessMark[] =>
  running.kind === 'running' ? [running.streamer, running.persister].filter((p) => p !== undefined).map(markOf) : []

test('SIGKILL of the runner: its children end, its files go, the next run takes over', async () => {
  using b = bench()
  const before = privateFolders()
  for (const streamer of ['deaf', 'polite', 'floods-stdout']) {
    const runner = startRunner(b, streamer, { records: 0 })
    const children = marks(await runner.next('running'))
    assert.equal(children.length, 2)
    await runner.next('state')
    await assert.rejects(b.run({ from: foreign('polite'), to: foreign('target', { path: b.path }) }), {
      code: 'RUN_LOCKED',
    })
    runner.child.kill('SIGKILL')
    await runner.ended
    await eventually(`both children of ${streamer} are gone`, () => children.every((c) => !isAlive(c)))
    await eventually('the private folder is gone', () => privateFolders().every((f) => before.includes(f)))
    assert.ok(b.store.stateOf('p') !== undefined)
    const at = (JSON.parse(b.store.stateOf('p')?.text ?? '') as { bookmarks: { a: { id: number } } }).bookmarks.a.id
    const next = await b.run({ from: foreign('polite', { records: at + 1 }), to: foreign('target', { path: b.path }) })
    assert.equal(next.why, 'finished')
    assert.equal(b.store.listRuns()[1]?.why, 'crashed')
    b.store.setState('p', undefined)
  }
})

test('a crashed run whose children still live: the one who takes over kills them', async () => {
  using b = bench()
  const orphan = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' })
  const gone = once(orphan, 'exit')
  const holder = spawn(process.execPath, ['--input-type=module', '-e', takeLock(b.dir, Number(orphan.pid))], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  assert.deepEqual(await once(holder, 'exit'), [0, null])
  b.store.beginRun({ pipeline: 'p', destination: 'd', mode: 'incremental' })
  assert.deepEqual(await gone, [null, 'SIGKILL'])
})

const takeLock = (dir: string, pid: number): string => `
  import { openStore } from ${JSON.stringify(new URL('../store/open.ts', import.meta.url).href)}
  const store = openStore(${JSON.stringify(dir)})
  const { run } = store.beginRun({ pipeline: 'p', destination: 'd', mode: 'incremental' })
  store.noteProcesses(run.id, [${pid}])
  process.exit(0)`

test('whoever is killed, whenever: no state is ahead of the data, and going on loses nothing', async () => {
  const seed = randomInt(2 ** 31)
  console.log(`seed ${seed}`)
  let random = seed
  const next = (below: number): number => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    return (random >>> 8) % below
  }
  using b = bench()
  let stated = 0
  for (let kill = 0; kill < 21; kill++) {
    const runner = startRunner(b, 'polite', { records: 0, every: 50 })
    const [streamer, persister] = marks(await runner.next('running'))
    const victim = [runner.child.pid, streamer?.pid, persister?.pid][kill % 3]
    // Most kills come among the states, some before the first of them.
    if (kill % 5 !== 0) await runner.next('state')
    const until = performance.now() + next(40)
    while (performance.now() < until) await new Promise((r) => setImmediate(r))
    process.kill(Number(victim), 'SIGKILL')
    await runner.ended
    await eventually('nobody is left', () => ![streamer, persister].some((m) => m !== undefined && isAlive(m)))
    const state = (
      JSON.parse(b.store.stateOf('p')?.text ?? '{"bookmarks":{"a":{"id":0}}}') as { bookmarks: { a: { id: number } } }
    ).bookmarks.a.id
    assert.ok(state >= stated, `kill ${kill}: the state went back`)
    stated = state
    const held = new Set(b.ids())
    for (let id = 1; id <= state; id++)
      assert.ok(held.has(id), `kill ${kill}: the state says ${state}, but ${id} is not there`)
  }
  assert.ok(stated > 0)
  const last = await b.run({
    from: foreign('polite', { records: stated + 10 }),
    to: foreign('target', { path: b.path }),
  })
  assert.equal(last.why, 'finished')
  const held = new Set(b.ids())
  for (let id = 1; id <= stated + 10; id++) assert.ok(held.has(id))
})
