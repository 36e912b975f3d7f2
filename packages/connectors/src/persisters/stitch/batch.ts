import type { RecordMessage } from '@millrace/sdk'
import { lowDigits, type Sequence } from './sequence.ts'

const open = '{"action":"upsert","sequence":'
const data = ',"data":'

/** What all messages of a batch have in common. */
export interface BatchHead {
  readonly table: string
  readonly keys: readonly string[]
  /** JSON text. */
  readonly schema: string
  readonly version: number | bigint | undefined
}

/** The body up to the first message. */
const headOf = ({ table, keys, schema, version }: BatchHead): Buffer =>
  Buffer.from(
    `{"table_name":${JSON.stringify(table)},${keys.length === 0 ? '' : `"key_names":${JSON.stringify(keys)},`}${version === undefined ? '' : `"table_version":${version},`}"schema":${schema},"messages":[`,
  )
const tail = Buffer.from(']}')
const ZERO = 48

/** Room for what stands around a record, but for its time: the sequence has 19 digits. */
const aroundBytes = open.length + 19 + data.length + 2
/** What a record's time takes mostly. */
const timeBytes = 84

/** One body of `/v2/import/batch` that is being filled, from the bytes of records. */
export class Batch {
  readonly head: BatchHead
  readonly #sequence: Sequence
  #bytes: Buffer
  #at: number
  /** What stands before a record, with a comma and with zeros for the low digits of its sequence. */
  #before: Buffer = Buffer.alloc(0)
  #high = ''
  /** What stands behind a record: mostly the same as behind the one before. */
  #time: string | undefined
  #behind: Buffer = Buffer.from('}')
  count = 0

  constructor(head: BatchHead, sequence: Sequence, expectedBytes: number) {
    const begin = headOf(head)
    this.head = head
    this.#sequence = sequence
    this.#bytes = Buffer.allocUnsafe(Math.max(expectedBytes, begin.length + tail.length))
    this.#at = begin.copy(this.#bytes)
    sequence.catchUp()
  }

  /** Bytes of the body if it ended here. */
  get size(): number {
    return this.#at + tail.length
  }

  /** Bytes that a record takes at most. */
  static roomFor(record: RecordMessage): number {
    return record.size + aroundBytes + timeBytes
  }

  add(record: RecordMessage): void {
    const { size, timeExtracted } = record
    if (timeExtracted !== this.#time) {
      this.#time = timeExtracted
      this.#behind = Buffer.from(
        timeExtracted === undefined ? '}' : `,"time_extracted":${JSON.stringify(timeExtracted)}}`,
      )
    }
    this.#room(size + aroundBytes + this.#behind.length)
    const b = this.#bytes
    let at = this.#at
    let low = this.#sequence.nextLow()
    if (this.#sequence.highText !== this.#high) {
      this.#high = this.#sequence.highText
      this.#before = Buffer.from(`,${open}${this.#high}${'0'.repeat(lowDigits)}${data}`)
    }
    at += this.#before.copy(b, at, this.count > 0 ? 0 : 1)
    for (let i = at - data.length - 1; low > 0; i--) {
      const tenth = Math.floor(low / 10)
      b[i] = ZERO + low - tenth * 10
      low = tenth
    }
    // Asked for its size, a record has its bytes.
    at += record.buffer.copy(b, at, record.from, record.to)
    this.#at = at + this.#behind.copy(b, at)
    this.count++
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes + tail.length
    if (needed <= this.#bytes.length) return
    const bigger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(bigger, 0, 0, this.#at)
    this.#bytes = bigger
  }

  /** The whole body. Nothing may be added after it. */
  body(): Buffer {
    this.#room(0)
    tail.copy(this.#bytes, this.#at)
    return this.#bytes.subarray(0, this.#at + tail.length)
  }
}

/** The body that makes a version of a table the one that counts: its rows of other versions disappear. */
export const activation = (head: BatchHead, sequence: Sequence): Buffer => {
  sequence.catchUp()
  return Buffer.concat([headOf(head), Buffer.from(`{"action":"activate_version","sequence":${sequence.next()}}`), tail])
}
