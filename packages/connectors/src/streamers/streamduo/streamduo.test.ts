import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isMillraceError, type Json, type JsonObject, parseExact, runStreamer, silentLogger } from '@millrace/sdk'
import { streamerSuite } from '@millrace/sdk/testing'
import {
  settingsFor,
  type StreamDuoServer,
  type StreamDuoServerOptions,
  startStreamDuoServer,
} from '../../streamduo/testing/server.ts'
import { streamduo } from './index.ts'
import { isLater, justBefore } from './stamps.ts'

let shared: StreamDuoServer
before(async () => {
  shared = await startStreamDuoServer({ statusByToken: true })
  shared.add(
    's',
    Array.from({ length: 250 }, (_, n) => ({ n, text: `record ${n}` })),
  )
})
after(() => shared[Symbol.asyncDispose]())

streamerSuite(streamduo, {
  config: async () => ({ ...settingsFor(shared, 's'), pageSize: 20 }),
  module: new URL('./index.ts', import.meta.url),
  resumes: 'exactly',
  incremental: true,
})

const serverFor = async (count: number, options: StreamDuoServerOptions = {}): Promise<StreamDuoServer> => {
  const server = await startStreamDuoServer(options)
  after(() => server[Symbol.asyncDispose]())
  server.add(
    's',
    Array.from({ length: count }, (_, n) => n),
  )
  return server
}

interface Ran {
  readonly payloads: readonly Json[]
  readonly lines: readonly JsonObject[]
  /** The last state that was written. */
  readonly state: Json | undefined
}

const run = async (server: StreamDuoServer, state?: Json, settings: JsonObject = {}): Promise<Ran> => {
  let text = ''
  await runStreamer(streamduo, {
    command: 'sync',
    config: { ...settingsFor(server, 's'), pageSize: 10, ...settings },
    ...(state === undefined ? {} : { state }),
    log: silentLogger,
    signal: new AbortController().signal,
    write: (chunk) => {
      text += Buffer.from(chunk).toString()
    },
  })
  const lines = text
    .split('\n')
    .filter((l) => l !== '')
    .map((l) => parseExact(l) as JsonObject)
  const states = lines.filter((l) => l['type'] === 'STATE')
  return {
    payloads: lines
      .filter((l) => l['type'] === 'RECORD')
      .map((l) => (l['record'] as JsonObject)['dataPayload'] as Json),
    lines,
    state: states.at(-1)?.['value'],
  }
}
const numbers = (from: number, to: number): readonly number[] => Array.from({ length: to - from }, (_, i) => from + i)

