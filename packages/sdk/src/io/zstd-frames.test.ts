// Node's createZstdDecompress answers the first frame only: records of every later one were lost without a word.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { constants, zstdCompressSync } from 'node:zlib'
import { createZstdFramesDecompress } from './zstd-frames.ts'

const read = async (bytes: Buffer, chunk: number): Promise<Buffer> => {
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, i) =>
    bytes.subarray(i * chunk, (i + 1) * chunk),
  )
  const to = createZstdFramesDecompress()
  const [out] = await Promise.all([buffer(to), pipeline(Readable.from(chunks), to)])
  return out
}

const checksum = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }
const skippable = Buffer.concat([Buffer.from([0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.from('notes')])

test('every frame, wherever the chunks end', async () => {
  const plain = [
    Buffer.from('a'),
    Buffer.alloc(0),
    randomBytes(300_000),
    Buffer.alloc(2_000_000, 'b'),
    Buffer.from('last'),
  ]
  const frames = [...plain.map((p, i) => zstdCompressSync(p, i % 2 === 0 ? checksum : {}))]
  const file = Buffer.concat([frames[0] as Buffer, skippable, ...frames.slice(1), skippable])
  for (const chunk of [7, 1000, 65_536, file.length])
    assert.ok((await read(file, chunk)).equals(Buffer.concat(plain)), `chunks of ${chunk}`)
  assert.equal((await read(Buffer.alloc(0), 10)).length, 0)
})

test('a file that is cut short, damaged or no zstd is told', async () => {
  const file = zstdCompressSync(randomBytes(1000), checksum)
  for (const bad of [
    file.subarray(0, -1),
    file.subarray(0, 3),
    Buffer.from('plain text\n'),
    Buffer.concat([file, Buffer.from('x')]),
  ])
    await assert.rejects(read(bad, 100))
  const damaged = Buffer.from(file)
  damaged[500] = (damaged[500] as number) ^ 1
  await assert.rejects(read(damaged, 100))
})

test('what one chunk holds is handed out as it is asked for', async () => {
  const to = createZstdFramesDecompress()
  to.end(zstdCompressSync(Buffer.alloc(200_000_000)))
  let bytes = 0
  let most = 0
  for await (const out of to) {
    bytes += (out as Buffer).length
    most = Math.max(most, to.readableLength)
  }
  assert.equal(bytes, 200_000_000)
  assert.ok(most < 1_000_000, `${most} bytes waited`)
})
