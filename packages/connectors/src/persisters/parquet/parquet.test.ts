import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { DuckDBInstance } from '@duckdb/node-api'
import {
  type ConfigOf,
  type JsonObject,
  type PersisterContext,
  RecordMessage,
  resolveConfig,
  type SchemaMessage,
  silentLogger,
} from '@millrace/sdk'
import { parquet } from './index.ts'

const root = mkdtempSync(join(tmpdir(), 'parquet-'))
after(() => rmSync(root, { recursive: true, force: true }))
const folder = (): string => mkdtempSync(join(root, 'f-'))

const context = (path: string, file: object = {}): PersisterContext => ({
  config: resolveConfig(parquet.config, { kind: 'persister', name: 'parquet', file: { path, ...file } })
    .config as ConfigOf<typeof parquet.config>,
  log: silentLogger,
  signal: new AbortController().signal,
})
const schema = (properties: JsonObject): SchemaMessage => ({
  type: 'SCHEMA',
  stream: 'orders',
  schema: { type: 'object', properties },
  keyProperties: [],
  line: 1,
})
const record = (text: string): RecordMessage => {
  const buffer = Buffer.from(text)
  return new RecordMessage('orders', 1, { buffer, from: 0, to: buffer.length })
}
const ask = async (sql: string): Promise<readonly (readonly unknown[])[]> => {
  const db = await DuckDBInstance.create(':memory:')
  const connection = await db.connect()
  await connection.run("SET TimeZone = 'UTC'")
  try {
    return (await connection.runAndReadAll(sql)).getRowsJson()
  } finally {
    connection.closeSync()
    db.closeSync()
  }
}
const filesIn = (path: string): string[] =>
  readdirSync(path, { recursive: true })
    .map(String)
    .filter((f) => f.endsWith('.parquet'))
    .sort()

/** A session that declares, writes and flushes. */
const session = async (
  path: string,
  properties: JsonObject,
  texts: readonly string[],
  file: object = {},
): Promise<void> => {
  await using s = await parquet.open(context(path, file))
  await s.declare(schema(properties))
  await s.write('orders', texts.map(record))
  await s.flush()
}

const all: JsonObject = {
  id: { type: 'integer' },
  price: { type: 'number', multipleOf: 0.01 },
  ratio: { type: 'number' },
  digits: { type: 'string', format: 'singer.decimal' },
  at: { type: 'string', format: 'date-time' },
  day: { type: 'string', format: 'date' },
  hour: { type: 'string', format: 'time' },
  ok: { type: 'boolean' },
  name: { type: 'string' },
  tags: { type: 'array', items: { type: 'string' } },
  address: { type: 'object', properties: { city: { type: 'string' } } },
}

