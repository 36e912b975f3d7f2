import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Books } from '@millrace/sdk'
import { openBooks, totals, withEmitted } from './books.ts'
import { globTest } from './glob.ts'
import { adHocPipeline, destinationPlace, endIdentity, type PipelineEnd } from './pipeline.ts'
import { applySelection, takesField, wantedOf } from './selection.ts'
import { diffStates, isEmptier, readStateText } from './state.ts'

const git: PipelineEnd = { kind: 'connector', name: 'git', config: { path: '.' }, env: {} }
const duckdb = (path: string): PipelineEnd => ({ kind: 'connector', name: 'duckdb', config: { path }, env: {} })

test('an ad hoc pipeline is named by its two ends: the same ends, the same state', () => {
  const a = adHocPipeline({ from: git, to: duckdb('out.duckdb'), cwd: '/p' })
  assert.match(a.name, /^git-to-duckdb-[0-9a-f]{6}$/)
  assert.equal(adHocPipeline({ from: git, to: duckdb('/p/out.duckdb'), cwd: '/p' }).name, a.name)
  assert.notEqual(adHocPipeline({ from: git, to: duckdb('other.duckdb'), cwd: '/p' }).name, a.name)
  assert.notEqual(adHocPipeline({ from: git, to: duckdb('out.duckdb'), cwd: '/q' }).name, a.name)
})

test('the identity of an end is its place, not its options', () => {
  const one: PipelineEnd = { kind: 'connector', name: 'duckdb', config: { path: 'x', schema: 'a' }, env: {} }
  assert.equal(endIdentity(one, '/p'), endIdentity(duckdb('x'), '/p'))
  const tap = (config: PipelineEnd['config']): PipelineEnd => ({ kind: 'exec', exec: ['tap-x'], config, env: {} })
  assert.equal(endIdentity(tap({ a: 1, b: 2 }), '/p'), endIdentity(tap({ b: 2, a: 1 }), '/p'))
  assert.notEqual(endIdentity(tap({ a: 1 }), '/p'), endIdentity(tap({ a: 2 }), '/p'))
})

test('the place a pipeline writes to moves with its folder', () => {
  const place = (path: string, cwd: string): string | undefined => destinationPlace({ to: duckdb(path), cwd })
  assert.equal(place('out.duckdb', '/p'), 'duckdb out.duckdb')
  assert.equal(place('./a/../out.duckdb', '/q'), 'duckdb out.duckdb')
  assert.equal(place('/p/out.duckdb', '/p'), 'duckdb out.duckdb')
  assert.equal(place('../out.duckdb', '/p/q'), 'duckdb /p/out.duckdb')
  assert.equal(place('$' + '{OUT}', '/p'), 'duckdb $' + '{OUT}')
  const at = (url: string): string | undefined =>
    destinationPlace({ to: { kind: 'connector', name: 'postgres', config: { url }, env: {} }, cwd: '/p' })
  // Who goes there, and with what, is not part of the place.
  assert.equal(at('postgresql://u:s3cret@h:5433/d?sslmode=require'), 'postgres postgresql://h:5433/d')
  assert.equal(at('postgresql://u:$' + '{PW}@h/d'), 'postgres postgresql://h/d')
  assert.equal(at('$' + '{DB_URL}'), 'postgres $' + '{DB_URL}')
  assert.equal(at('host=h password=s3cret'), undefined)
  assert.equal(
    destinationPlace({ to: { kind: 'exec', exec: ['t'], config: { path: 'x' }, env: {} }, cwd: '/p' }),
    undefined,
  )
})

test('globs', () => {
  for (const [pattern, name, matches] of [
    ['a*', 'abc', true],
    ['a?c', 'abc', true],
    ['a.c', 'abc', false],
    ['*', '', true],
    ['order(s)', 'order(s)', true],
    ['o*r', 'orders', false],
  ] as const)
    assert.equal(globTest(pattern)(name), matches, `${pattern} ${name}`)
})

