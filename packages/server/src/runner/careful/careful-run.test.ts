import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JsonObject } from '@millrace/sdk'
import type { ExecEnd } from '../../domain/pipeline.ts'
import type { RunOutcome } from '../types.ts'
import { type Bench, bench, connector, fixture, foreign, privateFolders } from '../testing.ts'

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i + 1)
const without = (ids: readonly number[], ...gone: readonly number[]): number[] => ids.filter((id) => !gone.includes(id))
const skip = spawnSync('python3', ['--version']).status === 0 ? false : 'needs python3'

const go = async (
  b: Bench,
  config: JsonObject,
  source: JsonObject = { records: 120, every: 20 },
): Promise<RunOutcome> =>
  await b.run({
    from: foreign('polite', source),
    to: foreign('poison', { path: b.path, ...config }),
    onInvalid: 'dead-letter',
  })

const letters = (b: Bench): readonly (readonly [number, string, string])[] =>
  b.store
    .deadLetters({ pipeline: 'p', after: 0, limit: 1000 })
    .map((l) => [(JSON.parse(l.text) as { id: number }).id, l.code, l.reason])

const starts = (b: Bench): number =>
  existsSync(`${b.path}.starts`) ? readFileSync(`${b.path}.starts`, 'utf8').length : 0

test('a target that dies of a row: the row is set aside with its words, the rest is stored in order', async () => {
  using b = bench()
  const outcome = await go(b, { dies: [7, 82] })
  assert.deepEqual([outcome.why, outcome.failure, outcome.deadLetters], ['finished', undefined, 2])
  assert.deepEqual(b.ids(), without(range(0, 120), 7, 82))
  const why = 'persister poison.mjs ended with exit code 1: CRITICAL value too long for type character varying(3)'
  const name = letters(b)[0]?.[2] ?? ''
  assert.ok(name.endsWith(why.slice(why.indexOf('ended'))), name)
  assert.deepEqual(
    letters(b).map(([id, code]) => [id, code]),
    [
      [7, 'DESTINATION_REFUSED'],
      [82, 'DESTINATION_REFUSED'],
    ],
  )
  assert.equal(outcome.stateAfter, '{"bookmarks":{"a":{"id":120}}}')
  assert.ok(starts(b) < 80, `${starts(b)} processes`)
  assert.deepEqual(privateFolders(), [])
  const letter = b.store.deadLetters({ pipeline: 'p', after: 0, limit: 1 })[0]
  assert.deepEqual([letter?.substream, letter?.line], ['a', 8])
  assert.match(letter?.schema ?? '', /"type":"SCHEMA","stream":"a"/)
})

test('without dead letters asked for, the first failure is the end', async () => {
  using b = bench()
  const outcome = await b.run({
    from: foreign('polite', { records: 10 }),
    to: foreign('poison', { path: b.path, dies: [3] }),
  })
  assert.deepEqual([outcome.why, starts(b), letters(b)], ['failed', 1, []])
})

test('rows that are refused only in company are stored', async () => {
  using b = bench()
  const outcome = await go(b, { inCompany: [11, 12] }, { records: 30, every: 30 })
  assert.deepEqual([outcome.why, outcome.deadLetters], ['finished', 0])
  assert.deepEqual(b.ids(), range(0, 30))
})

test('a target that refuses every row is given up with a clear word, and nothing is set aside', async () => {
  using b = bench()
  const outcome = await go(b, { always: true })
  assert.deepEqual([outcome.why, outcome.exitCode, outcome.failure?.code], ['failed', 65, 'RECORDS_REFUSED'])
  assert.match(
    outcome.failure?.message ?? '',
    /it refused 20 records one after the other and took none; the last time: .*CRITICAL value too long/,
  )
  assert.deepEqual([letters(b), outcome.deadLetters, outcome.stateAfter], [[], 0, undefined])
  assert.ok(starts(b) < 80, `${starts(b)} processes`)
})

