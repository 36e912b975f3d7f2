import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, describe, it } from 'node:test'
import pg from 'pg'
import type { ControlPlane } from '../../control-plane.ts'
import { controlPlaneSuite } from '../../testing/control-plane-suite.ts'
import { code } from '../../testing/world.ts'
import { openPostgresControlPlane } from './index.ts'

const url = 'postgresql://postgres@127.0.0.1:5432/postgres'
const prefix = `millrace_test_${process.pid}`
const answers = await new Promise<boolean>((resolve) => {
  const socket = connect(5432, '127.0.0.1', () => {
    socket.destroy()
    resolve(true)
  })
  socket.on('error', () => resolve(false))
})
const skip = answers ? false : 'needs PostgreSQL on port 5432 of loopback with trust for postgres'

const schemas = new WeakMap<ControlPlane, string>()
let made = 0
const opened = async (schema: string): Promise<ControlPlane> => {
  const plane = await openPostgresControlPlane({ url, schema })
  schemas.set(plane, schema)
  return plane
}
const asked = async (...statements: readonly string[]): Promise<void> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}

describe('the control plane on PostgreSQL', { skip }, () => {
  after(() => asked(...Array.from({ length: made }, (_, i) => `drop schema if exists ${prefix}_${i} cascade`)))

  controlPlaneSuite({
    name: 'postgres',
    runs: 12,
    make: () => opened(`${prefix}_${made++}`),
    another: (first) => opened(schemas.get(first) ?? ''),
  })

  it('is made once where several managers begin at once', async () => {
    const schema = `${prefix}_${made++}`
    const planes = await Promise.all(Array.from({ length: 5 }, () => opened(schema)))
    for (const plane of planes) {
      assert.equal(await plane.streams.find('none'), undefined)
      await plane[Symbol.asyncDispose]()
    }
  })

  it('refuses a newer one, a name that is none, and a server that is not there, without the password', async () => {
    const schema = `${prefix}_${made++}`
    await (await opened(schema))[Symbol.asyncDispose]()
    await asked(`update ${schema}.schema_version set version = 1000`)
    await assert.rejects(opened(schema), (e: Error) => {
      assert.match(e.message, /newer Millrace \(schema 1000/)
      return code('CONTROL_UNUSABLE')(e)
    })
    await assert.rejects(opened('a"; drop'), code('CONTROL_UNUSABLE'))
    const gone = 'postgresql://u:hidden@127.0.0.1:1/d'
    await assert.rejects(openPostgresControlPlane({ url: gone }), (e: Error) => {
      assert.doesNotMatch(e.message, /hidden/)
      return code('CONTROL_UNAVAILABLE')(e)
    })
    const nobody = 'postgresql://postgres@127.0.0.1:5432/millrace_no_such_database'
    await assert.rejects(openPostgresControlPlane({ url: nobody }), code('CONTROL_UNUSABLE'))
  })

  it('goes on after its connections were cut', async () => {
    const schema = `${prefix}_${made++}`
    await using plane = await opened(schema)
    await plane.audit.append({ by: { type: 'manager', id: 'm' }, at: new Date(0) }, [{ action: 'one' }])
    await asked(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'millrace ${schema}'`)
    const again = async (): Promise<number> => {
      try {
        return (await plane.audit.list({})).items.length
      } catch (e) {
        assert.ok(code('CONTROL_UNAVAILABLE')(e))
        return (await plane.audit.list({})).items.length
      }
    }
    assert.equal(await again(), 1)
  })
})
