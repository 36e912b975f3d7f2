import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { type TestManager, testManager } from './testing/manager.ts'

const host = 'postgresql://postgres@127.0.0.1:5432'
const database = `millrace_api_${process.pid}`
const answers = await new Promise<boolean>((resolve) => {
  const socket = connect(5432, '127.0.0.1', () => {
    socket.destroy()
    resolve(true)
  })
  socket.on('error', () => resolve(false))
})
const asked = async (statement: string): Promise<void> => {
  const client = new pg.Client({ connectionString: `${host}/postgres` })
  await client.connect()
  await client.query(statement)
  await client.end()
}

const form = { 'content-type': 'application/x-www-form-urlencoded' }

/** Any text with a NUL was an internal error on PostgreSQL, for some routes without a token. */
const refusals = (open: () => Promise<TestManager>): void => {
  let manager: TestManager
  before(async () => {
    manager = await open()
    await manager.good('POST', '/api/v1/streams', { name: 'x' })
  })
  after(() => manager[Symbol.asyncDispose]())

  it('says to whoever shows no token that they are not known', async () => {
    for (const [path, body] of [
      ['/api/v1/oauth/token', 'grant_type=client_credentials&client_id=%00&client_secret=x'],
      ['/api/v1/oauth/token', 'grant_type=password&username=%00&password=x'],
      ['/streamduo/oauth2/token', 'grant_type=client_credentials&client_id=%00&client_secret=x'],
    ] as const) {
      const { status, text } = await manager.ask('POST', path, { token: undefined, body, headers: form })
      assert.ok(status === 400 || status === 401, `${path} ${body}: ${status} ${text}`)
    }
  })

  it('finds nothing by them', async () => {
    for (const path of [
      '/streams/%00',
      '/streams/x/groups/%00',
      '/streams/x/schemas/%00',
      '/clients/%00',
      '/users/%00',
    ]) {
      const { status, text } = await manager.ask('GET', `/api/v1${path}`)
      assert.equal(status, 404, `${path}: ${text}`)
    }
    for (const path of ['/streams?after=%00', '/streams?prefix=%00', '/streams/x/groups?after=%00', '/users?after=%00'])
      assert.deepEqual(await manager.good('GET', `/api/v1${path}`), { items: [], next: null }, path)
    const { status } = await manager.ask('DELETE', '/api/v1/streams/x/permissions/client/%00')
    assert.ok(status === 400 || status === 404, `permissions: ${status}`)
  })

  it('stores none', async () => {
    for (const bad of ['a\0', '\ud800'])
      for (const [method, path, body] of [
        ['POST', '/clients', { displayName: bad }],
        ['POST', '/users', { email: `${bad}@example.org`, displayName: 'u' }],
        ['POST', '/users', { email: 'u@example.org', displayName: bad }],
        ['POST', '/streams', { name: 'y', displayName: bad }],
        ['POST', '/streams/x/permissions', { newClient: { displayName: bad }, rights: { isConsumer: true } }],
        ['PATCH', '/streams/x', { displayName: bad }],
        ['PATCH', '/streams/x', { description: bad }],
      ] as const) {
        const { status, text } = await manager.ask(method, `/api/v1${path}`, { body: JSON.stringify(body) })
        assert.equal(status, 400, `${method} ${path} ${JSON.stringify(body)}: ${text}`)
      }
    const { displayName } = await manager.good<{ displayName: string }>('GET', '/api/v1/streams/x')
    assert.equal(displayName, 'x')
  })
}

describe('texts that no database keeps, on SQLite', () => refusals(() => testManager()))

describe('texts that no database keeps, on PostgreSQL', {
  skip: answers ? false : 'needs PostgreSQL on port 5432 of loopback with trust for postgres',
}, () => {
  before(() => asked(`create database ${database}`))
  refusals(() => testManager({}, undefined, { controlUrl: `${host}/${database}` }))
  // Behind the manager that uses it.
  after(() => asked(`drop database ${database}`))
})
