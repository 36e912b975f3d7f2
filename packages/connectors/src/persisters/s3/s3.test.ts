import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { basename } from 'node:path'
import { buffer as bufferOf } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import {
  type ConfigOf,
  createZstdFramesDecompress,
  type JsonObject,
  parseExact,
  type PersisterContext,
  RecordMessage,
  resolveConfig,
  silentLogger,
} from '@millrace/sdk'
import { persisterSuite, type Rows } from '@millrace/sdk/testing'
import { startS3 } from '../../testing/services/s3.ts'
import { s3 } from './index.ts'

const server = await startS3()
const suiteBucket = server.skip === false ? await server.bucket() : undefined
after(async () => {
  suiteBucket?.[Symbol.dispose]()
  await server[Symbol.asyncDispose]()
})

/** The lines of all objects below a prefix, by folder. */
const read = async (dir: string): Promise<Rows> => {
  const rows = new Map<string, JsonObject[]>()
  const keys = (await suiteBucket?.keys(`${basename(dir)}/`)) ?? []
  const waiting = [...keys]
  const work = async (): Promise<void> => {
    for (let key = waiting.shift(); key !== undefined; key = waiting.shift()) {
      const lines = ((await suiteBucket?.text(key)) ?? '').split('\n')
      assert.equal(lines.pop(), '', `${key} ends in the middle of a line`)
      const folder = decodeURIComponent((key.split('/')[1] as string).replaceAll('%u', '%25u'))
      rows.set(folder, [...(rows.get(folder) ?? []), ...lines.map((l) => parseExact(l) as JsonObject)])
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
  return rows
}

const context = (file: object): PersisterContext => ({
  config: resolveConfig(s3.config, { kind: 'persister', name: 's3', file: { ...server.access, ...file } })
    .config as ConfigOf<typeof s3.config>,
  log: silentLogger,
  signal: new AbortController().signal,
})
const record = (text: string, stream = 'orders'): RecordMessage => {
  const buffer = Buffer.from(text)
  return new RecordMessage(stream, 1, { buffer, from: 0, to: buffer.length })
}
const unzstd = async (bytes: Buffer): Promise<Buffer> =>
  await bufferOf(Readable.from([bytes]).pipe(createZstdFramesDecompress()))

describe('s3', { skip: server.skip }, () => {
  for (const [compression, suffix, decompress] of [
    ['none', '', async (b: Buffer) => b],
    ['gzip', '.gz', async (b: Buffer) => gunzipSync(b)],
    ['zstd', '.zst', unzstd],
  ] as const)
    test(`${compression}: an object a flush, in parts where it is large; names sort by time`, async () => {
      using bucket = await server.bucket()
      await using session = await s3.open(context({ bucket: bucket.name, prefix: 'raw', compression }))
      // Random text: the compressed object has several parts too.
      const letters = Array.from({ length: 40_000 }, () => String.fromCharCode(33 + randomInt(58))).join('')
      const lines = Array.from(
        { length: 600 },
        (_, i) => `{"id":${i},"t":"${letters.slice(i).replaceAll(/["\\]/g, '')}"}`,
      )
      for (let i = 0; i < lines.length; i += 50)
        await session.write(
          'orders',
          lines.slice(i, i + 50).map((l) => record(l)),
        )
      assert.deepEqual(await bucket.keys(), [])
      await session.flush()
      await session.write('orders', [record('{"id":601}')])
      await session.flush()
      const keys = await bucket.keys('raw/orders/')
      assert.equal(keys.length, 2)
      assert.match(keys[0] ?? '', new RegExp(`^raw/orders/\\d{8}T\\d{9}Z-[0-9a-f]{8}-000001\\.jsonl${suffix}$`))
      const texts = await Promise.all(keys.map(async (k) => (await decompress(await bucket.bytes(k))).toString()))
      assert.equal(texts.join(''), [...lines, '{"id":601}', ''].join('\n'))
      assert.deepEqual(await bucket.unfinished(), [])
    })

  test('a run that is not flushed leaves neither objects nor parts', async () => {
    using bucket = await server.bucket()
    {
      await using session = await s3.open(context({ bucket: bucket.name }))
      const text = 'x'.repeat(1_000_000)
      for (let i = 0; i < 20; i++) await session.write('orders', [record(`{"id":${i},"t":"${text}"}`)])
      assert.equal((await bucket.unfinished()).length, 1)
    }
    assert.deepEqual([await bucket.keys(), await bucket.unfinished()], [[], []])
  })

  test('many substreams wait in bounded memory, and what was completed early goes where no flush comes', async () => {
    using bucket = await server.bucket()
    const text = 'x'.repeat(4_000_000)
    {
      await using session = await s3.open(context({ bucket: bucket.name }))
      for (let i = 0; i < 30; i++) await session.write(`s${i}`, [record(`{"t":"${text}"}`, `s${i}`)])
      const early = (await bucket.keys()).length
      assert.ok(early > 0 && early < 30, `${early} objects`)
    }
    assert.deepEqual(await bucket.keys(), [])
  })

  test('check needs the right to write, and leaves nothing', async () => {
    using bucket = await server.bucket()
    await s3.check?.(context({ bucket: bucket.name }))
    assert.deepEqual([await bucket.keys(), await bucket.unfinished()], [[], []])
    await assert.rejects(async () => await s3.check?.(context({ bucket: bucket.name, ...server.stranger })), {
      code: 'DESTINATION_REFUSED',
      message: /access is denied/,
    })
    await assert.rejects(async () => await s3.check?.(context({ bucket: 'millrace-nowhere' })), {
      code: 'DESTINATION_REFUSED',
      message: /there is no bucket/,
    })
  })

  test('verify finds an object that is gone, and one that was replaced', async () => {
    using bucket = await server.bucket()
    const ctx = context({ bucket: bucket.name })
    await using session = await s3.open(ctx)
    await session.write('orders', [record('{"id":1}')])
    await session.flush()
    const evidence = (await session.evidence?.()) ?? []
    const verified = async (): Promise<readonly string[]> =>
      ((await s3.verify?.(ctx, evidence)) ?? []).flatMap((f) => f.problems)
    assert.deepEqual(await verified(), [])
    const [key = ''] = await bucket.keys()
    await bucket.put(key, '{"id":2}\n')
    assert.match((await verified()).join(), /is not what was written/)
    await bucket.remove(key)
    assert.match((await verified()).join(), /is gone/)
  })

  test('Parquet: whole objects, by the day of a time', async () => {
    using bucket = await server.bucket()
    const ctx = context({ bucket: bucket.name, prefix: 'lake', format: 'parquet', partitionBy: 'date(at)' })
    await using session = await s3.open(ctx)
    const properties = { id: { type: 'integer' }, at: { type: 'string', format: 'date-time' } }
    const schema = { type: 'object', properties }
    await session.declare({ type: 'SCHEMA', stream: 'orders', schema, keyProperties: [], line: 1 })
    const days = ['2026-01-30', '2026-01-31']
    await session.write(
      'orders',
      days.map((day, id) => record(`{"id":${id},"at":"${day}T10:00:00Z"}`)),
    )
    assert.deepEqual(await bucket.keys(), [])
    await session.flush()
    const keys = await bucket.keys()
    assert.deepEqual(
      keys.map((k) => k.replace(/[^/]*$/, '')),
      days.map((day) => `lake/orders/at_date=${day}/`),
    )
    const bytes = await bucket.bytes(keys[0] ?? '')
    assert.deepEqual([bytes.toString('latin1', 0, 4), bytes.toString('latin1', bytes.length - 4)], ['PAR1', 'PAR1'])
    const evidence = (await session.evidence?.()) ?? []
    assert.deepEqual(await s3.verify?.(ctx, evidence), [{ substream: 'orders', rows: 2, problems: [] }])
  })

  test('plan says where objects will be', async () => {
    const schema = { type: 'SCHEMA' as const, stream: 'a/b', schema: {}, keyProperties: [], line: 1 }
    const plan = await s3.plan?.(context({ bucket: 'lake', prefix: 'raw/', compression: 'zstd' }), [schema])
    assert.deepEqual(plan, ['put s3://lake/raw/a%2Fb/<time>-<run>-<number>.jsonl.zst'])
  })
})

if (server.skip === false)
  persisterSuite('s3', {
    persister: s3,
    config: (dir) => ({ bucket: suiteBucket?.name ?? '', prefix: basename(dir), ...server.access }),
    read,
    module: new URL('./index.ts', import.meta.url),
    kills: 3,
    remote: true,
  })
