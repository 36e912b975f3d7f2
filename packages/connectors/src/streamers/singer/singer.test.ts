import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  createLogger,
  isMillraceError,
  type JsonObject,
  type MillraceError,
  resolveConfig,
  runStreamer,
  type StreamerRunOptions,
} from '@millrace/sdk'
import { chosenCatalog } from './catalog.ts'
import { singer } from './index.ts'

const tap = ['python3', fileURLToPath(new URL('../../singer/fixtures/tap.py', import.meta.url))]
const skip = spawnSync('python3', ['--version']).status === 0 ? false : 'needs python3'
const root = mkdtempSync(join(tmpdir(), 'singer-streamer-'))
after(() => rmSync(root, { recursive: true, force: true }))

interface Read {
  readonly text: string
  readonly messages: readonly JsonObject[]
  readonly log: readonly string[]
  readonly error: MillraceError | undefined
}

const run = async (
  command: StreamerRunOptions['command'],
  settings: JsonObject,
  more: Partial<StreamerRunOptions> = {},
): Promise<Read> => {
  const chunks: Uint8Array[] = []
  const log: string[] = []
  let error: MillraceError | undefined
  await runStreamer(singer, {
    command,
    config: resolveConfig(singer.config, { kind: 'streamer', name: 'singer', file: { command: tap, ...settings } })
      .config,
    write: (chunk) => void chunks.push(Buffer.from(chunk)),
    log: createLogger({ format: 'text', level: 'info', write: (line) => void log.push(line.trimEnd()) }),
    signal: new AbortController().signal,
    relay: (line) => void log.push(line),
    ...more,
  }).catch((e: unknown) => {
    assert.ok(isMillraceError(e), String(e))
    error = e
  })
  const text = Buffer.concat(chunks).toString()
  const lines = command === 'sync' ? text.split('\n').filter((l) => l !== '') : []
  return { text, messages: lines.map((l) => JSON.parse(l) as JsonObject), log, error }
}

const config = { token: 'swordfish-7', count: 3 }
const records = (read: Read, stream: string): readonly unknown[] =>
  read.messages.filter((m) => m['type'] === 'RECORD' && m['stream'] === stream).map((m) => m['record'])

test('discover prints the catalog of the tap', { skip }, async () => {
  const { text, error } = await run('discover', { config })
  assert.equal(error, undefined)
  assert.deepEqual(
    (JSON.parse(text) as { streams: readonly JsonObject[] }).streams.map((s) => s['tap_stream_id']),
    ['orders', 'people'],
  )
})

test('without a choice everything is read, though the tap itself reads nothing that is not selected', {
  skip,
}, async () => {
  const read = await run('sync', { config })
  assert.equal(read.error, undefined)
  assert.deepEqual(records(read, 'orders')[2], { id: 3, price: 0.75, note: null })
  assert.equal(records(read, 'people').length, 3)
  assert.ok(read.log.some((l) => l.startsWith('INFO METRIC: ')))
  assert.ok(read.log.includes('INFO authorised with ***'))
})

test('a choice of streams and fields reaches the tap, new and old', { skip }, async () => {
  for (const old of [false, true]) {
    const command = old ? [...tap, '--old'] : tap
    const more: JsonObject = old ? { catalog_flag: 'properties', command } : { command }
    const { text } = await run('discover', { config, ...more })
    const catalog = JSON.parse(text) as { streams: JsonObject[] }
    const chosen = catalog.streams.map((s) => ({
      ...s,
      metadata: [
        { breadcrumb: [], metadata: { selected: s['stream'] === 'orders' } },
        { breadcrumb: ['properties', 'note'], metadata: { selected: 'false' } },
        { breadcrumb: ['properties', 'id'], metadata: { inclusion: 'automatic', selected: false } },
      ],
    }))
    const read = await run('sync', { config, ...more }, { catalog: { streams: chosen } as unknown as JsonObject })
    assert.equal(read.error, undefined)
    assert.deepEqual(records(read, 'orders')[0], { id: 1, price: 0.25 }, `old: ${old}`)
    assert.deepEqual(records(read, 'people'), [])
  }
})

test('metadata of the settings stands in the catalog, by name and by pattern', () => {
  const { streams } = chosenCatalog(
    {
      streams: [
        { tap_stream_id: 'a.b', stream: 'b' },
        { tap_stream_id: 'axb', 'selected-by-default': true },
      ],
    },
    { metadata: { '*': { x: 1 }, 'a.*': { 'replication-method': 'LOG_BASED' } }, inSchemas: false },
  ) as { streams: readonly { metadata: readonly { metadata: JsonObject }[] }[] }
  assert.deepEqual(
    streams.map((s) => s.metadata[0]?.metadata),
    [
      { selected: true, x: 1, 'replication-method': 'LOG_BASED' },
      { selected: true, x: 1 },
    ],
  )
})

