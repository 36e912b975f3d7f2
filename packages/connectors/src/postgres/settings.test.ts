import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isMillraceError } from '@millrace/sdk'
import { type ConnectionTarget, nameOf, type PostgresSettings, targetOf } from './settings.ts'

const nothing: PostgresSettings = {
  url: undefined,
  host: undefined,
  port: undefined,
  user: undefined,
  password: undefined,
  database: undefined,
  sslmode: undefined,
  sslrootcert: undefined,
}

const said = (settings: Partial<PostgresSettings>): Partial<ConnectionTarget> =>
  Object.fromEntries(Object.entries(targetOf({ ...nothing, ...settings })).filter(([, v]) => v !== undefined))

describe('where PostgreSQL is', () => {
  test('every form of a URL, and the words of libpq, say the same as settings', () => {
    const all = { host: 'h', port: 5433, user: 'u', password: 'p@:/?%', database: 'd b', sslmode: 'require' } as const
    assert.deepEqual(said(all), all)
    for (const url of [
      'postgresql://u:p%40%3A%2F%3F%25@h:5433/d%20b?sslmode=require',
      'postgres://u:p%40%3A%2F%3F%25@h:5433/d%20b?sslmode=require',
      'postgresql+psycopg2://u:p%40%3A%2F%3F%25@h:5433/d%20b?sslmode=require',
      'postgresql:///?host=h&port=5433&user=u&password=p%40%3A%2F%3F%25&dbname=d%20b&sslmode=require',
      "host=h port = 5433 user='u' password=p@:/?% dbname='d b' sslmode=require",
    ])
      assert.deepEqual(said({ url }), all, url)
  })

  test('a socket is a folder, an IPv6 address loses its brackets, a quote may be quoted', () => {
    assert.equal(said({ url: 'postgresql:///d?host=/var/run/postgresql' }).host, '/var/run/postgresql')
    assert.equal(said({ url: 'postgresql://%2Fvar%2Frun/d' }).host, '/var/run')
    assert.deepEqual(said({ url: 'postgresql://[::1]:7/d' }), { host: '::1', port: 7, database: 'd' })
    assert.equal(said({ url: "host=h password='it\\'s \\\\'" }).password, "it's \\")
  })

  test('the URL wins, and what it leaves out the settings say', () => {
    assert.deepEqual(said({ url: 'postgresql://h/d', host: 'other', user: 'u', password: 'p' }), {
      host: 'h',
      database: 'd',
      user: 'u',
      password: 'p',
    })
  })

  test('what cannot be read is refused without being shown', () => {
    for (const url of [
      'secret',
      'http://u:secret@h/d',
      'postgresql://u:secret@x@h/d',
      'host=h secret',
      'postgresql://h/d?sslmode=secretly',
    ])
      assert.throws(
        () => targetOf({ ...nothing, url }),
        (e: unknown) => {
          assert.ok(isMillraceError(e) && e.code === 'CONFIG_INVALID', String(e))
          assert.ok(!/secret\b/.test(e.message), e.message)
          return true
        },
        url,
      )
  })

  test('errors name host and database, and nobody', () => {
    assert.equal(nameOf(targetOf({ ...nothing, url: 'postgresql://u:p@h:7/d' })), 'PostgreSQL h:7/d')
  })
})
