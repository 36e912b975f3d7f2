import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  createLogger,
  isMillraceError,
  type JsonObject,
  type MillraceError,
  type PersisterRunOptions,
  type Report,
  resolveConfig,
  runPersister,
} from '@millrace/sdk'
import { compileSchema } from '../../gate/index.ts'
import { singer } from './index.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../../singer/fixtures/${name}`, import.meta.url))
const targets = { node: [process.execPath, fixture('target.mjs')], python: ['python3', fixture('target.py')] }

const skip = spawnSync('python3', ['--version']).status === 0 ? false : 'needs python3'
const root = mkdtempSync(join(tmpdir(), 'singer-persister-'))
after(() => rmSync(root, { recursive: true, force: true }))

const schema =
  '{"type":"SCHEMA","stream":"things","schema":{"type":"object","properties":{"id":{"type":"integer"}}},"key_properties":["id"]}'
const record = (id: unknown): string => `{"type":"RECORD","stream":"things","record":{"id":${JSON.stringify(id)}}}`
const state = (value: unknown): string => JSON.stringify({ type: 'STATE', value })

interface Sent {
  readonly states: readonly string[]
  readonly reports: readonly Report[]
  readonly log: readonly string[]
  readonly rows: readonly JsonObject[]
  readonly dir: string
  readonly error: MillraceError | undefined
}

const send = async (
  lines: readonly string[],
  config: JsonObject,
  more: Partial<PersisterRunOptions> & { readonly command?: readonly string[]; readonly settings?: JsonObject } = {},
): Promise<Sent> => {
  const { command = targets.node, settings = {}, ...options } = more
  const dir = mkdtempSync(join(root, 'd-'))
  const states: string[] = []
  const reports: Report[] = []
  const log: string[] = []
  let error: MillraceError | undefined
  await runPersister(singer, {
    config: resolveConfig(singer.config, {
      kind: 'persister',
      name: 'singer',
      file: { command, config: { path: dir, ...config }, ...settings },
    }).config,
    input: (async function* () {
      yield Buffer.from(lines.map((l) => `${l}\n`).join(''))
    })(),
    writeState: (line) => void states.push(line.trimEnd()),
    log: createLogger({ format: 'text', level: 'info', write: (line) => void log.push(line.trimEnd()) }),
    signal: new AbortController().signal,
    report: (r) => void reports.push(r),
    relay: (line) => void log.push(line),
    ...options,
  }).catch((e: unknown) => {
    assert.ok(isMillraceError(e), String(e))
    error = e
  })
  const file = join(dir, 'rows.jsonl')
  const rows = existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((l) => l !== '')
        .map((l) => JSON.parse(l) as JsonObject)
    : []
  return { states, reports, log, rows, dir, error }
}

const ids = (sent: Sent): readonly unknown[] =>
  sent.rows.filter((r) => r['record'] !== undefined).map((r) => (r['record'] as JsonObject)['id'])
const stored = (report: Report | undefined): number =>
  report?.kind === 'commit' || report?.kind === 'closed' ? (report.books['things']?.stored.records ?? 0) : -1

test("a target's state lines are the acknowledgement, and the books are those of the state", async () => {
  const sent = await send([schema, record(1), record(2), state({ a: 1 }), record(3), state({ a: 2 }), record(4)], {})
  assert.equal(sent.error, undefined)
  assert.deepEqual(sent.states, ['{"a":1}', '{"a":2}'])
  const commits = sent.reports.filter((r) => r.kind === 'commit')
  assert.deepEqual(
    commits.map((r) => [r.state, stored(r)]),
    [
      ['{"a":1}', 2],
      ['{"a":2}', 3],
      [undefined, 4],
    ],
  )
  assert.equal(stored(sent.reports.at(-1)), 4)
  assert.deepEqual(ids(sent), [1, 2, 3, 4])
})

