import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  describeError,
  encodeJson,
  isMillraceError,
  type JsonObject,
  type MillraceError,
  RecordMessage,
  resolveConfig,
  runPersister,
  silentLogger,
} from '@millrace/sdk'
import { persisterSuite, type StitchServer, type StitchServerOptions, startStitchServer } from '@millrace/sdk/testing'
import { Batch } from './batch.ts'
import { stitch } from './index.ts'
import { Sequence } from './sequence.ts'

const token = 'stitch-token'
let shared: StitchServer
before(async () => {
  shared = await startStitchServer()
})
after(() => shared[Symbol.asyncDispose]())

persisterSuite('stitch', {
  persister: stitch,
  config: (dir) => ({ token, url: `${shared.url}/${basename(dir)}` }),
  read: async (dir) => {
    const tables = shared.tablesOf(`/${basename(dir)}`)
    return new Map(tables.names.map((name) => [name, tables.rows(name)]))
  },
  module: new URL('./index.ts', import.meta.url),
  kills: 6,
  remote: true,
})

const schema = (properties: JsonObject = { id: { type: 'integer' }, name: { type: ['null', 'string'] } }): string =>
  `${encodeJson({ type: 'SCHEMA', stream: 'users', schema: { type: 'object', properties }, key_properties: ['id'] })}\n`
const record = (id: number, more: JsonObject = {}, message: JsonObject = {}): string =>
  `${encodeJson({ type: 'RECORD', stream: 'users', record: { id, ...more }, ...message })}\n`
const state = (n: number): string => `{"type":"STATE","value":${n}}\n`

interface Ran {
  readonly states: readonly string[]
  readonly error: MillraceError | undefined
  readonly server: StitchServer
}
const run = async (input: string, options: StitchServerOptions = {}, settings: JsonObject = {}): Promise<Ran> => {
  const server = await startStitchServer(options)
  after(() => server[Symbol.asyncDispose]())
  const states: string[] = []
  let error: MillraceError | undefined
  await runPersister(stitch, {
    config: resolveConfig(stitch.config, {
      kind: 'persister',
      name: 'stitch',
      file: { token, url: server.url, ...settings },
      strict: true,
    }).config,
    input: (async function* () {
      yield Buffer.from(input)
    })(),
    log: silentLogger,
    signal: new AbortController().signal,
    flushRecords: 1,
    writeState: (line) => {
      states.push(line.trim())
    },
  }).catch((e: unknown) => {
    if (!isMillraceError(e)) throw e
    assert.ok(!describeError(e).includes(token), 'the token is shown')
    error = e
  })
  return { states, error, server }
}