test('selection: later entries win, one positive entry leaves out the rest', () => {
  assert.equal(wantedOf({ commits: true }, 'refs'), false)
  assert.equal(wantedOf({ refs: false }, 'commits'), undefined)
  assert.equal(wantedOf({ refs: false }, 'refs'), false)
  assert.equal(wantedOf({ '*': true, refs: false }, 'refs'), false)
  assert.deepEqual(wantedOf({ '*': true, files: ['sha'] }, 'files'), ['sha'])
  assert.equal(takesField(['sha', 'p*'], 'path'), true)
  assert.equal(takesField(['sha'], 'path'), false)
  assert.equal(takesField(['!body'], 'path'), true)
  assert.equal(takesField(['*', '!body'], 'body'), false)
})

test('selection is written into the catalog; what names nothing is told', () => {
  const entry = (name: string): { [k: string]: never } =>
    ({
      tap_stream_id: name,
      stream: name,
      schema: { properties: { sha: {}, path: {}, body: {} } },
      metadata: [{ breadcrumb: ['properties', 'sha'], metadata: { inclusion: 'automatic' } }],
    }) as never
  const catalog = { streams: [entry('commits'), entry('files'), entry('refs')] }
  const before = JSON.stringify(catalog)
  const { catalog: selected, problems } = applySelection(catalog, { commits: true, files: ['sha', 'pth'], ref: false })
  assert.deepEqual(problems, [
    'select.files: no field is called "pth"; did you mean path?',
    'select.ref: no substream is called so; did you mean refs?',
  ])
  assert.equal(JSON.stringify(catalog), before)
  const of = (name: string): unknown =>
    (selected['streams'] as { stream: string; metadata: unknown }[]).find((s) => s.stream === name)?.metadata
  assert.deepEqual(of('files'), [
    { breadcrumb: ['properties', 'sha'], metadata: { inclusion: 'automatic', selected: true } },
    { breadcrumb: [], metadata: { selected: true } },
    { breadcrumb: ['properties', 'path'], metadata: { selected: false } },
    { breadcrumb: ['properties', 'body'], metadata: { selected: false } },
  ])
  assert.deepEqual((of('refs') as unknown[]).at(-1), { breadcrumb: [], metadata: { selected: false } })
})

test('emptier states, by table', () => {
  const b = (marks: unknown): string => JSON.stringify({ bookmarks: marks })
  const rows: readonly [string | undefined, string | undefined, boolean][] = [
    [undefined, '{}', false],
    ['{}', 'null', false],
    ['{"a":1}', '{}', true],
    ['{"a":1}', 'null', true],
    ['"2016-11-01"', '""', true],
    ['{"a":1}', '{"b":1}', false],
    ['{"a":1}', undefined, true],
    [b({ a: { id: 1 } }), b({ a: { id: 0 } }), false],
    [b({ a: { id: 1 }, b: { id: 2 } }), b({ a: { id: 3 } }), true],
    [b({ a: { id: 1 }, b: {} }), b({ a: { id: 3 } }), false],
    [b({ a: { id: 1 } }), b({ a: {} }), false],
    [b({ a: { id: 1 } }), b({}), true],
    [b({ a: { id: 1 } }), '{}', true],
    [b({ a: { id: 1 } }), '{"currently_syncing":"a"}', true],
    [b({}), '{}', false],
    // Of a whole table there is no place: its first run ended here, once it was long enough for two states.
    ['{"bookmarks":{},"currently_syncing":"a"}', b({}), false],
    ['{"currently_syncing":"a"}', '{}', false],
    ['{"a":1}', '{"currently_syncing":"a"}', true],
    [b({ a: 1 }), '5', true],
  ]
  for (const [before, after, emptier] of rows)
    assert.equal(isEmptier(before, after) !== undefined, emptier, `${before} → ${after}`)
  assert.equal(isEmptier(b({ a: 1, b: 2 }), b({})), 'the bookmarks of a, b would be gone')
  const isLeftOut = (name: string): boolean => name === 'b'
  assert.equal(isEmptier(b({ a: 1, b: 2 }), b({ a: 1 }), isLeftOut), undefined)
  assert.equal(isEmptier(b({ a: 1, b: 2 }), b({ b: 2 }), isLeftOut), 'the bookmark of a would be gone')
  assert.equal(isEmptier(b({ b: 2 }), b({}), isLeftOut), undefined)
  assert.equal(isEmptier(b({ b: 2 }), '{}', isLeftOut), 'it is {}')
})

