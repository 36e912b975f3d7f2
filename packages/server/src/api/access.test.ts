import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { type TestManager, testManager } from './testing/manager.ts'

interface Schema {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly minimum?: number
  readonly maximum?: number
  readonly maxItems?: number
  readonly description?: string
}
interface Operation {
  readonly method: string
  readonly path: string
  readonly isOpen: boolean
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[]
  readonly body: Schema | undefined
}

/** The operations of the document that the manager serves. */
const operationsOf = async (manager: TestManager): Promise<readonly Operation[]> => {
  const document = (await manager.ask('GET', '/openapi.json', { token: undefined })).json<{
    readonly paths: Record<string, Record<string, Record<string, unknown>>>
  }>()
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, raw]) => ({
      method: method.toUpperCase(),
      path,
      isOpen: Array.isArray(raw['security']) && raw['security'].length === 0,
      parameters: (raw['parameters'] ?? []) as Operation['parameters'],
      body: (
        Object.values(((raw['requestBody'] as { content?: object } | undefined)?.content ?? {}) as object)[0] as
          | { readonly schema: Schema }
          | undefined
      )?.schema,
    })),
  )
}

/** A value that a schema allows, as small as may be. */
const least = (s: Schema): unknown => {
  if (s.enum !== undefined) return s.enum[0]
  if (s.anyOf !== undefined) return least(s.anyOf[0] as Schema)
  switch (s.type) {
    case 'string':
      return s.description?.includes('last:N') === true ? 'first' : 'a@b'
    case 'integer':
      return s.minimum ?? 0
    case 'boolean':
      return false
    case 'array':
      return [least(s.items ?? {})]
    case 'object':
      return Object.fromEntries((s.required ?? []).map((name) => [name, least(s.properties?.[name] ?? {})]))
    default:
      return null
  }
}

