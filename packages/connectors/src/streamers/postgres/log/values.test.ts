/** One spelling: what the log of changes brings is byte for byte what a whole table brings, type by type. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { startCluster } from '../../../testing/services/postgres.ts'
import { read } from '../testing/read.ts'
import { Out } from './out.ts'
import { writerOf } from './values.ts'

const cluster = await startCluster({ settings: { wal_level: 'logical' } })
after(() => cluster[Symbol.asyncDispose]())

const types: Readonly<Record<string, readonly string[]>> = {
  int2: ['-32768', '32767'],
  int8: ['-9223372036854775808', '9223372036854775807'],
  numeric: [
    '0',
    '-0.000000000000000000000000000000001',
    '12345678901234567890.1234567890',
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    '1e100',
  ],
  'numeric(12, 2)': ['0.07'],
  'numeric(7, 0)': ['5'],
  cents2: ['1.50'],
  'numeric(40, 2)': ['99999999999999999999.9'],
  float4: ['0.1', '3.4e38', "'NaN'", "'-Infinity'", '1e-40', "'-0'"],
  float8: ['0.1', '1e308', '5e-324', "'NaN'", "'Infinity'", '123456789012345680000', "'-0'"],
  bool: ['true', 'false'],
  text: ["''", 'E\'tab\\there\\nnew \\\\ "q" é🚚\\u0001\\u007f\\u2028\'', "'null'", "repeat('x\"', 3000)"],
  'varchar(5)': ["'abc'"],
  'char(5)': ["'ab'"],
  name: ["'n'"],
  timestamptz: [
    "'2024-03-01 12:00:00.123456+02'",
    "'infinity'",
    "'-infinity'",
    "'0044-03-15 12:00:00+00 BC'",
    "'12345-01-01 00:00:00+00'",
    "'1900-01-01 00:00:00.5+00'",
    "'0001-01-01 00:00:00+00'",
  ],
  timestamp: ["'2024-03-01 12:00:00.1'", "'infinity'", "'0044-03-15 12:00:00.25 BC'", "'12345-01-01'"],
  date: ["'2024-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'12345-01-01'"],
  time: ["'23:59:59.5'", "'24:00:00'"],
  timetz: ["'23:59:59.5-03:30'"],
  interval: ["'1 year 2 days 03:04:05.6'", "'-1 day'", "'0'"],
  json: ['E\'{"a":\\n\\t 1e400, "a": "\\\\\\\\n é"}\'', "'null'", '\'"x"\'', "'1.10'"],
  jsonb: ['\'{"n": 1234567890123456789012.10, "z": [1, null]}\'', "'null'"],
  uuid: ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
  bytea: ["'\\x00ff22'", "''"],
  inet: ["'10.0.0.1/8'"],
  money: ["'12.34'"],
  bit: ["B'1'"],
  varbit: ["B'10101'"],
  xml: ["'<a>\"</a>'"],
  int4range: ["'[1,5)'", "'empty'"],
  tstzrange: ["'[2024-01-01 00:00:00+00,)'"],
  nummultirange: ["'{[1,2),[3,4.5]}'"],
  point: ["'(1,2)'"],
  tsvector: ["'a b:1'"],
  pg_lsn: ["'16/B374D848'"],
  oid: ['4294967295'],
  mood: ["'glad'", '\'so "so"\''],
  cents: ['12.30'],
  tags: ["'{a,b}'"],
  point3: ['row(1, 2.50, null)', 'row(null, null, E\'a "b" \\\\ (c), d\\n\')'],
  deep: [
    "row(row(1, 'NaN', 'x'), array['2024-01-01 00:00:00'::timestamp], '{\"a\": 1}', '2024-01-01 00:00:00+01', true)",
  ],
  'int4[]': ["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[0:1]={5,6}'"],
  'text[]': ["array['x', null, 'a\"b\\c', 'NULL', '', ' ', '{}', 'é,']"],
  'numeric[]': ["array['NaN', 1.10]::numeric[]"],
  'bool[]': ["'{t,f}'"],
  'jsonb[]': ["array['{\"a\": [1, 2]}'::jsonb, 'null']"],
  'json[]': ['array[E\'{"a":\\n1}\'::json]'],
  'timestamptz[]': ["array['2024-03-01 12:00:00.5+02'::timestamptz, 'infinity', '0044-03-15 12:00:00+00 BC']"],
  'timestamp[]': ["array['2024-03-01 12:00:00'::timestamp, '-infinity', '0044-03-15 12:00:00 BC']"],
  'date[]': ["array['2024-03-01'::date, 'infinity', '0044-03-15 BC']"],
  'bytea[]': ["array['\\x00ff'::bytea]"],
  'box[]': ["array['(1,1),(0,0)'::box, '(2,2),(1,1)']"],
  'mood[]': ["array['sad'::mood]"],
  'point3[]': ["array[row(1, 2, 'a,b')::point3, null]"],
  'int4range[]': ["array['[1,5)'::int4range]"],
  'cents[]': ['array[1.10::cents]'],
  int2vector: ["'1 2 3'", "''"],
  oidvector: ["'1 2'"],
}

describe('values of the log of changes', { skip: cluster.skip }, () => {
  it('are spelt as those of a whole table, type by type', async () => {
    await using db = await cluster.database()
    await db.query(`create type mood as enum ('sad', 'glad', 'so "so"'); create domain cents as numeric(40, 2); create domain cents1 as numeric(9, 2); create domain cents2 as cents1; create domain tags as text[];
      create type point3 as (x int, "y ""z""" numeric, t text); create type deep as (p point3, at timestamp[], j jsonb, tz timestamptz, ok bool)`)
    const columns = Object.keys(types).map((type, i) => ({ type, name: `c${i}`, values: types[type] ?? [] }))
    await db.query(`create table kinds (id int primary key, ${columns.map((c) => `${c.name} ${c.type}`).join(', ')})`)
    const settings = { url: db.url, replicationMethod: 'LOG_BASED' }
    const inserts = columns.flatMap((c) => [...c.values, 'null'].map((value) => ({ ...c, value })))
    for (const [i, { name, type, value }] of inserts.entries())
      await db.query(`insert into kinds (id, ${name}) values (${i}, (${value})::${type})`)
    const whole = await read(settings)
    assert.equal(whole.error, undefined)
    await db.query('update kinds set id = id + 1000')
    const changed = await read(settings, { state: whole.state })
    const after = changed.records('kinds').filter((r) => !r.includes('_sdc_deleted_at'))
    const before = whole
      .records('kinds')
      .map((r) => r.replace(/^\{"id":(\d+)/, (_, id: string) => `{"id":${Number(id) + 1000}`))
    assert.equal(after.length, inserts.length)
    for (const [i, { type, value }] of inserts.entries()) assert.equal(after[i], before[i], `${type}: ${value}`)
    // The schema is the same too: no other one comes.
    assert.equal(changed.messages.filter((m) => m.type === 'SCHEMA').length, 1)
    await db.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots')
  })

  it('that are infinite or no number become null where that is asked for, but for keys', async () => {
    await using db = await cluster.database()
    await db.query(
      `create table odd (n numeric, f float8, t timestamptz, l timestamp not null, d date, x text, many date[], k date primary key)`,
    )
    const row = (key: string) => `insert into odd values
      ('NaN', '-Infinity', 'infinity', '-infinity', 'infinity', 'infinity', array['infinity'::date], '${key}'),
      (1.50, 2, '2024-01-01 00:00:00+00', '2024-01-01 00:00:00', '2024-01-01', 'NaN', null, '2024-01-0${key.length}')`
    await db.query(row('infinity'))
    const settings = { url: db.url, infinity: 'null' }
    const wanted = (key: string, day: string) => [
      `{"n":null,"f":null,"t":null,"l":null,"d":null,"x":"infinity","many":["infinity"],"k":"${key}"}`,
      `{"n":1.50,"f":2,"t":"2024-01-01T00:00:00+00:00","l":"2024-01-01T00:00:00+00:00","d":"2024-01-01","x":"NaN","many":null,"k":"${day}"}`,
    ]
    const whole = await read(settings)
    assert.deepEqual(whole.records('odd'), wanted('infinity', '2024-01-08'))
    const schema = JSON.stringify(whole.messages.find((m) => m.type === 'SCHEMA'))
    assert.match(schema, /"l":\{"type":\["null","string"\],"format":"date-time"\}/)
    assert.match(schema, /"k":\{"type":"string","format":"date"\}/)
    const followed = { ...settings, replicationMethod: 'LOG_BASED' }
    const first = await read(followed)
    assert.deepEqual(first.records('odd'), wanted('infinity', '2024-01-08'))
    await db.query(row('-infinity'))
    const changed = await read(followed, { state: first.state })
    assert.deepEqual(changed.records('odd'), wanted('-infinity', '2024-01-09'))
    assert.equal((await read({ url: db.url })).records('odd')[0]?.includes('"n":"NaN"'), true)
    await db.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots')
  })

  it('are cut out of their bytes wherever they stand', () => {
    const bytes = Buffer.from('xx2024-01-01 00:00:00+00yy')
    const out = new Out()
    writerOf({ name: 'timestamptz', kind: 'b' })(bytes, 2, bytes.length - 2, out)
    writerOf({ name: 'date', kind: 'b' })(bytes, 2, 12, out)
    assert.equal(out.take().toString(), '"2024-01-01T00:00:00+00:00""2024-01-01"')
    for (let i = 0; i < 3000; i++) out.string(Buffer.from(`"${i}\u0001é`), 0, Buffer.byteLength(`"${i}\u0001é`))
    const text = out.take().toString()
    assert.equal(text, Array.from({ length: 3000 }, (_, i) => JSON.stringify(`"${i}\u0001é`)).join(''))
  })
})
