import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { JsonObject } from '@millrace/sdk'
import { startTestManager, type TestClient, type TestManager } from '../testing/manager.ts'

let manager: TestManager
before(async () => {
  manager = await startTestManager()
})
after(() => manager[Symbol.asyncDispose]())

interface Loaded {
  readonly name: string
  readonly client: TestClient
  readonly token: string
}
/** A client that may write to so many streams; the name of the first. */
const clientWith = async (streams: number, rights: JsonObject = { isProducer: true }): Promise<Loaded> => {
  const client = await manager.client('loader')
  const names: string[] = []
  for (let i = 0; i < streams; i++) {
    const { name } = await manager.api<{ readonly name: string }>('POST', '/streams', { displayName: 'crm' })
    names.push(name)
    await manager.api('POST', `/streams/${name}/permissions`, { actor: { type: 'client', id: client.id }, ...rights })
  }
  return { name: names[0] ?? '', client, token: `${client.id}.${client.secret}` }
}

interface Told {
  readonly status: number
  readonly type: string
  readonly text: string
}
const post = async (
  path: string,
  token: string | undefined,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Told> => {
  const response = await fetch(`${manager.url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
  })
  return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() }
}
/** The messages that a stream has, as they are kept. */
const messages = async (name: string): Promise<readonly string[]> => {
  const response = await fetch(`${manager.url}/api/v1/streams/${name}/records?limit=1000`, {
    headers: { authorization: `Bearer ${await readToken(name)}`, accept: 'application/x-ndjson' },
  })
  assert.equal(response.status, 200)
  return (await response.text()).split('\n').filter((line) => line !== '')
}
/** The administrator made the streams, and may read them. */
const readToken = async (name: string): Promise<string> => {
  const reader = await manager.client('reader')
  await manager.api('POST', `/streams/${name}/permissions`, {
    actor: { type: 'client', id: reader.id },
    isConsumer: true,
  })
  const response = await fetch(`${manager.url}/api/v1/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'client_credentials', client_id: reader.id, client_secret: reader.secret }),
  })
  return ((await response.json()) as { readonly access_token: string }).access_token
}

const push = [
  {
    client_id: 7723,
    table_name: 'customers',
    sequence: 1565880017,
    action: 'upsert',
    key_names: ['id'],
    data: { id: 1, name: 'Finn' },
  },
]
const batch = {
  table_name: 'customers',
  key_names: ['id'],
  schema: { properties: { id: { type: 'integer' }, modified_at: { type: 'string', format: 'date-time' } } },
  messages: [{ action: 'upsert', sequence: 1565880017, data: { id: 1, modified_at: '2020-01-13T21:25:03+0000' } }],
}
const accepted = '{"status":"OK","message":"Batch Accepted!"}'

