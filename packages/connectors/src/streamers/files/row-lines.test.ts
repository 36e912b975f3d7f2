import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { EncodedRecords } from '@millrace/sdk'
import fc from 'fast-check'
import { LocalFile } from './origin.ts'
import { ParquetSource } from './parquet.ts'
import { RowLines } from './row-lines.ts'

const root = mkdtempSync(join(tmpdir(), 'millrace-rows-'))
after(() => rmSync(root, { recursive: true, force: true }))
let made = 0

const gathered = async (from: AsyncIterable<EncodedRecords>): Promise<string> => {
  const parts: Uint8Array[] = []
  let count = 0
  for await (const { lines, count: n } of from) {
    parts.push(lines)
    count += n
  }
  const text = Buffer.concat(parts).toString()
  assert.equal(text.split('\n').length - 1, count)
  return text
}

/** The records of what a query gives, from a Parquet file: as lines of our own, and all written by DuckDB. */
const bothWays = async (
  connection: DuckDBConnection,
  query: string,
  skip: number = 0,
): Promise<readonly [own: string, written: string]> => {
  const path = join(root, `${made++}.parquet`)
  await connection.run(`copy (${query}) to '${path}' (format parquet, row_group_size 4096)`)
  const origin = new LocalFile(path)
  const file = {
    path,
    origin,
    substream: 's "é"',
    size: 0,
    modifiedMs: 0,
    compression: 'none',
    format: 'parquet',
  } as const
  using source = await ParquetSource.open(file)
  return [await gathered(source.records(skip)), await gathered(source.written(skip))]
}

const db = await DuckDBInstance.create(':memory:')
const connection = await db.connect()
after(() => {
  connection.closeSync()
  db.closeSync()
})

