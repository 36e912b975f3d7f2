import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, test } from 'node:test'
import { findPostgres, startCluster } from './postgres.ts'

const server = await findPostgres()

describe('PostgreSQL for tests', { skip: server.skip }, () => {
  test('gives a fresh database that is gone when it is disposed of', async () => {
    let name = ''
    {
      await using db = await server.database()
      name = db.name
      await db.query('CREATE TABLE t (a int)')
      assert.deepEqual(await db.query('SELECT count(*)::int AS n FROM t WHERE a = $1', [1]), [{ n: 0 }])
    }
    await using other = await server.database()
    assert.notEqual(other.name, name)
    assert.deepEqual(await other.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]), [])
  })

  test('starts a server with settings, stops it, starts it again, and leaves nothing behind', async () => {
    let folder = ''
    {
      await using cluster = await startCluster({ settings: { wal_level: 'logical' } })
      folder = cluster.dataFolder
      await using db = await cluster.database()
      assert.deepEqual(await db.query('SHOW wal_level'), [{ wal_level: 'logical' }])
      await db.query('CREATE TABLE t AS SELECT 1 AS a')
      await cluster.stop()
      await assert.rejects(db.query('SELECT 1'), /ECONNREFUSED/)
      await cluster.start()
      assert.deepEqual(await db.query('SELECT a FROM t'), [{ a: 1 }])
    }
    assert.ok(!existsSync(folder))
  })
})
