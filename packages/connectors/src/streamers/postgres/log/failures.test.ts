/** What goes wrong with the log of changes: one line each, with the way out, before anything is read. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { type JsonObject, type MillraceError, silentLogger } from '@millrace/sdk'
import { findPostgres, startCluster, type TestDatabase } from '../../../testing/services/postgres.ts'
import { targetOf } from '../../../postgres/settings.ts'
import { Mirror, placeIn, type Ran, read } from '../testing/read.ts'
import { ReplicationConnection } from './connection.ts'
import { refuseVersion } from './follow.ts'
import { parseLsn } from './lsn.ts'

const cluster = await startCluster({
  settings: {
    wal_level: 'logical',
    max_replication_slots: '3',
    max_slot_wal_keep_size: '1MB',
    max_wal_size: '32MB',
    min_wal_size: '32MB',
  },
})
const { skip } = cluster
after(() => cluster[Symbol.asyncDispose]())

const dropSlots = `select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active and database = current_database()`

/** A database of its own, whose slots go with it. */
const within = async (sql: string, body: (db: TestDatabase, settings: JsonObject) => Promise<void>): Promise<void> => {
  await using db = await cluster.database()
  await db.query(sql)
  try {
    await body(db, { url: db.url, replicationMethod: 'LOG_BASED' })
  } finally {
    await db.query(dropSlots)
  }
}

/** That a run, and `check` beforehand, say this and nothing was read. */
const refuses = async (
  settings: JsonObject,
  words: RegExp,
  options: { readonly state?: JsonObject | undefined; readonly code?: string; readonly check?: boolean } = {},
): Promise<MillraceError> => {
  const ran = await read(settings, { state: options.state })
  assert.match(`${ran.error?.message}\n${ran.error?.fix}`, words)
  assert.equal(ran.error?.code, options.code ?? 'SOURCE_REFUSED', ran.error?.message)
  assert.ok(!ran.messages.some((m) => m.type === 'RECORD'))
  if (options.check !== false) {
    const checked = await read(settings, { command: 'check' })
    assert.match(`${checked.error?.message}\n${checked.error?.fix}`, words)
  }
  return ran.error as MillraceError
}

const numbered = `create table t (id int primary key, v int); insert into t values (1, 1)`

