import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { DuckDBInstance } from '@duckdb/node-api'
import {
  type JsonObject,
  type MillraceError,
  parseExact,
  resolveConfig,
  runStreamer,
  silentLogger,
} from '@millrace/sdk'
import { streamerSuite } from '@millrace/sdk/testing'
import { startS3 } from '../../testing/services/s3.ts'
import { files } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace parquet é '))
after(() => rmSync(root, { recursive: true, force: true }))
const server = await startS3()
after(() => server[Symbol.asyncDispose]())

const make = async (name: string, sql: string): Promise<string> => {
  const file = join(root, name)
  const db = await DuckDBInstance.create(':memory:')
  const connection = await db.connect()
  await connection.run("SET TimeZone = 'Europe/Zurich'")
  await connection.run(`copy (${sql}) to '${file.replaceAll("'", "''")}' (format parquet, row_group_size 2048)`)
  connection.closeSync()
  db.closeSync()
  return file
}

interface Read {
  /** Records as their bytes, without blanks behind commas and colons. */
  readonly texts: readonly string[]
  readonly records: readonly JsonObject[]
  readonly schemas: readonly JsonObject[]
  readonly state: JsonObject
  readonly error: MillraceError | undefined
}

const read = async (settings: JsonObject, state?: JsonObject, stopAfter: number = Infinity): Promise<Read> => {
  let text = ''
  let error: MillraceError | undefined
  const stop = new AbortController()
  await runStreamer(files, {
    command: 'sync',
    config: resolveConfig(files.config, { kind: 'streamer', name: 'files', file: settings }).config,
    log: silentLogger,
    signal: stop.signal,
    ...(state === undefined ? {} : { state }),
    write: (chunk) => {
      text += Buffer.from(chunk).toString()
      if (text.length > stopAfter) stop.abort()
    },
  }).catch((e: MillraceError) => {
    error = e
  })
  const messages = text
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => parseExact(l) as JsonObject)
  const of = (type: string): JsonObject[] => messages.filter((m) => m['type'] === type)
  const texts = [...text.matchAll(/"record":(.*),"time_extracted".*$|"record":(.*)\}$/gm)].map(
    (m) => m[1] ?? m[2] ?? '',
  )
  return {
    texts,
    records: of('RECORD').map((m) => m['record'] as JsonObject),
    schemas: of('SCHEMA').map((m) => (m['schema'] as JsonObject)['properties'] as JsonObject),
    state: (of('STATE').at(-1)?.['value'] ?? {}) as JsonObject,
    error,
  }
}

const many = await make(
  'suite.parquet',
  "select range as id, 'row ' || range as name, range / 4 as value from range(30000)",
)
streamerSuite(files, {
  name: 'files, Parquet',
  config: { path: many, substream: 'rows', keys: ['id'] },
  module: new URL('./index.ts', import.meta.url),
})

