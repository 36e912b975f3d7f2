import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Digest } from '../books/digest.ts'
import type { MillraceError } from '../errors/error.ts'
import { silentLogger } from '../log/logger.ts'
import { Decimal, type Json, type JsonObject, parseExact } from '../message/json.ts'
import { MessageReader } from '../message/reader.ts'
import type { EmittedReport } from '../report/types.ts'
import { defineStreamer } from './define.ts'
import { runStreamer, type StreamerRunOptions } from './run.ts'
import {
  bookmark,
  bookmarks,
  EncodedRecords,
  type GroupMember,
  partOf,
  recordsOf,
  type Streamer,
  type Substream,
  type SubstreamGroup,
  schemaChange,
  unchanged,
  versionOf,
} from './types.ts'

const schema: JsonObject = {
  type: 'object',
  properties: { id: { type: 'integer' }, at: { type: 'string' }, note: { type: 'string' } },
}
const streamerOf = (...substreams: readonly Substream[]): Streamer =>
  defineStreamer({ name: 'sample', doc: 'A sample.', config: {}, substreams: () => substreams })
const substream = (given: Partial<Substream> & Pick<Substream, 'records'>): Substream => ({
  name: 'items',
  schema,
  keyProperties: ['id'],
  ...given,
})

interface Sync {
  readonly lines: string[]
  readonly messages: JsonObject[]
  readonly states: JsonObject[]
  emitted: EmittedReport | undefined
  error: MillraceError | undefined
}
const sync = async (streamer: Streamer, options: Partial<StreamerRunOptions> = {}): Promise<Sync> => {
  let out = ''
  const result: Sync = { lines: [], messages: [], states: [], emitted: undefined, error: undefined }
  await runStreamer(streamer, {
    command: 'sync',
    config: {},
    log: silentLogger,
    signal: new AbortController().signal,
    write: (chunk) => {
      out += Buffer.from(chunk).toString()
    },
    report: (r) => {
      result.emitted = r as EmittedReport
    },
    ...options,
  }).catch((e: MillraceError) => {
    result.error = e
  })
  assert.ok(out === '' || out.endsWith('\n'))
  result.lines.push(...out.split('\n').slice(0, -1))
  result.messages.push(...result.lines.map((l) => parseExact(l) as JsonObject))
  result.states.push(...result.messages.filter((m) => m['type'] === 'STATE').map((m) => m['value'] as JsonObject))
  return result
}
const types = (s: Sync): Json[] => s.messages.map((m) => m['type'] as Json)

test('writes the schema, then the records, then the state', async () => {
  const s = await sync(
    streamerOf(
      substream({
        records: function* () {
          yield { id: 1 }
          yield [{ id: 2 }, { id: 3 }]
        },
      }),
    ),
  )
  assert.deepEqual(types(s), ['SCHEMA', 'RECORD', 'RECORD', 'RECORD', 'STATE', 'STATE'])
  assert.deepEqual(s.messages[0]?.['key_properties'], ['id'])
  assert.deepEqual(s.states.at(-1), { bookmarks: {} })
  assert.deepEqual(
    s.messages.filter((m) => m['type'] === 'RECORD').map((m) => m['record']),
    [{ id: 1 }, { id: 2 }, { id: 3 }],
  )
})

test('numbers go out digit for digit, and those that are none are refused', async () => {
  const exact = await sync(
    streamerOf(
      substream({
        records: function* () {
          yield { id: 12345678901234567890n, price: new Decimal('0.1000000000000000000000000001') }
        },
      }),
    ),
  )
  assert.match(exact.lines[1] ?? '', /"record":\{"id":12345678901234567890,"price":0\.1000000000000000000000000001\}/)
  const broken = await sync(
    streamerOf(
      substream({
        records: function* () {
          yield [{ id: 1, note: null }]
          yield [{ id: 2, inner: { list: [1, Number.NaN] } }]
        },
      }),
    ),
  )
  assert.equal(broken.error?.code, 'MESSAGE_WRITE_NOT_FINITE')
  assert.match(broken.error?.message ?? '', /NaN in field inner\.list\.1/)
  assert.match(broken.lines[1] ?? '', /"id":1/, 'what came before is written')
})