test("a tap's lines reach the target as they came, and a bad one among them is set aside", async () => {
  // A target that keeps each line.
  const keeps = 'cat > "$OUT"; printf \'{"all": true}\\n\''
  const many = Array.from(
    { length: 200 },
    (_, i) =>
      `{"type": "RECORD", "stream": "things", "version": 3, "record": {"id": ${i === 120 ? '"x"' : i}, "more": "é\\u00e9"}, "time_extracted": "2026-01-01T00:00:00Z"}`,
  )
  const out = join(mkdtempSync(join(root, 'd-')), 'lines')
  const sent = await send(
    [schema, ...many, state(1)],
    {},
    {
      command: ['sh', '-c', keeps.replace('$OUT', out)],
      onInvalid: 'dead-letter',
      keepDeadLetters: async () => {},
      compileSchema,
      input: (async function* () {
        yield Buffer.from(`${[schema, ...many.slice(0, 60)].join('\n')}\n`)
        yield Buffer.from(`${many.slice(60, 100).join('\n')}\n`)
        yield Buffer.from(`${[...many.slice(100), state(1)].join('\n')}\n`)
      })(),
    },
  )
  assert.equal(sent.error, undefined)
  const got = readFileSync(out, 'utf8').split('\n')
  const good = many.filter((_, i) => i !== 120)
  assert.deepEqual(
    got.slice(1, -2).map((l) => JSON.parse(l) as unknown),
    good.map((l) => JSON.parse(l) as unknown),
  )
  // Where a line stands among good ones nothing of it is written anew.
  assert.deepEqual(got.slice(61, 101), many.slice(60, 100))
  const books = sent.reports.findLast((r) => r.kind === 'closed')?.books['things']
  assert.deepEqual(
    [books?.received.records, books?.stored.records, books?.deadLettered.records],
    [200, 199, 1],
    'the books close',
  )
  assert.equal(
    BigInt(`0x${books?.received.digest ?? ''}`),
    (BigInt(`0x${books?.stored.digest ?? ''}`) + BigInt(`0x${books?.deadLettered.digest ?? ''}`)) & 0xffffffffffffffffn,
  )
})

test('records without a schema widen what is inferred also where they come many at a time', async () => {
  const line = (id: number, more: string): string => `{"type":"RECORD","stream":"things","record":{"id":${id}${more}}}`
  const part = (from: number, more: string): Buffer =>
    Buffer.from(Array.from({ length: 60 }, (_, i) => `${line(from + i, more)}\n`).join(''))
  const out = join(mkdtempSync(join(root, 'd-')), 'lines')
  const sent = await send(
    [],
    {},
    {
      command: ['sh', '-c', `cat > ${out}`],
      input: (async function* () {
        yield part(0, '')
        yield Buffer.from(`${state(1)}\n`)
        yield part(60, ',"late":true')
      })(),
    },
  )
  assert.equal(sent.error, undefined)
  const messages = readFileSync(out, 'utf8').trimEnd().split('\n')
  const wide = messages.findIndex((l) => l.includes('"SCHEMA"') && l.includes('"late"'))
  assert.ok(wide > 0, 'the wider schema is sent')
  assert.ok(wide < messages.findIndex((l) => l.includes('"late":true')), 'and before the first such record')
})

test('a target that ends well while it is being written to is a failure', async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => record(i))
  const sent = await send([schema, ...many], {}, { command: ['sh', '-c', 'head -c 1000 > /dev/null'], compileSchema })
  assert.equal(sent.error?.code, 'PROCESS_FAILED')
})

test('a Python target that prints only the newest state, its own way', { skip }, async () => {
  const values = Array.from({ length: 30 }, (_, i) => ({ b: { x: i }, a: 'é' }))
  const lines = values.flatMap((v, i) => [record(i), state(v)])
  const sent = await send([schema, ...lines], { batch_size: 10 }, { command: targets.python })
  assert.equal(sent.error, undefined)
  assert.deepEqual(
    sent.reports.filter((r) => r.kind === 'commit').map((r) => stored(r)),
    [9, 19, 29, 30, 30],
  )
  assert.equal(JSON.parse(sent.states.at(-1) ?? '').b.x, 29)
  assert.ok(sent.log.some((l) => l.includes('METRIC: {"type": "counter"')))
})

test('a target that dies says why in its own last words, without secrets; nothing after its last state counts', {
  skip,
}, async () => {
  for (const [command, config, why] of [
    [
      targets.node,
      { die_on: [3], api_token: 'hunter2-hunter2' },
      'target.mjs ended with exit code 1: Error: duplicate key value violates constraint "things_pkey" (token ***)',
    ],
    [
      targets.python,
      { die_on: [3], batch_size: 1 },
      'target.py ended with exit code 1: ValueError: value too long for type character varying(3)',
    ],
  ] as const) {
    const lines = [schema, record(1), state(1), record(2), state(2), record(3), state(3), record(4), state(4)]
    const sent = await send(lines, config, { command })
    assert.equal(sent.error?.message, why)
    assert.equal(sent.error?.exitCode, 75)
    assert.ok(!sent.states.includes('3') && !sent.states.includes('4'), String(sent.states))
    assert.deepEqual(
      sent.reports.filter((r) => r.kind === 'closed'),
      [],
    )
    assert.ok(!sent.log.join('\n').includes('hunter2'))
  }
})

