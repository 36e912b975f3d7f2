import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  describeError,
  encodeJson,
  isMillraceError,
  type JsonObject,
  type Message,
  MessageReader,
  type MillraceError,
  parseExact,
  type RecordMessage,
  resolveConfig,
  runStreamer,
  type SchemaMessage,
  silentLogger,
} from '@millrace/sdk'
import { streamerSuite } from '@millrace/sdk/testing'
import { findPostgres, type PostgresServer, type TestDatabase } from '../../testing/services/postgres.ts'
import { postgres } from './index.ts'

const server: PostgresServer = await findPostgres()
const { skip } = server
let db: TestDatabase
before(async () => {
  if (skip === false) db = await server.database()
})
after(async () => {
  if (skip === false) await db[Symbol.asyncDispose]()
})

interface Ran {
  readonly messages: readonly Message[]
  readonly state: JsonObject | undefined
  readonly error: MillraceError | undefined
  readonly records: (stream: string) => readonly string[]
}

/** Runs it, and reads what it wrote. `onBytes` is told how much came so far. */
const read = async (
  settings: JsonObject,
  options: { readonly state?: JsonObject | undefined; readonly onBytes?: (bytes: number) => Promise<void> } = {},
): Promise<Ran> => {
  const reader = new MessageReader()
  const messages: Message[] = []
  let error: MillraceError | undefined
  let bytes = 0
  await runStreamer(postgres, {
    command: 'sync',
    config: resolveConfig(postgres.config, { kind: 'streamer', name: 'postgres', file: settings, strict: true }).config,
    log: silentLogger,
    signal: new AbortController().signal,
    ...(options.state === undefined ? {} : { state: options.state }),
    write: async (chunk: Uint8Array) => {
      bytes += chunk.length
      messages.push(...reader.push(Buffer.from(chunk)))
      await options.onBytes?.(bytes)
    },
  }).catch((e: unknown) => {
    if (!isMillraceError(e)) throw e
    error = e
  })
  assert.equal(reader.failure, undefined)
  const last = messages.findLast((m) => m.type === 'STATE')
  return {
    messages,
    state: last === undefined ? undefined : (parseExact(last.text) as JsonObject),
    error,
    records: (stream) =>
      messages
        .filter((m): m is RecordMessage => m.type === 'RECORD' && m.stream === stream)
        .map((m) => m.bytes().toString()),
  }
}

const schemaOf = (ran: Ran, stream: string): SchemaMessage =>
  ran.messages.find((m): m is SchemaMessage => m.type === 'SCHEMA' && m.stream === stream) ?? assert.fail(stream)

