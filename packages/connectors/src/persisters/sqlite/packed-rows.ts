/** Rows packed into two arrays that two threads share: nothing is copied between them. */
import type { RecordMessage } from '@millrace/sdk'
import type { Cell, RowEncoder, Table } from '../../sql/types.ts'

/** `spans` has two numbers a cell: where its text begins and ends in `bytes`; -1 for null. Row after row. */
export interface PackedRows {
  readonly bytes: Uint8Array<SharedArrayBuffer>
  readonly spans: Int32Array<SharedArrayBuffer>
  readonly rows: number
}

/** Arrays that were read and can be filled again: making new ones for each batch costs more than filling them. */
export class PackPool {
  readonly #free: PackedRows[] = []

  take(): PackedRows {
    return (
      this.#free.pop() ?? {
        bytes: new Uint8Array(new SharedArrayBuffer(FIRST_BYTES)),
        spans: new Int32Array(new SharedArrayBuffer(FIRST_SPANS * 4)),
        rows: 0,
      }
    )
  }

  /** Keeps a few, and none that a rare large batch made large. */
  giveBack(packed: PackedRows): void {
    if (this.#free.length < MAX_FREE && packed.bytes.length <= MAX_FREE_BYTES) this.#free.push(packed)
  }
}

const FIRST_BYTES = 1 << 20
const FIRST_SPANS = 1 << 16
const MAX_FREE = 4
const MAX_FREE_BYTES = 8 << 20

export class RowPacker implements RowEncoder {
  readonly #columns: number
  readonly #metadata: readonly number[]
  #bytes: Buffer<SharedArrayBuffer>
  #at = 0
  #spans: Int32Array<SharedArrayBuffer>
  #cell = 0
  rows = 0

  constructor(table: Table, pool: PackPool) {
    const { bytes, spans } = pool.take()
    this.#bytes = Buffer.from(bytes.buffer)
    this.#spans = spans
    this.#columns = table.columns.length
    this.#metadata = table.columns.flatMap((c, i) => (c.metadata === undefined ? [] : [i]))
  }

  raw(record: RecordMessage, spans: Int32Array, metadata: readonly Cell[]): void {
    const { buffer, from, to } = record
    this.#room(to - from)
    buffer.copy(this.#bytes, this.#at, from, to)
    const move = this.#at - from
    const out = this.#spans
    const base = this.#cell
    for (let i = 0; i < spans.length; i++) {
      const place = spans[i] as number
      out[base + i] = place < 0 ? -1 : place + move
    }
    this.#at += to - from
    this.#cell = base + spans.length
    for (let i = 0; i < metadata.length; i++) this.#put(metadata[i] as Cell, base + (this.#metadata[i] as number) * 2)
    this.rows++
  }

  cells(cells: readonly Cell[]): void {
    this.#room(0)
    const base = this.#cell
    this.#cell += cells.length * 2
    for (let i = 0; i < cells.length; i++) this.#put(cells[i] as Cell, base + i * 2)
    this.rows++
  }

  #put(cell: Cell, at: number): void {
    if (cell === null) {
      this.#spans[at] = -1
      this.#spans[at + 1] = -1
      return
    }
    this.#room(cell.length * 3)
    this.#spans[at] = this.#at
    this.#at += this.#bytes.write(cell, this.#at)
    this.#spans[at + 1] = this.#at
  }

  #room(bytes: number): void {
    if (this.#at + bytes > this.#bytes.length) {
      const bigger = Buffer.from(new SharedArrayBuffer(Math.max(this.#bytes.length * 2, this.#at + bytes)))
      this.#bytes.copy(bigger, 0, 0, this.#at)
      this.#bytes = bigger
    }
    if (this.#cell + this.#columns * 2 <= this.#spans.length) return
    const more = new Int32Array(
      new SharedArrayBuffer(Math.max(this.#spans.length * 2, this.#cell + this.#columns * 2) * 4),
    )
    more.set(this.#spans)
    this.#spans = more
  }

  /** What was packed. The packer is of no use afterwards. */
  take(): PackedRows {
    return { bytes: this.#bytes, spans: this.#spans, rows: this.rows }
  }
}