test('the emitted books count the bytes of the records as written', async () => {
  const before = '{"type":"RECORD","stream":"items","record":'
  const after = ',"time_extracted":"2026-01-01T00:00:00Z"}'
  const line = (id: number): string => `${before}{"id":${id},"note":"é\\"}{"}${after}\n`
  const encoded = Buffer.from(line(1) + line(22))
  for (const around of [undefined, { before: before.length, after: after.length }]) {
    const s = await sync(
      streamerOf(
        substream({
          records: function* () {
            yield new EncodedRecords(encoded, 2, around)
            yield [{ id: 3, note: 'naïve 🚚' }]
            yield { id: 4 }
          },
        }),
      ),
    )
    const expected = new Digest()
    const reader = new MessageReader()
    for (const m of [...reader.push(Buffer.from(`${s.lines.join('\n')}\n`)), ...reader.end()])
      if (m.type === 'RECORD') expected.add(m.buffer, m.from, m.to)
    assert.deepEqual(s.emitted?.substreams, { items: { records: 4, digest: expected.toString() } })
  }
})

test('a replication key is followed to its greatest value, without rounding', async () => {
  const values: [Json[], string][] = [
    [[9007199254740993n, 9007199254740992], '9007199254740993'],
    [[new Decimal('0.10000000000000000002'), 0.1], '0.10000000000000000002'],
    [['2026-01-01T10:00:00+02:00', '2026-01-01T08:30:00Z'], '"2026-01-01T08:30:00Z"'],
    [['2026-01-01T00:00:00.123456789Z', '2026-01-01T00:00:00.123456788Z'], '"2026-01-01T00:00:00.123456789Z"'],
    [['b', 'a'], '"b"'],
    [[-2, -10], '-2'],
  ]
  for (const [list, expected] of values) {
    const s = await sync(
      streamerOf(
        substream({
          replicationKey: 'at',
          records: function* () {
            for (const at of list) yield { id: 1, at }
            yield { id: 2, at: null }
          },
        }),
      ),
    )
    assert.match(s.lines.at(-1) ?? '', new RegExp(`"replication_key_value":${expected.replace(/[+.]/g, '\\$&')}\\}`))
  }
})

test('only an ordered substream has states in its middle', async () => {
  const of = (ordered: boolean): Streamer =>
    streamerOf(
      substream({
        replicationKey: 'id',
        ordered,
        records: function* () {
          for (let id = 1; id <= 25; id++) yield [{ id }]
        },
      }),
    )
  const at = (s: Sync): Json[] =>
    s.states.map((v) => ((v['bookmarks'] as JsonObject)['items'] as JsonObject)['replication_key_value'] as Json)
  assert.deepEqual(at(await sync(of(true), { stateRecords: 10 })), [10, 20, 25, 25])
  assert.deepEqual(at(await sync(of(false), { stateRecords: 10 })), [25, 25])
  const resumed: (Json | undefined)[] = []
  await sync(
    streamerOf(
      substream({
        replicationKey: 'id',
        records: (ctx) => {
          resumed.push(ctx.bookmark)
          return []
        },
      }),
    ),
    { state: { bookmarks: { items: { replication_key: 'id', replication_key_value: 12345678901234567890n } } } },
  )
  assert.deepEqual(resumed, [12345678901234567890n])
})

test('a stop ends behind a bookmark, with its state last, and the next run goes on there', async () => {
  const stop = new AbortController()
  const numbers = (onRecord: (id: number) => void): Streamer =>
    streamerOf(
      substream({
        records: async function* (ctx) {
          for (let id = Number(ctx.bookmark ?? 0) + 1; id <= 50; id++) {
            onRecord(id)
            yield { id }
            if (id % 5 === 0) yield bookmark(id)
          }
        },
      }),
    )
  const first = await sync(
    numbers((id) => (id === 12 ? stop.abort() : undefined)),
    { signal: stop.signal },
  )
  assert.deepEqual(first.states.at(-1), { bookmarks: { items: { bookmark: 15 } }, currently_syncing: 'items' })
  const second = await sync(
    numbers(() => {}),
    { state: first.states.at(-1) as Json },
  )
  const ids = [...first.messages, ...second.messages]
    .filter((m) => m['type'] === 'RECORD')
    .map((m) => (m['record'] as JsonObject)['id'])
  assert.deepEqual(
    ids,
    Array.from({ length: 50 }, (_, i) => i + 1),
  )
})

