/** What the metadata of a catalog chooses: the method, the replication key, the keys of views. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type JsonObject, type MillraceError, parseExact, type SchemaMessage } from '@millrace/sdk'
import { findPostgres, type PostgresServer, type TestDatabase } from '../../testing/services/postgres.ts'
import { type Ran, read } from './testing/read.ts'

const server: PostgresServer = await findPostgres()
const { skip } = server
let db: TestDatabase
before(async () => {
  if (skip !== false) return
  db = await server.database()
  await db.query(`
    create table moving (id int primary key, at timestamptz, note text, facts jsonb, plain json, tags text[], place point);
    insert into moving select i, '2026-01-01Z'::timestamptz + i * interval '1 hour', 'n' || i from generate_series(1, 3) i;
    create view seen as select id, at, note from moving;
    create materialized view kept as select id, note from moving`)
})
after(async () => {
  if (skip === false) await db[Symbol.asyncDispose]()
})

/** A catalog that selects one table, with this in its metadata; of its fields only those named, where any are. */
const catalogOf = (name: string, metadata: JsonObject, fields?: readonly string[]): JsonObject => ({
  streams: [
    {
      tap_stream_id: name,
      schema: {},
      metadata: [
        { breadcrumb: [], metadata: { selected: true, ...metadata } },
        ...['id', 'at', 'note', 'facts', 'plain', 'tags', 'place'].map((f) => ({
          breadcrumb: ['properties', f],
          metadata: { selected: fields === undefined || fields.includes(f) },
        })),
      ],
    },
  ],
})

const idsOf = (ran: Ran, name: string): readonly unknown[] =>
  ran.records(name).map((r) => (parseExact(r) as JsonObject)['id'])
const schemaOf = (ran: Ran): SchemaMessage =>
  ran.messages.find((m): m is SchemaMessage => m.type === 'SCHEMA') ?? assert.fail('no SCHEMA')
const isVersioned = (ran: Ran): boolean => ran.messages.some((m) => m.type === 'ACTIVATE_VERSION')

/** That a catalog is refused with these words before anything is read. */
const refuses = async (name: string, metadata: JsonObject, words: RegExp): Promise<void> => {
  const ran = await read({ url: db.url }, { catalog: catalogOf(name, metadata) })
  assert.equal(ran.error?.code, 'CATALOG_INVALID', ran.error?.message)
  const { message, fix, exitCode } = ran.error as MillraceError
  assert.match(`${message}\n${fix}`, words)
  assert.equal(exitCode, 78)
  assert.deepEqual(ran.messages, [])
}

