/** What goes wrong with a server: each is one line with the fix, and what was committed stays. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type ErrorCode, isMillraceError, type JsonObject, type PersisterSession } from '@millrace/sdk'
import type { Destination } from '../../sql/testing/destination.ts'
import { Place, recordsOf, schemaOf } from '../../sql/testing/destination.ts'
import { freePort } from '@millrace/sdk/testing'
import { startCluster } from '../../testing/services/postgres.ts'
import { postgres } from './index.ts'

const int = { type: 'integer' }
const str = { type: 'string' }
const schema = schemaOf('s', { id: int, v: str })

const folder = mkdtempSync(join(tmpdir(), 'millrace-pg-tls-'))
/** A certificate for the name localhost, signed by itself. */
const openssl = spawnSync('openssl', [
  ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
  ...['-addext', 'subjectAltName=DNS:localhost'],
  ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')],
])
const tls = openssl.status === 0
const cluster = await startCluster({
  hba: ['host all guarded 127.0.0.1/32 scram-sha-256', 'hostssl all all ::1/128 trust'],
  ...(tls
    ? {
        files: {
          'server.crt': readFileSync(join(folder, 'cert.pem'), 'utf8'),
          'server.key': readFileSync(join(folder, 'key.pem'), 'utf8'),
        },
        settings: { ssl: 'on' },
      }
    : {}),
})

/** One line, a fix, a code; and no secret. */
const told =
  (code: ErrorCode, words: RegExp) =>
  (e: unknown): boolean => {
    assert.ok(isMillraceError(e), String(e))
    assert.equal(e.code, code, e.message)
    assert.match(e.message, words)
    assert.ok(e.fix !== '' && !e.message.includes('\n') && !`${e.message}${e.fix}`.includes('sesame'), e.message)
    return true
  }

const destination: Destination = {
  name: 'postgres',
  module: '',
  persister: postgres,
  types: {} as Destination['types'],
  read: async () => undefined,
  execute: async () => {},
  tables: async () => [],
}

