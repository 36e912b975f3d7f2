import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { EncodedRecords, silentLogger, type SubstreamContext } from '@millrace/sdk'
import { findPostgres, type PostgresServer, type TestDatabase } from '../../testing/services/postgres.ts'
import { type ConnectionTarget, targetOf } from '../../postgres/settings.ts'
import { postgres } from './index.ts'
import { openSource, readTable } from './read.ts'
import { readTables, type SourceTable } from './tables.ts'
import { quoteName } from './types.ts'
import { jsonOf, spellingOf } from './values.ts'

const server: PostgresServer = await findPostgres()
const { skip } = server
let db: TestDatabase
let target: ConnectionTarget
before(async () => {
  if (skip !== false) return
  db = await server.database()
  const unset = Object.fromEntries(Object.keys(postgres.config).map((name) => [name, undefined]))
  target = targetOf({ ...unset, url: db.url } as Parameters<typeof targetOf>[0])
})
after(async () => {
  if (skip === false) await db[Symbol.asyncDispose]()
})

const sql = String.raw
const texts = [
  ...["''", "'x'", "'null'", `'a"b'`, "'/'", "'é🚚'", sql`'\'`, sql`'\N'`, sql`'\\N'`, sql`'\t'`],
  ...[sql`E'tab\there'`, sql`E'line\nend\r\n'`, sql`E'\b\f\v\x01\x1f\x7f'`, sql`E'\u2028'`],
  ...[1, 14, 15, 16, 17, 31, 32, 300_000].map((n) => sql`repeat(E'"\\\t', ${n})`),
  ...[1, 14, 15, 16, 17, 31, 32, 300_000].map((n) => `repeat('y', ${n})`),
]
const jsons = [
  sql`'{"a": "\\n\\\\" , "b":[1e400,null]}'`,
  sql`E'{"a":\n\t\r1, "a": 2}'`,
  sql`'"\u000b\/"'`,
  "'null'",
  "'12345678901234567890.10'",
]
const floats = ["'NaN'", "'Infinity'", "'-Infinity'", '1e30', '1e-30', '0.1', "'-0'"]

/** Each type with values that may be spelt in more than one way. */
const types: Readonly<Record<string, readonly string[]>> = {
  bool: ['true', 'false'],
  int2: ['-32768', '0'],
  int4: ['2147483647'],
  int8: ['-9223372036854775808'],
  numeric: [...floats, '0.10', '-12345678901234567890.123456789012345678901234567890'],
  float4: floats,
  float8: floats,
  text: texts,
  varchar: texts,
  citext: texts,
  'char(9)': ["'ab'", `'é"'`],
  '"char"': ["'a'", `'"'`, sql`'\'`],
  name: [`'a"b'`, sql`'\'`],
  timestamp: ['2024-03-01 12:00:00', '2024-03-01 12:00:00.1', '0044-03-15 12:00:00 BC', 'infinity', '-infinity'].map(
    (t) => `'${t}'`,
  ),
  timestamptz: ['2024-03-01 12:00+05:30', '1890-01-01 00:00:00.123456Z', '0044-03-15 12:00Z BC', 'infinity'].map(
    (t) => `'${t}'`,
  ),
  date: ["'2024-02-29'", "'0044-03-15 BC'", "'infinity'", "'-infinity'", "'10000-01-01'"],
  time: ["'23:59:59.5'", "'24:00:00'"],
  timetz: ["'23:59:59.5+05:30'"],
  interval: ["'1 year -2 days 03:04:05.6'", "'0'"],
  json: jsons,
  jsonb: jsons.map((j) => j.replace('1e400', '1')),
  bytea: ["''", sql`'\x00ff5c22'`],
  uuid: ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
  inet: ["'10.0.0.1/8'", "'::1'"],
  money: ["'-1234.5'"],
  bit: ["'1'"],
  varbit: ["''", "'101'"],
  tsvector: [sql`'a:1 ''b\\"c'':2'`],
  point: ["'(1,-2.5)'"],
  oid: ['4294967295'],
  regclass: ["'pg_class'"],
  pg_lsn: ["'1/2F'"],
  int2vector: ["'1 2'"],
  int4range: ["'[1,5)'", "'empty'"],
  int4multirange: ["'{[1,5),[7,9)}'"],
  tstzrange: ["'[2024-01-01Z,)'"],
  hstore: [sql`'a=>1, "b\"c"=>NULL'`],
  'text[]': ["'{}'", sql`'{NULL,"a\"b","\\",x}'`, "'[2:3]={a,b}'", sql`array[E'\n\t']`],
  'int4[]': ["'{{1,2},{3,4}}'"],
  'timestamp[]': ["'{2024-03-01 12:00:00,infinity}'"],
  'json[]': [sql`array[E'{"a":\n"\\n"}'::json]`],
  mood: ["'sad'", sql`'glad "\'`],
  shouted: ["'one'"],
  pair: [sql`row(1, E'a\n"b\\', E'{"a":\n1}')::pair`, 'row(null, null, null)::pair'],
  cents: ['1.50'],
  words: ["'{a,NULL}'"],
  moment: ["'2024-03-01 12:00:00'"],
  own_range: ["'[a,b]'"],
  'kinds."date"': ['row(1)::kinds."date"'],
}
const columns = Object.keys(types).map((type, i) => ({ type, name: `"c ${i} ""${type.replaceAll('"', "'")}"` }))