describe('the catalog of the postgres streamer', { skip }, () => {
  it('chooses the replication key, which is kept though it is not selected', async () => {
    for (const metadata of [
      { 'replication-method': 'INCREMENTAL', 'replication-key': 'at' },
      { 'replication-key': 'at' },
    ]) {
      const catalog = catalogOf('moving', metadata, ['note'])
      const first = await read({ url: db.url }, { catalog })
      assert.deepEqual([first.error, idsOf(first, 'moving'), isVersioned(first)], [undefined, [1, 2, 3], false])
      assert.deepEqual(Object.keys(schemaOf(first).schema['properties'] as JsonObject), ['id', 'at', 'note'])
      assert.equal(first.records('moving')[0], '{"id":1,"at":"2026-01-01T01:00:00+00:00","note":"n1"}')
      const second = await read({ url: db.url }, { catalog, state: first.state })
      assert.deepEqual(idsOf(second, 'moving'), [3])
      // The place of one column says nothing of another.
      const other = await read(
        { url: db.url },
        { catalog: catalogOf('moving', { 'replication-key': 'id' }), state: second.state },
      )
      assert.deepEqual(idsOf(other, 'moving'), [1, 2, 3])
    }
  })

  it('wins over the settings, and takes from them what it leaves open', async () => {
    const settings = { url: db.url, replicationKeys: { moving: 'id' } }
    const state = { bookmarks: { moving: { bookmark: { column: 'id', value: 3 } } } }
    const run = async (metadata: JsonObject): Promise<Ran> => {
      const ran = await read(settings, { state, catalog: catalogOf('moving', metadata) })
      assert.equal(ran.error, undefined)
      return ran
    }
    const silent = await run({})
    assert.deepEqual(idsOf(silent, 'moving'), [3])
    assert.deepEqual(idsOf(await run({ 'replication-method': 'INCREMENTAL' }), 'moving'), [3])
    assert.deepEqual(idsOf(await run({ 'replication-key': 'at' }), 'moving'), [1, 2, 3])
    const whole = await run({ 'replication-method': 'FULL_TABLE', 'replication-key': 'id' })
    assert.deepEqual([idsOf(whole, 'moving').toSorted(), isVersioned(whole)], [[1, 2, 3], true])
  })

  it('gives views their keys, whole or incremental', async () => {
    const kept = await read({ url: db.url }, { catalog: catalogOf('kept', { 'view-key-properties': ['id'] }) })
    assert.deepEqual([kept.error, schemaOf(kept).keyProperties, isVersioned(kept)], [undefined, ['id'], true])
    const catalog = catalogOf('seen', { 'view-key-properties': ['note', 'id'], 'replication-key': 'at' }, [])
    const seen = await read({ url: db.url }, { catalog })
    assert.deepEqual(schemaOf(seen).keyProperties, ['note', 'id'])
    assert.equal(seen.records('seen').at(-1), '{"id":3,"at":"2026-01-01T03:00:00+00:00","note":"n3"}')
    assert.deepEqual(idsOf(await read({ url: db.url }, { catalog, state: seen.state }), 'seen'), [3])
    // Nothing is named.
    const none = await read({ url: db.url }, { catalog: catalogOf('moving', { 'view-key-properties': [] }) })
    assert.deepEqual([none.error, schemaOf(none).keyProperties], [undefined, ['id']])
  })

  it('is refused where a column is not there or cannot order, with the way out', async () => {
    await refuses('moving', { 'replication-key': 'att' }, /moving: there is no column att; did you mean at\?/)
    for (const [name, words] of [
      ['facts', /the column facts is of type jsonb, of which no value is kept/],
      ['plain', /the column plain is of type json, which has no order.*\n.*"replication-key"/s],
      ['tags', /the column tags holds arrays/],
      ['place', /the column place is of type point, which has no order/],
    ] as const)
      await refuses('moving', { 'replication-method': 'INCREMENTAL', 'replication-key': name }, words)
    await refuses('moving', { 'replication-method': 'INCREMENTAL' }, /no replication-key says by which column/)
    await refuses('moving', { 'view-key-properties': ['id'] }, /moving has view-key-properties and is no view/)
    await refuses(
      'seen',
      { 'view-key-properties': ['idd', 'note'] },
      /seen: there is no column idd; did you mean id\?.*\n.*different in every row/s,
    )
  })

  it('has the same rules for replicationKeys; the common one passes over what cannot order', async () => {
    const wrong = await read({ url: db.url, replicationKeys: { moving: 'facts' } })
    assert.equal(wrong.error?.code, 'CONFIG_INVALID')
    assert.match(wrong.error.message, /replicationKeys: moving: the column facts is of type jsonb/)
    const common = await read({ url: db.url, tables: ['moving'], replicationKeys: { '*': 'plain' } })
    assert.deepEqual([common.error, isVersioned(common)], [undefined, true])
  })

  // Whether a type has an order is the server's to say: this holds our list against it.
  it('knows of every type of the server whether it has an order', async () => {
    const { whyNoOrder } = await import('./types.ts')
    const rows = await db.query(`select t.typname as name, exists (
        select from pg_opclass o join pg_am m on m.oid = o.opcmethod and m.amname = 'btree'
        where o.opcdefault and (o.opcintype = t.oid or exists (
          select from pg_cast k where k.castsource = t.oid and k.casttarget = o.opcintype and k.castmethod = 'b' and k.castcontext = 'i'))) as ordered
      from pg_type t where t.typtype = 'b' and t.oid < 16384 and t.typelem = 0 and t.typname !~ '^(_|pg_|reg|gtsvector|cstring)'`)
    assert.ok(rows.length > 40)
    for (const { name, ordered } of rows) {
      if (name === 'jsonb') continue
      const why = whyNoOrder({
        name: 'c',
        type: String(name),
        kind: 'b',
        isArray: false,
        modifier: -1,
        isText: true,
        isNullable: true,
        isGenerated: false,
      })
      assert.equal(why === undefined, ordered, String(name))
    }
  })
})
