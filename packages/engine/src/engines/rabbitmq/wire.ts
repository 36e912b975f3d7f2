/** What stands in the messages of a stream: blocks of records, and the marks of who appends. */
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { RecordBatch } from '../../record-batch.ts'

/** "MRB1": a block of Millrace, version 1. */
const magic = 0x3142524d
const headBytes = 64
const kinds = ['fence', 'checkpoint', 'block'] as const
const zstd = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
/** Below this a body is sent as it is: a frame of zstd would cost more than it saves. */
const minCompressBytes = 512
const [isCompressed, hasGap] = [1, 2]

/** What stands in every message. Offsets and sums count from the beginning of the stream. */
interface Head {
  /** Rises with each appender that takes the stream over. */
  readonly epoch: number
  /** Offset of its first record: what the appender knows to be next. */
  readonly first: number
  /** Bytes of all bodies before it. */
  readonly sum: number
  /** When the records came, in milliseconds since 1970. */
  readonly at: number
  /** Where its appender expects it in the queue. Where it is there, nothing came between the appender's messages. */
  readonly place: number
  /** Messages of its appender since the checkpoint. */
  readonly since: number
}

/** One append in a block: `count` records, of a writer where it has one. */
export interface Part {
  readonly count: number
  readonly writer?: { readonly id: string; readonly seq: bigint } | undefined
}

/** The newest append of a writer. */
export interface WriterRow {
  readonly seq: bigint
  readonly first: number
  readonly next: number
  readonly at: number
}

/** From here on a new appender counts; messages of those before it do not. */
export interface Fence extends Head {
  readonly kind: 'fence'
  readonly by: string
}
/** Everything that one must know to go on from here. */
export interface Checkpoint extends Head {
  readonly kind: 'checkpoint'
  readonly writers: ReadonlyMap<string, WriterRow>
}
export interface Block extends Head {
  readonly kind: 'block'
  readonly parts: readonly Part[]
  readonly records: RecordBatch
}
export type Entry = Fence | Checkpoint | Block

interface Meta {
  readonly by?: string
  readonly writers?: readonly (readonly [string, string, number, number, number])[]
  readonly parts?: readonly (readonly [number] | readonly [number, string, string])[]
  readonly keys?: readonly (string | null)[]
  readonly types?: readonly (string | null)[]
}

/** An entry as it is sent, and its records in the memory of that. */
export interface Encoded {
  readonly message: Buffer
  readonly records: RecordBatch | undefined
}

/**
 * A message, little-endian: magic, the CRC-32 of all behind it, kind, flags, two bytes left free, `since`; then epoch, first, sum, place (64
 * bits each) and at (a double); then the counts of records, of bytes of JSON and of bytes of bodies (32 bits each). Behind these 64
 * bytes, compressed where the flag says so: the end of each body, the JSON, the bodies.
 */
export const encodeEntry = (entry: Entry, compress: boolean): Encoded => {
  const records = entry.kind === 'block' ? entry.records : undefined
  const meta = metaOf(entry)
  const json = meta === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(meta))
  const count = records?.count ?? 0
  const size = records?.contentEnd ?? 0
  const out = Buffer.allocUnsafe(headBytes + 4 * count + json.length + size)
  out.writeUInt32LE(magic, 0)
  out.writeUInt8(kinds.indexOf(entry.kind), 8)
  out.writeUInt16LE(0, 10)
  out.writeUInt32LE(entry.since, 12)
  ;[entry.epoch, entry.first, entry.sum, entry.place].forEach((n, i) => {
    out.writeBigUInt64LE(BigInt(n), 16 + 8 * i)
  })
  out.writeDoubleLE(entry.at, 48)
  out.writeUInt32LE(count, 56)
  out.writeUInt32LE(json.length, 60)
  for (let i = 0, at = headBytes; i < count; i++, at += 4) out.writeUInt32LE(records?.ends[i] as number, at)
  json.copy(out, headBytes + 4 * count)
  if (records !== undefined) out.set(records.bytes.subarray(0, size), headBytes + 4 * count + json.length)
  const kept =
    records === undefined
      ? undefined
      : new RecordBatch({
          bytes: out.subarray(headBytes + 4 * count + json.length),
          ends: records.ends.slice(),
          gap: records.gap,
          keys: records.keys?.slice(),
          contentTypes: records.contentTypes?.slice(),
        })
  let message = out
  let flags = records?.gap === 1 ? hasGap : 0
  if (compress && out.length - headBytes >= minCompressBytes) {
    const packed = zstdCompressSync(out.subarray(headBytes), zstd)
    if (packed.length < out.length - headBytes) {
      message = Buffer.concat([out.subarray(0, headBytes), packed])
      flags |= isCompressed
    }
  }
  message.writeUInt8(flags, 9)
  message.writeUInt32LE(crc32(message.subarray(8)), 4)
  return { message, records: kept }
}