test('the state in a text: whole, last complete line, torn last line, unreadable', () => {
  assert.equal(readStateText('', 's'), undefined)
  assert.equal(readStateText(' \n', 's'), undefined)
  assert.equal(readStateText('{\n "a": 1\n}\n', 's'), '{\n "a": 1\n}')
  assert.equal(readStateText('{"a":1}\n{"a":2}\n', 's'), '{"a":2}')
  assert.equal(readStateText('{"a":1}\n{"a":2}\n{"a', 's'), '{"a":2}')
  assert.equal(readStateText('{"a":1}\n{"a":2}', 's'), '{"a":2}')
  assert.equal(readStateText('11\n12\n1', 's'), '12')
  assert.throws(() => readStateText('{"a":1}\nnot json\n', 's'), { code: 'STATE_UNREADABLE' })
  assert.throws(() => readStateText('{"a', 's'), { code: 'STATE_UNREADABLE' })
  assert.equal(readStateText('{"type":"STATE","value":{"a":12345678901234567890}}', 's'), '{"a":12345678901234567890}')
  assert.throws(() => readStateText('{"type":"STATE","value":null}', 's'), { code: 'STATE_UNREADABLE' })
})

test('what differs between two states keeps every digit', () => {
  assert.deepEqual(
    diffStates(
      '{"bookmarks":{"a":{"id":9007199254740993},"b c":1,"l":[1,2]}}',
      '{"bookmarks":{"a":{"id":9007199254740994},"n":null,"l":[1,3]}}',
    ),
    [
      { path: 'bookmarks.a.id', kind: 'changed', before: '9007199254740993', after: '9007199254740994' },
      { path: 'bookmarks["b c"]', kind: 'removed', before: '1' },
      { path: 'bookmarks.l[1]', kind: 'changed', before: '2', after: '3' },
      { path: 'bookmarks.n', kind: 'added', after: 'null' },
    ],
  )
  assert.deepEqual(diffStates('{"a":1}', '{"a":1}'), [])
  assert.deepEqual(diffStates(undefined, '1'), [{ path: '(whole state)', kind: 'added', after: '1' }])
})

test('books close by count and by digest', () => {
  const account = (records: number, digest: string): { records: number; bytes: number; digest: string } => ({
    records,
    bytes: records * 10,
    digest,
  })
  const none = account(0, '0000000000000000')
  const books: Books = {
    a: {
      received: account(3, '0000000000000006'),
      stored: account(1, '0000000000000001'),
      filtered: account(1, '0000000000000002'),
      deadLettered: account(1, '0000000000000003'),
    },
  }
  assert.deepEqual(openBooks(books, true), [])
  assert.deepEqual(openBooks(withEmitted(books, { a: { records: 3, digest: '0000000000000006' } }), true), [])
  const hidden = JSON.parse('{"__proto__":{"records":1,"digest":"0000000000000001"}}')
  assert.deepEqual(openBooks(withEmitted(books, hidden), true), ['__proto__: 1 emitted, 0 received'])
  assert.deepEqual(openBooks(withEmitted(books, { a: { records: 4, digest: '0000000000000006' } }), true), [
    'a: 4 emitted, 3 received',
  ])
  assert.deepEqual(openBooks(withEmitted(books, { a: { records: 4, digest: '0000000000000006' } }), false), [])
  assert.deepEqual(openBooks(withEmitted(books, { b: { records: 1, digest: '0000000000000006' } }), true), [
    'b: 1 emitted, 0 received',
  ])
  assert.equal(openBooks({ a: { ...(books['a'] as Books['a'] & object), stored: none } }, true).length, 1)
  assert.match(
    String(openBooks({ a: { ...(books['a'] as Books['a'] & object), stored: account(1, '0000000000000009') } }, true)),
    /digest/,
  )
  assert.deepEqual(totals(books), { received: 3, stored: 1, filtered: 1, deadLettered: 1, bytes: 30 })
})

test('a state of null is refused: it is no place, and not the beginning', () => {
  for (const text of ['null', '{"bookmarks":{"a":{"bookmark":2}}}\nnull\n', ' null \n'])
    assert.throws(() => readStateText(text, 'state.json'), /it says null/)
  assert.equal(readStateText('null\n{"a":1}\n', 'state.json'), '{"a":1}')
})
