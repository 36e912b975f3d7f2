/**
 * Programs on libraries of the Singer ecosystem that somebody else wrote: `singer-node` from npm, which writes and parses
 * messages, reads arguments, counts and logs in its own way.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { millrace, temporaryFolder } from './fixtures/program.ts'

const library = mkdtempSync(join(tmpdir(), 'singer-node-'))
after(() => rmSync(library, { recursive: true, force: true }))
writeFileSync(join(library, 'package.json'), '{"private":true}')
const installed = spawnSync(
  'npm',
  ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', 'singer-node@0.1.1'],
  { cwd: library, encoding: 'utf8', timeout: 120_000 },
)
const skip = installed.status === 0 ? false : 'needs singer-node from npm'

const tap = join(library, 'tap.cjs')
writeFileSync(
  tap,
  `const singer = require('singer-node')
const { List } = require('immutable')
// Its own write_message prints objects as the console shows them.
const write = (message) => console.log(singer.format_message(message))
const { config, state, catalog, opts } = singer.parse_args(List(['rows']))
const schema = { type: 'object', properties: { id: { type: 'integer' }, name: { type: ['null', 'string'] } } }
const entry = { tap_stream_id: 'people', stream: 'people', schema, key_properties: ['id'], metadata: [{ breadcrumb: [], metadata: { inclusion: 'available' } }] }
if (opts.discover) console.log(JSON.stringify({ streams: [entry] }))
else if (JSON.stringify(catalog ?? '').includes('"selected":true')) {
  write(new singer.SchemaMessage('people', schema, List(['id'])))
  const from = state?.bookmarks?.people?.id ?? 0
  for (let id = from + 1; id <= config.rows; id++) write(new singer.RecordMessage('people', { id, name: 'n' + id }))
  singer.record_counter('people').increment(config.rows - from).end()
  write(new singer.StateMessage({ bookmarks: { people: { id: config.rows } } }))
}
`,
)
const target = join(library, 'target.cjs')
writeFileSync(
  target,
  `const singer = require('singer-node')
const { List } = require('immutable')
const fs = require('node:fs')
const { config } = singer.parse_args(List(['file']))
const rows = []
let state
for (const line of fs.readFileSync(0, 'utf8').split('\\n').filter((l) => l !== '')) {
  const message = singer.parse_message(line)
  if (message.type === 'RECORD') rows.push(JSON.stringify(message.record) + '\\n')
  if (message.type === 'STATE') state = message.value
}
fs.appendFileSync(config.file, rows.join(''))
if (state !== undefined) console.log(JSON.stringify(state))
`,
)

test('a tap on singer-node into our persisters, and on from its state', { skip }, async () => {
  using folder = temporaryFolder()
  const run = async (rows: number, to: string): Promise<string> => {
    writeFileSync(
      join(folder.path, 'millrace.yaml'),
      JSON.stringify({
        version: 1,
        pipelines: {
          [to]: {
            from: { streamer: 'singer', config: { command: [process.execPath, tap], config: { rows } } },
            to: { persister: to, config: { path: `out.${to}` } },
          },
        },
      }),
    )
    const ended = await millrace(['run', to], { cwd: folder.path })
    assert.equal(ended.code, 0, ended.stderr)
    return ended.stdout
  }
  for (const to of ['jsonl', 'sqlite']) {
    assert.match(await run(5, to), /people +(– +)?5 +5 +0 +0/)
    assert.match(await run(8, to), /people +(– +)?3 +3 +0 +0/)
  }
  assert.equal(readFileSync(join(folder.path, 'out.jsonl/people.jsonl'), 'utf8').split('\n').length, 9)
})

test('our streamers into a target on singer-node', { skip }, async () => {
  using folder = temporaryFolder()
  writeFileSync(
    join(folder.path, 'millrace.yaml'),
    JSON.stringify({
      version: 1,
      pipelines: {
        hello: {
          from: { streamer: 'hello', config: { count: 25 } },
          to: { persister: 'singer', config: { command: [process.execPath, target], config: { file: 'out.jsonl' } } },
        },
      },
    }),
  )
  const ended = await millrace(['run', 'hello'], { cwd: folder.path })
  assert.equal(ended.code, 0, ended.stderr)
  assert.match(ended.stdout, /hello +25 +25 +25 +0 +0/)
  assert.match(ended.stdout, /The books close/)
  assert.equal(readFileSync(join(folder.path, 'out.jsonl'), 'utf8').split('\n').length, 26)
})