test('a source that does not answer is given up after the grace', async () => {
  const stop = new AbortController()
  const s = await sync(
    streamerOf(
      substream({
        ordered: true,
        replicationKey: 'id',
        records: async function* () {
          yield [{ id: 1 }]
          stop.abort()
          await new Promise(() => {})
        },
      }),
    ),
    { signal: stop.signal, graceMs: 20 },
  )
  assert.equal(s.error, undefined)
  assert.deepEqual(types(s), ['SCHEMA', 'RECORD', 'STATE'])
})

test('a versioned substream activates its version at the end, and not when stopped or unchanged', async () => {
  const of = (records: Substream['records']): Streamer => streamerOf(substream({ versioned: true, records }))
  const whole = await sync(
    of(function* () {
      yield [{ id: 1 }]
      yield bookmark('print')
    }),
  )
  assert.deepEqual(types(whole), ['SCHEMA', 'RECORD', 'ACTIVATE_VERSION', 'STATE', 'STATE'])
  assert.equal(whole.messages[1]?.['version'], whole.messages[2]?.['version'])
  assert.equal(typeof whole.messages[1]?.['version'], 'number')
  const same = await sync(
    of(function* (ctx) {
      assert.equal(ctx.bookmark, 'print')
      yield unchanged
    }),
    { state: whole.states.at(-1) as Json },
  )
  assert.deepEqual(types(same), ['SCHEMA', 'STATE', 'STATE'])
  assert.deepEqual(same.states.at(-1), whole.states.at(-1))
  const stop = new AbortController()
  const stopped = await sync(
    of(function* () {
      yield [{ id: 1 }]
      stop.abort()
      yield [{ id: 2 }]
      yield bookmark('other')
    }),
    { signal: stop.signal },
  )
  assert.ok(!types(stopped).includes('ACTIVATE_VERSION'))
  assert.deepEqual(stopped.states.at(-1)?.['bookmarks'], {})
})

test('fields that are not selected go from schema and records, also from encoded lines', async () => {
  const catalog: JsonObject = {
    streams: [
      {
        tap_stream_id: 'items',
        stream: 'items',
        schema: {},
        metadata: [
          { breadcrumb: [], metadata: { selected: 'true' } },
          { breadcrumb: ['properties', 'note'], metadata: { selected: 'false' } },
          { breadcrumb: ['properties', 'id'], metadata: { selected: false } },
        ],
      },
    ],
  }
  const s = await sync(
    streamerOf(
      substream({
        records: function* (ctx) {
          assert.deepEqual(ctx.fields, new Set(['id', 'at']))
          yield new EncodedRecords(
            Buffer.from('{"type":"RECORD","stream":"items","record":{"id":12345678901234567890,"note":"x"}}\n'),
            1,
          )
          yield { id: 2, note: 'y', at: 'z' }
        },
      }),
    ),
    { catalog },
  )
  const pruned = (s.messages[0] as JsonObject)['schema'] as JsonObject
  assert.deepEqual(Object.keys(pruned['properties'] as JsonObject), ['id', 'at'])
  assert.deepEqual(
    [s.messages[1]?.['record'], s.messages[2]?.['record']],
    [{ id: 12345678901234567890n }, { id: 2, at: 'z' }],
  )
})