test('a target that refuses its schema, or nothing at all, is not searched: its own error ends the run', async () => {
  using b = bench()
  const outcome = await go(b, { schema: true })
  assert.match(outcome.failure?.message ?? '', /permission denied for schema public/)
  assert.equal(outcome.failure?.code, 'PROCESS_FAILED')
  assert.equal(starts(b), 3)
})

test('a target that dies at random loses nothing, and nothing is set aside for it', async () => {
  using b = bench()
  const outcome = await go(b, { random: 47 }, { records: 100, every: 20 })
  assert.deepEqual([outcome.why, outcome.deadLetters], ['finished', 0], outcome.failure?.message)
  assert.deepEqual(b.ids(), range(0, 100))
})

test('a Python target that stores all in one batch, and its traceback', { skip }, async () => {
  using b = bench()
  const to: ExecEnd = {
    kind: 'exec',
    exec: ['python3', join(fixture('poison'), '../poison.py')],
    config: { path: b.path, dies: [33] },
    env: {},
  }
  const outcome = await b.run({ from: foreign('polite', { records: 64, every: 8 }), to, onInvalid: 'dead-letter' })
  assert.equal(outcome.why, 'finished', outcome.failure?.message)
  assert.deepEqual(b.ids(), without(range(0, 64), 33))
  assert.match(letters(b)[0]?.[2] ?? '', /ended with exit code 1: ValueError: invalid input syntax for type date$/)
})

test('one of ours that fails so: its own dead letters and the found ones, closed books, evidence', async () => {
  using b = bench()
  const outcome = await b.run({
    from: foreign('polite', { records: 200, every: 10 }),
    to: connector('persister', { path: b.path, letters: [5, 150], refuses: [42] }),
    onInvalid: 'dead-letter',
  })
  assert.deepEqual([outcome.why, outcome.failure, outcome.open], ['finished', undefined, []])
  const { received, stored, deadLettered } = outcome.books['a'] as NonNullable<RunOutcome['books']['a']>
  assert.deepEqual([received.records, stored.records, deadLettered.records], [200, 197, 3])
  assert.deepEqual(
    letters(b).map(([id, code]) => [id, code]),
    [
      [5, 'RECORD_INVALID'],
      [42, 'DESTINATION_REFUSED'],
      [150, 'RECORD_INVALID'],
    ],
  )
  assert.deepEqual(
    b.store.deadLetters({ pipeline: 'p', after: 0, limit: 9 }).map((l) => l.line),
    // Lines of the streamer, whose second run began behind record 40: the schema, and a state behind every ten records.
    [6, 3, 121],
  )
  assert.equal(outcome.evidence[0]?.rows, 197)
  assert.deepEqual(b.ids(), without(range(0, 200), 5, 42, 150))
})

test('stopped in the middle of the search: what is settled is kept, the next run goes on', async () => {
  using b = bench()
  const stop = new AbortController()
  const source = { records: 3000, every: 1000 }
  const outcome = await b.run(
    {
      from: foreign('polite', source),
      to: foreign('poison', { path: b.path, dies: [2500] }),
      onInvalid: 'dead-letter',
    },
    {
      signal: stop.signal,
      onEvent: (e) => {
        if (e.kind === 'log' && e.line.includes('named no record')) stop.abort(new DOMException('SIGINT', 'AbortError'))
      },
    },
  )
  assert.deepEqual([outcome.why, outcome.failure?.code], ['stopped', 'INTERRUPTED'])
  assert.ok(!process.getActiveResourcesInfo().includes('Timeout'), 'nothing keeps the process that was stopped')
  assert.deepEqual(letters(b), [])
  const next = await go(b, { dies: [2500] }, source)
  assert.deepEqual([next.why, next.deadLetters], ['finished', 1])
  assert.deepEqual(b.ids(), without(range(0, 3000), 2500))
})