describe('the streamer streamduo', () => {
  it('writes records as the first tap did: the record of StreamDuo, whole, in the substream records', async () => {
    const server = await startStreamDuoServer()
    after(() => server[Symbol.asyncDispose]())
    server.add('s', [parseExact('{"price":12345678901234567890.123}')])
    const { lines } = await run(server)
    assert.deepEqual(
      lines.filter((l) => l['type'] !== 'STATE').map((l) => [l['type'], l['stream']]),
      [
        ['SCHEMA', 'records'],
        ['RECORD', 'records'],
      ],
    )
    assert.deepEqual(lines[0]?.['key_properties'], [])
    const record = lines[1]?.['record'] as JsonObject
    assert.deepEqual(Object.keys(record), ['recordId', 'streamId', 'recordTimeStampISO', 'readStatus', 'dataPayload'])
    assert.equal(record['readStatus'], 'false')
    assert.equal(String((record['dataPayload'] as JsonObject)['price']), '12345678901234567890.123')
  })

  it('marks nothing as read in the run that reads it; the next run marks what came back, and reads on', async () => {
    const server = await serverFor(25)
    const first = await run(server)
    assert.deepEqual(first.payloads, numbers(0, 25))
    assert.deepEqual(server.unread('s'), numbers(0, 25))
    server.add('s', numbers(25, 30))
    const second = await run(server, first.state)
    assert.deepEqual(second.payloads, numbers(25, 30))
    assert.deepEqual(server.unread('s'), numbers(25, 30))
    const third = await run(server, second.state)
    assert.deepEqual([third.payloads, server.unread('s')], [[], []])
  })

  it('reads again what no state covers: a run that died lost nothing', async () => {
    const server = await serverFor(25)
    const { lines } = await run(server)
    // The persister had stored the first page when both died.
    const early = lines.find((l) => l['type'] === 'STATE')?.['value']
    const again = await run(server, early)
    assert.deepEqual(again.payloads, numbers(10, 25))
    assert.deepEqual(server.unread('s'), numbers(10, 25))
    // Without a state nothing is known to be stored.
    assert.deepEqual((await run(server)).payloads, numbers(10, 25))
  })

  it('leaves out what others have read in between, and reads again what somebody marked as unread', async () => {
    const server = await serverFor(25)
    for (const place of [3, 12, 13]) server.mark('s', place, true)
    const first = await run(server)
    assert.deepEqual(
      first.payloads,
      numbers(0, 25).filter((n) => ![3, 12, 13].includes(n)),
    )
    const second = await run(server, first.state)
    assert.deepEqual(second.payloads, [])
    server.mark('s', 7, false)
    const third = await run(server, second.state)
    assert.deepEqual(third.payloads, [7])
    await run(server, third.state)
    assert.deepEqual(server.unread('s'), [])
  })

  it('does not mark what came while it marked', async () => {
    let late = false
    const server: StreamDuoServer = await serverFor(25, {
      fault: (_, { body }) => {
        if (late && body.toString().includes('"markAsRead":true')) {
          late = false
          server.add('s', [25])
        }
        return undefined
      },
    })
    const { state } = await run(server)
    late = true
    const second = await run(server, state)
    assert.deepEqual([second.payloads, server.unread('s')], [[25], [25]])
  })

  it('asks again where an answer is lost, marks included', async () => {
    const server = await serverFor(25, { fault: (n) => (n % 3 === 1 ? 'cut' : n % 3 === 2 ? 503 : undefined) })
    const first = await run(server)
    assert.deepEqual(first.payloads, numbers(0, 25))
    await run(server, first.state)
    assert.deepEqual(server.unread('s'), [])
  })

  it('marks as it reads where that is wanted, as the first tap did', async () => {
    const server = await serverFor(25)
    const { payloads, state } = await run(server, undefined, { mark: 'when-read' })
    assert.deepEqual([payloads, server.unread('s'), state], [numbers(0, 25), [], { bookmarks: {} }])
  })

  it('tells a wrong secret without showing it, and a state that is none', async () => {
    const server = await serverFor(1)
    await assert.rejects(run(server, undefined, { clientSecret: 'not-this-one' }), (e) => {
      assert.ok(isMillraceError(e))
      assert.equal(e.code, 'SOURCE_REFUSED')
      assert.doesNotMatch(e.message, /not-this-one/)
      return true
    })
    await assert.rejects(run(server, { bookmarks: { records: { bookmark: { first: 1 } } } }), {
      code: 'STATE_UNREADABLE',
    })
  })
})

describe('time stamps', () => {
  for (const [stamp, before] of [
    ['2026-11-28T15:16:23.716000001Z[UTC]', '2026-11-28T15:16:23.716000000Z[UTC]'],
    ['2026-11-28T15:16:23.716000000Z[UTC]', '2026-11-28T15:16:23.715999999Z[UTC]'],
    ['2026-01-01T00:00:00.000000000Z[UTC]', '2025-12-31T23:59:59.999999999Z[UTC]'],
    ['2022-02-01T15:16:23.716848-05:00[America/New_York]', '2022-02-01T15:16:23.716847-05:00[America/New_York]'],
    ['2022-02-01T15:16:23Z', '2022-02-01T15:16:23Z'],
  ] as const)
    it(`have one just before ${stamp}`, () => {
      assert.equal(justBefore(stamp), before)
      assert.ok(!isLater(before, stamp))
    })
})
