/**
 * Ids. What the control plane keeps has UUIDs of version 7, which rise with time. Records have no stored id: where the
 * publisher gave none, the id is made of what is known of the record, so that it needs no index.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** Makes the ids and secrets of a process; tests hand in one that can be foreseen. */
export interface Random {
  /** That many bytes that nobody can guess. */
  bytes(count: number): Uint8Array
}

/** What is used outside of tests. */
export const secureRandom: Random = { bytes: (count) => randomBytes(count) }

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
const dashed = (h: string): string =>
  `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`

/** A UUID of version 7 (RFC 9562): 48 bits of milliseconds, 74 bits of chance. */
export const uuidv7 = (now: Date, random: Random): string => {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(now.getTime(), 0, 6)
  bytes.set(random.bytes(10), 6)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  return dashed(hex(bytes))
}

/** Whether a text is a UUID, of whatever version, as we write them. */
export const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)

/** The greatest offset that an id can hold. */
export const maxIdOffset: bigint = 2n ** 42n - 1n
const idsPerMac = 8n

/** Where a record is, as its id says. */
export interface RecordPlace {
  readonly offset: bigint
  /** Milliseconds since 1970. To be compared with the record's own: the id is of another record where they differ. */
  readonly atMs: number
}

/**
 * Record ids that need no index: a UUID of version 8 with the record's time (48 bits), its offset (42) and 32 bits of a keyed hash
 * of stream and offset. It sorts as the records do, can be decoded by whoever has the key, and neither be guessed nor
 * used on another stream.
 */
export class RecordIds {
  readonly #key: Uint8Array
  readonly #stream: string
  #group = -1n
  #macs: Buffer = Buffer.alloc(0)

  /** `key`: 32 secret bytes, the same for ever; `stream`: the id of the stream. */
  constructor(key: Uint8Array, stream: string) {
    this.#key = key
    this.#stream = stream
  }

  /** The id of the record at an offset that came at a time (milliseconds since 1970). */
  encode(offset: bigint, atMs: number): string {
    if (offset < 0n || offset > maxIdOffset) throw new RangeError(`no id holds the offset ${offset}`)
    const low = offset & 0x3fffffffn
    const head = atMs.toString(16).padStart(12, '0')
    const high = (offset >> 30n).toString(16).padStart(3, '0')
    // variant 10, 30 bits of the offset
    const middle = (0x80000000n | low).toString(16)
    return dashed(`${head}8${high}${middle}${this.#mac(offset).toString('hex')}`)
  }

  /** What an id says; undefined for what is no id of this stream. */
  decode(id: string): RecordPlace | undefined {
    if (!isUuid(id)) return undefined
    const h = id.replaceAll('-', '')
    const middle = Number.parseInt(h.slice(16, 24), 16)
    if (h[12] !== '8' || middle >>> 30 !== 2) return undefined
    const offset = (BigInt(`0x${h.slice(13, 16)}`) << 30n) | BigInt(middle & 0x3fffffff)
    if (!timingSafeEqual(this.#mac(offset), Buffer.from(h.slice(24), 'hex'))) return undefined
    return { offset, atMs: Number.parseInt(h.slice(0, 12), 16) }
  }

  /** One hash serves eight offsets that lie side by side: ids are made a page at a time. */
  #mac(offset: bigint): Buffer {
    const group = offset / idsPerMac
    if (group !== this.#group) {
      this.#macs = createHmac('sha256', this.#key).update(`${this.#stream}/${group}`).digest()
      this.#group = group
    }
    const at = Number(offset % idsPerMac) * 4
    return this.#macs.subarray(at, at + 4)
  }
}
