import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type BatchFilesOptions, readBatchFiles } from './batch-files.ts'
import type { RecordMessage } from './record.ts'
import type { MessageOf } from './types.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace batch é-'))
})
after(() => rm(folder, { recursive: true }))

const put = async (name: string, content: string | Uint8Array): Promise<string> => {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}
const batch = (manifest: readonly string[], more: Partial<MessageOf<'BATCH'>> = {}): MessageOf<'BATCH'> => ({
  type: 'BATCH',
  stream: 'users',
  format: 'jsonl',
  compression: undefined,
  manifest,
  version: undefined,
  line: 7,
  ...more,
})
const readAll = async (message: MessageOf<'BATCH'>, options?: BatchFilesOptions): Promise<RecordMessage[]> => {
  const all: RecordMessage[] = []
  for await (const records of readBatchFiles(message, options))
    for (const record of records) all.push(record.type === 'RECORD' ? record : assert.fail(record.text))
  return all
}

const lines = (n: number): string =>
  Array.from({ length: n }, (_, i) => `{"id":${i},"name":"ü ${'x'.repeat(i % 50)}"}\n`).join('')

describe('files of a BATCH', () => {
  it('plain, gzip and zstd; by URL and by path; in the order of the manifest', async () => {
    const text = lines(20_000)
    const plain = await put('a b é.jsonl', text)
    const gzip = await put(
      'b.jsonl.gz',
      Buffer.concat([gzipSync(text.slice(0, text.length / 2)), gzipSync(text.slice(text.length / 2))]),
    )
    const zstd = await put('c.jsonl.zst', zstdCompressSync(text))
    const expected = text.trimEnd().split('\n')
    for (const [manifest, compression] of [
      [[plain], undefined],
      [[pathToFileURL(plain).href], undefined],
      [[gzip], 'gzip'],
      [[pathToFileURL(zstd).href], 'zstd'],
      [[gzip, zstd, plain], undefined],
    ] as const)
      for (const open of [false, true]) {
        const records = await readAll(batch(manifest, { compression, version: 3 }), { open })
        assert.deepEqual(
          records.map((r) => r.bytes().toString()),
          manifest.flatMap(() => expected),
        )
        assert.deepEqual(
          [records[5]?.record, records[5]?.stream, records[5]?.version, records[5]?.line],
          [{ id: 5, name: 'ü xxxxx' }, 'users', 3, 7],
        )
      }
  })

  it('BOM, CRLF, blank lines, no last newline, an empty file', async () => {
    const odd = await put('odd.jsonl', '\ufeff{"a":1}\r\n\r\n {"a":2} \n\n{"a":3}')
    const empty = await put('empty.jsonl', '')
    assert.deepEqual(
      (await readAll(batch([empty, odd]))).map((r) => r.record),
      [{ a: 1 }, { a: 2 }, { a: 3 }],
    )
  })

  it('hands out what came before a bad line, then says file and line', async () => {
    for (const [bad, why] of [
      ['nonsense', /its line 3 is not one JSON object/],
      ['[1]', /its line 3 is not one JSON object/],
      ['{"a":1', /its line 3 is not one JSON object/],
      ['{"a":1}{"a":2}', /its line 3 is not one JSON object/],
      [Buffer.from('{"a":"é"}', 'latin1'), /its line 3 is not valid UTF-8/],
      ['{"a":'.repeat(2000), /its line 3 is nested deeper/],
      [`{"a":"${'x'.repeat(20_000)}"}`, /its line 3 is longer than the limit of 10000 bytes/],
    ] as const) {
      const path = await put(
        'bad.jsonl',
        Buffer.concat([Buffer.from('{"a":1}\n{"a":2}\n'), Buffer.from(bad), Buffer.from('\n{"a":4}\n')]),
      )
      let seen = 0
      await assert.rejects(
        async () => {
          for await (const records of readBatchFiles(batch([path]), { maxLineBytes: 10_000, source: 'in' }))
            seen += records.length
        },
        (e: Error) =>
          'code' in e &&
          e.code === 'BATCH_FILE' &&
          e.message.startsWith(`in line 7: BATCH file ${path}: `) &&
          why.test(e.message),
      )
      assert.equal(seen, 2)
    }
  })

  it('opened, a record that is no JSON is told too', async () => {
    const path = await put('token.jsonl', '{"a":1}\n{"a":tru}\n')
    await assert.rejects(readAll(batch([path]), { open: true }), {
      code: 'BATCH_FILE',
      message: /its line 2 is not JSON/,
    })
  })

  it('a file that is not there, a folder, a torn or wrong compression', async () => {
    const torn = await put('torn.gz', gzipSync(lines(5000)).subarray(0, 5000))
    const wrong = await put('wrong.gz', lines(3))
    const tornZstd = await put('torn.zst', zstdCompressSync(lines(5000)).subarray(0, 3000))
    await mkdir(join(folder, 'sub'))
    for (const message of [
      batch([join(folder, 'none.jsonl')]),
      batch([join(folder, 'sub')]),
      batch([torn], { compression: 'gzip' }),
      batch([wrong], { compression: 'gzip' }),
      batch([tornZstd]),
    ])
      await assert.rejects(readAll(message), { code: 'BATCH_FILE' })
  })

  it('refuses parquet, unknown compressions and places that are not here, before it reads anything', async () => {
    for (const [message, why] of [
      [batch(['/x'], { format: 'parquet' }), /format "parquet" is not read here/],
      [batch(['/x'], { compression: 'snappy' }), /compression "snappy" is not read here/],
      [batch(['s3://bucket/x']), /files at s3:\/\/ are not read here/],
      [batch(['https://example.org/x']), /files at https:\/\/ are not read here/],
      [batch(['file://elsewhere/x']), /not a usable file URL/],
    ] as const)
      await assert.rejects(
        readAll(message),
        (e: Error) => 'code' in e && e.code === 'BATCH_FILE' && why.test(e.message),
      )
  })

  it('stops when it is told to', async () => {
    const path = await put('long.jsonl', lines(50_000))
    const stop = new AbortController()
    let seen = 0
    await assert.rejects(
      async () => {
        for await (const records of readBatchFiles(batch([path]), { signal: stop.signal })) {
          seen += records.length
          stop.abort()
        }
      },
      { name: 'AbortError' },
    )
    assert.ok(seen > 0 && seen < 50_000)
  })

  it('hands over lines that hold no record, where asked to, and goes on behind them', async () => {
    const long = 'y'.repeat(500_000)
    const path = await put('bad.jsonl', `{"id":1}\nnot json\n{"id":2}\n[3]\n{"long":"${long}"}\n{"id":4}\n{"id":`)
    const got: string[] = []
    const options = { onUnreadable: 'hand-over', maxLineBytes: 100_000 } as const
    for await (const items of readBatchFiles(batch([path]), options))
      for (const item of items)
        got.push(item.type === 'RECORD' ? item.bytes().toString() : `${item.line}: ${item.error.message.slice(-60)}`)
    assert.deepEqual(
      got.map((text) => text.replace(/^.*(its line)/, '$1')),
      [
        '{"id":1}',
        'its line 2 is not one JSON object',
        '{"id":2}',
        'its line 4 is not one JSON object',
        'its line 5 is longer than the limit of 100000 bytes',
        '{"id":4}',
        'its line 7 is not one JSON object',
      ],
    )
  })
})