describe('who may do what over HTTP', () => {
  let manager: TestManager
  let operations: readonly Operation[]
  let tenant: { readonly id: string; readonly token: string }
  let other: { readonly id: string; readonly token: string }
  let ids: Readonly<Record<string, string>>

  before(async () => {
    manager = await testManager()
    operations = await operationsOf(manager)
    tenant = await manager.client('tenant')
    other = await manager.client('other')
    const own = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
      const answer = await manager.ask(method, path, {
        token: tenant.token,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      assert.ok(answer.status < 300, `${method} ${path}: ${answer.text}`)
      return answer.text === '' ? (undefined as T) : answer.json<T>()
    }
    const stream = await own<{ readonly id: string }>('POST', '/api/v1/streams', { name: 'secret' })
    await own('POST', '/api/v1/streams/secret/records?key=k1', { a: 1 })
    const page = await own<{ readonly records: readonly { readonly id: string }[] }>(
      'GET',
      '/api/v1/streams/secret/records',
    )
    await own('POST', '/api/v1/streams/secret/groups', { name: 'g' })
    const schema = await own<{ readonly id: string }>('POST', '/api/v1/streams/secret/schemas', {
      type: 'JSON',
      text: '{"type":"object"}',
    })
    const key = await own<{ readonly id: string }>('POST', '/api/v1/streams/secret/keys', {
      algorithm: 'x',
      encoding: 'y',
      value: 'z',
    })
    const child = await own<{ readonly client: { readonly id: string } }>('POST', '/api/v1/clients', {
      displayName: 'child',
    })
    ids = {
      stream: stream.id,
      record: page.records[0]?.id ?? '',
      group: 'g',
      schema: schema.id,
      key: key.id,
      client: child.client.id,
      user: 'nobody',
      writer: 'w',
      type: 'client',
      id: tenant.id,
    }
  })
  after(async () => await manager[Symbol.asyncDispose]())

  const pathOf = (o: Operation, given: Readonly<Record<string, string>>): string =>
    o.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(given[name] ?? 'x'))
  const bodyOf = (o: Operation): { readonly body?: string } => {
    if (o.body === undefined) return {}
    // The one body of which something that may be left out is needed.
    const more = o.path.endsWith('/permissions') ? { email: 'a@b' } : {}
    return { body: JSON.stringify({ ...(least(o.body) as object), ...more }) }
  }

  it('no route but those that say so answers without a token, or with one that was forged or is foreign', async () => {
    assert.ok(operations.length > 50)
    const [head = '', body = '', signature = ''] = tenant.token.split('.')
    const read = (part: string): object => JSON.parse(Buffer.from(part, 'base64url').toString()) as object
    const written = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    await using foreign = await testManager()
    const tokens = {
      none: undefined,
      'alg none': `${written({ ...read(head), alg: 'none' })}.${body}.`,
      'a body that was changed': `${head}.${written({ ...read(body), sub: ids['id'], scope: 'admin' })}.${signature}`,
      'of another manager': (await foreign.client('tenant')).token,
      'the local one of another manager': foreign.token,
    }
    for (const o of operations)
      for (const [what, token] of Object.entries(tokens)) {
        const { status, headers } = await manager.ask(o.method, pathOf(o, ids), { token, ...bodyOf(o) })
        if (o.isOpen) {
          assert.notEqual(status, 401, o.path)
          continue
        }
        assert.equal(status, 401, `${o.method} ${o.path}: ${what}`)
        assert.match(headers.get('www-authenticate') ?? '', /^Bearer/)
      }
  })

  it("another tenant's ids are not found, on every route that takes one, by id and by name", async () => {
    const about = operations.filter((o) => /\{(stream|client)\}/.test(o.path))
    assert.ok(about.length > 40)
    for (const o of about)
      for (const stream of [ids['stream'] ?? '', 'secret']) {
        const answer = await manager.ask(o.method, pathOf(o, { ...ids, stream }), { token: other.token, ...bodyOf(o) })
        const absent = await manager.ask(o.method, pathOf(o, { ...ids, stream: 'absent', client: 'absent' }), {
          token: other.token,
          ...bodyOf(o),
        })
        assert.equal(answer.status, 404, `${o.method} ${o.path}: ${answer.text}`)
        // Nor can it be told from what is not there.
        const told = (a: typeof answer): string => a.json<{ readonly code: string }>().code
        assert.equal(told(answer), told(absent), o.path)
        assert.doesNotMatch(answer.text, /"a":1|displayName/)
      }
  })

  it('each right gives what it says and no more', async () => {
    const as = async (rights: object, method: string, path: string, body?: string): Promise<number> => {
      const given = await manager.ask('POST', '/api/v1/streams/secret/permissions', {
        token: tenant.token,
        body: JSON.stringify({ actor: { type: 'client', id: other.id }, ...rights }),
      })
      assert.equal(given.status, 200, given.text)
      return (
        await manager.ask(method, `/api/v1/streams/secret${path}`, {
          token: other.token,
          ...(body === undefined ? {} : { body }),
        })
      ).status
    }
    const consumer = { isConsumer: true }
    const producer = { isProducer: true }
    assert.equal(await as(consumer, 'GET', '/records'), 200)
    assert.equal(await as(consumer, 'POST', '/records', '{}'), 403)
    assert.equal(await as(producer, 'GET', '/records'), 403)
    assert.equal(await as(producer, 'GET', '/follow'), 403)
    assert.equal(await as(producer, 'POST', '/records', '{"b":1}'), 201)
    assert.equal(await as(producer, 'POST', '/groups/g/claim', '{}'), 403)
    for (const rights of [consumer, producer]) {
      assert.equal(await as(rights, 'DELETE', ''), 403)
      assert.equal(await as(rights, 'GET', '/permissions'), 403)
      assert.equal(await as(rights, 'POST', '/trim', '{"before":"next"}'), 403)
      assert.equal(await as(rights, 'GET', '/audit'), 403)
    }
    await manager.ask('DELETE', `/api/v1/streams/secret/permissions/client/${other.id}`, { token: tenant.token })
    assert.equal((await manager.ask('GET', '/api/v1/streams/secret', { token: other.token })).status, 404)
  })

  it('a token of fewer scopes may do less', async () => {
    const { id, secret, token } = await manager.client('narrow')
    const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret, scope: 'records:read' }
    const got = await manager.ask('POST', '/oauth2/token', {
      token: undefined,
      body: new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    const narrow = got.json<{ readonly access_token: string; readonly scope: string }>()
    assert.equal(narrow.scope, 'records:read')
    const make = (t: string) => manager.ask('POST', '/api/v1/streams', { token: t, body: '{"name":"narrow"}' })
    assert.equal((await make(narrow.access_token)).status, 403)
    assert.equal((await make(token)).status, 201)
    assert.equal(
      (await manager.ask('POST', '/api/v1/streams/narrow/records', { token: narrow.access_token, body: '1' })).status,
      403,
    )
    const admin = await manager.ask('POST', '/oauth2/token', {
      token: undefined,
      body: new URLSearchParams({ ...form, scope: 'admin' }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    assert.deepEqual([admin.status, admin.json<{ readonly error: string }>().error], [400, 'invalid_scope'])
  })

  it('a revoked client is out at once: its token, its secret, what it follows', async () => {
    const { id, secret, token } = await manager.client('short')
    await manager.ask('POST', '/api/v1/streams', { token, body: '{"name":"short"}' })
    const following = await fetch(`${manager.url}/api/v1/streams/short/follow`, {
      headers: { authorization: `Bearer ${token}` },
    })
    assert.equal(following.status, 200)
    await following.body?.cancel()
    await manager.good('POST', `/api/v1/clients/${id}/revoke`)
    assert.equal((await manager.ask('GET', '/api/v1/streams/short', { token })).status, 401)
    const again = await manager.ask('POST', '/oauth2/token', {
      token: undefined,
      body: new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: secret }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    assert.deepEqual([again.status, again.json<{ readonly error: string }>().error], [401, 'invalid_client'])
  })

  it('tricks in names and paths find nothing', async () => {
    const tricks = [
      '../../etc/passwd',
      '..%2f..%2fetc',
      "x' or '1'='1",
      'x"; drop table stream; --',
      '%00',
      'a\u0000b',
      '%',
      '%s%n',
      '${7*7}',
      '{{7*7}}',
      '<script>',
      '\\..\\',
      'x'.repeat(200),
      'é'.repeat(60),
      'secret%20',
      ' secret',
      'secret\n',
      '__proto__',
      'constructor',
    ]
    for (const trick of tricks)
      for (const path of [
        `/streams/${encodeURIComponent(trick)}`,
        `/streams/secret/records/${encodeURIComponent(trick)}`,
        `/clients/${encodeURIComponent(trick)}`,
      ]) {
        const answer = await manager.ask('GET', `/api/v1${path}`, {
          token: path.includes('/records/') ? tenant.token : other.token,
        })
        assert.ok(answer.status === 404 || answer.status === 400, `${path}: ${answer.status} ${answer.text}`)
        assert.doesNotMatch(answer.text, /SQLITE|at .*\.ts|\/tmp\//)
      }
    for (const name of tricks) {
      const answer = await manager.ask('POST', '/api/v1/streams', {
        token: other.token,
        body: JSON.stringify({ name }),
      })
      assert.ok(answer.status === 400 || answer.status === 201, `${name}: ${answer.status} ${answer.text}`)
    }
    for (const raw of [
      '/api/v1/streams/../../health/..',
      '/api/v1/%2e%2e/%2e%2e/x',
      '//evil.example/api',
      '/api/v1/streams/%ff%fe',
      '/api/v1/streams/%',
    ])
      assert.match(
        await rawRequest(
          manager.url,
          `GET ${raw} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${other.token}\r\nconnection: close\r\n\r\n`,
        ),
        /^HTTP\/1\.1 4\d\d/,
      )
  })

  it('whatever comes is answered, and never by a 500 or with what is ours alone', { timeout: 120_000 }, async () => {
    const value = (s: Schema): fc.Arbitrary<unknown> => {
      const wild = fc.oneof(
        fc.json().map((j) => JSON.parse(j) as unknown),
        fc.string({ unit: 'binary' }),
        fc.double(),
        fc.bigInt().map(Number),
      )
      const good = ((): fc.Arbitrary<unknown> => {
        if (s.enum !== undefined) return fc.constantFrom(...s.enum)
        if (s.anyOf !== undefined) return fc.oneof(...s.anyOf.map(value))
        switch (s.type) {
          case 'string':
            return fc.oneof(
              fc.string({ unit: 'binary', maxLength: 300 }),
              fc.constantFrom(
                'first',
                'next',
                'last:5',
                'offset:0',
                'offset:999999999999',
                '2026-01-01',
                'secret',
                'g',
                ...Object.values(ids),
              ),
            )
          case 'integer':
            return fc.oneof(
              fc.integer({ min: s.minimum ?? 0, max: Math.min(s.maximum ?? 1000, 1e6) }),
              fc.maxSafeInteger(),
            )
          case 'boolean':
            return fc.boolean()
          case 'array':
            return fc.array(value(s.items ?? {}), { maxLength: 5 })
          case 'object':
            return fc.record(Object.fromEntries(Object.entries(s.properties ?? {}).map(([n, p]) => [n, value(p)])), {
              requiredKeys: [...(s.required ?? [])],
            })
          default:
            return wild
        }
      })()
      return fc.oneof({ weight: 6, arbitrary: good }, { weight: 1, arbitrary: wild })
    }
    const fuzzed = operations.filter(
      (o) =>
        !o.isOpen &&
        !o.path.endsWith('/follow') &&
        !/\/me\b|revoke$|\/users/.test(o.path) &&
        !(o.method === 'DELETE' && /\{stream\}$/.test(o.path)),
    )
    await fc.assert(
      fc.asyncProperty(
        fc
          .constantFrom(...fuzzed)
          .chain((o) =>
            fc.tuple(
              fc.constant(o),
              fc.record(
                Object.fromEntries(
                  o.parameters.map((p) => [
                    p.name,
                    p.in === 'path' && p.name !== 'id'
                      ? fc.oneof(fc.constant(ids[p.name] ?? 'x'), value(p.schema).map(String))
                      : value(p.schema).map(String),
                  ]),
                ),
              ),
              o.body === undefined ? fc.constant(undefined) : value(o.body).map((v) => JSON.stringify(v)),
              fc.constantFrom(
                'application/json',
                'application/x-ndjson',
                'text/plain',
                'application/octet-stream',
                'multipart/form-data',
                'x',
              ),
            ),
          ),
        async ([o, parameters, body, type]) => {
          const path = pathOf(o, parameters as Readonly<Record<string, string>>)
          if (/\/\.{0,2}(\/|$)/.test(decodeURIComponent(path))) return
          const query = new URLSearchParams()
          for (const p of o.parameters)
            if (p.in === 'query') query.set(p.name, (parameters as Readonly<Record<string, string>>)[p.name] ?? '')
          const answer = await manager.ask(o.method, `${path}?${query}`, {
            token: tenant.token,
            body,
            headers: o.path.endsWith('/records') && body !== undefined ? { 'content-type': type } : {},
          })
          assert.ok(answer.status < 500, `${o.method} ${path}?${query} ${body}: ${answer.status} ${answer.text}`)
          assert.doesNotMatch(answer.text, /SQLITE|sqlite|node:internal|\.ts:\d|\/tmp\/millrace/)
          if (answer.status >= 400)
            assert.deepEqual(
              [
                answer.headers.get('content-type')?.split(';')[0],
                typeof answer.json<{ readonly code: unknown }>().code,
              ],
              ['application/problem+json', 'string'],
            )
        },
      ),
      { numRuns: 400 },
    )
  })
})

/** What is answered to bytes. */
const rawRequest = async (url: string, text: string): Promise<string> => {
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.end(text)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
