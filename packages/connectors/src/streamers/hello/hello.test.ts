import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type EmittedReport,
  type Json,
  type JsonObject,
  MessageReader,
  type RecordMessage,
  resolveConfig,
  runStreamer,
  silentLogger,
} from '@millrace/sdk'
import { streamerSuite } from '@millrace/sdk/testing'
import { hello } from './index.ts'

const module = new URL('./index.ts', import.meta.url)

streamerSuite(hello, { config: { count: 5000, stateEvery: 100 }, resumes: 'exactly', incremental: true, module })
streamerSuite(hello, {
  name: 'hello narrow',
  config: { count: 30_000, stateEvery: 1000, shape: 'narrow' },
  resumes: 'exactly',
  incremental: true,
  module,
})
streamerSuite(hello, {
  name: 'hello wide with updates',
  config: { count: 5000, stateEvery: 500, shape: 'wide', updates: 0.3 },
  resumes: 'exactly',
  incremental: true,
  module,
})

const read = async (
  file: JsonObject,
): Promise<{ readonly text: string; readonly records: JsonObject[]; readonly digest: string }> => {
  const parts: Buffer[] = []
  let digest = ''
  await runStreamer(hello, {
    command: 'sync',
    config: resolveConfig(hello.config, { kind: 'streamer', name: 'hello', file }).config,
    log: silentLogger,
    signal: new AbortController().signal,
    write: (chunk) => {
      parts.push(Buffer.from(chunk))
    },
    report: (r) => {
      digest = Object.values((r as EmittedReport).substreams)[0]?.digest ?? ''
    },
  })
  const bytes = Buffer.concat(parts)
  const reader = new MessageReader()
  const records = [...reader.push(bytes), ...reader.end()]
    .filter((m): m is RecordMessage => m.type === 'RECORD')
    .map((m) => m.record)
  assert.equal(reader.failure, undefined)
  return { text: bytes.toString(), records, digest }
}

test('the records are those of plain JSON, the same each time', async () => {
  for (const shape of ['narrow', 'wide']) {
    const once = await read({ shape, count: 3000, updates: 0.2 })
    const again = await read({ shape, count: 3000, updates: 0.2 })
    assert.equal(once.text, again.text)
    assert.notEqual(once.text, (await read({ shape, count: 3000, updates: 0.2, seed: 2 })).text)
    for (const line of once.text.split('\n').filter((l) => l.includes('"RECORD"')))
      assert.equal(JSON.stringify(JSON.parse(line)), line)
  }
})

test('the mix: ids, updates, states', async () => {
  const { records, text } = await read({ shape: 'wide', count: 10_000, updates: 0.3, stateEvery: 1000 })
  assert.equal(records.length, 10_000)
  const ids = new Set(records.map((r) => r['id'] as number))
  assert.equal(ids.size, 7000)
  assert.equal(Math.max(...ids), 7000)
  assert.equal(text.split('"type":"STATE"').length - 1, 11)
  const newest = new Map<Json, string>()
  for (const r of records) {
    const at = r['updated_at'] as string
    assert.equal(new Date(at).toISOString(), at)
    assert.ok((newest.get(r['id'] as number) ?? '') < at, 'a later version is newer')
    newest.set(r['id'] as number, at)
  }
  const first = records[0] as JsonObject
  assert.deepEqual(Object.keys(first), [
    'id',
    'code',
    'customer',
    'email',
    'note',
    'status',
    'amount',
    'quantity',
    'active',
    'updated_at',
    'address',
    'tags',
  ])
  const bytes = Buffer.byteLength(JSON.stringify(records)) / records.length
  assert.ok(bytes > 300 && bytes < 360, `${bytes} bytes a record`)
})