test('substreams that are read together share one reading and one bookmark', async () => {
  const readings: string[] = []
  const lead = substream({
    name: 'lead',
    records: function* (ctx) {
      readings.push(`lead+${[...ctx.together].join()}`)
      yield [{ id: 1 }]
      if (ctx.together.has('part')) yield recordsOf('part', [{ id: 10 }, { id: 11 }])
      yield bookmark(1)
    },
  })
  const part = substream({
    name: 'part',
    readWith: 'lead',
    records: function* () {
      readings.push('part')
      yield [{ id: 10 }]
      yield bookmark(1)
    },
  })
  const s = await sync(streamerOf(lead, part))
  assert.deepEqual(s.states.at(-1), { bookmarks: { lead: { bookmark: 1 }, part: { bookmark: 1 } } })
  assert.equal(s.emitted?.substreams['part']?.records, 2)
  await sync(streamerOf(lead, part), { state: { bookmarks: { lead: { bookmark: 1 } } } })
  assert.deepEqual(readings, ['lead+part', 'lead+', 'part'])
})

test('goes on with the substream that was begun, keeps what it does not know', async () => {
  const of = (name: string): Substream => substream({ name, records: () => [{ id: 1 }] })
  const s = await sync(streamerOf(of('a'), of('b'), of('c')), {
    state: { bookmarks: { gone: { x: 1 } }, currently_syncing: 'b', mine: true },
  })
  assert.deepEqual(
    s.messages.filter((m) => m['type'] === 'SCHEMA').map((m) => m['stream']),
    ['b', 'c', 'a'],
  )
  assert.deepEqual(s.states.at(-1), { mine: true, bookmarks: { gone: { x: 1 } } })
  const refused = await sync(streamerOf(of('a')), { state: [1] })
  assert.equal(refused.error?.code, 'STATE_UNREADABLE')
})

test('a schema may change between records', async () => {
  const s = await sync(
    streamerOf(
      substream({
        records: function* () {
          yield { id: 1 }
          yield schemaChange({ type: 'object', properties: { id: { type: 'string' } } })
          yield { id: 'x' }
        },
      }),
    ),
  )
  assert.deepEqual(types(s).slice(0, 4), ['SCHEMA', 'RECORD', 'SCHEMA', 'RECORD'])
})

test('the source waits for a slow reader, and hears when it goes away', async () => {
  const record = { id: 1, note: 'x'.repeat(1000) }
  let yielded = 0
  const endless = streamerOf(
    substream({
      records: function* () {
        for (;;) {
          yielded++
          yield Array.from({ length: 100 }, () => record)
        }
      },
    }),
  )
  let writes = 0
  const s = await sync(endless, {
    write: async () => {
      const before = yielded
      await new Promise((done) => setImmediate(done))
      await new Promise((done) => setImmediate(done))
      assert.ok(yielded - before <= 2, `${yielded - before} arrays ahead`)
      if (++writes === 20) throw Object.assign(new Error('gone'), { code: 'EPIPE' })
    },
  })
  assert.equal((s.error as { code?: string } | undefined)?.code, 'EPIPE')
})

const linesOf = (stream: string, ...records: readonly string[]): EncodedRecords =>
  new EncodedRecords(
    Buffer.from(records.map((r) => `{"type":"RECORD","stream":"${stream}","record":${r}}\n`).join('')),
    records.length,
    { before: `{"type":"RECORD","stream":"${stream}","record":`.length, after: 1 },
  )

