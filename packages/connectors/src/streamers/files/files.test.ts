import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import {
  type JsonObject,
  type MillraceError,
  parseExact,
  resolveConfig,
  runStreamer,
  type StreamerRunOptions,
  silentLogger,
} from '@millrace/sdk'
import { streamerSuite } from '@millrace/sdk/testing'
import { files } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace files é '))
after(() => rmSync(root, { recursive: true, force: true }))
let n = 0
const folder = (): string => mkdtempSync(join(root, `${n++} `))
const file = (name: string, content: string | Buffer, at: string = folder()): string => {
  writeFileSync(join(at, name), content)
  return join(at, name)
}

interface Read {
  readonly lines: string[]
  readonly records: JsonObject[]
  readonly schemas: JsonObject[]
  readonly state: JsonObject
  readonly error: MillraceError | undefined
}
const read = async (settings: JsonObject, options: Partial<StreamerRunOptions> = {}): Promise<Read> => {
  let text = ''
  let error: MillraceError | undefined
  await runStreamer(files, {
    command: 'sync',
    config: resolveConfig(files.config, { kind: 'streamer', name: 'files', file: settings }).config,
    log: silentLogger,
    signal: new AbortController().signal,
    ...options,
    write: (chunk) => {
      text += Buffer.from(chunk).toString()
      options.write?.(chunk)
    },
  }).catch((e: MillraceError) => {
    error = e
  })
  const lines = text.split('\n').filter((l) => l !== '')
  const messages = lines.map((l) => parseExact(l) as JsonObject)
  const of = (type: string): JsonObject[] => messages.filter((m) => m['type'] === type)
  return {
    lines,
    records: of('RECORD').map((m) => m['record'] as JsonObject),
    schemas: of('SCHEMA').map((m) => (m['schema'] as JsonObject)['properties'] as JsonObject),
    state: (of('STATE').at(-1)?.['value'] ?? {}) as JsonObject,
    error,
  }
}

const suiteFolder = folder()
const rows = (from: number, to: number): string => {
  let text = ''
  for (let i = from; i < to; i++) text += `${i},"row ""${i}""\nof two lines",${i / 4}\n`
  return text
}
file('a.csv', `id,name,value\n${rows(0, 40_000)}`, suiteFolder)
file('b.csv.gz', gzipSync(`id,name,value\n${rows(40_000, 50_000)}`), suiteFolder)
const module = new URL('./index.ts', import.meta.url)
streamerSuite(files, {
  name: 'files, CSV',
  config: { path: `${suiteFolder}/*`, substream: 'rows', keys: ['id'] },
  module,
  incremental: true,
})
streamerSuite(files, {
  name: 'files, JSON lines',
  config: async () => ({
    path: file('l.jsonl', Array.from({ length: 30_000 }, (_, id) => `{"id":${id}, "note":"n${id}"}\n`).join('')),
    keys: ['id'],
  }),
  module,
  incremental: true,
  resumes: 'exactly',
})