describe('files, Parquet', () => {
  test('values come as they are: digits, times, nested, JSON, bytes, nulls', async () => {
    const path = await make(
      'a [1]*.parquet',
      `select 9007199254740993::bigint as id, 12345678901234567890123456.7890::decimal(38, 4) as d, 0.1::float as f, 1e300::double as x,
        true as ok, 'é "quoted"' || chr(10) || 'line' as t, date '2026-01-31' as day, time '23:59:59.5' as hour,
        timestamp '2026-01-31 10:00:00.123456' as naive, timestamptz '2026-01-31 23:30:00+01' as zoned, 'ab'::blob as b,
        {'a': 1, 'l': [1.50::decimal(5,2), null], 's': null::varchar} as s, map {'k': 1::bigint} as m, [{'x': 'y'}] as l,
        ('{"n": 1.50,' || chr(10) || '"big": 12345678901234567890.123}')::json as j, null::integer as nothing, 'nan'::double as nan, 'r'::enum('r','s') as e,
        1 as "odd ""name"" 'é'"`,
    )
    const { texts, schemas, error } = await read({ path, substream: 's' })
    assert.equal(error, undefined)
    assert.equal(
      texts[0],
      '{"id":9007199254740993,"d":12345678901234567890123456.7890,"f":0.1,"x":1e+300,"ok":true,"t":"é \\"quoted\\"\\nline","day":"2026-01-31","hour":"23:59:59.5",' +
        '"naive":"2026-01-31T10:00:00.123456Z","zoned":"2026-01-31T22:30:00Z","b":"YWI=","s":{"a":1,"l":[1.50,null],"s":null},"m":{"k":1},"l":[{"x":"y"}],' +
        '"j":{"n": 1.50, "big": 12345678901234567890.123},"nothing":null,"nan":"NaN","e":"r","odd \\"name\\" \'é\'":1}',
    )
    const schema = schemas[0] ?? {}
    assert.deepEqual(schema['d'], { type: ['null', 'number'], multipleOf: 0.0001 })
    assert.deepEqual(schema['zoned'], { type: ['null', 'string'], format: 'date-time' })
    assert.deepEqual(schema['l'], {
      type: ['null', 'array'],
      items: { type: ['null', 'object'], properties: { x: { type: ['null', 'string'] } } },
    })
  })

  test('a substream is called as the file without its extension', async () => {
    // `.parquet` is longer than other extensions, and stayed in the name.
    for (const [file, substream] of [
      ['named.parquet', 'named'],
      ['Sales.2024.Parquet', 'Sales.2024'],
    ] as const) {
      const { state } = await read({ path: await make(file, 'select 1 as id') })
      assert.deepEqual(Object.keys(state['bookmarks'] as JsonObject), [substream])
    }
  })

  test('a later run reads only files that are new or have changed', async () => {
    const path = await make('later.parquet', 'select 1 as id')
    const first = await read({ path })
    assert.equal(first.records.length, 1)
    assert.equal((await read({ path }, first.state)).records.length, 0)
    await make('later.parquet', 'select range as id from range(3)')
    utimesSync(path, new Date(), new Date(statSync(path).mtimeMs + 5_000))
    assert.equal((await read({ path }, first.state)).records.length, 3)
  })

  test('a run that was stopped in the middle of a file goes on there', async () => {
    const first = await read({ path: many }, undefined, 300_000)
    assert.ok(first.records.length > 0 && first.records.length < 30_000, `${first.records.length}`)
    const second = await read({ path: many }, first.state)
    const ids = [...first.records, ...second.records].map((r) => r['id'])
    assert.deepEqual([ids.length, new Set(ids).size], [30_000, 30_000])
  })

  test('files of one substream with other columns and types come under one schema', async () => {
    await make('m1.parquet', "select 1 as id, 1 as v, 'a' as t")
    await make('m2.parquet', 'select 2 as id, 1.5::double as v, true as extra')
    const { records, schemas, error } = await read({ path: `${root}/m?.parquet`, substream: 'm' })
    assert.equal(error, undefined)
    assert.equal(records.length, 2)
    assert.equal(schemas.length, 1)
    assert.deepEqual(schemas[0]?.['v'], { type: ['null', 'number'] })
    assert.deepEqual(schemas[0]?.['extra'], { type: ['null', 'boolean'] })
  })

  test('what is no Parquet and what is cut is told with the file', async () => {
    const cut = join(root, 'cut.parquet')
    writeFileSync(cut, readFileSync(many).subarray(0, 5000))
    const damaged = join(root, 'damaged.parquet')
    const bytes = Buffer.from(readFileSync(many))
    bytes.fill(0xff, 10, 2000)
    writeFileSync(damaged, bytes)
    const none = join(root, 'none.parquet')
    writeFileSync(none, 'id\n1\n')
    for (const path of [cut, damaged, none]) {
      const { error } = await read({ path })
      assert.equal(error?.code, 'SOURCE_MALFORMED', path)
      assert.match(error?.message ?? '', /is not Parquet, or is damaged/)
      assert.equal(error?.message.split(path).length, 2, error?.message)
    }
  })

  test('what is no number and no time comes as text, as from PostgreSQL, and the rest of the file is read', async () => {
    // One infinite number was the end of the file, NaN became null, and an infinite time "infinityZ".
    const path = await make(
      'inf.parquet',
      `select 'inf'::double as x, '-inf'::float as f, 'nan'::float as n, ['inf'::double, null] as l, '-infinity'::timestamp as t, 'infinity'::timestamptz as z
       union all select 1, 2, 3, [4], '2026-01-01'::timestamp, '2026-01-01 00:00:00+00'::timestamptz`,
    )
    const { texts, error } = await read({ path })
    assert.equal(error, undefined)
    assert.deepEqual(
      texts.toSorted(),
      [
        '{"x":"Infinity","f":"-Infinity","n":"NaN","l":["Infinity",null],"t":"-infinity","z":"infinity"}',
        '{"x":1.0,"f":2.0,"n":3.0,"l":[4.0],"t":"2026-01-01T00:00:00Z","z":"2026-01-01T00:00:00Z"}',
      ].toSorted(),
    )
  })
})

