import type { RecordMessage } from '@millrace/sdk'
import type { Sequence } from './sequence.ts'

const open = Buffer.from('{"action":"upsert","sequence":')
const data = Buffer.from(',"data":')
const extracted = Buffer.from(',"time_extracted":')
const CLOSE = 125
const COMMA = 44

/** What all messages of a batch have in common. */
export interface BatchHead {
  readonly table: string
  readonly keys: readonly string[]
  /** JSON text. */
  readonly schema: string
  readonly version: number | undefined
}

/** The body up to the first message. */
const headOf = ({ table, keys, schema, version }: BatchHead): Buffer =>
  Buffer.from(
    `{"table_name":${JSON.stringify(table)},${keys.length === 0 ? '' : `"key_names":${JSON.stringify(keys)},`}${version === undefined ? '' : `"table_version":${version},`}"schema":${schema},"messages":[`,
  )
const tail = Buffer.from(']}')
/** Room for what stands around a record: the sequence has 19 digits. */
const aroundBytes = open.length + 19 + data.length + extracted.length + 64 + 2

/** One body of `/v2/import/batch` that is being filled, from the bytes of records. */
export class Batch {
  readonly head: BatchHead
  readonly #sequence: Sequence
  #bytes: Buffer
  #at: number
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
    return record.size + aroundBytes
  }

  add(record: RecordMessage): void {
    const { size, timeExtracted } = record
    const time = timeExtracted === undefined ? '' : JSON.stringify(timeExtracted)
    this.#room(size + aroundBytes + Buffer.byteLength(time))
    const b = this.#bytes
    let at = this.#at
    if (this.count > 0) b[at++] = COMMA
    at += open.copy(b, at)
    at += b.write(this.#sequence.next(), at, 'latin1')
    at += data.copy(b, at)
    // Asked for its size, a record has its bytes.
    at += record.buffer.copy(b, at, record.from, record.to)
    if (time !== '') {
      at += extracted.copy(b, at)
      at += b.write(time, at)
    }
    b[at++] = CLOSE
    this.#at = at
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
