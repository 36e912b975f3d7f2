// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the project file look like templates
import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'
import { test } from 'node:test'
import { bench, connector, fixture, foreign } from './testing.ts'
import { verifyRun } from './verify.ts'

const commands = { streamer: () => [], persister: (name: string) => [process.execPath, fixture(name)] }

test('verify asks the destination again; the evidence of the last run that wrote stands', async () => {
  using b = bench()
  const to = connector('persister', { path: b.path })
  const redact = (end: { readonly config: unknown }): never => end.config as never
  const first = await b.run({ from: foreign('polite', { records: 10 }), to }, { redact })
  const options = { store: b.store, commands, env: process.env }
  const alone = await verifyRun({ ...options, run: first.run })
  assert.deepEqual(alone, {
    run: first.run,
    pipeline: 'p',
    overtaken: [],
    substreams: [{ substream: 'a', rows: 10, problems: [], expected: 10, evidenceOf: first.run }],
  })
  const second = await b.run({ from: foreign('polite', { records: 15 }), to }, { redact })
  const older = await verifyRun({ ...options, run: first.run })
  assert.deepEqual(
    [older.overtaken, older.substreams[0]?.expected, older.substreams[0]?.evidenceOf],
    [['a'], 15, second.run],
  )
  appendFileSync(b.path, '99\n')
  await assert.rejects(verifyRun({ ...options, run: 'latest' }), {
    code: 'VERIFY_FAILED',
    message: /a: 16 rows, and not 15/,
  })
})

test('what cannot be verified is told', async () => {
  using b = bench()
  const options = { store: b.store, commands, env: process.env }
  await assert.rejects(verifyRun({ ...options, run: 'nope' }), { code: 'RUN_UNKNOWN' })
  const run = await b.run({ from: foreign('polite'), to: foreign('target', { path: b.path }) })
  await assert.rejects(verifyRun({ ...options, run: run.run }), {
    code: 'CONFIG_INVALID',
    message: /not in the project file/,
  })
  const pipeline = {
    name: 'p',
    cwd: b.dir,
    from: foreign('polite'),
    to: foreign('target', { path: b.path }),
    onInvalid: 'stop',
    validate: true,
  } as const
  await assert.rejects(verifyRun({ ...options, run: run.run, pipeline }), {
    code: 'CONFIG_INVALID',
    message: /left no evidence/,
  })
  const other = { ...pipeline, to: foreign('target', { path: 'elsewhere' }) }
  await assert.rejects(verifyRun({ ...options, run: run.run, pipeline: other }), {
    code: 'CONFIG_INVALID',
    message: /another destination/,
  })
})

test('verify needs nothing of the source: its variables may be gone', async () => {
  using b = bench()
  const to = connector('persister', { path: b.path })
  const run = await b.run(
    { from: foreign('polite', { records: 3, token: '${SOURCE_TOKEN}' }), to },
    { env: { ...process.env, SOURCE_TOKEN: 'x' }, redact: (end) => end.config ?? {} },
  )
  const report = await verifyRun({ store: b.store, commands, env: process.env, run: run.run })
  assert.deepEqual(
    report.substreams.map((s) => s.rows),
    [3],
  )
})
