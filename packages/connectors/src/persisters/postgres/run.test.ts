/** The whole program into PostgreSQL: check, plan, run, run again, query, verify. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, test } from 'node:test'
import { findPostgres } from '../../testing/services/postgres.ts'

const server = await findPostgres()
const bin = fileURLToPath(new URL('../../../../cli/bin/millrace.mjs', import.meta.url))

describe('postgres: the whole program', { skip: server.skip }, () => {
  test('a pipeline is checked, planned, run, run again, asked and verified', async () => {
    await using db = await server.database()
    const folder = mkdtempSync(join(tmpdir(), 'millrace-pg-run-'))
    const millrace = (...args: readonly string[]): { readonly code: number | null; readonly out: string } => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env
      const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args, '--cwd', folder], {
        encoding: 'utf8',
        env: { ...env, PGHOST: '127.0.0.1', PGPORT: String(server.port), PGUSER: 'postgres', PGDATABASE: db.name },
      })
      return { code: status, out: stdout + stderr }
    }
    const pipeline = ['--from', 'hello', '--from.count', '1000', '--from.shape', 'wide', '--to', 'postgres']
    try {
      const to = [...pipeline, '--to.schema', 'raw']
      const checked = millrace('check', ...to)
      assert.equal(checked.code, 0, checked.out)
      const planned = millrace('plan', ...to)
      assert.equal(planned.code, 0, planned.out)
      assert.match(planned.out, /CREATE TABLE "raw"\."orders" .*"updated_at" timestamptz.*"address" jsonb/)
      assert.deepEqual(await db.query("SELECT 1 FROM pg_namespace WHERE nspname = 'raw'"), [])
      const ran = millrace('run', ...to)
      assert.equal(ran.code, 0, ran.out)
      assert.deepEqual(await db.query('SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids FROM raw.orders'), [
        { n: 1000, ids: 1000 },
      ])
      const again = millrace('run', ...to, '--full-refresh')
      assert.equal(again.code, 0, again.out)
      assert.deepEqual(await db.query('SELECT count(*)::int AS n FROM raw.orders'), [{ n: 1000 }])
      const verified = millrace('verify')
      assert.equal(verified.code, 0, verified.out)
      const asked = millrace('query', `${db.url}?options=-csearch_path%3Draw`)
      assert.match(asked.out, /orders +1,?000/)
      const told = millrace('query', db.url, 'SELECT count(*) AS many, NULL AS none FROM raw.orders', '--json')
      assert.deepEqual(JSON.parse(told.out), [{ many: '1000', none: null }])
      const written = millrace('query', db.url, 'DELETE FROM raw.orders')
      assert.equal(written.code, 78, written.out)
      await db.query("UPDATE raw.orders SET status = 'changed' WHERE id = 7")
      const changed = millrace('verify')
      assert.notEqual(changed.code, 0)
      assert.match(changed.out, /values in table orders changed/)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('a password in the URL is in no file of the project and in no line of the program', async () => {
    await using db = await server.database()
    await db.query("CREATE ROLE run_secret LOGIN SUPERUSER PASSWORD 'open-sesame'")
    const folder = mkdtempSync(join(tmpdir(), 'millrace-pg-run-'))
    try {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [bin, 'run', '--from', 'hello', '--to', 'postgres', '--log-level', 'debug', '--cwd', folder],
        { encoding: 'utf8', env: { ...env, TARGET_POSTGRES_URL: db.urlFor('run_secret', 'open-sesame') } },
      )
      assert.equal(status, 0, stderr)
      assert.ok(!`${stdout}${stderr}`.includes('sesame'))
      assert.ok(!readFileSync(join(folder, '.millrace', 'millrace.db'), 'latin1').includes('sesame'))
    } finally {
      rmSync(folder, { recursive: true, force: true })
      await db.query('DROP OWNED BY run_secret CASCADE; DROP ROLE run_secret')
    }
  })
})
