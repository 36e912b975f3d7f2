/** How a batch stands in the database: its content, compressed where that helps. */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { type BatchTexts, RecordBatch } from '../../record-batch.ts'
import { newMemory } from './spare-memory.ts'

/** Below this a block is kept as it is: a frame of zstd would cost more than it saves. */
const minCompressBytes = 128
const params = { [constants.ZSTD_c_compressionLevel]: 1 }
const footBytes = 16
const GAP = 1
const WIDE = 2

/**
 * The content of a batch, in memory of its own, which may be larger (`memory` answers what is filled): the bodies as they lie in the batch, up to 3 bytes to a multiple of 4; the length of
 * each body, 16 bits each or 32 where one is longer; the JSON text of keys and content types, if any; then, 32 bits each, the
 * count of records, the bytes of the bodies, the bytes of the text, and flags (1: a byte lies between bodies, 2: lengths of 32
 * bits). Little-endian throughout. The foot stands at the end so that the bodies are compressed and read where they lie.
 */
export const encodeContent = (
  batch: RecordBatch,
  memory: (bytes: number) => ArrayBuffer = newMemory,
): Uint8Array<ArrayBuffer> => {
  const { count, contentEnd, gap, ends } = batch
  const text = encodeTexts(batch)
  let isWide = false
  for (let i = 0; i < count && !isWide; i++) isWide = batch.sizeOf(i) > 0xffff
  const table = padded(contentEnd)
  const textAt = table + count * (isWide ? 4 : 2)
  const size = textAt + text.length + footBytes
  const content = Buffer.from(memory(size), 0, size)
  content.set(contentEnd === batch.bytes.length ? batch.bytes : batch.bytes.subarray(0, contentEnd), 0)
  content.fill(0, contentEnd, table)
  const lengths = isWide ? new Uint32Array(content.buffer, table, count) : new Uint16Array(content.buffer, table, count)
  for (let i = 0, start = 0; i < count; i++) {
    const end = ends[i] as number
    lengths[i] = end - start
    start = end + gap
  }
  content.set(text, textAt)
  const foot = textAt + text.length
  content.writeUInt32LE(count, foot)
  content.writeUInt32LE(contentEnd, foot + 4)
  content.writeUInt32LE(text.length, foot + 8)
  content.writeUInt32LE((gap === 1 ? GAP : 0) | (isWide ? WIDE : 0), foot + 12)
  return new Uint8Array(content.buffer, 0, size)
}

/** The batch of a content: a view. Throws where it is none: the file was damaged. */
export const decodeContent = (content: Uint8Array): RecordBatch => {
  const b = Buffer.from(content.buffer, content.byteOffset, content.length)
  const foot = b.length - footBytes
  if (foot < 0) throw new Error(`a block has ${b.length} bytes`)
  const count = b.readUInt32LE(foot)
  const contentEnd = b.readUInt32LE(foot + 4)
  const textBytes = b.readUInt32LE(foot + 8)
  const flags = b.readUInt32LE(foot + 12)
  const gap = (flags & GAP) === 0 ? 0 : 1
  const width = (flags & WIDE) === 0 ? 2 : 4
  const table = padded(contentEnd)
  const textAt = table + count * width
  if (textAt + textBytes !== foot) throw new Error(`a block of ${count} records has ${b.length} bytes`)
  const ends = new Uint32Array(count)
  let end = -gap
  for (let i = 0; i < count; i++) {
    end += gap + (width === 2 ? b.readUInt16LE(table + 2 * i) : b.readUInt32LE(table + 4 * i))
    ends[i] = end
  }
  if (Math.max(end, 0) !== contentEnd) throw new Error(`a block of ${count} records has bodies of ${contentEnd} bytes`)
  const bytes = content.subarray(0, contentEnd)
  if (textBytes === 0) return new RecordBatch({ bytes, ends, gap })
  return new RecordBatch({ bytes, ends, gap, texts: () => decodeTexts(b.toString('utf8', textAt, foot)) })
}

const padded = (n: number): number => (n + 3) & ~3

/** What the database keeps of a content: no longer than it, and shorter only where it is compressed. */
export const pack = (content: Uint8Array): Uint8Array => {
  if (content.length < minCompressBytes) return content
  // In one step: without these, zlib hands out pieces of 16 KiB.
  const chunkSize = Math.max(4096, content.length >>> 1)
  const packed = zstdCompressSync(content, { params, chunkSize, pledgedSrcSize: content.length })
  return packed.length < content.length ? packed : content
}

/** The content of `contentBytes` bytes. Throws where there are not so many. */
export const unpack = (packed: Uint8Array, contentBytes: number): Uint8Array => {
  if (packed.length === contentBytes) return packed
  // One byte more than there are: else zlib asks once more whether that was all.
  const content = zstdDecompressSync(packed, { chunkSize: Math.max(64, contentBytes + 1) })
  if (content.length !== contentBytes) throw new Error(`a block of ${contentBytes} bytes has ${content.length}`)
  return content
}

interface PlainTexts {
  readonly keys?: readonly (string | null)[]
  readonly contentTypes?: readonly (string | null)[]
}

const encodeTexts = ({ keys, contentTypes }: RecordBatch): Buffer => {
  if (keys === undefined && contentTypes === undefined) return Buffer.alloc(0)
  // JSON has no undefined in a list: it writes null.
  return Buffer.from(JSON.stringify({ keys, contentTypes }))
}

const decodeTexts = (text: string): BatchTexts => {
  const { keys, contentTypes } = JSON.parse(text) as PlainTexts
  return { keys: keys?.map((k) => k ?? undefined), contentTypes: contentTypes?.map((t) => t ?? undefined) }
}