test('CSV types are inferred without loss', async () => {
  const path = file(
    'sample data.csv',
    '\uFEFFid;zip;big;price;on;at;flag;note;empty\r\n' +
      '1;01234;12345678901234567890;0.1000000000000000000001;2026-01-02;2026-01-02T03:04:05Z;true;"a;b ""c""\r\nd";\r\n' +
      '-2;99999;7;-5;2026-12-31;2026-01-02T03:04:05.5+01:00;false;"";\r\n',
  )
  const r = await read({ path })
  assert.deepEqual(
    Object.entries(r.schemas[0] ?? {}).map(([k, v]) => [
      k,
      ((v as JsonObject)['type'] as string[])[1],
      (v as JsonObject)['format'],
    ]),
    [
      ['id', 'integer', undefined],
      ['zip', 'string', undefined],
      ['big', 'integer', undefined],
      ['price', 'number', undefined],
      ['on', 'string', 'date'],
      ['at', 'string', 'date-time'],
      ['flag', 'boolean', undefined],
      ['note', 'string', undefined],
      ['empty', 'string', undefined],
    ],
  )
  assert.match(
    r.lines[1] ?? '',
    /"stream":"sample data","record":\{"id":1,"zip":"01234","big":12345678901234567890,"price":0\.1000000000000000000001,/,
  )
  assert.deepEqual(
    [r.records[0]?.['note'], r.records[1]?.['note'], r.records[1]?.['empty']],
    ['a;b "c"\r\nd', '', null],
  )
})

test('dialects', async () => {
  const values = async (
    content: string | Buffer,
    settings: JsonObject = {},
    name: string = 'x.csv',
  ): Promise<unknown[]> => {
    const r = await read({ path: file(name, content), ...settings })
    assert.equal(r.error, undefined)
    return r.records.map((x) => Object.values(x))
  }
  for (const d of [',', ';', '\t', '|'])
    assert.deepEqual(await values(`a${d}b\n1${d}"x,;|"\n`), [[1, 'x,;|']], JSON.stringify(d))
  assert.deepEqual(await values('a:b\n1:2\n', { delimiter: ':' }), [[1, 2]])
  assert.deepEqual(await values('1,2\n3,4', { header: false }), [
    [1, 2],
    [3, 4],
  ])
  assert.deepEqual(await values("a,b\n'x,y',1\n", { quote: "'" }), [['x,y', 1]])
  assert.deepEqual(await values('a,b\n"x,1\n', { quote: '' }), [['"x', 1]])
  assert.deepEqual(await values('a,b\nNULL,"NULL"\n,1\n', { nullText: 'NULL' }), [
    [null, 'NULL'],
    ['', '1'],
  ])
  assert.deepEqual(await values(Buffer.from('a,b\ncaf\xe9,1\n', 'latin1'), { encoding: 'latin1' }), [['café', 1]])
  assert.deepEqual(await values(Buffer.from('a,b\né,1\n', 'utf16le'), { encoding: 'utf-16le' }), [['é', 1]])
  assert.deepEqual(await values(zstdCompressSync('a,b\n1,2\n'), {}, 'x.csv.zst'), [[1, 2]])
  assert.deepEqual(await values('a,a,\n1,2,3\n\n'), [[1, 2, 3]])
  assert.deepEqual(Object.keys((await read({ path: file('h.csv', 'a,a,\n1,2,3\n') })).records[0] ?? {}), [
    'a',
    'a_2',
    'column_3',
  ])
  const given = await read({ path: file('g.csv', 'a,b\n1,2\n'), schema: { properties: { a: { type: 'string' } } } })
  assert.deepEqual(given.records, [{ a: '1', b: 2 }])
})

test('a later contradiction widens the schema before its records', async () => {
  const lines = Array.from({ length: 60_000 }, (_, i) => `${i},${i === 55_000 ? 'n/a' : i === 20_000 ? '1.5' : '1'}`)
  const path = file('w.csv', `id,v\n${lines.join('\n')}\n`)
  const r = await read({ path })
  assert.deepEqual(
    r.schemas.map((s) => ((s['v'] as JsonObject)['type'] as string[])[1]),
    ['integer', 'number', 'string'],
  )
  assert.equal(r.records.length, 60_000)
  assert.deepEqual(
    [r.records[0]?.['v'], r.records[20_000]?.['v'], r.records[55_000]?.['v'], r.records[59_999]?.['v']],
    [1, 1.5, 'n/a', '1'],
  )
  appendFileSync(path, '60000,2\n')
  const again = await read({ path }, { state: r.state })
  assert.deepEqual(again.records, [{ id: 60_000, v: '2' }], 'what was learned is kept')
})

test('errors name file and line', async () => {
  for (const [content, line, why, settings] of [
    ['a,b\n1,2\n3\n4,5\n', 3, /1 cells where the file has 2/, {}],
    ['a,b\n"x\ny",2\n3,4,5\n', 4, /3 cells/, {}],
    ['a,b\n1,2\n3,"x\n4,5\n', 3, /never closed/, {}],
    ['a,b\n1,2\n3,x"y\n', 3, /middle of a cell/, {}],
    ['{"a":1}\n{"a":\n', 2, /not JSON/, { format: 'jsonl' }],
    ['{"a":1}\n\n[1]\n', 3, /no object/, { format: 'jsonl' }],
  ] as const) {
    const path = file('bad.txt', content)
    const { error, records } = await read({ path, ...settings })
    assert.equal(error?.code, 'SOURCE_MALFORMED', content)
    assert.equal(error?.details['line'], line, content)
    assert.match(error?.message ?? '', why)
    assert.ok(error?.message.includes(path))
    assert.ok(records.length <= 1)
  }
  const utf8 = await read({ path: file('x.csv', Buffer.from('a\nok\ncaf\xe9\n', 'latin1')) })
  assert.deepEqual([utf8.error?.code, utf8.error?.details['line']], ['MESSAGE_NOT_UTF8', 3])
  const zip = await read({ path: file('x.csv.gz', Buffer.from('no gzip')) })
  assert.equal(zip.error?.code, 'SOURCE_MALFORMED')
  assert.equal((await read({ path: join(root, 'absent*') })).error?.code, 'SOURCE_REFUSED')
  assert.equal((await read({ path: file('k.csv', 'a\n1\n'), keys: ['id'] })).error?.code, 'SOURCE_REFUSED')
})

test('appended, continued, cut, replaced and new files', async () => {
  const at = folder()
  const path = file('a.csv', 'id,v\n1,x\n2,y\n', at)
  const settings = { path: `${at}/*`, substream: 'all' }
  const ids = (r: Read): unknown[] => {
    assert.equal(r.error, undefined)
    return r.records.map((x) => `${x['id']}${x['v']}`)
  }
  let r = await read(settings)
  assert.deepEqual(ids(r), ['1x', '2y'])
  assert.deepEqual(ids(await read(settings, { state: r.state })), [])
  appendFileSync(path, '3,z\n4,u')
  r = await read(settings, { state: r.state })
  assert.deepEqual(ids(r), ['3z', '4u'])
  appendFileSync(path, 'uu\n5,v\n')
  r = await read(settings, { state: r.state })
  assert.deepEqual(ids(r), ['4uuu', '5v'], 'a last line that was continued comes again, whole')
  file('b.csv', 'id,v\n9,q\n', at)
  r = await read(settings, { state: r.state })
  assert.deepEqual(ids(r), ['9q'])
  writeFileSync(path, 'id,v\n6,w\n')
  r = await read(settings, { state: r.state })
  assert.deepEqual(ids(r), ['6w'], 'cut')
  writeFileSync(path, 'id,v\n7,a\n8,b\n')
  r = await read(settings, { state: r.state })
  assert.deepEqual(ids(r), ['7a', '8b'], 'replaced')
  utimesSync(path, new Date(), new Date(statSync(path).mtimeMs + 5000))
  assert.deepEqual(ids(await read(settings, { state: r.state })), [], 'only touched')
  rmSync(path)
  assert.deepEqual(ids(await read(settings, { state: r.state })), [])
  const packed = file('c.csv.gz', gzipSync('id,v\n1,g\n'), at)
  r = await read(settings, { state: r.state })
  assert.deepEqual(ids(r), ['1g'])
  assert.deepEqual(ids(await read(settings, { state: r.state })), [])
  writeFileSync(packed, gzipSync('id,v\n1,g\n2,h\n'))
  assert.deepEqual(ids(await read(settings, { state: r.state })), ['1g', '2h'])
})

const idType = (r: Read): unknown => (r.schemas.at(-1) as { readonly id: JsonObject }).id['type']

test('JSON lines pass byte for byte, a torn last line waits', async () => {
  const path = file(
    'l.jsonl',
    '\uFEFF{"id":12345678901234567890, "p":1.50, "d":{"x":1}}\r\n\n{"id":2,"d":{"y":"é"},"__proto__":1}\n{"id":3',
  )
  const r = await read({ path })
  assert.equal(r.error, undefined)
  const raw = r.lines.filter((l) => l.includes('"RECORD"')).map((l) => l.slice(l.indexOf('"record":') + 9, -1))
  assert.deepEqual(raw, ['{"id":12345678901234567890, "p":1.50, "d":{"x":1}}', '{"id":2,"d":{"y":"é"},"__proto__":1}'])
  assert.deepEqual(idType(r), 'integer')
  appendFileSync(path, '}\n{"id":"four"}\n')
  const more = await read({ path }, { state: r.state })
  assert.deepEqual(more.records, [{ id: 3 }, { id: 'four' }])
  assert.deepEqual(idType(more), ['integer', 'string'])
})

test('a large file is read in bounded memory', async () => {
  const path = file('big.csv', `a,b\n${`${'x'.repeat(200)},${'y'.repeat(200)}\n`.repeat(250_000)}`)
  let most = 0
  let bytes = 0
  await runStreamer(files, {
    command: 'sync',
    config: resolveConfig(files.config, { kind: 'streamer', name: 'files', file: { path } }).config,
    log: silentLogger,
    signal: new AbortController().signal,
    write: (chunk) => {
      bytes += chunk.length
      most = Math.max(most, process.memoryUsage.rss())
    },
  })
  assert.ok(bytes > 100_000_000)
  assert.ok(most < 600 * 1024 * 1024, `${most} bytes resident`)
})

test('a bookmark of another shape is refused and not taken for the beginning', async () => {
  const path = file('shape.csv', 'id\n1\n')
  for (const bookmark of ['x', 5, [], {}, { files: 'x' }, { files: { [path]: 5 } }]) {
    const { error } = await read({ path }, { state: { bookmarks: { shape: { bookmark } } } })
    assert.equal(error?.code, 'STATE_UNREADABLE', JSON.stringify(bookmark))
  }
})
