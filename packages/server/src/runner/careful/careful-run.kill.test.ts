import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { bench, eventually, fixture, foreign, privateFolders } from '../testing.ts'

const records = 400
const poisoned = [3, 130, 399]

test('killed in the search, whenever: nothing is lost, no state is ahead, each refused row is set aside once', async () => {
  using b = bench()
  const before = privateFolders()
  const target = { path: b.path, dies: poisoned }
  const source = { records, every: 20 }
  for (const ms of [50, 250, 600, 1000]) {
    const runner = spawn(
      process.execPath,
      [
        fixture('runner'),
        b.dir,
        'polite.mjs',
        JSON.stringify(source),
        JSON.stringify(target),
        'poison.mjs',
        'dead-letter',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const gone = once(runner, 'exit')
    let said = ''
    runner.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await eventually('the search begins', () => said.includes('named no record') || runner.exitCode !== null)
    await delay(ms)
    runner.kill('SIGKILL')
    await gone
    await eventually('the private folder is gone', () => privateFolders().every((f) => before.includes(f)))
    const state = JSON.parse(b.store.stateOf('p')?.text ?? '{"bookmarks":{"a":{"id":0}}}') as {
      bookmarks: { a: { id: number } }
    }
    const held = new Set(b.ids())
    for (let id = 1; id <= state.bookmarks.a.id; id++)
      assert.ok(held.has(id) || poisoned.includes(id), `${ms}: the state is ahead of ${id}`)
  }
  const last = await b.run({ from: foreign('polite', source), to: foreign('poison', target), onInvalid: 'dead-letter' })
  assert.equal(last.why, 'finished', last.failure?.message)
  const ids = b.ids()
  assert.deepEqual(
    [...new Set(ids)].sort((x, y) => x - y),
    Array.from({ length: records }, (_, i) => i + 1).filter((id) => !poisoned.includes(id)),
  )
  assert.deepEqual(
    b.store.deadLetters({ pipeline: 'p', after: 0, limit: 9 }).map((l) => (JSON.parse(l.text) as { id: number }).id),
    poisoned,
  )
})