const createSql = [
  'create schema kinds',
  'set search_path to pg_catalog, kinds',
  'create extension hstore schema kinds',
  'create extension citext schema kinds',
  sql`create type kinds.mood as enum ('sad', 'glad "\')`,
  "create type kinds.shouted as enum ('one')",
  "create function kinds.shout(shouted) returns json language sql as $$ select json_build_object('loud', upper($1::text)) $$",
  'create cast (kinds.shouted as json) with function kinds.shout(shouted)',
  'create type kinds.pair as (n int, t text, j json)',
  'create type kinds.own_range as range (subtype = text)',
  'create domain kinds.cents as numeric(9, 2)',
  'create domain kinds.words as text[]',
  'create domain kinds.moment as timestamp',
  'create type kinds."date" as (day int)',
  `create table kinds.everything (id serial primary key, ${columns.map((c) => `${c.name} ${c.type}`).join(', ')})`,
  ...columns.flatMap(({ type, name }) =>
    (types[type] ?? []).map((value) => `insert into kinds.everything (${name}) values (${value})`),
  ),
].join(';\n')

/** Rows as row_to_json has them, times without a zone taken as UTC; and each value as the server writes it. */
const rulesSql = (table: SourceTable): string => {
  const asRead = table.columns.map((c) => {
    const name = quoteName(c.name)
    return c.type === 'timestamp' && !c.isArray ? `${name} at time zone 'UTC' as ${name}` : name
  })
  return `set timezone = 'UTC'; set intervalstyle = 'iso_8601'; set extra_float_digits = 3;
    select row_to_json(r)::text as json, array[${table.columns.map((c) => `(select format('%s', e.${quoteName(c.name)}) where e.${quoteName(c.name)} is not null)`).join(', ')}] as texts
    from kinds.everything e, lateral (select ${asRead.join(', ')} from (select e.*) e) r order by e.id`
}

describe('values of PostgreSQL as JSON', { skip }, () => {
  it('are, of every type, what row_to_json makes of them', async () => {
    await db.query(createSql)
    const client = await openSource(target)
    const [table] = await readTables(client, { schemas: ['kinds'], tables: ['everything'] }).finally(() => client.end())
    if (table === undefined) return assert.fail()
    const context = { bookmark: undefined, fields: undefined, version: 7, signal: new AbortController().signal }
    const lines: string[] = []
    const reading = { target, table, replicationKey: 'id' }
    for await (const y of readTable(reading, { ...context, log: silentLogger } as unknown as SubstreamContext))
      if (y instanceof EncodedRecords) lines.push(...Buffer.from(y.lines).toString().trimEnd().split('\n'))
    const rows = await db.query(rulesSql(table))
    assert.equal(lines.length, rows.length)
    assert.ok(rows.length > 150)
    for (const [i, row] of rows.entries()) {
      const json = String(row['json']).replaceAll(/[\n\r\t]/g, ' ')
      const line = `{"type":"RECORD","stream":"kinds-everything","record":${json},"version":7}`
      assert.ok(lines[i] === line, `${lines[i]?.slice(0, 4000)}\n${line.slice(0, 4000)}`)
      for (const [c, column] of table.columns.entries()) {
        const text = (row['texts'] as readonly (string | null)[])[c]
        const spelling = spellingOf(column)
        if (text === null || text === undefined || spelling === 'server') continue
        const spelt = `${JSON.stringify(column.name)}:${jsonOf(spelling, text)}`
        assert.ok(json.includes(spelt), `${spelt.slice(0, 500)} is not in ${json.slice(0, 500)}`)
      }
    }
  })
})