test('a target that goes away before the end of its input is a failure, whatever its exit code', async () => {
  const lines = Array.from({ length: 200_000 }, (_, i) => record(i))
  const sent = await send([schema, ...lines], { early: 1 })
  assert.equal(sent.error?.message, 'target.mjs ended with exit code 0 before its input came to its end')
  const missing = await send([schema, record(1)], {}, { command: ['/nowhere/target-x'] })
  assert.equal(missing.error?.code, 'PROCESS_NOT_STARTED')
  assert.match(missing.error?.message ?? '', /target-x: there is no program "\/nowhere\/target-x"/)
})

test('bad records are refused before the target sees them, and set aside with the state behind them', async () => {
  const lines = [schema, record(1), record('no'), state(1), record(2)]
  const sent = await send(lines, {}, { compileSchema, onInvalid: 'dead-letter' })
  assert.deepEqual(ids(sent), [1, 2])
  const commit = sent.reports.find((r) => r.kind === 'commit')
  assert.deepEqual(
    commit?.deadLetters.map((l) => [l.substream, l.code]),
    [['things', 'RECORD_INVALID']],
  )
  const stopped = await send(lines, {}, { compileSchema })
  assert.equal(stopped.error?.code, 'RECORD_INVALID')
  assert.deepEqual([ids(stopped), stopped.states], [[1], []])
})

test('a target that never prints the last state: told, and with acknowledge exit its end counts', async () => {
  const lines = [schema, record(1), state(1)]
  const silent = await send(lines, { every_states: 5, silent_end: true })
  assert.deepEqual(silent.states, [])
  assert.match(silent.log.join('\n'), /did not answer the last state/)
  const sent = await send(lines, { every_states: 5, silent_end: true }, { settings: { acknowledge: 'exit' } })
  assert.deepEqual(sent.states, ['1'])
})

test('its settings are a file for us alone, gone afterwards; a file of its own stays', async () => {
  const before = readdirSync(tmpdir()).filter((n) => n.startsWith('millrace-singer-'))
  const dir = mkdtempSync(join(root, 'c-'))
  const script = join(dir, 'target.sh')
  writeFileSync(script, `#!/bin/sh\nls -lnd "$2" >&2\ncat > /dev/null\n`, { mode: 0o755 })
  const sent = await send([schema], { api_key: 'k' }, { command: [script] })
  assert.match(sent.log[0] ?? '', /^-rw------- .*config\.json$/)
  assert.deepEqual(
    readdirSync(tmpdir()).filter((n) => n.startsWith('millrace-singer-') && !before.includes(n)),
    [],
  )
  const own = join(dir, 'own.json')
  writeFileSync(own, JSON.stringify({ path: dir }))
  const kept = await runPersister(singer, {
    config: resolveConfig(singer.config, {
      kind: 'persister',
      name: 'singer',
      file: { command: targets.node, config_file: own },
    }).config,
    input: (async function* () {
      yield Buffer.from(`${schema}\n${record(7)}\n`)
    })(),
    writeState: () => {},
    log: createLogger({ format: 'text', level: 'error', write: () => {} }),
    signal: new AbortController().signal,
  })
  assert.equal(kept.books['things']?.stored.records, 1)
  assert.ok(existsSync(own))
})

test('a 0.1 streamer, whose records have no schema, feeds a target that needs one', { skip }, async () => {
  const sent = await send(
    [
      'stitchstream/0.1',
      'Content-Type: jsonline',
      '--',
      '{"type":"RECORD","stream":"things","key_fields":["id"],"record":{"id":1}}',
      '{"type":"BOOKMARK","value":"p"}',
    ],
    { batch_size: 1 },
    { command: targets.python },
  )
  assert.equal(sent.error, undefined)
  assert.deepEqual([ids(sent), sent.states], [[1], ['"p"']])
})
