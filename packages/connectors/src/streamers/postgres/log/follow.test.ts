/** Tables read by the log of changes, from a real server, by the messages that come of it. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { JsonObject, Message, SchemaMessage } from '@millrace/sdk'
import { startCluster, type TestDatabase } from '../../../testing/services/postgres.ts'
import { Mirror, placeIn, type Ran, read } from '../testing/read.ts'
import { parseLsn } from './lsn.ts'

const cluster = await startCluster({
  settings: { wal_level: 'logical', max_replication_slots: '40', max_wal_senders: '40' },
})
const { skip } = cluster
after(async () => {
  await cluster[Symbol.asyncDispose]()
})

/** A database of one test; its slots go with the server. */
const fresh = async (sql: string): Promise<TestDatabase & { readonly settings: JsonObject }> => {
  const db = await cluster.database()
  await db.query(sql)
  return { ...db, settings: { url: db.url, replicationMethod: 'LOG_BASED' } }
}

const schemas = (ran: Ran, stream: string): readonly SchemaMessage[] =>
  ran.messages.filter((m): m is SchemaMessage => m.type === 'SCHEMA' && m.stream === stream)

const fieldsOf = (schema: SchemaMessage | undefined): readonly string[] =>
  Object.keys((schema?.schema['properties'] ?? {}) as JsonObject)

const lsnIn = (state: JsonObject | undefined, stream: string): bigint =>
  parseLsn(String(placeIn(state, stream)['lsn'])) as bigint

/** The rows of a table as the streamer should have them, in the order of id. */
const rowsOf = async (db: TestDatabase, table: string): Promise<readonly unknown[]> =>
  (await db.query(`select row_to_json(t) as row from ${table} t order by id`)).map((r) => r['row'])

