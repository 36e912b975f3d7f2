/** How a batch stands in the database: one blob, compressed where that helps. */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { RecordBatch } from '../../record-batch.ts'

/** Below this a block is kept as it is: a frame of zstd would cost more than it saves. */
const minCompressBytes = 128
const level = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

/** A batch as it is written. */
export interface Block {
  readonly count: number
  /** Bytes of the bodies. */
  readonly size: number
  readonly compressed: boolean
  readonly body: Uint8Array
}

/**
 * The content of a block, before compression: the count of records and 1 where lines lie between newlines, 32 bits each, then
 * the length of the JSON text of keys and content types (0: no record has any), then the end of each body, then that text, then
 * the bodies. Little-endian throughout.
 */
export const encodeBlock = (batch: RecordBatch): Block => {
  const { count, contentEnd, gap } = batch
  const keyText = encodeTexts(batch)
  const head = 12 + 4 * count
  const content = Buffer.allocUnsafe(head + keyText.length + contentEnd)
  content.writeUInt32LE(count, 0)
  content.writeUInt32LE(gap, 4)
  content.writeUInt32LE(keyText.length, 8)
  for (let i = 0; i < count; i++) content.writeUInt32LE(batch.ends[i] as number, 12 + 4 * i)
  content.set(keyText, head)
  content.set(batch.bytes.subarray(0, contentEnd), head + keyText.length)
  const packed = content.length < minCompressBytes ? content : zstdCompressSync(content, level)
  const compressed = packed.length < content.length
  return { count, size: batch.size, compressed, body: compressed ? packed : content }
}

interface Texts {
  readonly keys?: readonly (string | null)[]
  readonly contentTypes?: readonly (string | null)[]
}

const encodeTexts = ({ keys, contentTypes }: RecordBatch): Buffer => {
  if (keys === undefined && contentTypes === undefined) return Buffer.alloc(0)
  const texts: Texts = {
    ...(keys === undefined ? {} : { keys: keys.map((k) => k ?? null) }),
    ...(contentTypes === undefined ? {} : { contentTypes: contentTypes.map((t) => t ?? null) }),
  }
  return Buffer.from(JSON.stringify(texts))
}

const decodeTexts = (text: string): Partial<Record<keyof Texts, readonly (string | undefined)[]>> => {
  const { keys, contentTypes } = JSON.parse(text) as Texts
  return {
    ...(keys === undefined ? {} : { keys: keys.map((k) => k ?? undefined) }),
    ...(contentTypes === undefined ? {} : { contentTypes: contentTypes.map((t) => t ?? undefined) }),
  }
}

/** The batch that a block holds. Throws where it is none: the file was damaged. */
export const decodeBlock = (body: Uint8Array, compressed: boolean): RecordBatch => {
  const content = compressed ? zstdDecompressSync(body) : Buffer.from(body.buffer, body.byteOffset, body.length)
  const count = content.readUInt32LE(0)
  const gap = content.readUInt32LE(4) === 1 ? 1 : 0
  const keyBytes = content.readUInt32LE(8)
  const head = 12 + 4 * count
  const ends = new Uint32Array(count)
  for (let i = 0; i < count; i++) ends[i] = content.readUInt32LE(12 + 4 * i)
  const texts = keyBytes === 0 ? {} : decodeTexts(content.toString('utf8', head, head + keyBytes))
  const bytes = content.subarray(head + keyBytes)
  if (bytes.length !== (ends.at(-1) ?? 0)) throw new Error(`a block of ${count} records has ${bytes.length} bytes`)
  return new RecordBatch({ bytes, ends, gap, ...texts })
}