/** Values of each type at their edges. */
const edges: Readonly<Record<string, readonly string[]>> = {
  boolean: ['true', 'false'],
  tinyint: ['-128', '0', '7', '127'],
  smallint: ['-32768', '0', '99', '100', '32767'],
  integer: ['-2147483648', '-1', '0', '9', '10', '999999999', '1000000000', '2147483647'],
  bigint: ['-9223372036854775808', '-9007199254740993', '-1', '0', '4294967296', '999999999999', '9223372036854775807'],
  utinyint: ['0', '255'],
  usmallint: ['0', '65535'],
  uinteger: ['0', '4294967295'],
  ubigint: ['0', '9223372036854775808', '18446744073709551615'],
  hugeint: ['-1', '123456789012345678'],
  float: ['0.1', '-3.4e38', '1'],
  double: [
    ...['0', '-0.0', '1', '-1.5', '0.1', '1e15', '1e16', '123456.00001', '999999999.99999', '1e9', '0.0001', '0.00009'],
    ...[
      '1e-5',
      '5e-324',
      '1.7976931348623157e308',
      '-2.5e-7',
      '0.30000000000000004',
      '123456789.123456789',
      "'nan'",
      "'inf'",
      "'-inf'",
    ],
  ],
  'decimal(4,2)': ['-99.99', '-0.05', '0', '12.3'],
  'decimal(4,4)': ['-0.0001', '0', '0.5'],
  'decimal(9,0)': ['-999999999', '0'],
  'decimal(9,9)': ['0.123456789', '-0.000000001'],
  'decimal(18,12)': ['-999999.999999999999', '0', '1.5'],
  'decimal(18,18)': ['-0.999999999999999999', '0.000000000000000001'],
  'decimal(38,10)': ['1234567890123456789012345678.0123456789', '-0.5'],
  date: ["'0001-01-01'", "'1969-12-31'", "'1970-01-01'", "'2000-02-29'", "'2024-12-31'", "'9999-12-31'"],
  timestamp: [
    ...["'0001-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "'1970-01-01 00:00:00'", "'2024-02-29 12:34:56.1'"],
    ...["'2026-01-31 10:00:00.123456'", "'9999-12-31 23:59:59.999999'", "'2026-01-01 00:00:00.000001'"],
  ],
  timestamptz: ["'1969-12-31 23:59:59.9+01'", "'2026-01-31 23:30:00+01'"],
  timestamp_ms: ["'2026-01-31 10:00:00.12'"],
  timestamp_ns: ["'2026-01-31 10:00:00.123456789'"],
  time: ["'00:00:00'", "'23:59:59.5'"],
  uuid: ["'00000000-0000-0000-0000-00000000abcd'"],
  blob: ["''", "'\\x00\\xFF'"],
  json: [`'{"n": 1.50, "t": "é"}'`, "'[]'"],
  varchar: [
    ...[
      "''",
      "'a'",
      "'twelve bytes'",
      "'thirteen byte'",
      "'é ü 漢字 🙂 und noch mehr'",
      `'"quoted" and \\ back'`,
      "repeat('xyz', 500)",
    ],
    ...[
      'chr(0)',
      'chr(127)',
      ...Array.from({ length: 31 }, (_, i) => `'before it ' || chr(${i + 1}) || ' and behind'`),
    ],
  ],
}
const typed = (type: string): readonly string[] =>
  (edges[type] as readonly string[]).map((v) => `cast(${v} as ${type})`)
/** Of a list of values and nulls, the one that row `i` takes. */
const pick = (values: readonly string[], step: number): string =>
  `[${[...values, 'null'].join(', ')}][1 + (i * ${step}) % ${values.length + 1}]`

describe('rows of Parquet as lines', () => {
  for (const type of Object.keys(edges))
    test(`${type}, alone, in structs and in lists, is written as DuckDB writes it`, async () => {
      const v = pick(typed(type), 1)
      const [own, written] = await bothWays(
        connection,
        `select i, ${v} as v, [${v}, ${pick(typed(type), 7)}] as l,
          case when i % 3 = 0 then null else {'a': ${v}, 'b "é"': 'text of more than twelve bytes ' || i} end as s,
          case when i % 5 = 0 then null when i % 5 = 1 then [] else [{'x': ${v}, 'y': [${v}]}, null] end as n
         from range(3000) t(i)`,
      )
      assert.equal(own, written)
    })

  test('any doubles, texts, instants and whole numbers are written as DuckDB writes them', async () => {
    const rows = fc.array(
      fc.tuple(
        fc.double(),
        fc.oneof(fc.string({ unit: 'binary' }), fc.string({ maxLength: 80 })).filter((s) => s.isWellFormed()),
        fc.bigInt(-62135596800000000n, 253402300799999999n),
        fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
        fc.integer({ min: -100_000_000, max: 100_000_000 }),
      ),
      { minLength: 1, maxLength: 400 },
    )
    await fc.assert(
      fc.asyncProperty(rows, async (values) => {
        await connection.run('create or replace table r (x double, t varchar, moment bigint, n bigint, c integer)')
        const appender = await connection.createAppender('r')
        for (const [x, t, at, n, c] of values) {
          appender.appendDouble(x)
          appender.appendVarchar(t)
          appender.appendBigInt(at)
          appender.appendBigInt(n)
          appender.appendInteger(c)
          appender.endRow()
        }
        appender.closeSync()
        const [own, written] = await bothWays(
          connection,
          "select x, t, make_timestamp(moment) as moment, n, (c / 100)::double as money, {'t': t, 'x': [x]} as s from r",
        )
        assert.equal(own, written)
      }),
      { numRuns: 30 },
    )
  })

  test('behind a value that only DuckDB knows to spell, DuckDB writes all; no row is left out or comes twice', async () => {
    for (const [odd, plain] of [
      ["'infinity'::date", "'2026-01-01'"],
      ["'-infinity'::timestamp", "'2026-01-01'"],
      ["'10000-01-01'::date", "'2026-01-01'"],
      ["'0044-03-15 (BC)'::date", "'2026-01-01'"],
      ["'12000-01-01 10:00:00'::timestamp", "'2026-01-01'"],
    ])
      for (const at of [0, 1, 2047, 2048, 5000]) {
        const query = `select i, case when i = ${at} then ${odd} else ${plain} end as d from range(6000) t(i)`
        const [own, written] = await bothWays(connection, query)
        assert.equal(own, written)
        assert.equal(own.split('\n').length, 6001)
      }
  })

  test('goes on at a row', async () => {
    const [own, written] = await bothWays(connection, "select i, 'row ' || i as t from range(9000) t(i)", 4500)
    assert.equal(own, written)
    assert.match(own, /^\S+ \S+"i":4500,/)
  })

  test('a decimal without digits before its point has a zero there, as JSON asks for', async () => {
    for (const text of await bothWays(connection, 'select -0.5::decimal(4, 4) as d, [0.05::decimal(20, 20)] as l'))
      assert.match(text, /"record":\{"d":-0.5000,"l":\[0.05000000000000000000\]\}/)
  })

  test('long texts, many columns and long names fit', async () => {
    const columns = Array.from({ length: 300 }, (_, i) => `i as "${'name'.repeat(60)}${i}"`)
    const [own, written] = await bothWays(
      connection,
      `select ${columns.join(', ')}, repeat(chr(1), 200000 + i) as t, [repeat('é', i * 1000)] as l from range(40) t(i)`,
    )
    assert.equal(own, written)
  })

  test('leaves tables to DuckDB of which it can write no column', () => {
    assert.equal(RowLines.for('s', [{ name: 'a', type: { kind: 'HUGEINT' } }]), undefined)
    const lines = RowLines.for('s', [
      { name: 'a', type: { kind: 'HUGEINT' } },
      { name: 'b', type: { kind: 'DECIMAL', width: 19, scale: 2 } },
      { name: 'c', type: { kind: 'LIST', inner: { kind: 'DATE' } } },
      { name: 'd', type: { kind: 'ARRAY', inner: { kind: 'DATE' } } },
    ])
    assert.deepEqual(lines?.asJson, [true, true, false, true])
  })
})