describe('files, S3', { skip: server.skip }, () => {
  test('CSV, JSON lines, compressed and Parquet by a glob; later only what is new, changed or appended', async () => {
    using bucket = await server.bucket()
    const settings = { path: `s3://${bucket.name}/in/*/x*`, substream: 'x', ...server.access }
    await bucket.put('in/a/x1.csv', 'id,t\n1,a\n')
    await bucket.put('in/a/x2.csv.gz', gzipSync('id,t\n2,b\n'))
    await bucket.put('in/b/other.csv', 'id,t\n9,z\n')
    const ids = (r: Read): unknown[] => {
      assert.equal(r.error, undefined)
      return r.records.map((x) => x['id'])
    }
    const first = await read(settings)
    assert.deepEqual(ids(first), [1, 2])
    assert.deepEqual(ids(await read(settings, first.state)), [])
    await bucket.put('in/a/x1.csv', 'id,t\n1,a\n3,c\n')
    await bucket.put('in/b/x3.csv', 'id,t\n4,d\n')
    const second = await read(settings, first.state)
    assert.deepEqual(ids(second), [3, 4])
    await bucket.put('in/a/x1.csv', 'id,t\n7,a\n8,c\n')
    assert.deepEqual(ids(await read(settings, second.state)), [7, 8])
  })

  test('a folder of lines and of Parquet', async () => {
    using bucket = await server.bucket()
    await bucket.put('in/lines.jsonl', '{"id":1.50}\n{"id":2}\n')
    await bucket.put('in/table.parquet', readFileSync(await make('s3.parquet', 'select 12.30::decimal(9,2) as id')))
    const { texts, error, state } = await read({ path: `s3://${bucket.name}/in`, ...server.access })
    assert.equal(error, undefined)
    assert.deepEqual([...texts].sort(), ['{"id":1.50}', '{"id":12.30}', '{"id":2}'])
    assert.equal((await read({ path: `s3://${bucket.name}/in`, ...server.access }, state)).records.length, 0)
  })

  test('a bucket that is not there, a key without rights and an address that fits nothing are told', async () => {
    using bucket = await server.bucket()
    const failure = async (settings: JsonObject): Promise<MillraceError | undefined> => (await read(settings)).error
    const gone = await failure({ path: 's3://millrace-nowhere/x.csv', ...server.access })
    assert.equal(gone?.code, 'SOURCE_REFUSED')
    assert.match(gone?.message ?? '', /there is no bucket/)
    const stranger = await failure({ path: `s3://${bucket.name}/x.csv`, ...server.stranger })
    assert.match(stranger?.fix ?? '', /s3:ListBucket and s3:GetObject/)
    const nothing = await failure({ path: `s3://${bucket.name}/x.csv`, ...server.access })
    assert.match(nothing?.message ?? '', /no file is there/)
    const nameless = await failure({ path: 's3:///x.csv', ...server.access })
    assert.equal(nameless?.code, 'CONFIG_INVALID')
  })
})