describe('the Import API as a receiver', () => {
  it('takes the batch of its documentation: a SCHEMA, then its records', async () => {
    const { name, token } = await clientWith(1)
    assert.deepEqual(await post('/v2/import/batch', token, batch), {
      status: 201,
      type: 'application/json; charset=utf-8',
      text: accepted,
    })
    assert.deepEqual(await messages(name), [
      '{"type":"SCHEMA","stream":"customers","schema":{"properties":{"id":{"type":"integer"},"modified_at":{"type":"string","format":"date-time"}}},"key_properties":["id"]}',
      '{"type":"RECORD","stream":"customers","record":{"id":1,"modified_at":"2020-01-13T21:25:03+0000"},"sequence":1565880017}',
    ])
  })

  it('takes the push of its documentation: records that name their keys', async () => {
    const { name, token } = await clientWith(1)
    assert.equal((await post('/v2/import/push', token, push)).status, 201)
    assert.deepEqual(await messages(name), [
      '{"type":"RECORD","stream":"customers","record":{"id":1,"name":"Finn"},"key_fields":["id"],"sequence":1565880017}',
    ])
  })

  it('keeps digits, versions, times and activations, and tables without keys', async () => {
    const { name, token } = await clientWith(1)
    const body =
      '{"table_name":"t","schema":{},"table_version":7,"messages":[{"action":"upsert","sequence":1565880017000000001,"data":{"n":12345678901234567890.123,"m":1e400},"time_extracted":"2026-01-01T00:00:00Z"},{"action":"activate_version","sequence":1565880017000000002}]}'
    assert.equal((await post('/v2/import/batch', token, body)).status, 201)
    assert.deepEqual(await messages(name), [
      '{"type":"SCHEMA","stream":"t","schema":{},"key_properties":[]}',
      '{"type":"RECORD","stream":"t","record":{"n":12345678901234567890.123,"m":1e400},"version":7,"time_extracted":"2026-01-01T00:00:00Z","sequence":1565880017000000001}',
      '{"type":"ACTIVATE_VERSION","stream":"t","version":7,"sequence":1565880017000000002}',
    ])
  })

  it('reads a large body on a thread: the same is stored and refused, and others are answered meanwhile', async () => {
    const { name, token } = await clientWith(1)
    const rows = (count: number) =>
      Array.from({ length: count }, (_, i) => ({
        action: 'upsert',
        sequence: i,
        data: { id: i, note: 'x'.repeat(150) },
      }))
    const large = { ...batch, messages: rows(12_000) }
    // What is compiled is, and the thread is there.
    assert.equal((await post('/v2/import/batch', token, { ...batch, messages: rows(1_000) })).status, 201)
    const text = JSON.stringify(large)
    // Read here it held everybody up for four fifths of the time, each time; a machine that is busy with other things does so once.
    const held: number[] = []
    for (let attempt = 0; attempt < 5 && !held.some((share) => share < 0.5); attempt++) {
      const delays = monitorEventLoopDelay({ resolution: 5 })
      delays.enable()
      const begun = performance.now()
      const told = await post('/v2/import/batch', token, text)
      held.push(delays.max / 1e6 / (performance.now() - begun))
      delays.disable()
      assert.equal(told.text, accepted)
    }
    assert.ok(Math.min(...held) < 0.5, `held up for ${held.join(', ')} of the time`)
    const { next } = await manager.api<{ readonly next: number }>('GET', `/streams/${name}/stat`)
    assert.equal(next, 1_001 + 12_001)
    assert.match(
      (await messages(name)).at(-1) ?? '',
      /^\{"type":"RECORD","stream":"customers","record":\{"id":998,"note":"x+"\},"sequence":998\}$/,
    )
    // Sent again it is the same batch.
    assert.equal((await post('/v2/import/batch', token, text)).status, 201)
    assert.equal((await manager.api<{ readonly next: number }>('GET', `/streams/${name}/stat`)).next, next)
    const wrong = { ...large, messages: [...large.messages, { action: 'upsert', sequence: 1, data: { id: 'x' } }] }
    const refused = await post('/v2/import/batch', token, wrong)
    assert.equal(refused.status, 400)
    assert.match(refused.text, /Record 12000 did not conform to schema: #\/id: expected: integer, found: String/)
    assert.equal((await post('/v2/import/batch', token, `${text.slice(0, -1)},`)).status, 400)
    assert.equal(
      (await post('/v2/import/validate', token, [{ ...push[0], data: { id: 1, n: 'y'.repeat(80_000) } }])).status,
      200,
    )
  })

  it('takes transit on push, and bodies that are packed', async () => {
    const { name, token } = await clientWith(1)
    const transit =
      '[["^ ","client_id",7723,"table_name","t","sequence",1,"action","upsert","key_names",["id"],"data",["^ ","id",1,"at","~m1468435557000","n","~f1.10"]]]'
    const told = await post('/v2/import/push', token, transit, { 'content-type': 'application/transit+json' })
    assert.equal(told.status, 201, told.text)
    const packed = gzipSync(JSON.stringify(batch))
    assert.equal((await post('/v2/import/batch', token, packed, { 'content-encoding': 'gzip' })).status, 201)
    const [first] = await messages(name)
    assert.equal(
      first,
      '{"type":"RECORD","stream":"t","record":{"id":1,"at":"2016-07-13T18:45:57.000Z","n":1.10},"key_fields":["id"],"sequence":1}',
    )
    assert.equal((await messages(name)).length, 3)
  })

  it('stores a body once that comes again because its answer was lost', async () => {
    const { name, token } = await clientWith(1)
    for (let i = 0; i < 3; i++) assert.equal((await post('/v2/import/batch', token, batch)).status, 201)
    assert.equal((await messages(name)).length, 2)
    await post('/v2/import/batch', token, { ...batch, messages: [{ ...batch.messages[0], sequence: 1565880018 }] })
    assert.equal((await messages(name)).length, 4)
  })

  it('validates without storing, and says how it is', async () => {
    const { name, token } = await clientWith(1)
    const told = await post('/v2/import/validate', token, push)
    assert.deepEqual([told.status, told.text], [200, '{"status":"OK","message":"Batch is valid!"}'])
    assert.deepEqual(await messages(name), [])
    const status = await fetch(`${manager.url}/v2/import/status`)
    assert.deepEqual(await status.json(), {
      name: 'pipeline.gate',
      version: '0.0.0',
      revision: '0.0.0',
      status: 'OK',
      reason: null,
    })
  })

  it('loads the stream that the path names, where a client has several', async () => {
    const { name, token } = await clientWith(2)
    const refused = await post('/v2/import/batch', token, batch)
    assert.equal(refused.status, 403)
    assert.match(refused.text, /name one before the path/)
    assert.equal((await post(`/stitch/${name}/v2/import/batch`, token, batch)).status, 201)
    assert.equal((await messages(name)).length, 2)
  })

  it('keeps what it accepted over a restart', async () => {
    let own = await startTestManager()
    try {
      const client = await own.client('loader')
      const { name } = await own.api<{ readonly name: string }>('POST', '/streams', { displayName: 'crm' })
      await own.api('POST', `/streams/${name}/permissions`, {
        actor: { type: 'client', id: client.id },
        isProducer: true,
      })
      const response = await fetch(`${own.url}/v2/import/batch`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${client.id}.${client.secret}` },
        body: JSON.stringify(batch),
      })
      assert.equal(response.status, 201)
      own = await own.restart()
      const stat = await own.api<{ readonly next: number }>('GET', `/streams/${name}/stat`)
      assert.equal(Number(stat.next), 2)
    } finally {
      await own[Symbol.asyncDispose]()
    }
  })
})

describe('the Import API refuses', () => {
  let loaded: Loaded
  before(async () => {
    loaded = await clientWith(1)
  })
  after(async () => assert.deepEqual(await messages(loaded.name), []))

  it('who shows no token, a wrong one, or one that may not', async () => {
    const wrong = [
      undefined,
      'nonsense',
      `${loaded.client.id}.wrong`,
      `${loaded.client.id}.`,
      loaded.client.id,
      'a.b.c',
    ]
    for (const token of wrong) {
      const told = await post('/v2/import/batch', token, batch)
      assert.deepEqual([told.status, told.text], [401, '{"message":"Not Authorized"}'], String(token))
    }
    const reader = await clientWith(1, { isConsumer: true })
    assert.equal((await post('/v2/import/batch', reader.token, batch)).status, 403)
    assert.equal((await post(`/stitch/${reader.name}/v2/import/batch`, reader.token, batch)).status, 403)
    // The stream of others, and one that is not there: the same answer.
    const theirs = await post(`/stitch/${loaded.name}/v2/import/batch`, reader.token, batch)
    const nowhere = await post('/stitch/nowhere/v2/import/batch', reader.token, batch)
    assert.deepEqual([theirs.status, nowhere.status], [403, 403])
    assert.equal(theirs.text.replace(loaded.name, 'X'), nowhere.text.replace('nowhere', 'X'))
    const revoked = await clientWith(1)
    await manager.api('POST', `/clients/${revoked.client.id}/revoke`)
    assert.equal((await post('/v2/import/batch', revoked.token, batch)).status, 401)
  })

  const one = batch.messages[0] as JsonObject
  const of = (fields: JsonObject): JsonObject => ({ ...batch, ...fields })
  const failed = (text: string): string => JSON.stringify({ error: `Request failed validation:${text}` })
  for (const [what, body, expected] of [
    ['a missing argument', { schema: {}, messages: [one] }, failed('#: required key [table_name] not found')],
    ['an unknown argument', of({ more: 1 }), failed('#: extraneous key [more] is not permitted')],
    ['a wrong type', of({ table_name: 7 }), failed('#/table_name: expected type: String, found: Integer')],
    ['a schema that is no object', of({ schema: [] }), failed('#/schema: expected type: JSONObject, found: JSONArray')],
    [
      'a record that does not conform',
      of({ messages: [one, { ...one, data: { id: 'x' } }] }),
      '{"error":"Record 1 did not conform to schema: #/id: expected: integer, found: String"}',
    ],
    [
      'a record without its key',
      of({ messages: [{ ...one, data: { modified_at: 'x' } }] }),
      '{"error":"Record is missing key property id"}',
    ],
    [
      'a key that is null',
      of({ schema: {}, messages: [{ ...one, data: { id: null } }] }),
      '{"error":"Record is missing key property id"}',
    ],
    ['a bad schema type', of({ schema: { type: 'text' } }), '{"error":"Invalid JSON schema: unknown type: [text]"}'],
    [
      'a message that lacks an argument',
      of({ messages: [{ action: 'upsert', sequence: 1 }] }),
      failed('#/messages/0: #: 0 subschemas matched instead of one'),
    ],
    [
      'a sequence that is too big',
      JSON.stringify(batch).replace('1565880017', '9223372036854775808'),
      failed('#: sequence can not be above 9223372036854775807'),
    ],
    ['a body that is no JSON', '{"table_name"', '{"error":"Malformed json in the body!"}'],
  ] as const)
    it(`${what} in a batch, as a whole`, async () => {
      const told = await post('/v2/import/batch', loaded.token, body)
      assert.deepEqual([told.status, told.text], [400, expected])
    })

  const pushed = push[0] as JsonObject
  const reason = (r: unknown): string =>
    JSON.stringify({ status: 'ERROR', error: 'Request cannot be processed; see errors.', errors: [{ reason: r }] })
  for (const [what, body, status, expected] of [
    [
      'a list of nothing',
      [],
      400,
      '{"status":"ERROR","message":"each data object must contain between 1 and 20000 records"}',
    ],
    ['what is no list', {}, 400, '{"status":"ERROR","message":"An array of records is expected"}'],
    [
      'a message without a client',
      [{ ...pushed, client_id: null }],
      401,
      '{"status":"ERROR","error":"Not Authenticated.","errors":null}',
    ],
    [
      'messages of two clients',
      [pushed, { ...pushed, client_id: 1 }],
      422,
      reason('The batch contains data points for multiple clients. Only client_id 7723 is allowed'),
    ],
    [
      'a sequence that is none',
      [{ ...pushed, sequence: 'x' }],
      422,
      reason({ sequence: ['should be an integer', 'should be a number'] }),
    ],
    [
      'keys by their other name',
      [{ ...pushed, key_names: null, key_properties: ['id'] }],
      422,
      reason({ key_names: ["can't be blank"], key_properties: ['unknown key'] }),
    ],
    ['data that is no object', [{ ...pushed, data: 1 }], 422, reason({ data: ['data must be an object'] })],
    ['data without its keys', [{ ...pushed, data: {} }], 422, reason({ data: ['data must include keys'] })],
    [
      'a key that is null',
      [{ ...pushed, data: { id: null } }],
      422,
      reason({ data: ['keys cannot not be null in data'] }),
    ],
    [
      'a key that is too long',
      [{ ...pushed, data: { id: 'x'.repeat(1025) } }],
      422,
      reason({ data: ['String keys cannot be longer than 1024 characters'] }),
    ],
  ] as const)
    for (const kind of ['push', 'validate'])
      it(`${what}, on ${kind}`, async () => {
        const told = await post(`/v2/import/${kind}`, loaded.token, body)
        assert.deepEqual([told.status, told.text], [status, expected])
      })

  it('another content type, method or path, and a body that is too large', async () => {
    const { token } = loaded
    const transit = { 'content-type': 'application/transit+json' }
    const type = await post('/v2/import/batch', token, '[]', transit)
    assert.deepEqual([type.status, type.text], [415, 'Content-Type must be application/json'])
    const xml = await post('/v2/import/push', token, '<x/>', { 'content-type': 'application/xml' })
    assert.deepEqual(
      xml.text,
      '{"status":"ERROR","message":"Unsupported content-type application/xml. Please send application/json or application/transit+json"}',
    )
    assert.equal(xml.status, 415)
    const get = await fetch(`${manager.url}/v2/import/batch`)
    assert.deepEqual([get.status, await get.text()], [405, 'Method not allowed.'])
    assert.equal((await post('/v2/import/everything', token, '[]')).status, 404)
    const large = await post('/v2/import/push', token, Buffer.alloc(20 * 1024 * 1024 + 1, ' '))
    assert.equal(large.status, 413)
    assert.match(large.text, /request size \(\d+s bytes\) exceeds the maximum/)
    const bomb = await post('/v2/import/push', token, gzipSync(Buffer.alloc(21 * 1024 * 1024, ' ')), {
      'content-encoding': 'gzip',
    })
    assert.equal(bomb.status, 413)
    assert.equal((await post('/v2/import/push', token, 'not gzip', { 'content-encoding': 'gzip' })).status, 400)
    const many = await post('/v2/import/push', token, JSON.stringify(Array.from({ length: 20_001 }, () => pushed)))
    assert.equal(many.status, 400)
  })
})

describe('schemas of batches', () => {
  it('may be of draft 4, with bounds and decimals as taps write them', async () => {
    const { token } = await clientWith(1)
    const schema = {
      $schema: 'http://json-schema.org/draft-04/schema#',
      type: 'object',
      properties: {
        price: {
          type: ['null', 'number'],
          minimum: 0,
          exclusiveMinimum: true,
          maximum: 1e10,
          exclusiveMaximum: false,
          multipleOf: 1e-38,
        },
        id: { type: 'integer' },
      },
    }
    const send = async (data: JsonObject): Promise<string> =>
      (
        await post('/v2/import/batch', token, {
          table_name: 't',
          schema,
          messages: [{ action: 'upsert', sequence: 1, data }],
        })
      ).text
    assert.equal(await send({ price: 0.1, id: 1 }), accepted)
    assert.equal(await send({ price: null }), accepted)
    assert.match(await send({ price: 0 }), /Record 0 did not conform to schema: #\/price: must be > 0/)
    assert.match(await send({ price: 'much' }), /#\/price: expected: null,number, found: String/)
  })
})