describe('parquet', () => {
  test('columns have the logical types of their schema, and values are exact', async () => {
    const path = folder()
    await session(path, all, [
      '{"id":9007199254740993,"price":12345678901234567890.12,"ratio":0.1,"digits":"1.50","at":"2026-01-31T23:59:59.123456+01:00","day":"2026-01-31","hour":"23:59:59","ok":true,"name":"é","tags":["a"],"address":{"city":"Bern"}}',
    ])
    const [file = ''] = filesIn(path)
    assert.match(file, /^orders.\d{8}T\d{9}Z-[0-9a-f]{8}-000001\.parquet$/)
    const types = await ask(
      `select name, type, converted_type, logical_type from parquet_schema('${join(path, file)}') offset 1`,
    )
    const known = Object.fromEntries(types.map(([name, ...rest]) => [name, rest.join(' ')]))
    assert.deepEqual(
      { ...known, at: String(known['at']).slice(0, 58), hour: String(known['hour']).slice(0, 22) },
      {
        id: 'INT64 INT_64 ',
        price: 'FIXED_LEN_BYTE_ARRAY DECIMAL DecimalType(scale=2, precision=38)',
        ratio: 'DOUBLE  ',
        digits: 'BYTE_ARRAY UTF8 ',
        at: 'INT64 TIMESTAMP_MICROS TimestampType(isAdjustedToUTC=1, un',
        day: 'INT32 DATE ',
        hour: 'INT64 TIME_MICROS Time',
        ok: 'BOOLEAN  ',
        name: 'BYTE_ARRAY UTF8 ',
        tags: 'BYTE_ARRAY JSON JsonType()',
        address: 'BYTE_ARRAY JSON JsonType()',
      },
    )
    const rows = await ask(
      `select id::text, price::text, ratio, digits, "at"::text, day::text, hour::text, ok, name, tags::text, address->>'city' from '${join(path, file)}'`,
    )
    assert.deepEqual(rows, [
      [
        '9007199254740993',
        '12345678901234567890.12',
        0.1,
        '1.50',
        '2026-01-31 22:59:59.123456+00',
        '2026-01-31',
        '23:59:59',
        true,
        'é',
        '["a"]',
        'Bern',
      ],
    ])
    const [[compression]] = (await ask(`select distinct compression from parquet_metadata('${join(path, file)}')`)) as [
      [string],
    ]
    assert.equal(compression, 'ZSTD')
  })

  test('integers beyond 64 bit are decimals, numbers beyond a double are text: no digit is lost', async () => {
    const path = folder()
    await session(path, { id: { type: 'integer' }, n: { type: 'number' } }, [
      '{"id":123456789012345678901234567890,"n":0.12345678901234567890123}',
    ])
    const file = join(path, filesIn(path)[0] ?? '')
    const rows = await ask(`select typeof(id), id::text, typeof(n), n from '${file}'`)
    assert.deepEqual(rows, [
      ['DECIMAL(38,0)', '123456789012345678901234567890', 'VARCHAR', '0.12345678901234567890123'],
    ])
  })

  test('JSON of every kind comes together in one file, exactly', async () => {
    const path = folder()
    const values = ['{"a": 1}', '"text"', '12', 'null', '[1,"b"]', '12345678901234567890.5', 'true']
    {
      await using s = await parquet.open(context(path))
      await s.declare(schema({ id: { type: 'integer' }, any: {} }))
      for (const [id, any] of values.entries()) await s.write('orders', [record(`{"id":${id},"any":${any}}`)])
      await s.flush()
    }
    assert.equal(filesIn(path).length, 1)
    const rows = await ask(`select "any"::text from read_parquet('${path}/*/*.parquet') order by id`)
    assert.deepEqual(
      rows.map(([v]) => (v === null ? 'null' : String(v).replaceAll(' ', ''))),
      values.map((v) => v.replaceAll(' ', '')),
    )
  })

  test('another schema begins another file, in the middle of a flush too', async () => {
    const path = folder()
    {
      await using s = await parquet.open(context(path))
      await s.declare(schema({ id: { type: 'integer' } }))
      await s.write('orders', [record('{"id":1}')])
      await s.declare(schema({ id: { type: 'integer' }, name: { type: 'string' } }))
      await s.write('orders', [record('{"id":2,"name":"b"}')])
      // A value that does not fit.
      await s.write('orders', [record('{"id":"three","name":"c"}')])
      await s.flush()
    }
    const columns = await Promise.all(
      filesIn(path).map(async (f) =>
        (await ask(`describe select * from '${join(path, f)}'`)).map((r) => `${r[0]} ${r[1]}`),
      ),
    )
    assert.deepEqual(columns, [['id BIGINT'], ['id BIGINT', 'name VARCHAR'], ['id VARCHAR', 'name VARCHAR']])
    const rows = await ask(
      `select id, name from read_parquet('${path}/orders/*.parquet', union_by_name = true) order by filename`,
    )
    assert.deepEqual(rows, [
      ['1', null],
      ['2', 'b'],
      ['three', 'c'],
    ])
  })

  test('partitions by a field and by the day of a time; without a value, by none', async () => {
    const path = folder()
    const texts = [
      '{"id":1,"at":"2026-01-31T23:30:00-01:00","name":"a/b"}',
      '{"id":2,"at":"2026-01-31T10:00:00Z","name":"a/b"}',
      '{"id":3}',
    ]
    await session(path, all, texts, { partitionBy: 'date(at), name' })
    const folders = filesIn(path).map((f) => f.replaceAll('\\', '/').replace(/\/[^/]*$/, ''))
    assert.deepEqual(folders, [
      'orders/at_date=2026-01-31/name=a%2Fb',
      'orders/at_date=2026-02-01/name=a%2Fb',
      'orders/at_date=__HIVE_DEFAULT_PARTITION__/name=__HIVE_DEFAULT_PARTITION__',
    ])
    const rows = await ask(
      `select id::int, name, at_date::text from read_parquet('${path}/**/*.parquet', hive_partitioning = true) order by id`,
    )
    assert.deepEqual(rows, [
      [1, 'a/b', '2026-02-01'],
      [2, 'a/b', '2026-01-31'],
      [3, null, null],
    ])
    await assert.rejects(session(path, all, texts, { partitionBy: 'week(at)' }), { code: 'CONFIG_INVALID' })
  })

  test('nothing half is ever in sight, and what a killed run left of its work is removed', async () => {
    const path = folder()
    mkdirSync(join(path, '.millrace-scratch-dead'))
    writeFileSync(join(path, '.millrace-scratch-dead', '7.tmp'), 'half')
    {
      await using s = await parquet.open(context(path))
      await s.declare(schema(all))
      await s.write('orders', [record('{"id":1}')])
      assert.equal(existsSync(join(path, 'orders')), false)
      await assert.rejects(async () => await parquet.open(context(path)), { code: 'DESTINATION_BUSY' })
    }
    assert.deepEqual(readdirSync(path), ['.millrace-lock'])
  })

  test('verify finds a file that is gone or changed', async () => {
    const path = folder()
    const ctx = context(path)
    let evidence: Awaited<ReturnType<NonNullable<Awaited<ReturnType<typeof parquet.open>>['evidence']>>> = []
    {
      await using s = await parquet.open(ctx)
      await s.declare(schema(all))
      await s.write('orders', [record('{"id":1}'), record('{"id":2}')])
      await s.flush()
      evidence = (await s.evidence?.()) ?? []
    }
    assert.deepEqual(await parquet.verify?.(ctx, evidence), [{ substream: 'orders', rows: 2, problems: [] }])
    const file = join(path, filesIn(path)[0] ?? '')
    writeFileSync(file, 'PAR1')
    assert.match((await parquet.verify?.(ctx, evidence))?.[0]?.problems.join() ?? '', /has 4 bytes/)
    rmSync(file)
    assert.match((await parquet.verify?.(ctx, evidence))?.[0]?.problems.join() ?? '', /is gone/)
  })

  const mayMount = process.platform === 'linux' && process.getuid?.() === 0
  test('a full disk is told, and no file is in sight', {
    skip: !mayMount && 'only root on Linux may mount',
  }, async () => {
    const path = folder()
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', path]).status, 0)
    try {
      await using s = await parquet.open(context(path))
      await s.declare(schema({ id: { type: 'integer' }, t: { type: 'string' } }))
      const lines = Array.from({ length: 400 }, (_, i) =>
        record(`{"id":${i},"t":"${randomBytes(3000).toString('hex')}"}`),
      )
      const work = (async () => {
        for (let i = 0; i < 4; i++) await s.write('orders', lines)
        await s.flush()
      })()
      await assert.rejects(work, { code: 'DESTINATION_FULL' })
      assert.deepEqual(filesIn(path), [])
    } finally {
      spawnSync('umount', ['-l', path])
    }
  })

  test('plan says where files will be', async () => {
    const plan = await parquet.plan?.(context('s3://lake/shop', { partitionBy: ['date(at)', 'country'] }), [
      schema(all),
    ])
    assert.deepEqual(plan, [
      'write s3://lake/shop/orders/at_date=<value>/country=<value>/<time>-<run>-<number>.parquet',
    ])
  })
})