describe('postgres: faults', { skip: cluster.skip }, () => {
  if (cluster.skip !== false) return
  after(async () => {
    await cluster[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Runs with a place whose settings are these. */
  const session = async (settings: JsonObject): Promise<PersisterSession> => {
    await using place = await Place.make(destination)
    return await place.open({ schema: 'public', ...settings })
  }
  const check = async (settings: JsonObject): Promise<void> => {
    await using place = await Place.make(destination)
    await postgres.check?.(place.context({ schema: 'public', ...settings }))
  }
  const load = async (s: PersisterSession, from: number, count: number): Promise<void> => {
    await s.write(
      's',
      recordsOf(
        's',
        Array.from({ length: count }, (_, i) => `{"id":${from + i},"v":"${'x'.repeat(500)}"}`),
      ),
    )
  }

  test('a wrong password, and one that is missing', async () => {
    await using db = await cluster.database()
    await db.query("DROP ROLE IF EXISTS guarded; CREATE ROLE guarded LOGIN PASSWORD 'open sesame'")
    await check({ url: db.urlFor('guarded', 'open sesame'), schema: 'x' }).catch((e: unknown) =>
      told('DESTINATION_REFUSED', /no schema x/)(e),
    )
    await assert.rejects(check({ url: db.urlFor('guarded', 'sesame seed') }), told('DESTINATION_REFUSED', /password/))
    await assert.rejects(check({ url: db.urlFor('guarded') }), told('DESTINATION_REFUSED', /asks for a password/))
  })

  test('a host that is not there, a port that is closed, a database that is not there', async () => {
    await assert.rejects(
      check({ url: 'postgresql://postgres@no-such-host.invalid/x' }),
      told('DESTINATION_UNAVAILABLE', /no-such-host\.invalid\/x: (there is no such host|the name of the host)/),
    )
    await assert.rejects(
      check({ host: '127.0.0.1', port: await freePort(), user: 'postgres', database: 'x' }),
      told('DESTINATION_UNAVAILABLE', /nothing listens there/),
    )
    await assert.rejects(
      check({ url: cluster.url('no_such_database') }),
      told('DESTINATION_REFUSED', /no such database/),
    )
  })

  test('a URL that is none is told without being shown', async () => {
    for (const url of ['mysql://u:sesame@h/d', 'postgresql://u:ses@me@h/d', 'postgresql://u:sesame%@h/d', 'host=h,i'])
      await assert.rejects(check({ url }), told('CONFIG_INVALID', /url /))
  })

  test('a user who may not make tables is told so by check and by a run', async () => {
    await using db = await cluster.database()
    await db.query('DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN; CREATE SCHEMA theirs')
    const settings = { url: db.urlFor('poor'), schema: 'theirs' }
    await assert.rejects(check(settings), told('DESTINATION_REFUSED', /may not make tables in schema theirs/))
    await assert.rejects(session(settings), told('DESTINATION_REFUSED', /permission denied/))
    await assert.rejects(
      check({ ...settings, schema: 'new' }),
      told('DESTINATION_REFUSED', /no schema new, and the user may not make it/),
    )
    await db.query('DROP OWNED BY poor; DROP ROLE poor')
  })

  test('the privileges of the reference page are enough', async () => {
    await using db = await cluster.database()
    await db.query(`DROP ROLE IF EXISTS loader; CREATE ROLE loader LOGIN; REVOKE ALL ON DATABASE ${db.name} FROM PUBLIC;
      GRANT CONNECT, TEMPORARY ON DATABASE ${db.name} TO loader; CREATE SCHEMA raw; GRANT USAGE, CREATE ON SCHEMA raw TO loader`)
    const settings = { url: db.urlFor('loader'), schema: 'raw' }
    await check(settings)
    {
      await using s = await session(settings)
      await s.declare(schema)
      await load(s, 0, 10)
      await s.flush()
      await s.declare(schemaOf('s', { id: int, v: str, w: int }))
      await load(s, 5, 10)
      await s.flush()
      assert.equal((await s.evidence?.())?.[0]?.rows, 15)
    }
    await db.query('DROP OWNED BY loader; DROP ROLE loader')
  })

  test('a table that somebody drops during the run', async () => {
    await using db = await cluster.database()
    await using s = await session({ url: db.url })
    await s.declare(schema)
    await load(s, 0, 10)
    await s.flush()
    await db.query('DROP TABLE s')
    await assert.rejects(
      async () => {
        await load(s, 10, 10)
        await s.flush()
      },
      told('DESTINATION_UNAVAILABLE', /"public.s" does not exist: somebody dropped/),
    )
    await using again = await session({ url: db.url })
    await again.declare(schema)
    await load(again, 10, 10)
    await again.flush()
    assert.equal((await again.evidence?.())?.[0]?.rows, 10)
  })

  for (const mode of ['upsert', 'append'] as const)
    test(`a connection killed in the middle of a COPY (${mode}): what was flushed stays, and no more`, async () => {
      await using db = await cluster.database()
      await using s = await session({ url: db.url, mode })
      await s.declare(schema)
      await load(s, 0, 1000)
      await s.flush()
      await load(s, 1000, 2000)
      // The server begins when it gets to it.
      let copies = 0
      for (let asked = 0; copies === 0 && asked < 2000; asked++)
        copies = (await db.query('SELECT 1 FROM pg_stat_progress_copy WHERE datname = current_database()')).length
      assert.equal(copies, 1)
      await db.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'millrace'",
      )
      await assert.rejects(
        async () => {
          for (let i = 0; i < 100; i++) await load(s, 3000, 2000)
          await s.flush()
        },
        told('DESTINATION_UNAVAILABLE', /ended the connection|was cut/),
      )
      assert.deepEqual(await db.query('SELECT count(*)::int AS n FROM s'), [{ n: 1000 }])
    })

  test('a server that goes down and comes back: the next run goes on', async () => {
    const { url } = await cluster.database()
    const s = await session({ url })
    await s.declare(schema)
    await load(s, 0, 1000)
    await s.flush()
    await load(s, 1000, 1000)
    await cluster.stop()
    await assert.rejects(
      async () => {
        for (let i = 0; i < 100; i++) await load(s, 2000, 2000)
        await s.flush()
      },
      told('DESTINATION_UNAVAILABLE', /connection/),
    )
    await s[Symbol.asyncDispose]()
    await assert.rejects(session({ url }), told('DESTINATION_UNAVAILABLE', /nothing listens there/))
    await cluster.start()
    await using again = await session({ url })
    await again.declare(schema)
    await load(again, 500, 1000)
    await again.flush()
    assert.equal((await again.evidence?.())?.[0]?.rows, 1500)
  })

  test('a read-only server', async () => {
    await using db = await cluster.database()
    await db.query(`ALTER DATABASE ${db.name} SET default_transaction_read_only = on`)
    await assert.rejects(check({ url: db.url }), told('DESTINATION_REFUSED', /read only/))
    await assert.rejects(session({ url: db.url }), told('DESTINATION_REFUSED', /read only/))
  })

  test('a tablespace without space: told, and with space it goes on', async (t) => {
    const space = mkdtempSync('/tmp/millrace-pg-space-')
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0777', 'tmpfs', space])
    if (mounted.status !== 0) {
      rmSync(space, { recursive: true })
      t.skip('needs a user who may mount (root)')
      return
    }
    try {
      spawnSync('chown', ['postgres', space])
      await using db = await cluster.database()
      await db.query(`CREATE TABLESPACE small LOCATION '${space}'`)
      await db.query(`ALTER DATABASE ${db.name} SET default_tablespace = small`)
      {
        await using s = await session({ url: db.url, mode: 'append' })
        await s.declare(schema)
        await load(s, 0, 1000)
        await s.flush()
        await assert.rejects(
          async () => {
            for (let i = 0; i < 10; i++) await load(s, 1000, 2000)
            await s.flush()
          },
          told('DESTINATION_FULL', /no space left/),
        )
      }
      assert.deepEqual(await db.query('SELECT count(*)::int AS n FROM s'), [{ n: 1000 }])
      assert.equal(spawnSync('mount', ['-o', 'remount,size=64m', space]).status, 0)
      await using s = await session({ url: db.url, mode: 'append' })
      await s.declare(schema)
      await load(s, 1000, 10_000)
      await s.flush()
      assert.equal((await s.evidence?.())?.[0]?.rows, 11_000)
    } finally {
      await using any = await cluster.database()
      await any.query('DROP TABLESPACE IF EXISTS small')
      spawnSync('umount', ['-l', space])
      rmSync(space, { recursive: true, force: true })
    }
  })

  test('TLS: what is asked for is what is checked', { skip: tls ? false : 'needs openssl' }, async () => {
    await using db = await cluster.database()
    const at = (host: string, query: string): JsonObject => ({
      url: `postgresql://postgres@${host}:${cluster.port}/${db.name}?${query}`,
    })
    const ca = join(folder, 'cert.pem')
    for (const query of ['', 'sslmode=prefer', 'sslmode=require', `sslmode=verify-ca&sslrootcert=${ca}`])
      await check(at('127.0.0.1', query))
    await check(at('localhost', `sslmode=verify-full&sslrootcert=${ca}`))
    await assert.rejects(
      check(at('localhost', 'sslmode=verify-full')),
      told('DESTINATION_REFUSED', /its certificate is signed by itself/),
    )
    await assert.rejects(
      check(at('127.0.0.1', `sslmode=verify-full&sslrootcert=${ca}`)),
      told('DESTINATION_REFUSED', /its certificate is for another host/),
    )
    await assert.rejects(
      check(at('127.0.0.1', `sslmode=verify-full&sslrootcert=${join(folder, 'none.pem')}`)),
      told('CONFIG_INVALID', /none\.pem cannot be read/),
    )
    writeFileSync(join(folder, 'rubbish.pem'), 'rubbish')
  })

  test('a server without TLS is refused where TLS is asked for, and taken where it is only preferred', async () => {
    await using plain = await startCluster()
    await check({ url: plain.url('postgres') })
    await assert.rejects(
      check({ url: plain.url('postgres'), sslmode: 'require' }),
      told('DESTINATION_REFUSED', /does not speak TLS/),
    )
  })
})