describe('the postgres streamer', { skip }, () => {
  it('reads each type as what it is, digit for digit', async () => {
    await db.query(`
      create type mood as enum ('sad', 'glad');
      create domain cents as numeric(40, 2) check (value >= 0);
      create type point3 as (x int, y numeric);
      create table kinds (
        id bigint primary key, small int2 not null, n numeric, price cents, f float8, ok bool, t text, c char(3), tz timestamptz, ts timestamp,
        d date, tm time, j json, jb jsonb, tags text[], grid int[][], m mood, p point3, r int4range, b bytea, u uuid, ip inet, span interval,
        made int generated always as (small * 2) stored);
      insert into kinds values (
        9223372036854775807, 7, 12345678901234567890.123456789012345678901234567890, 99999999999999999999.99, 0.1, true,
        E'tab\\there\\nnew \\\\ "q" é🚚\\u0001', 'ab', '2024-03-01 12:00:00.123456+02', '2024-03-01 12:00:00', '2024-02-29', '23:59:59.5',
        E'{"a":\\n 1e400, "a": 2}', '{"n": 1234567890123456789012}', array['x', null, 'a"b'], array[[1,2],[3,4]], 'glad', row(1, 2.50), '[1,5)',
        '\\x00ff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1/8', '1 year 2 days 03:04:05')`)
    const ran = await read({ url: db.url, tables: ['kinds'] })
    assert.equal(ran.error, undefined)
    assert.deepEqual(ran.records('kinds'), [
      '{"id":9223372036854775807,"small":7,"n":12345678901234567890.123456789012345678901234567890,"price":99999999999999999999.99,"f":0.1,"ok":true,' +
        '"t":"tab\\there\\nnew \\\\ \\"q\\" é🚚\\u0001","c":"ab ","tz":"2024-03-01T10:00:00.123456+00:00","ts":"2024-03-01T12:00:00+00:00",' +
        '"d":"2024-02-29","tm":"23:59:59.5","j":{"a":  1e400, "a": 2},"jb":{"n": 1234567890123456789012},"tags":["x",null,"a\\"b"],"grid":[[1,2],[3,4]],' +
        '"m":"glad","p":{"x":1,"y":2.50},"r":"[1,5)","b":"\\\\x00ff","u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","ip":"10.0.0.1/8",' +
        '"span":"P1Y2DT3H4M5S","made":14}',
    ])
    const schema = schemaOf(ran, 'kinds')
    assert.deepEqual(schema.keyProperties, ['id'])
    const properties = schema.schema['properties'] as JsonObject
    const types = Object.fromEntries(
      Object.entries(properties).map(([k, v]) => [k, encodeJson((v as JsonObject)['type'] ?? 'any')]),
    )
    assert.deepEqual(types, {
      id: '"integer"',
      small: '"integer"',
      n: '["null","number"]',
      price: '["null","number"]',
      f: '["null","number"]',
      ok: '["null","boolean"]',
      t: '["null","string"]',
      c: '["null","string"]',
      tz: '["null","string"]',
      ts: '["null","string"]',
      d: '["null","string"]',
      tm: '["null","string"]',
      j: '"any"',
      jb: '"any"',
      tags: '["null","array"]',
      grid: '["null","array"]',
      m: '["null","string"]',
      p: '["null","object"]',
      r: '["null","string"]',
      b: '["null","string"]',
      u: '["null","string"]',
      ip: '["null","string"]',
      span: '["null","string"]',
      made: '["null","integer"]',
    })
  })

  it('keeps the scale of numeric in the schema, also of domains', async () => {
    // Money of numeric(12,2) became double precision at the destination: precision and scale were not looked at.
    await db.query(`
      create domain money2 as numeric(12, 2); create domain deeper as money2;
      create table scaled (
        price numeric(12, 2), whole numeric(10), loose numeric, long numeric(40, 2), m money2, dm deeper not null,
        hundreds numeric(5, -2), small numeric(3, 5), finest numeric(38, 38), many numeric(12, 2)[], js float8);
      insert into scaled (price, dm, hundreds, small) values (0.07, -9999999999.99, 12345, 0.00999)`)
    const ran = await read({ url: db.url, tables: ['scaled'] })
    assert.equal(ran.error, undefined)
    assert.deepEqual(schemaOf(ran, 'scaled').schema['properties'], {
      price: { type: ['null', 'number'], multipleOf: 0.01 },
      whole: { type: ['null', 'integer'] },
      loose: { type: ['null', 'number'], format: 'singer.decimal' },
      long: { type: ['null', 'number'], format: 'singer.decimal' },
      m: { type: ['null', 'number'], multipleOf: 0.01 },
      dm: { type: 'number', multipleOf: 0.01 },
      hundreds: { type: ['null', 'integer'] },
      small: { type: ['null', 'number'], multipleOf: 0.00001 },
      finest: { type: ['null', 'number'], multipleOf: 1e-38 },
      many: { type: ['null', 'array'], items: {} },
      js: { type: ['null', 'number'] },
    })
  })

  it('finds tables, partitioned ones as one, and views; with hostile names, in other schemas', async () => {
    await db.query(`
      create schema sales;
      create table sales."Odd ""table""" ("a b" int primary key, "__proto__" text);
      insert into sales."Odd ""table""" values (1, 'x');
      create table parted (id int, day date, primary key (day, id)) partition by range (day);
      create table parted_1 partition of parted for values from ('2024-01-01') to ('2025-01-01');
      create table parted_2 partition of parted for values from ('2025-01-01') to ('2026-01-01');
      insert into parted values (1, '2024-05-05'), (2, '2025-05-05');
      create view seen as select id from parted;
      create materialized view kept as select count(*) as n from parted;
      create table empty_one (id int)`)
    const ran = await read({ url: db.url, tables: ['parted*', 'seen', 'kept', 'empty_one', 'sales.*'] })
    const names = ran.messages.flatMap((m) => (m.type === 'SCHEMA' ? [m.stream] : []))
    assert.deepEqual(names.toSorted(), ['empty_one', 'kept', 'parted', 'sales-Odd "table"', 'seen'])
    assert.deepEqual(ran.records('sales-Odd "table"'), ['{"a b":1,"__proto__":"x"}'])
    assert.deepEqual(ran.records('parted').toSorted(), ['{"id":1,"day":"2024-05-05"}', '{"id":2,"day":"2025-05-05"}'])
    assert.deepEqual(schemaOf(ran, 'parted').keyProperties, ['day', 'id'])
    assert.deepEqual(ran.records('kept'), ['{"n":2}'])
    // Each whole table is a version, so that rows which are gone there go here too.
    const versions = ran.messages.filter((m) => m.type === 'ACTIVATE_VERSION')
    assert.equal(versions.length, 5)
    const record = ran.messages.find((m): m is RecordMessage => m.type === 'RECORD' && m.stream === 'kept')
    assert.equal(record?.version, versions.find((v) => v.stream === 'kept')?.version)
  })

  it('reads only what is new by a column: numbers beyond a double, times, times without a zone', async () => {
    await db.query(`
      create table moving (id int primary key, big numeric, at timestamptz, local timestamp);
      insert into moving select i, 90071992547409930000 + i, '2024-01-01'::timestamptz + i * interval '1 hour', '2024-01-01'::timestamp + i * interval '1 hour'
        from generate_series(1, 50) i;
      insert into moving values (51, null, null, null)`)
    for (const column of ['big', 'at', 'local']) {
      const settings = { url: db.url, tables: ['moving'], replicationKeys: { '*': column } }
      const first = await read(settings)
      assert.equal(first.records('moving').length, 50, column)
      await db.query(
        `insert into moving select 100, 90071992547409939999, '2025-01-01Z', '2025-01-01' on conflict do nothing`,
      )
      const second = await read(settings, { state: first.state })
      // The greatest comes again, as others may have come with the same value.
      assert.deepEqual(
        second.records('moving').map((r) => (JSON.parse(r) as { id: number }).id),
        [50, 100],
        column,
      )
      const third = await read(settings, { state: second.state })
      assert.equal(third.records('moving').length, 1)
      await db.query('delete from moving where id = 100')
    }
    const other = await read(
      { url: db.url, tables: ['moving'], replicationKeys: { moving: 'id' } },
      { state: { bookmarks: { moving: { bookmark: { column: 'at', value: '2999-01-01' } } } } },
    )
    assert.equal(other.records('moving').length, 51)
  })

  // PostgreSQL sorts infinity and NaN last: as a bookmark they were beyond every later row, which never came.
  it('is not led beyond all rows by infinity or NaN in a replication key', async () => {
    await db.query(`create table endless (id int primary key, at timestamptz, n numeric);
      insert into endless values (1, '2026-01-01Z', 1), (2, 'infinity', 'NaN')`)
    for (const column of ['at', 'n']) {
      const settings = { url: db.url, tables: ['endless'], replicationKeys: { '*': column } }
      const first = await read(settings)
      assert.equal(first.records('endless').length, 2)
      await db.query(`insert into endless values (3, '2026-02-01Z', 3)`)
      const second = await read(settings, { state: first.state })
      assert.deepEqual(
        second.records('endless').map((r) => (JSON.parse(r) as { id: number }).id),
        [1, 3, 2],
        column,
      )
      await db.query('delete from endless where id = 3')
    }
    await db.query(`create table only_endless (at date); insert into only_endless values ('infinity')`)
    const none = await read({ url: db.url, tables: ['only_endless'], replicationKeys: { '*': 'at' } })
    assert.doesNotMatch(encodeJson(none.state ?? {}), /infinity/)
  })

  it('reads rows of tables that inherit once, and tells names that are no tables', async () => {
    await db.query(
      'create table parent (id int); create table child () inherits (parent); insert into child values (7)',
    )
    const ran = await read({ url: db.url, tables: ['parent', 'child'] })
    assert.deepEqual([ran.records('parent'), ran.records('child')], [[], ['{"id":7}']])
    const wrong = await read({ url: db.url, tables: ['parent', 'parrent', 'x*'] })
    assert.match(wrong.error?.message ?? '', /tables names parrent: there is no such table.*tables names x\*/s)
  })

  it('says what is wrong with its settings and with who asks', async () => {
    await db.query('create table if not exists told (id int primary key, name text)')
    const wrong = await read({ url: db.url, tables: ['told'], replicationKeys: { tolt: 'id', told: 'nmae' } })
    assert.match(
      wrong.error?.message ?? '',
      /tolt, which is no substream; did you mean told\?.*no column nmae; did you mean name\?/s,
    )
    const nobody = await read({ url: db.urlFor('nobody_at_all', 'hush-hush') })
    assert.ok(['SOURCE_REFUSED'].includes(nobody.error?.code ?? ''), nobody.error?.message)
    assert.equal(nobody.error?.exitCode, 78)
    assert.doesNotMatch(describeError(nobody.error as MillraceError), /hush/)
    const gone = await read({ host: '127.0.0.1', port: 1, user: 'postgres', database: 'x' })
    assert.deepEqual([gone.error?.code, gone.error?.exitCode], ['SOURCE_UNAVAILABLE', 69])
    const noDatabase = await read({ url: server.url('no_such_database_here') })
    assert.match(noDatabase.error?.message ?? '', /no such database/)
  })

  it('sees only what the user may read', async () => {
    const role = `reader_${db.name}`
    await db.query(
      `create role ${role} login; create table open_one (id int, secret text); create table closed_one (id int); grant select (id) on open_one to ${role}; insert into open_one values (1, 'x')`,
    )
    try {
      const ran = await read({ url: db.urlFor(role), tables: ['open_one', 'open_*'] })
      assert.deepEqual(ran.records('open_one'), ['{"id":1}'])
      assert.deepEqual(
        ran.messages.flatMap((m) => (m.type === 'SCHEMA' ? [m.stream] : [])),
        ['open_one'],
      )
    } finally {
      await db.query(`drop owned by ${role}; drop role ${role}`)
    }
  })

  it('tells a connection that is killed in the middle of a table, keeps what came, and goes on from there', async () => {
    await db.query(
      `create table long_one as select i as id, repeat('x', 500) as filling from generate_series(1, 60000) i`,
    )
    const settings = { url: db.url, tables: ['long_one'], replicationKeys: { long_one: 'id' } }
    let killed = false
    const cut = await read(settings, {
      onBytes: async (bytes) => {
        if (killed || bytes < 2_000_000) return
        killed = true
        await db.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace' and datname = current_database() and pid <> pg_backend_pid()`,
        )
      },
    })
    assert.ok(killed)
    assert.equal(cut.error?.code, 'SOURCE_UNAVAILABLE', cut.error?.message)
    assert.equal(cut.error.exitCode, 69)
    const before = cut.records('long_one').length
    assert.ok(before > 1000 && before < 60_000, String(before))
    const rest = await read(settings, { state: cut.state })
    const ids = new Set(
      [...cut.records('long_one'), ...rest.records('long_one')].map((r) => (JSON.parse(r) as { id: number }).id),
    )
    assert.equal(ids.size, 60_000)
    assert.ok(rest.records('long_one').length < 60_000)
  })

  it('tells a table that is gone when its turn comes', async () => {
    await db.query('create table a_first as select generate_series(1, 100000) as id; create table z_last (id int)')
    let dropped = false
    const ran = await read(
      { url: db.url, tables: ['a_first', 'z_last'] },
      {
        onBytes: async () => {
          if (dropped) return
          dropped = true
          await db.query('drop table z_last')
        },
      },
    )
    assert.equal(ran.records('a_first').length, 100_000)
    assert.match(ran.error?.message ?? '', /public\.z_last.*does not exist/)
    assert.equal(ran.error?.code, 'SOURCE_UNAVAILABLE')
  })
})

if (skip === false) {
  const suite = await server.database()
  after(() => suite[Symbol.asyncDispose]())
  await suite.query(
    `create table rising as select i as id, 'row ' || i as text, i % 7 as kind from generate_series(1, 20000) i; alter table rising add primary key (id)`,
  )
  streamerSuite(postgres, {
    name: 'postgres, by a replication key',
    config: { url: suite.url, replicationKeys: { rising: 'id' } },
    module: new URL('./index.ts', import.meta.url),
    stops: 3,
  })
}