test('a catalog in which something is chosen leaves out what is not; one that chooses nothing takes what may be taken', () => {
  const entry = (name: string, metadata: JsonObject): JsonObject => ({
    tap_stream_id: name,
    metadata: [{ breadcrumb: [], metadata }],
  })
  const selectedOf = (...entries: readonly JsonObject[]): readonly unknown[] =>
    (
      chosenCatalog({ streams: entries }, { metadata: {}, inSchemas: false })['streams'] as unknown as {
        metadata: { metadata: JsonObject }[]
      }[]
    ).map((s) => s.metadata[0]?.metadata['selected'])
  const rest = [entry('b', {}), entry('c', { 'selected-by-default': true }), entry('d', { inclusion: 'unsupported' })]
  assert.deepEqual(selectedOf(entry('a', { selected: 'true' }), ...rest), [true, false, true, false])
  assert.deepEqual(selectedOf(entry('a', { selected: false }), ...rest), [false, true, true, false])
  assert.deepEqual(selectedOf(entry('a', { 'selected-by-default': false }), ...rest), [false, true, true, false])
})

test('it goes on from a state', { skip }, async () => {
  const read = await run('sync', { config }, { state: { bookmarks: { orders: { id: 2 } } } })
  assert.deepEqual([records(read, 'orders').length, records(read, 'people').length], [1, 3])
})

test('a tap that knows no discovery is run without a catalog, and told', { skip }, async () => {
  const read = await run('sync', { config: { ...config, no_catalog: true } })
  assert.equal(read.error, undefined)
  assert.equal(records(read, 'people').length, 3)
  assert.ok(read.log.some((l) => l.startsWith('WARNING the tap was asked for its catalog and gave none')))
  const always = await run('sync', { config: { ...config, no_catalog: true }, discovery: 'always' })
  assert.equal(always.error?.message, 'tap.py ended with exit code 1: CRITICAL no discovery here')
})

test('a tap that dies: what it wrote before stands, its last words are the error, without secrets', {
  skip,
}, async () => {
  const read = await run('sync', { config: { ...config, die_at: 3 } })
  assert.equal(read.error?.message, `tap.py ended with exit code 1: KeyError: 'page 3, token ***'`)
  assert.equal(records(read, 'orders').length, 2)
  assert.ok(!read.log.join('\n').includes('swordfish'))
})

test('check: the settings reach the source, or the one line why not', { skip }, async () => {
  assert.equal((await run('check', { config })).error, undefined)
  assert.equal(
    (await run('check', { config: {} })).error?.message,
    `tap.py ended with exit code 1: CRITICAL Config is missing required keys: ['token']`,
  )
  assert.equal((await run('check', { command: ['/nowhere/tap'] })).error?.code, 'PROCESS_NOT_STARTED')
  const echo = await run('check', { command: ['/bin/echo', 'hello'] })
  assert.equal(echo.error?.message, 'catalog of echo: what it printed is not a catalog')
})

test('asked to stop, the tap is told; no file of its settings is left', { skip }, async () => {
  const before = readdirSync(tmpdir()).filter((n) => n.startsWith('millrace-singer-'))
  const stop = new AbortController()
  const read = await run(
    'sync',
    { config: { ...config, hang: true } },
    {
      signal: stop.signal,
      relay: (line) => {
        if (line.includes('"people"')) stop.abort()
      },
    },
  )
  assert.equal(read.error, undefined)
  assert.equal(records(read, 'people').length, 3)
  assert.deepEqual(
    readdirSync(tmpdir()).filter((n) => n.startsWith('millrace-singer-') && !before.includes(n)),
    [],
  )
})

test('a catalog file in place of discovery, and a command given as one text', { skip }, async () => {
  const file = join(root, 'catalog.json')
  writeFileSync(file, (await run('discover', { config })).text)
  const read = await run('sync', {
    config: { ...config, no_catalog: true },
    catalog_file: file,
    command: tap.map((word) => `'${word}'`).join(' '),
  })
  assert.equal(records(read, 'orders').length, 3)
  writeFileSync(file, '[]')
  assert.equal((await run('sync', { config, catalog_file: file })).error?.code, 'CATALOG_INVALID')
})