const metaOf = (entry: Entry): Meta | undefined => {
  if (entry.kind === 'fence') return { by: entry.by }
  if (entry.kind === 'checkpoint')
    return { writers: [...entry.writers].map(([id, w]) => [id, String(w.seq), w.first, w.next, w.at]) }
  const { parts, records } = entry
  const hasWriters = parts.some(({ writer }) => writer !== undefined)
  const { keys, contentTypes } = records
  if (!hasWriters && keys === undefined && contentTypes === undefined) return undefined
  return {
    ...(hasWriters
      ? { parts: parts.map(({ count, writer: w }) => (w === undefined ? [count] : [count, w.id, String(w.seq)])) }
      : {}),
    ...(keys === undefined ? {} : { keys: keys.map((k) => k ?? null) }),
    ...(contentTypes === undefined ? {} : { types: contentTypes.map((t) => t ?? null) }),
  }
}

/** What a message says; undefined where it is none of ours, or was damaged. */
export const decodeEntry = (message: Buffer): Entry | undefined => {
  if (message.length < headBytes || message.readUInt32LE(0) !== magic) return undefined
  if (message.readUInt32LE(4) !== crc32(message.subarray(8))) return undefined
  const kind = kinds[message.readUInt8(8)]
  const flags = message.readUInt8(9)
  const [epoch, first, sum, place] = [0, 1, 2, 3].map((i) => Number(message.readBigUInt64LE(16 + 8 * i))) as [
    number,
    number,
    number,
    number,
  ]
  const head = { epoch, first, sum, place, at: message.readDoubleLE(48), since: message.readUInt32LE(12) }
  const count = message.readUInt32LE(56)
  const jsonBytes = message.readUInt32LE(60)
  const packed = message.subarray(headBytes)
  const content = (flags & isCompressed) === 0 ? packed : zstdDecompressSync(packed)
  const json = content.subarray(4 * count, 4 * count + jsonBytes)
  const meta = jsonBytes === 0 ? {} : (JSON.parse(json.toString()) as Meta)
  if (kind === 'fence') return { kind, ...head, by: meta.by ?? '' }
  if (kind === 'checkpoint') {
    const rows = (meta.writers ?? []).map(
      ([id, seq, start, next, at]) => [id, { seq: BigInt(seq), first: start, next, at }] as const,
    )
    return { kind, ...head, writers: new Map(rows) }
  }
  if (kind !== 'block') return undefined
  const ends = new Uint32Array(count)
  for (let i = 0; i < count; i++) ends[i] = content.readUInt32LE(4 * i)
  const bytes = content.subarray(4 * count + jsonBytes)
  const keys = meta.keys?.map((k) => k ?? undefined)
  const contentTypes = meta.types?.map((t) => t ?? undefined)
  const gap = (flags & hasGap) === 0 ? 0 : 1
  const parts: readonly Part[] = meta.parts?.map(([n, id, seq]) => ({
    count: n,
    writer: id === undefined ? undefined : { id, seq: BigInt(seq as string) },
  })) ?? [{ count }]
  return { kind, ...head, parts, records: new RecordBatch({ bytes, ends, gap, keys, contentTypes }) }
}