describe('the log of changes', { skip, concurrency: 2 }, () => {
  it('reads a table as it was, then what is inserted, updated and deleted, each once', async () => {
    const db = await fresh(
      `create table t (id int primary key, name text); insert into t values (1, 'a'), (2, 'b'), (3, 'c')`,
    )
    const first = await read(db.settings)
    assert.equal(first.error, undefined)
    assert.deepEqual(first.records('t'), ['{"id":1,"name":"a"}', '{"id":2,"name":"b"}', '{"id":3,"name":"c"}'])
    assert.deepEqual(
      first.messages.map((m) => m.type).filter((t, i, all) => t !== all[i - 1]),
      ['SCHEMA', 'RECORD', 'ACTIVATE_VERSION', 'STATE'],
    )
    await db.query(`insert into t values (4, 'd'); update t set name = 'B' where id = 2; delete from t where id = 1`)
    const second = await read(db.settings, { state: first.state })
    const [inserted, updated, deleted] = second.records('t')
    assert.equal(inserted, '{"id":4,"name":"d"}')
    assert.equal(updated, '{"id":2,"name":"B"}')
    assert.match(deleted ?? '', /^\{"id":1,"_sdc_deleted_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"\}$/)
    assert.equal(second.records('t').length, 3)
    const third = await read(db.settings, { state: second.state })
    assert.deepEqual([third.records('t'), third.error], [[], undefined])
  })

  it('confirms to the server what came back as a state, and nothing else; on an idle database too', async () => {
    const db = await fresh('create table t (id int primary key); insert into t values (1)')
    const settings = { ...db.settings, tables: ['t'] }
    const confirmed = async (): Promise<bigint> => {
      const [row] = await db.query(
        `select confirmed_flush_lsn::text as lsn from pg_replication_slots where database = '${db.name}'`,
      )
      return parseLsn(String(row?.['lsn'])) as bigint
    }
    const first = await read(settings)
    const made = await confirmed()
    await db.query('insert into t values (2)')
    // The state of the second run goes nowhere: as if the destination had not stored it.
    const second = await read(settings, { state: first.state })
    assert.deepEqual(second.records('t'), ['{"id":2}'])
    assert.ok(lsnIn(second.state, 't') > lsnIn(first.state, 't'))
    assert.ok((await confirmed()) <= lsnIn(first.state, 't'))
    const again = await read(settings, { state: first.state })
    assert.deepEqual(again.records('t'), ['{"id":2}'])
    // Changes of tables that nobody reads, and of none: the slot moves.
    await db.query('create table other (id int); insert into other select generate_series(1, 1000)')
    const third = await read(settings, { state: again.state })
    assert.deepEqual(third.records('t'), [])
    assert.ok(lsnIn(third.state, 't') > lsnIn(again.state, 't'))
    await read(settings, { state: third.state })
    assert.ok((await confirmed()) >= lsnIn(third.state, 't'))
    assert.ok((await confirmed()) > made)
  })

  it('tells a changed key as a row that is gone and a new one', async () => {
    const db = await fresh(
      `create table t (id int, part text, v int, primary key (part, id)); insert into t values (1, 'x', 1), (2, 'x', 2)`,
    )
    const first = await read(db.settings)
    assert.deepEqual(schemas(first, 't')[0]?.keyProperties, ['part', 'id'])
    await db.query(`update t set id = 10, v = 9 where id = 1; update t set id = 2 where id = 2`)
    const second = await read(db.settings, { state: first.state })
    assert.match(second.records('t')[0] ?? '', /^\{"id":1,"part":"x","_sdc_deleted_at":"/)
    assert.deepEqual(second.records('t').slice(1), ['{"id":10,"part":"x","v":9}', '{"id":2,"part":"x","v":2}'])
  })

  it('fetches large values that an update did not touch, and generated columns, by the key', async () => {
    const db = await fresh(
      `create table t (id int primary key, n int, big text, doc jsonb, twice int generated always as (n * 2) stored);
       alter table t alter column big set storage external, alter column doc set storage external;
       insert into t values (1, 1, repeat('é"x', 4000), jsonb_build_object('k', repeat('y', 9000)))`,
    )
    const first = await read(db.settings)
    await db.query(`update t set n = 2; insert into t values (2, 5, null, null); update t set n = 3 where id = 1`)
    const second = await read(db.settings, { state: first.state })
    const rows = new Mirror('t').take(first.messages).take(second.messages).rows
    assert.deepEqual(rows, await rowsOf(db, 't'))
    assert.equal(second.records('t').length, 3)
    // A row that is gone since cannot be asked for: what is known of it comes, and then that it is gone.
    await db.query(`update t set n = 4 where id = 1; delete from t where id = 1`)
    const third = await read(db.settings, { state: second.state })
    assert.deepEqual(Object.keys(JSON.parse(third.records('t')[0] ?? '') as object), ['id', 'n'])
    assert.match(third.records('t')[1] ?? '', /^\{"id":1,"_sdc_deleted_at"/)
  })

  it('tells the whole old row under REPLICA IDENTITY FULL, and keys by an index where one is named', async () => {
    const db = await fresh(
      `create table whole (id int primary key, name text, big text); alter table whole replica identity full;
       alter table whole alter column big set storage external;
       insert into whole values (1, 'a', repeat('x', 5000)), (2, 'b', null);
       create table indexed (code text not null, id int not null, name text); create unique index by_code on indexed (code);
       alter table indexed replica identity using index by_code; insert into indexed values ('A', 1, 'a'), ('B', 2, 'b')`,
    )
    const first = await read(db.settings)
    assert.deepEqual(schemas(first, 'indexed')[0]?.keyProperties, ['code'])
    await db.query(
      `update whole set name = 'a2' where id = 1; delete from whole where id = 2; update whole set id = 7 where id = 1;
       update indexed set name = 'a2' where id = 1; update indexed set code = 'C' where id = 1; delete from indexed where id = 2`,
    )
    const second = await read(db.settings, { state: first.state })
    const [updated, deleted, moved, arrived] = second.records('whole').map((r) => JSON.parse(r) as JsonObject)
    assert.equal(updated?.['big'], 'x'.repeat(5000))
    assert.deepEqual([deleted?.['id'], deleted?.['name'], deleted?.['big']], [2, 'b', null])
    assert.deepEqual([moved?.['id'], moved?.['name'], typeof moved?.['_sdc_deleted_at']], [1, 'a2', 'string'])
    assert.deepEqual([arrived?.['id'], arrived?.['big']], [7, 'x'.repeat(5000)])
    assert.deepEqual(new Mirror('indexed').take(first.messages).take(second.messages).rows, await rowsOf(db, 'indexed'))
  })

  it('takes all rows away at TRUNCATE, and keeps what comes after it', async () => {
    const db = await fresh(
      'create table t (id int primary key); insert into t select generate_series(1, 5); create table u (id int primary key); insert into u values (1)',
    )
    const first = await read(db.settings)
    await db.query(
      'begin; insert into t values (6); truncate t, u; insert into t values (7); commit; insert into t values (8)',
    )
    const second = await read(db.settings, { state: first.state })
    const rows = (name: string, ...rans: readonly Ran[]): readonly JsonObject[] =>
      rans.reduce((mirror, ran) => mirror.take(ran.messages), new Mirror(name)).rows
    assert.deepEqual(rows('t', first, second), [{ id: 7 }, { id: 8 }])
    assert.deepEqual(rows('u', first, second), [])
    // The same again, as after a kill: it comes to the same.
    const again = await read(db.settings, { state: first.state })
    assert.deepEqual(rows('t', first, second, again), [{ id: 7 }, { id: 8 }])
    await db.query('truncate t; insert into t values (9)')
    const third = await read(db.settings, { state: second.state })
    assert.deepEqual(rows('t', first, second, third), [{ id: 9 }])
    assert.ok(Number(placeIn(third.state, 't')['version']) > Number(placeIn(second.state, 't')['version']))
  })

  it('follows columns that are added, dropped, renamed, of another type, and another key', async () => {
    const db = await fresh(`create table t (id int primary key, a text, b int); insert into t values (1, 'x', 1)`)
    const first = await read(db.settings)
    await db.query(`insert into t values (2, 'y', 2); alter table t add column c numeric; insert into t values (3, 'z', 3, 1.50);
      alter table t rename column a to name; insert into t values (4, 'n', 4, null); alter table t alter column b type bigint, drop column c;
      insert into t values (5, 'o', 9007199254740993)`)
    const second = await read(db.settings, { state: first.state })
    assert.deepEqual(second.records('t'), [
      '{"id":2,"a":"y","b":2}',
      '{"id":3,"a":"z","b":3,"c":1.50}',
      '{"id":4,"name":"n","b":4,"c":null}',
      '{"id":5,"name":"o","b":9007199254740993}',
    ])
    // Each record stands behind a schema that has its fields.
    let fields: readonly string[] = []
    for (const m of second.messages) {
      if (m.type === 'SCHEMA') fields = fieldsOf(m)
      else if (m.type === 'RECORD')
        for (const field of Object.keys(m.record)) assert.ok(fields.includes(field), `${field} of ${fields.join()}`)
    }
    await db.query(`alter table t drop constraint t_pkey; alter table t alter column name set not null;
      alter table t add primary key (name); update t set b = 0 where id = 4; delete from t where id = 5`)
    const third = await read(db.settings, { state: second.state })
    assert.deepEqual(schemas(third, 't').at(-1)?.keyProperties, ['name'])
    assert.equal(third.records('t')[0], '{"id":4,"name":"n","b":0}')
    assert.match(third.records('t')[1] ?? '', /^\{"name":"o","_sdc_deleted_at"/)
  })

  it('reads a partitioned table as one, and moves of rows between its partitions', async () => {
    const db = await fresh(`create table p (id int, day date, v int, primary key (id, day)) partition by range (day);
      create table p1 partition of p for values from ('2024-01-01') to ('2025-01-01');
      create table p2 partition of p for values from ('2025-01-01') to ('2026-01-01');
      insert into p values (1, '2024-05-05', 1), (2, '2025-05-05', 2)`)
    const first = await read(db.settings)
    assert.deepEqual(
      first.messages.flatMap((m) => (m.type === 'SCHEMA' ? [m.stream] : [])),
      ['p'],
    )
    await db.query(`update p set day = '2025-06-06' where id = 1; insert into p values (3, '2024-01-01', 3); delete from p1 where id = 3;
      create table p3 partition of p for values from ('2026-01-01') to ('2027-01-01'); insert into p values (4, '2026-02-02', 4)`)
    const second = await read(db.settings, { state: first.state })
    assert.equal(second.error, undefined)
    assert.deepEqual(new Mirror('p').take(first.messages).take(second.messages).rows, await rowsOf(db, 'p'))
  })

  it('reads a new table, and one that was made anew, as a whole while the others go on', async () => {
    const db = await fresh('create table t (id int primary key); insert into t values (1)')
    const first = await read(db.settings)
    await db.query('create table n (id int primary key); insert into n values (1), (2); insert into t values (2)')
    const second = await read(db.settings, { state: first.state })
    assert.deepEqual([second.records('t'), second.records('n')], [['{"id":2}'], ['{"id":1}', '{"id":2}']])
    assert.ok(second.messages.some((m) => m.type === 'ACTIVATE_VERSION' && m.stream === 'n'))
    assert.ok(!second.messages.some((m) => m.type === 'ACTIVATE_VERSION' && m.stream === 't'))
    await db.query(
      'insert into t values (3); drop table t; create table t (id int primary key, x int); insert into t values (4, 4)',
    )
    const third = await read(db.settings, { state: second.state })
    assert.deepEqual(third.records('t'), ['{"id":4,"x":4}'])
    const rows = new Mirror('t').take(first.messages).take(second.messages).take(third.messages).rows
    assert.deepEqual(rows, [{ id: 4, x: 4 }])
    // A table that was taken out of the publication was not followed meanwhile.
    const [slot] = await db.query(`select pubname from pg_publication`)
    await db.query(`alter publication ${String(slot?.['pubname'])} drop table n; delete from n where id = 1`)
    const fourth = await read(db.settings, { state: third.state })
    assert.deepEqual(new Mirror('n').take(second.messages).take(fourth.messages).rows, [{ id: 2 }])
  })

  it('reads a table again whose snapshot was cut short; the slot neither moves nor is one left behind', async () => {
    const db = await fresh(`create table a (id int primary key); insert into a values (1);
      create table b as select i as id, repeat('x', 200) as filling from generate_series(1, 50000) i; alter table b add primary key (id)`)
    let cut = false
    const first = await read(db.settings, {
      onMessage: async (m) => {
        if (cut || m.type !== 'RECORD' || m.stream !== 'b') return
        cut = true
        await db.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace' and datname = current_database() and query like 'COPY%'`,
        )
      },
    })
    assert.equal(first.error?.code, 'SOURCE_UNAVAILABLE')
    assert.deepEqual(Object.keys(first.state?.['bookmarks'] as JsonObject), ['a'])
    const slots = `select slot_name, confirmed_flush_lsn from pg_replication_slots where database = '${db.name}'`
    const before = await db.query(slots)
    assert.equal(before.length, 1)
    await db.query('insert into a values (2); delete from b where id > 10')
    const second = await read(db.settings, { state: first.state })
    assert.deepEqual(second.records('a'), ['{"id":2}'])
    const rows = new Mirror('b').take(first.messages).take(second.messages).rows
    assert.deepEqual(
      rows.map((r) => r['id']),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    )
    assert.equal((await db.query(slots)).length, 1)
  })

  it('has changes that were made while the tables were read, after them', async () => {
    const db = await fresh(
      `create table t as select i as id, 'before' as v from generate_series(1, 30000) i; alter table t add primary key (id)`,
    )
    let changed = false
    const ran = await read(db.settings, {
      onMessage: async (m) => {
        if (changed || m.type !== 'RECORD') return
        changed = true
        await db.query(
          `update t set v = 'after' where id > 29990; delete from t where id = 5; insert into t values (0, 'new')`,
        )
      },
    })
    assert.equal(ran.records('t').filter((r) => r.includes('after')).length, 10)
    assert.deepEqual(new Mirror('t').take(ran.messages).rows, await rowsOf(db, 't'))
  })

  it('writes states between transactions only, and a large transaction as it comes', async () => {
    const db = await fresh('create table t (id int primary key, tx int)')
    const first = await read(db.settings)
    await db.query(`begin; insert into t select i, 1 from generate_series(1, 60000) i; commit;
      begin; insert into t select i, 2 from generate_series(60001, 60010) i; commit; insert into t values (0, 3)`)
    const second = await read(db.settings, { state: first.state })
    assert.equal(second.records('t').length, 60_011)
    // Between two records of one transaction no state stands.
    let last: Message | undefined
    let before: unknown
    for (const m of second.messages) {
      if (m.type === 'RECORD') {
        if (last?.type === 'STATE') assert.notEqual(m.record['tx'], before)
        before = m.record['tx']
      }
      last = m
    }
    assert.ok(second.messages.filter((m) => m.type === 'STATE').length >= 2)
  })

  it('stops between two transactions when it is asked to, and goes on from there', async () => {
    const db = await fresh('create table t (id int primary key)')
    const first = await read(db.settings)
    for (let i = 0; i < 40; i++) await db.query(`insert into t select generate_series(${i * 1000}, ${i * 1000 + 999})`)
    const stop = new AbortController()
    const second = await read(db.settings, {
      state: first.state,
      signal: stop.signal,
      onMessage: (m) => {
        if (m.type === 'STATE') stop.abort()
      },
    })
    const came = second.records('t').length
    assert.ok(came > 0 && came < 40_000 && came % 1000 === 0, String(came))
    const third = await read(db.settings, { state: second.state })
    assert.equal(came + third.records('t').length, 40_000)
  })

  it('is chosen for single tables by the catalog, with its fields; the mark of deletion is always there', async () => {
    const db = await fresh(
      `create table t (id int primary key, a text, b text); insert into t values (1, 'a', 'b'); create table w (id int); insert into w values (1)`,
    )
    const catalog: JsonObject = {
      streams: [
        {
          tap_stream_id: 't',
          schema: {},
          metadata: [
            { breadcrumb: [], metadata: { selected: true, 'replication-method': 'LOG_BASED' } },
            { breadcrumb: ['properties', 'b'], metadata: { selected: false } },
            { breadcrumb: ['properties', '_sdc_deleted_at'], metadata: { selected: false } },
          ],
        },
        { tap_stream_id: 'w', schema: {}, metadata: [{ breadcrumb: [], metadata: { selected: true } }] },
      ],
    }
    const settings = { url: db.url, logPlaces: true }
    const first = await read(settings, { catalog })
    assert.deepEqual([first.records('t'), first.records('w')], [['{"id":1,"a":"a"}'], ['{"id":1}']])
    assert.deepEqual(fieldsOf(schemas(first, 't')[0]), ['id', 'a', '_sdc_deleted_at', '_sdc_lsn'])
    await db.query(`update t set a = 'A'; delete from t`)
    const second = await read(settings, { catalog, state: first.state })
    assert.match(second.records('t')[0] ?? '', /^\{"id":1,"a":"A","_sdc_lsn":\d+\}$/)
    assert.match(second.records('t')[1] ?? '', /^\{"id":1,"_sdc_deleted_at":"[^"]+","_sdc_lsn":\d+\}$/)
    assert.equal(second.records('w').length, 1)
    // The other way round: all by the log, this one as a whole.
    const whole = {
      streams: [
        {
          tap_stream_id: 't',
          schema: {},
          metadata: [{ breadcrumb: [], metadata: { selected: true, 'replication-method': 'FULL_TABLE' } }],
        },
      ],
    }
    await db.query(`insert into t values (3, 'c', 'c')`)
    const third = await read(db.settings, { catalog: whole, state: second.state })
    assert.deepEqual(third.records('t'), ['{"id":3,"a":"c","b":"c"}'])
  })
})