describe('the Stitch persister', () => {
  it('sends a batch as the Import API has it: digits, time, keys, a sequence of 19 digits', async () => {
    const exact =
      '{"type":"RECORD","stream":"users","record":{"id":1,"n":12345678901234567890.123},"time_extracted":"2026-01-01T00:00:00Z"}\n'
    const { server, states } = await run(schema() + exact + record(2) + state(1))
    assert.deepEqual(states, ['1'])
    const sent = (server.bodies[0] as string).replaceAll(
      /"sequence":(\d+)/g,
      (_, n: string) => `"sequence":"${n.length}"`,
    )
    assert.equal(
      sent,
      '{"table_name":"users","key_names":["id"],"schema":{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":["null","string"]}}},"messages":[{"action":"upsert","sequence":"19","data":{"id":1,"n":12345678901234567890.123},"time_extracted":"2026-01-01T00:00:00Z"},{"action":"upsert","sequence":"19","data":{"id":2}}]}',
    )
    assert.equal(server.requests[0]?.headers.authorization, `Bearer ${token}`)
  })

  it('cuts batches by number and by bytes, and packs them where asked to', async () => {
    const input = schema() + Array.from({ length: 25 }, (_, i) => record(i, { name: 'x'.repeat(1000) })).join('')
    const byNumber = await run(input, {}, { batchRecords: 10, compression: 'gzip' })
    assert.deepEqual(byNumber.server.bodies.map((b) => b.split('"upsert"').length - 1).toSorted(), [10, 10, 5])
    assert.equal(byNumber.server.requests[0]?.headers['content-encoding'], 'gzip')
    const byBytes = await run(input, {}, { batchBytes: 10_000 })
    assert.ok(byBytes.server.bodies.length >= 3 && byBytes.server.bodies.every((b) => b.length <= 10_000))
    assert.equal(byBytes.server.tables.rows('users').length, 25)
  })

  it('lets the later of two records with one key win, also where batches overtake each other', async () => {
    const rows = Array.from({ length: 200 }, (_, i) => record(i % 7, { name: `${i}` })).join('')
    const { server } = await run(schema() + rows, {}, { batchRecords: 3, maxConcurrent: 8 })
    const found = Object.fromEntries(server.tables.rows('users').map((row) => [row['id'], row['name']]))
    const expected = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [i % 7, `${i}`]))
    assert.deepEqual(found, expected)
  })

  it('activates a version behind all of its rows', async () => {
    const versioned = (id: number, version: number): string => record(id, {}, { version })
    const input =
      schema() +
      versioned(1, 1) +
      versioned(2, 1) +
      versioned(2, 2) +
      versioned(3, 2) +
      '{"type":"ACTIVATE_VERSION","stream":"users","version":2}\n' +
      state(9)
    const { server, states } = await run(input, {}, { maxConcurrent: 4 })
    assert.deepEqual(
      server.tables
        .rows('users')
        .map((row) => row['id'])
        .toSorted(),
      [2, 3],
    )
    assert.match(server.bodies.at(-1) as string, /"table_version":2,.*"action":"activate_version"/)
    assert.deepEqual(states, ['9'])
  })

  it('gives a key that no schema names a place in the schema', async () => {
    const input = '{"type":"RECORD","stream":"users","record":{"id":1},"key_fields":["id"]}\n'
    const { server, error } = await run(`stitchstream/0.1\nContent-Type: jsonline\n--\n${input}`)
    assert.equal(error, undefined)
    assert.deepEqual({ ...server.tables.rows('users')[0] }, { id: 1 })
    assert.match(server.bodies[0] as string, /"schema":\{.*"id":\{/)
  })

  it('takes 202 for success, and asks again where somebody else answers or the line is cut', async () => {
    const faults = ['queued', 'not-json', 'cut'] as const
    for (const is of faults) {
      const { server, states, error } = await run(schema() + record(1) + state(1), {
        fault: (n) => (n === 0 ? { is } : undefined),
      })
      assert.equal(error, undefined, is)
      assert.deepEqual(states, ['1'])
      // What was taken before the answer was lost came twice, with the same sequence.
      assert.equal(server.bodies.length, is === 'queued' ? 1 : 2)
      assert.equal(new Set(server.bodies).size, 1)
      assert.equal(server.tables.rows('users').length, 1)
    }
  })

  it('waits as a limit says, and gives up on a storm of 503 only after some tries', async () => {
    const limited = await run(schema() + record(1) + state(1), {
      fault: (n) => (n < 2 ? { is: 'status', status: 503 } : undefined),
    })
    assert.deepEqual([limited.error, limited.states], [undefined, ['1']])
    const wait = await run(schema() + record(1) + state(1), {
      fault: (n) => (n < 1 ? { is: 'status', status: 429, headers: { 'retry-after': '0' } } : undefined),
    })
    assert.deepEqual([wait.error, wait.states], [undefined, ['1']])
  })

  it('says what Stitch says of a batch that it refuses; states before it are out, none behind it', async () => {
    const bad = `${encodeJson({ type: 'RECORD', stream: 'users', record: { id: 'secret' } })}\n`
    const { error, states } = await run(schema() + record(1) + state(1) + bad + state(2))
    assert.deepEqual(states, ['1'])
    assert.equal(error?.code, 'DESTINATION_REFUSED')
    assert.equal(error.exitCode, 78)
    assert.match(error.message, /400 for a batch of users .*Record 0 did not conform to schema: #\/id/)
    assert.doesNotMatch(describeError(error), /secret/)
  })

  it('tells a bad token, one that is revoked on the way, and a body that is too large', async () => {
    const one = schema() + record(1) + state(1)
    const wrong = await run(one, {}, { token: 'another' })
    assert.match(wrong.error?.message ?? '', /401 .*Not Authorized/)
    const input = schema() + Array.from({ length: 4 }, (_, i) => record(i) + state(i)).join('')
    const revoked = await run(input, { fault: (n) => (n === 2 ? { is: 'status', status: 401 } : undefined) })
    assert.deepEqual(revoked.states, ['0', '1'])
    assert.equal(revoked.error?.code, 'DESTINATION_REFUSED')
    const large = await run(one, { maxBodyBytes: 50 })
    assert.match(large.error?.message ?? '', /413 .*exceeds the maximum/)
    assert.match(large.error?.fix ?? '', /batchBytes/)
  })

  it('tells a host that is not there', async () => {
    const server = await startStitchServer()
    await server[Symbol.asyncDispose]()
    const { error, states } = await run(schema() + record(1) + state(1), {}, { url: server.url })
    assert.equal(error?.code, 'DESTINATION_UNAVAILABLE')
    assert.equal(error.exitCode, 69)
    assert.deepEqual(states, [])
  })

  it('takes the settings of the Stitch target', () => {
    const { config, unknown } = resolveConfig(stitch.config, {
      kind: 'persister',
      name: 'stitch',
      file: {
        client_id: 7723,
        token: 't',
        small_batch_url: 'https://api.stitchdata.com/v2/import/batch',
        big_batch_url: 'https://api.stitchdata.com/v2/import/batch',
        batch_size_preferences: { full_table_streams: [] },
        turbo_boost_factor: 4,
        disable_collection: true,
      },
    })
    assert.deepEqual(unknown, ['disable_collection'])
    assert.deepEqual(
      { ...config, batch_size_preferences: undefined },
      {
        token: 't',
        clientId: '7723',
        url: 'https://api.stitchdata.com/v2/import/batch',
        batchRecords: 20_000,
        batchBytes: 4_000_000,
        maxConcurrent: 4,
        compression: 'none',
        batch_size_preferences: undefined,
      },
    )
  })

  it('checks the token and the address without storing anything', async () => {
    const server = await startStitchServer()
    after(() => server[Symbol.asyncDispose]())
    const check = async (settings: JsonObject): Promise<void> =>
      await stitch.check?.({
        config: resolveConfig(stitch.config, { kind: 'persister', name: 'stitch', file: settings }).config,
        log: silentLogger,
        signal: new AbortController().signal,
      })
    await check({ token, url: server.url })
    await assert.rejects(
      check({ token: 'no', url: server.url }),
      (e) => isMillraceError(e) && e.code === 'DESTINATION_REFUSED',
    )
    assert.deepEqual(server.bodies, [])
  })
})

describe('a sequence', () => {
  it('has 19 digits and rises, also where the clock stands, jumps back or is overtaken', () => {
    let now = 1_800_000_000_000
    const sequence = new Sequence(() => now)
    let last = 0n
    for (let batch = 0; batch < 50; batch++) {
      sequence.catchUp()
      for (let i = 0; i < 30_000; i++) {
        const next = BigInt(sequence.next())
        if (next <= last || String(next).length !== 19) assert.fail(`${next} behind ${last}`)
        last = next
      }
      now += batch % 3 === 0 ? 1 : batch % 3 === 1 ? 0 : -5
    }
  })

  it('stands in a batch with all its digits, also where they carry, beside the time of each record', () => {
    for (const before of [0, 5, 95, 999_995]) {
      const [numbers, same] = [new Sequence(() => 1_800_000_000_000), new Sequence(() => 1_800_000_000_000)]
      same.catchUp()
      numbers.catchUp()
      for (let i = 0; i < before; i++) assert.equal(numbers.nextLow(), same.nextLow())
      const batch = new Batch({ table: 't', keys: [], schema: '{}', version: undefined }, numbers, 0)
      const times = [undefined, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 'a "é"', undefined]
      const bytes = Buffer.from('{"id":1}')
      for (let i = 0; i < 10; i++) {
        const timeExtracted = times[i % times.length]
        const meta = timeExtracted === undefined ? {} : { timeExtracted }
        batch.add(new RecordMessage('t', i, { buffer: bytes, from: 0, to: bytes.length }, meta))
      }
      const expected = Array.from({ length: 10 }, (_, i) => {
        const time = times[i % times.length]
        return `{"action":"upsert","sequence":${same.next()},"data":{"id":1}${time === undefined ? '' : `,"time_extracted":${JSON.stringify(time)}`}}`
      })
      assert.equal(batch.body().toString(), `{"table_name":"t","schema":{},"messages":[${expected.join(',')}]}`)
    }
  })
})
