// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the project file look like templates
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { encodeJson, type MillraceError } from '@millrace/sdk'
import { findProject, getPipeline, projectEnvironment } from './find.ts'
import { loadProject, parseProject } from './read.ts'
import { resolveEnd } from './references.ts'
import { projectJsonSchema } from './schema.ts'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'millrace project é ')))
after(() => rmSync(folder, { recursive: true }))

const good = `
version: 1
x-shared: &shared { path: out.duckdb }
pipelines:
  history:
    from: { streamer: git, config: { path: ., since: 9007199254740993, token: "\${TOKEN}" } }
    to: { persister: duckdb, config: *shared }
    select: { commits: true, files: [sha, path], "refs": false }
    maps: { commits: { drop: [body], rename: {sha: id}, mask: {author_email: hash}, mask_salt: "\${SALT}", rename_to: history, filter: "record.insertions > 0" } }
    on-invalid: dead-letter
    validate: false
    flush-records: 5000
    flush-seconds: 0.5
  other:
    from: { exec: ["python", "tap.py"], config: { pages: 3 }, env: { KEY: "\${KEY:-none}" } }
    to: { exec: "target-x | cat" }
`

test('a project file is read, with anchors, exact numbers and both kinds of ends', () => {
  const project = parseProject(good, join(folder, 'millrace.yaml'), { streamers: ['git'], persisters: ['duckdb'] })
  const history = getPipeline(project, 'history')
  assert.equal(history.cwd, folder)
  assert.deepEqual([history.flushRecords, history.flushSeconds], [5000, 0.5])
  assert.equal(encodeJson(history.from.config), '{"path":".","since":9007199254740993,"token":"${TOKEN}"}')
  assert.equal(encodeJson(history.to.config), '{"path":"out.duckdb"}')
  assert.deepEqual(history.select, { commits: true, files: ['sha', 'path'], refs: false })
  assert.equal(
    encodeJson(history.maps),
    '{"commits":{"drop":["body"],"rename":{"sha":"id"},"mask":{"author_email":"hash"},"mask_salt":"${SALT}","rename_to":"history","filter":"record.insertions > 0"}}',
  )
  assert.equal(history.onInvalid, 'dead-letter')
  assert.equal(history.validate, false)
  const other = getPipeline(project, 'other')
  assert.deepEqual(other.from.kind === 'exec' && other.from.exec, ['python', 'tap.py'])
  assert.deepEqual(other.to.kind === 'exec' && [other.to.exec, other.to.config], ['target-x | cat', undefined])
  assert.equal(other.onInvalid, 'stop')
  assert.throws(
    () => getPipeline(project, 'histori'),
    (e: MillraceError) => e.code === 'PIPELINE_UNKNOWN' && /did you mean history/.test(e.message),
  )
})

test('all problems are told at once, each with its line and column', () => {
  const bad = `version: 2
pipelins: {}
pipelines:
  a b: { from: { streamer: git }, to: { persister: duckdb } }
  one:
    from: { streamr: git }
    to: { persister: duckbd, config: [1] }
    selct: {}
    select: { commits: maybe }
    maps: { commits: { drp: [a], filter: 3, rename_to: [b] } }
    on-invalid: ignore
    validate: 1
  two:
    from: { exec: ["tap", "--token=\${TOKEN}"], config: { a: "\${9}", b: "\${open" } }
    to: { exec: [] }
  three:
    from: { streamer: git, exec: [a] }
    schedule: "@daily"
  four:
    from: { streamer: git }
    to: { exec: [t] }
    maps: {}
    flush-records: 1.5
    flush-seconds: 0
`
  const known = { streamers: ['git'], persisters: ['duckdb'] }
  assert.throws(
    () => parseProject(bad, '/p/millrace.yaml', known),
    (e: MillraceError) => {
      assert.equal(e.code, 'PROJECT_INVALID')
      const problems = e.details['problems'] as string[]
      for (const expected of [
        /^line 1 column 10: version must be 1/,
        /^line 2 column 1: the project file has no "pipelins"; did you mean pipelines/,
        /^line 4 column 3: "a b" cannot be a pipeline's name/,
        /^line 6 column 13: from has no "streamr"; did you mean streamer/,
        /^line 6 .*needs either "streamer"|^line 6 column 5: from needs either "streamer"/,
        /^line 7 column 22: no persister is called "duckbd"; did you mean duckdb/,
        /^line 7 column 38: config must be a map/,
        /^line 8 column 5: pipeline one has no "selct"; did you mean select/,
        /^line 9 column 24: select.commits must be/,
        /^line 10 .*maps.commits has no "drp"; did you mean drop/,
        /^line 10 .*maps.commits.filter must be/,
        /^line 10 .*maps.commits.rename_to must be/,
        /^line 11 column 17: on-invalid must be stop or dead-letter/,
        /^line 12 column 15: validate must be true or false/,
        /^line 23 column 20: flush-records must be a whole number above 0/,
        /^line 24 column 20: flush-seconds must be a number above 0/,
        /^line 23 .*flush-records works with a persister of Millrace only/,
        /^line 14 .*a reference in "exec"/,
        /^line 14 .*"\$\{9\}" is not a reference/,
        /^line 14 .*"\$\{open" is not a reference/,
        /^line 15 column 17: exec must be a list/,
        /^line 16 column 3: pipeline three has no "to"/,
        /^line 17 column 5: from needs either/,
        /^line 18 column 5: pipeline three has no "schedule"/,
        /^line 22 column 5: maps works with a persister of Millrace only/,
      ])
        assert.ok(
          problems.some((p) => expected.test(p)),
          `${expected} in\n${problems.join('\n')}`,
        )
      assert.equal(problems.length, 26, problems.join('\n'))
      return true
    },
  )
})

