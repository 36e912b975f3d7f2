/** What goes wrong between a server and a run: one line with the way out, a code, an exit code; what came before it counts. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { Client } from 'pg'
import { type JsonObject, parseExact } from '@millrace/sdk'
import { type PostgresCluster, startCluster, startStandby } from '../../testing/services/postgres.ts'
import { type Ran, read } from './testing/read.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-pg-source-'))
const ca = join(folder, 'cert.pem')
/** A certificate for the name localhost, signed by itself. */
const openssl = spawnSync('openssl', [
  ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
  ...['-addext', 'subjectAltName=DNS:localhost', '-keyout', join(folder, 'key.pem'), '-out', ca],
])
const cluster = await startCluster({ settings: { wal_level: 'logical' } })
const { skip } = cluster
after(async () => {
  await cluster[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const told = (ran: Ran, code: string, exitCode: number, words: RegExp): void => {
  const { error } = ran
  assert.deepEqual([error?.code, error?.exitCode], [code, exitCode], error?.message)
  assert.match(`${error?.message}\n${error?.fix}`, words)
  assert.ok(error?.fix !== '' && !error?.message.includes('\n'), error?.message)
}

const idsOf = (ran: Ran, name: string): readonly unknown[] =>
  ran.records(name).map((r) => (parseExact(r) as JsonObject)['id'])

const asking = async (url: string): Promise<Client & AsyncDisposable> => {
  const client = new Client({ connectionString: url })
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

/** Does something once, at the first record. */
const atFirstRecord = (
  what: () => Promise<unknown>,
): { readonly onMessage: (m: { readonly type: string }) => Promise<void> } => {
  let isDone = false
  return {
    onMessage: async (m) => {
      if (isDone || m.type !== 'RECORD') return
      isDone = true
      await what()
    },
  }
}

const large = `create table large as select i as id, repeat('x', 500) as filling from generate_series(1, 60000) i;
  alter table large add primary key (id)`

describe('what goes wrong while a database is read', { skip }, () => {
  it('TLS: it is not there, or its certificate is vouched for by nobody', {
    skip: openssl.status === 0 ? false : 'needs openssl',
  }, async () => {
    const plain = await read({ url: cluster.url('postgres'), sslmode: 'require' })
    told(plain, 'SOURCE_REFUSED', 78, /does not speak TLS\n.*sslmode/)
    await using tls: PostgresCluster = await startCluster({
      settings: { ssl: 'on', wal_level: 'logical' },
      files: { 'server.crt': readFileSync(ca, 'utf8'), 'server.key': readFileSync(join(folder, 'key.pem'), 'utf8') },
    })
    await using db = await tls.database()
    await db.query('create table t (id int primary key); insert into t values (1)')
    const settings = { url: db.url }
    const untrusted = await read({ ...settings, sslmode: 'verify-ca' })
    told(untrusted, 'SOURCE_REFUSED', 78, /certificate is signed by itself\n.*sslrootcert/)
    const other = await read({ ...settings, sslmode: 'verify-full', sslrootcert: ca })
    told(other, 'SOURCE_REFUSED', 78, /certificate is for another host/)
    // By the log there are two connections, and both are checked.
    for (const replicationMethod of ['FULL_TABLE', 'LOG_BASED']) {
      const ran = await read({ ...settings, sslmode: 'verify-ca', sslrootcert: ca, replicationMethod })
      assert.deepEqual([ran.error, idsOf(ran, 't')], [undefined, [1]])
    }
  })

  it('a statement that takes longer than the server allows, in the middle of its rows', async () => {
    await using db = await cluster.database()
    await db.query(`create view slow as select i as id, repeat('x', 1000) as filling, pg_sleep(0.001)::text as slept
      from generate_series(1, 1000000) i`)
    const ran = await read({ url: `${db.url}?options=-c%20statement_timeout%3D1500`, tables: ['slow'] })
    told(ran, 'SOURCE_UNAVAILABLE', 69, /table public\.slow: .*statement_timeout.*\n.*Raise statement_timeout/s)
    assert.ok(ran.records('slow').length > 0)
    // Half a table is no version: nothing may go in the destination.
    assert.ok(!ran.messages.some((m) => m.type === 'ACTIVATE_VERSION'))
  })

  it('a table or a column that goes between the look at the catalog and its turn', async () => {
    await using db = await cluster.database()
    for (const [sql, words] of [
      ['drop table z', /public\.z.* does not exist: somebody dropped or renamed it.*\n.*reads what is there now/s],
      ['alter table z drop column v', /public\.z.*column "v" does not exist.*\n.*reads what is there now/s],
    ] as const) {
      await db.query(
        'drop table if exists a, z; create table a as select 1 as id; create table z as select 1 as id, 2 as v',
      )
      const ran = await read(
        { url: db.url },
        atFirstRecord(() => db.query(sql)),
      )
      assert.deepEqual(idsOf(ran, 'a'), [1])
      told(ran, 'SOURCE_UNAVAILABLE', 69, words)
      const again = await read({ url: db.url })
      assert.equal(again.error, undefined)
    }
  })

  it('a column dropped between two runs: gone from the schema; as the replication key it is told', async () => {
    await using db = await cluster.database()
    await db.query('create table t (id int primary key, at timestamptz, v int); insert into t values (1, now(), 2)')
    const settings = { url: db.url, replicationKeys: { t: 'at' } }
    const first = await read(settings)
    await db.query('alter table t drop column v')
    const second = await read(settings, { state: first.state })
    assert.equal(second.error, undefined)
    const schema = second.messages.find((m) => m.type === 'SCHEMA')
    assert.deepEqual(Object.keys(schema?.schema['properties'] as JsonObject), ['id', 'at'])
    await db.query('alter table t drop column at')
    const third = await read(settings, { state: second.state })
    told(third, 'CONFIG_INVALID', 78, /replicationKeys: t: there is no column at/)
    assert.deepEqual(third.messages, [])
  })

  it('a server that is restarted in the middle of a table: the next run goes on from the state', async () => {
    await using db = await cluster.database()
    await db.query(large)
    const settings = { url: db.url, replicationKeys: { large: 'id' } }
    const cut = await read(settings, atFirstRecord(cluster.stop))
    told(cut, 'SOURCE_UNAVAILABLE', 69, /table public\.large/)
    const came = cut.records('large').length
    assert.ok(came > 0 && came < 60_000, String(came))
    const away = await read(settings, { state: cut.state })
    told(away, 'SOURCE_UNAVAILABLE', 69, /nothing listens there/)
    await cluster.start()
    const rest = await read(settings, { state: cut.state })
    assert.equal(rest.error, undefined)
    assert.equal(new Set([...idsOf(cut, 'large'), ...idsOf(rest, 'large')]).size, 60_000)
  })

  it('a hot standby: whole and by a column as any server, by the log in words', async () => {
    await using db = await cluster.database()
    await db.query(`create table t (id int primary key); insert into t values (1), (2)`)
    await using standby = await startStandby(cluster, { wal_level: 'logical' })
    const url = standby.url(db.name)
    const whole = await read({ url })
    assert.deepEqual([whole.error, idsOf(whole, 't')], [undefined, [1, 2]])
    const settings = { url, replicationKeys: { t: 'id' } }
    const first = await read(settings)
    const second = await read(settings, { state: first.state })
    assert.deepEqual([idsOf(first, 't'), idsOf(second, 't')], [[1, 2], [2]])
    for (const command of ['check', 'sync'] as const) {
      const ran = await read({ url, replicationMethod: 'LOG_BASED' }, { command })
      told(ran, 'SOURCE_REFUSED', 78, /it is a standby.*\n.*Connect to the primary server/s)
    }
  })

  it('a hot standby that ends a statement for the sake of its primary', async () => {
    await using db = await cluster.database()
    await db.query(large)
    await using standby = await startStandby(cluster, { max_standby_streaming_delay: '1s' })
    const conflict = async (): Promise<void> => {
      await db.query('delete from large where id > 10')
      await db.query('vacuum large')
      await using client = await asking(standby.url(db.name))
      // It waits for us, then it signals: we take the signal when we are read from again.
      let waited = false
      for (const end = performance.now() + 20_000; performance.now() < end; ) {
        const { rowCount } = await client.query(
          "select from pg_stat_activity where backend_type = 'startup' and wait_event like 'RecoveryConflict%'",
        )
        if (waited && rowCount === 0) return
        waited ||= rowCount === 1
      }
      assert.fail('the standby is in no conflict')
    }
    const url = standby.url(db.name)
    const ran = await read({ url }, atFirstRecord(conflict))
    told(ran, 'SOURCE_UNAVAILABLE', 69, /table public\.large: .*\n.*Run again.*hot_standby_feedback/s)
    assert.ok(!ran.messages.some((m) => m.type === 'ACTIVATE_VERSION'))
  })
})