describe('what is wrong with the log of changes', { skip }, () => {
  it('is told where the server writes none', async () => {
    const other = await findPostgres()
    await using db = await other.database()
    const [level] = await db.query('show wal_level')
    await db.query(numbered)
    const settings = { url: db.url, replicationMethod: 'LOG_BASED' }
    if (level?.['wal_level'] === 'logical') assert.equal((await read(settings, { command: 'check' })).error, undefined)
    else await refuses(settings, /wal_level is replica.*\n.*ALTER SYSTEM SET wal_level = logical/s)
  })

  it('is told of a server that is too old', () => {
    const target = targetOf({ url: 'postgresql://h/d' } as Parameters<typeof targetOf>[0])
    assert.throws(() => refuseVersion(110_022, target), {
      code: 'SOURCE_REFUSED',
      message: /it is PostgreSQL 11; .* from 12 on/,
    })
    refuseVersion(120_000, target)
  })

  it('is told of tables whose rows have no key, all at once, and how they can get one', async () => {
    await within(
      `create table none (id int); create table nothing (id int primary key); alter table nothing replica identity nothing;
       create table full_one (id int); alter table full_one replica identity full; create unlogged table fleeting (id int primary key);
       create view v as select 1 as id; ${numbered}`,
      async (db, settings) => {
        const error = await refuses(settings, /REPLICA IDENTITY USING INDEX/)
        assert.match(
          error.message,
          /public\.none has no primary key.*public\.nothing says that its old rows are told by nothing/,
        )
        assert.match(error.message, /full_one/)
        assert.doesNotMatch(error.message, /public\.(t|v|fleeting) /)
        assert.deepEqual(
          await db.query('select 1 from pg_publication union all select 1 from pg_replication_slots'),
          [],
        )
        // What is in no log is read as a whole beside the others.
        const ran = await read({ ...settings, tables: ['t', 'v', 'fleeting'] })
        assert.deepEqual([ran.error, ran.records('v'), ran.records('t')], [undefined, ['{"id":1}'], ['{"id":1,"v":1}']])
      },
    )
  })

  it('is told of a user who may not read it, or may not make the publication: with the statement to run', async () => {
    await within(numbered, async (db, settings) => {
      const role = `follower_${db.name}`
      await db.query(`create role ${role} login; grant select on t to ${role}`)
      try {
        const own = { ...settings, url: db.urlFor(role), publication: 'pub "x"' }
        await refuses(own, /may not read the log of changes.*\n.*ALTER ROLE … REPLICATION/s)
        await db.query(`alter role ${role} replication`)
        const error = await refuses(own, /no publication pub "x", and the user may not make it/)
        const sql = /run: (.*)$/.exec(error.fix)?.[1] ?? ''
        assert.equal(
          sql,
          'CREATE PUBLICATION "pub ""x""" FOR TABLE ONLY "public"."t" WITH (publish_via_partition_root = true)',
        )
        await db.query(sql)
        const first = await read(own)
        assert.deepEqual([first.error, first.records('t')], [undefined, ['{"id":1,"v":1}']])
        await db.query(`create table later (id int primary key); grant select on later to ${role}`)
        const lacks = await refuses(own, /publication pub "x" lacks public\.later/, { state: first.state })
        await db.query(/run: (.*)$/.exec(lacks.fix)?.[1] ?? '')
        assert.equal((await read(own, { state: first.state })).error, undefined)
        // Columns that it may not read are in the log, and do not come.
        await db.query(
          `revoke select on t from ${role}; grant select (id) on t to ${role}; insert into t values (2, 2)`,
        )
        const narrow = await read(own, { state: first.state })
        assert.deepEqual(narrow.records('t'), ['{"id":2}'])
      } finally {
        await db.query(`${dropSlots}; drop publication if exists "pub ""x"""; drop owned by ${role}; drop role ${role}`)
      }
    })
  })

  it('is told of a publication that leaves changes out, or tells partitions apart', async () => {
    await within(
      `${numbered}; create publication partial for table t with (publish = 'insert'); create table p (id int primary key) partition by hash (id);
       create table p0 partition of p for values with (modulus 1, remainder 0); create publication apart for table p`,
      async (_, settings) => {
        await refuses(
          { ...settings, tables: ['t'], publication: 'partial' },
          /leaves out update, delete, truncate.*\n.*SET \(publish =/s,
        )
        await refuses(
          { ...settings, tables: ['p'], publication: 'apart' },
          /partitions of public\.p.*\n.*publish_via_partition_root = true/s,
        )
      },
    )
  })

  it('is told of two pipelines with one slot: at the first run of the second, and before anything is missed', async () => {
    await within(`${numbered}; create table u (id int primary key); insert into u values (1)`, async (_, settings) => {
      const warned: string[] = []
      const warn = (text: string): void => void warned.push(text)
      const log = { ...silentLogger, warn }
      const mine = { ...settings, tables: ['t'] }
      const theirs = { ...settings, tables: ['u'] }
      const first = await read(mine, { log })
      assert.deepEqual([first.error, warned], [undefined, []])
      const other = await read(theirs, { log })
      assert.equal(other.error, undefined)
      assert.match(warned.join('\n'), /^the replication slot was there before: .*set slot/)
      const next = await read(theirs, { state: other.state })
      await read(theirs, { state: next.state })
      const error = await refuses(mine, /another run read from it.*\n.*slot of its own \(slot\)/s, {
        state: first.state,
        code: 'SOURCE_LOG_LOST',
        check: false,
      })
      assert.equal(error.exitCode, 78)
      // With a slot of its own each has all.
      const own = { ...mine, slot: `own_${Date.now()}` }
      const anew = await read(own, { log })
      assert.deepEqual([anew.error, anew.records('t'), warned.length], [undefined, ['{"id":1,"v":1}'], 1])
    })
  })

  it('is told of a slot that is in use, is somebody else’s, or is gone', async () => {
    await within(numbered, async (db, settings) => {
      const first = await read(settings)
      const place = placeIn(first.state, 't')
      const slot = String(place['slot'])
      const other = await ReplicationConnection.open(
        targetOf({ url: db.url } as Parameters<typeof targetOf>[0]),
        new AbortController().signal,
      )
      const from = parseLsn(String(place['lsn'])) as bigint
      const names = { slot, publication: slot }
      const changes = other.changes({ ...names, names, from, confirmed: from })
      await changes.next()
      await refuses(settings, /slot .* is in use by another process.*\n.*a slot of its own/s, {
        state: first.state,
        code: 'SOURCE_UNAVAILABLE',
        check: false,
      })
      await changes.return()
      await other.close()
      // The server sees it a moment later.
      assert.equal((await read(settings, { state: first.state })).error, undefined)

      await db.query(`select pg_create_logical_replication_slot('theirs', 'test_decoding')`)
      await refuses(
        { ...settings, slot: 'theirs' },
        /theirs is not ours: it is of test_decoding.*\n.*Name another one/s,
      )
      await refuses(
        { ...settings, slot: 'another' },
        /the state is of the slot millrace_.*\n.*Set slot to millrace_/s,
        { state: first.state, code: 'SOURCE_LOG_LOST', check: false },
      )
      const strange = { bookmarks: { t: { bookmark: { ...place, system: '1' } } } }
      await refuses(settings, /the state is of another server.*\n.*--full-refresh/s, {
        state: strange,
        code: 'SOURCE_LOG_LOST',
        check: false,
      })

      await db.query(`insert into t values (2, 2)`)
      const second = await read(settings, { state: first.state })
      await read(settings, { state: second.state })
      await refuses(
        settings,
        /keeps what is after.*another run read from it, or the state is an older one.*\n.*slot of its own.*--full-refresh/s,
        { state: first.state, code: 'SOURCE_LOG_LOST', check: false },
      )

      await db.query(dropSlots)
      const error = await refuses(settings, /no replication slot .* dropped it.*\n.*--full-refresh/s, {
        state: first.state,
        code: 'SOURCE_LOG_LOST',
        check: false,
      })
      assert.equal(error.exitCode, 78)
      assert.deepEqual((await read(settings)).records('t').length, 2)
    })
  })

  it('is told where somebody dropped the publication', async () => {
    await within(numbered, async (db, settings) => {
      const first = await read(settings)
      const [publication] = await db.query('select pubname from pg_publication')
      await db.query(
        `insert into t values (2, 2); drop publication ${String(publication?.['pubname'])}; insert into t values (3, 3)`,
      )
      const second = await read(settings, { state: first.state })
      // It is made anew, and the table read as a whole, as changes are missing; where the log asks for the earlier one, that is told.
      const rows = new Mirror('t')
        .take(first.messages)
        .take(second.messages)
        .rows.map((r) => r['id'])
      if (second.error === undefined) assert.deepEqual(rows, [1, 2, 3])
      else
        assert.match(
          `${second.error.message} ${second.error.fix}`,
          /publication .* does not exist.*pg_drop_replication_slot.*--full-refresh/s,
        )
    })
  })

  it('is told where all slots are taken', async () => {
    await within(numbered, async (db, settings) => {
      await using other = await cluster.database()
      for (const name of ['taken_1', 'taken_2', 'taken_3'])
        await other.query(`select pg_create_logical_replication_slot('${name}', 'pgoutput')`)
      try {
        await refuses(settings, /all replication slots are in use.*\n.*max_replication_slots/s)
        await other.query(`select pg_drop_replication_slot('taken_1')`)
        const first = await read(settings)
        assert.equal(first.error, undefined)
        // A new table needs one more for a moment.
        await db.query('create table n (id int primary key)')
        await refuses(settings, /all replication slots are in use/, { state: first.state, check: false })
      } finally {
        await other.query(dropSlots)
      }
    })
  })

  it('is told where the server gave a slot up, and begins anew without a state', async () => {
    await within(numbered, async (db, settings) => {
      const first = await read(settings)
      for (let i = 0; i < 3; i++)
        await db.query(
          `create table filler${i} as select repeat('x', 500) from generate_series(1, 40000); select pg_switch_wal(); checkpoint`,
        )
      const [slot] = await db.query('select wal_status from pg_replication_slots where database = current_database()')
      assert.equal(slot?.['wal_status'], 'lost')
      const chosen = { ...settings, tables: ['t'] }
      await refuses(chosen, /gave up the replication slot.*max_slot_wal_keep_size.*\n.*--full-refresh/s, {
        state: first.state,
        code: 'SOURCE_LOG_LOST',
        check: false,
      })
      await db.query('insert into t values (2, 2)')
      const anew: Ran = await read(chosen)
      assert.deepEqual([anew.error, anew.records('t').length], [undefined, 2])
      await db.query('delete from t where id = 1')
      const next = await read(chosen, { state: anew.state })
      assert.deepEqual(new Mirror('t').take(anew.messages).take(next.messages).rows, [{ id: 2, v: 2 }])
    })
  })

  it('is told where the server goes away in the middle, with a state of whole transactions', async () => {
    await within('create table t (id int primary key, tx int)', async (db, settings) => {
      const first = await read(settings)
      await db.query(`insert into t select i, 1 from generate_series(1, 30000) i; `)
      await db.query(`insert into t select i, 2 from generate_series(30001, 200000) i`)
      let cut = false
      const second = await read(settings, {
        state: first.state,
        onMessage: async (m) => {
          if (cut || m.type !== 'RECORD' || m.record['tx'] !== 2) return
          cut = true
          await db.query(
            `select pg_terminate_backend(active_pid) from pg_replication_slots where active_pid is not null`,
          )
        },
      })
      assert.equal(second.error?.code, 'SOURCE_UNAVAILABLE', second.error?.message)
      const third = await read(settings, { state: second.state })
      assert.equal(third.error, undefined)
      assert.equal(third.records('t').length, 170_000)
    })
  })
})