test('what is not YAML is told with its line; a duplicate key too; an empty file needs its version', () => {
  const problemsOf = (text: string): readonly string[] => {
    try {
      parseProject(text, '/p/millrace.yaml')
      return []
    } catch (e) {
      return (e as MillraceError).details['problems'] as string[]
    }
  }
  assert.match(String(problemsOf('version: 1\npipelines: [\n')), /^line \d+ column \d+: /)
  assert.match(String(problemsOf('version: 1\nversion: 1\n')), /^line 2 column 1: .*unique/i)
  assert.match(String(problemsOf('')), /version is missing/)
  assert.deepEqual(problemsOf('version: 1\n'), [])
  assert.deepEqual(problemsOf('version: 1\npipelines:\n'), [])
  const bomb = `version: 1\nx-a: &a [1,1,1,1,1,1,1,1,1,1]\n${'bcdefg'
    .split('')
    .map((c, i) => `x-${c}: &${c} [${Array(10).fill(`*${'abcdef'[i]}`).join(',')}]`)
    .join('\n')}\npipelines: { p: { from: { streamer: x, config: { v: *g } }, to: { persister: y } } }\n`
  assert.match(String(problemsOf(bomb)), /more than 100000 values/)
})

test('references are resolved late; a missing one is named, its value never', () => {
  const end = {
    kind: 'connector',
    name: 'x',
    config: { a: ['${env:ONE}', 'x-${TWO:-two}-y'], b: { c: '$${ONE}' }, n: 1 },
    env: { K: '${ONE}' },
  } as const
  const about = { what: 'pipeline p', places: 'the environment' }
  assert.deepEqual(resolveEnd(end, { ONE: '1', TWO: '' }, about), {
    config: { a: ['1', 'x-two-y'], b: { c: '${ONE}' }, n: 1 },
    env: { K: '1' },
  })
  assert.throws(
    () => resolveEnd({ ...end, config: { a: '${NOT} ${NEITHER} ${SECRET}' } }, { SECRET: 'hunter2' }, about),
    (e: MillraceError) =>
      e.code === 'CONFIG_INVALID' &&
      /NOT is not set.*NEITHER is not set.*ONE is not set/.test(e.message) &&
      !/hunter2/.test(e.message + e.fix),
  )
})

test('the project file is found upwards; .env beside it gives way to the environment', () => {
  const deep = join(folder, 'a', 'b')
  mkdirSync(deep, { recursive: true })
  assert.throws(() => loadProject(deep), { code: 'PROJECT_NOT_FOUND' })
  writeFileSync(join(folder, 'millrace.yaml'), good)
  assert.equal(findProject(deep), join(folder, 'millrace.yaml'))
  assert.deepEqual([...loadProject(deep).pipelines.keys()], ['history', 'other'])
  assert.deepEqual(projectEnvironment(folder, { A: 'real' }), { A: 'real' })
  writeFileSync(join(folder, '.env'), 'A=file\nB="with space"\n')
  assert.deepEqual({ ...projectEnvironment(folder, { A: 'real' }) }, { A: 'real', B: 'with space' })
})

test('the JSON Schema of the file names the connectors and their settings', () => {
  const schema = projectJsonSchema({
    streamers: [
      {
        name: 'git',
        doc: 'Reads git.',
        config: { type: 'object', properties: { path: { type: 'string', description: 'Where.' } } },
      },
    ],
    persisters: [],
  })
  const from = JSON.stringify(
    (schema as { properties: { pipelines: { additionalProperties: { properties: { from: unknown } } } } }).properties
      .pipelines.additionalProperties.properties.from,
  )
  assert.match(from, /"const":"git"/)
  assert.match(from, /"path":\{"description":"Where\.","anyOf":\[\{"type":"string"\},/)
})