test('a group is read in one reading, each of its substreams with its own bookmark, schema and version', async () => {
  const seen: (readonly GroupMember[])[] = []
  const group: SubstreamGroup = {
    records: async function* ({ members }) {
      seen.push(members)
      yield partOf('a', versionOf(7, { complete: false }))
      yield partOf('a', linesOf('a', '{"id":1}', '{"id":2}'))
      yield partOf('a', versionOf(7, { complete: true }))
      yield bookmarks(new Map([['a', 'first']]))
      yield partOf('b', linesOf('b', '{"id":1}'))
      yield partOf('b', schemaChange({ type: 'object', properties: { key: { type: 'integer' } } }, ['key']))
      yield partOf('a', versionOf(8, { complete: true }))
      yield partOf('a', linesOf('a', '{"id":3}'))
      yield bookmarks(
        new Map([
          ['a', 'second'],
          ['b', 'second'],
        ]),
      )
    },
  }
  const member = (name: string): Substream => substream({ name, group, records: () => assert.fail('not asked') })
  const streamer = streamerOf(member('a'), substream({ name: 'c', records: () => [{ id: 9 }] }), member('b'))
  const s = await sync(streamer, { state: { bookmarks: { b: { bookmark: 'before' } } } })
  assert.equal(s.error, undefined)
  assert.deepEqual(seen, [
    [
      { name: 'a', bookmark: undefined, fields: undefined },
      { name: 'b', bookmark: 'before', fields: undefined },
    ],
  ])
  assert.deepEqual(
    s.messages.map((m) => [
      m['type'],
      m['stream'] ?? Object.keys((m['value'] as JsonObject)['bookmarks'] as JsonObject),
    ]),
    [
      ['SCHEMA', 'a'],
      ['SCHEMA', 'b'],
      ['RECORD', 'a'],
      ['RECORD', 'a'],
      ['ACTIVATE_VERSION', 'a'],
      ['STATE', ['b', 'a']],
      ['RECORD', 'b'],
      ['SCHEMA', 'b'],
      ['ACTIVATE_VERSION', 'a'],
      ['RECORD', 'a'],
      ['STATE', ['b', 'a']],
      ['SCHEMA', 'c'],
      ['RECORD', 'c'],
      ['STATE', ['b', 'a']],
      ['STATE', ['b', 'a']],
    ],
  )
  assert.deepEqual(
    s.messages.filter((m) => m['type'] === 'RECORD').map((m) => m['version']),
    [7, 7, undefined, 8, undefined],
  )
  assert.deepEqual(
    s.messages.filter((m) => m['type'] === 'SCHEMA').map((m) => m['key_properties']),
    [['id'], ['id'], ['key'], ['id']],
  )
  assert.deepEqual(s.states[0]?.['bookmarks'], { a: { bookmark: 'first' }, b: { bookmark: 'before' } })
  assert.equal(s.emitted?.substreams['a']?.records, 3)
})

test('a group that fails keeps the places it told, and may not name what was not chosen', async () => {
  const failing: SubstreamGroup = {
    records: async function* () {
      yield bookmarks(new Map([['items', 1]]))
      yield partOf('items', linesOf('items', '{"id":1}'))
      yield partOf('other', linesOf('other', '{"id":1}'))
    },
  }
  const s = await sync(streamerOf(substream({ group: failing, records: () => [] })))
  assert.match(s.error?.message ?? '', /a group yields something of other/)
  assert.deepEqual(s.states.at(-1)?.['bookmarks'], { items: { bookmark: 1 } })
})

test('the metadata of a catalog chooses the way a substream is read', async () => {
  const asked: Json[] = []
  const whole = substream({ versioned: true, records: () => [{ id: 1 }] })
  const choosable: Substream = {
    ...whole,
    choose: (choice) => {
      asked.push({ ...choice } as unknown as Json)
      return choice.method === 'INCREMENTAL'
        ? substream({ automatic: ['note'], records: () => [{ id: 2, at: 'x', note: 'n' }, bookmark(2)] as never })
        : whole
    },
  }
  const catalogOf = (metadata: JsonObject): JsonObject => ({
    streams: [
      {
        tap_stream_id: 'items',
        schema,
        metadata: [
          { breadcrumb: [], metadata: { selected: true, ...metadata } },
          { breadcrumb: ['properties', 'note'], metadata: { selected: false } },
          { breadcrumb: ['properties', 'at'], metadata: { selected: false } },
        ],
      },
    ],
  })
  const s = await sync(streamerOf(choosable), {
    catalog: catalogOf({ 'replication-method': 'INCREMENTAL', 'replication-key': 'at', 'view-key-properties': ['id'] }),
  })
  assert.deepEqual(asked, [{ method: 'INCREMENTAL', replicationKey: 'at', viewKeys: ['id'] }])
  // What is automatic stays, whatever is chosen.
  assert.deepEqual(s.messages.find((m) => m['type'] === 'RECORD')?.['record'], { id: 2, note: 'n' })
  for (const wrong of [{ 'replication-method': 'LOG' }, { 'replication-key': 1 }, { 'view-key-properties': 'id' }]) {
    const refused = await sync(streamerOf(choosable), { catalog: catalogOf(wrong as JsonObject) })
    assert.equal(refused.error?.code, 'CATALOG_INVALID')
  }
})
