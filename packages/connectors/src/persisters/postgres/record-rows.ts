/**
 * Rows of COPY out of the bytes of plain records, in WebAssembly (record-rows.wat): about a fifth of what finding the values and
 * encoding them in JavaScript takes. It expects the fields in one order, which it learns from the records that had another.
 */
import type { RecordMessage } from '@millrace/sdk'
import { scaleOf } from '../../sql/column-types.ts'
import type { Cell, ColumnType, Table } from '../../sql/types.ts'
import { recordRowsWasm } from './record-rows.generated.ts'

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly scan: (from: number, to: number, fields: number, columns: number) => number
  readonly write: (out: number, columns: number, number: number) => number
}

// The library types have WebAssembly only together with the browser's.
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object
    readonly Instance: new (module: object) => { readonly exports: Exports }
  }
}
let compiled: object | undefined

const MAX_COLUMNS = 1600
const formsAt = 32_768
const spansAt = 40_960
const keysAt = 0xe000
const metadataAt = 0x30000
const inAt = 0x40000
const inBytes = 0x20000
const padding = 64
/** Where rows that go one way, and those that go the other, wait to be taken. */
const areas = [0x61000, 0x91000] as const
const areaBytes = 0x2f000
/** Longer records are left to others. */
const MAX_RECORD = 0xc000
/** How often another order of fields is learned: records that come in ever other orders gain nothing. */
const MAX_LEARNED = 16

/** What a column takes here, and how its text becomes COPY's: the numbers of record-rows.wat. */
const kinds: Readonly<Partial<Record<ColumnType, readonly [kind: number, form: number]>>> = {
  integer: [1, 0],
  float: [2, 0],
  boolean: [3, 0],
  text: [4, 1],
  timestamp: [5, 1],
  date: [6, 1],
  json: [7, 2],
  decimal: [2, 0],
}
/** The kind of a number without digits behind the point; with n of them, n more. */
const scaledKind = 16

const kindOf = (type: ColumnType): number => {
  const scale = scaleOf(type)
  return scale === undefined ? (kinds[type]?.[0] ?? 0) : scaledKind + scale
}

/** Makes rows of one table, as its columns are now. Rows of a batch wait in two areas until they are taken. */
export class RecordRows {
  readonly #exports: Exports
  readonly #memory: Buffer
  readonly #words: Int32Array
  readonly #table: Table
  readonly #metadata: readonly number[]
  readonly #cells: Cell[]
  readonly #metadataSpans: Int32Array
  #metadataBytes = 0
  /** The columns in the order in which the fields of a record are expected; none where they cannot be told here. */
  #order: readonly number[] = []
  #learned = 0
  readonly #ends: [number, number] = [...areas]
  /** What of which buffer is in the memory. */
  #buffer: Buffer | undefined
  #from = 0
  #to = 0
  #size = 0

  constructor(table: Table) {
    compiled ??= new wasm.Module(Buffer.from(recordRowsWasm, 'base64'))
    this.#exports = new wasm.Instance(compiled).exports
    this.#memory = Buffer.from(this.#exports.memory.buffer)
    this.#words = new Int32Array(this.#exports.memory.buffer)
    this.#table = table
    this.#metadata = table.columns.flatMap((c, i) => (c.metadata === undefined ? [] : [i]))
    this.#cells = this.#metadata.map(() => null)
    this.#metadataSpans = new Int32Array(this.#metadata.length * 2).fill(-1)
    table.columns.forEach((c, i) => {
      this.#words[formsAt / 4 + i] = c.metadata === undefined ? (kinds[c.type]?.[1] ?? 0) : 0
    })
    const ofRecord = table.columns.flatMap((c, i) => (c.path.length === 1 ? [i] : []))
    if (table.columns.length <= MAX_COLUMNS && ofRecord.length + this.#metadata.length === table.columns.length)
      this.#expect(ofRecord)
  }

  /** A batch begins: buffers may have been used anew since the last. */
  begin(): void {
    this.#buffer = undefined
    ;[this.#ends[0], this.#ends[1]] = areas
  }

  /** Whether the record can be taken as it stands; the row is then written by {@link write}. */
  scan(record: RecordMessage, metadata: readonly Cell[]): boolean {
    const { from, to } = record
    if (this.#order.length === 0 || to - from > MAX_RECORD || !this.#setMetadata(metadata)) return false
    if (record.buffer !== this.#buffer || from < this.#from || to > this.#to) this.#bring(record)
    const at = inAt + from - this.#from
    const columns = this.#table.columns.length
    if (this.#exports.scan(at, inAt + to - this.#from, this.#order.length, columns) === 0) return false
    this.#size = to - from
    const words = this.#words
    for (let m = 0; m < this.#metadata.length; m++) {
      const span = spansAt / 4 + 2 * (this.#metadata[m] as number)
      words[span] = this.#metadataSpans[2 * m] as number
      words[span + 1] = this.#metadataSpans[2 * m + 1] as number
    }
    return true
  }

  /** Where the scanned record's value of a column stands in `bytes`; -1 where it has none. */
  from(column: number): number {
    return this.#words[spansAt / 4 + 2 * column] as number
  }

  /** Behind it. */
  to(column: number): number {
    return this.#words[spansAt / 4 + 2 * column + 1] as number
  }

  get bytes(): Buffer {
    return this.#memory
  }

  /** Whether the row of the scanned record may be too much for what is left of an area: it has to be taken first. */
  isFull(area: 0 | 1): boolean {
    const most = this.#size * 2 + this.#table.columns.length * 3 + this.#metadataBytes + padding
    return this.#ends[area] + most > areas[area] + areaBytes
  }

  /** Writes the row of the scanned record, with its number behind it unless that is below 0. */
  write(area: 0 | 1, number: number): void {
    this.#ends[area] = this.#exports.write(this.#ends[area], this.#table.columns.length, number)
  }

  /** The rows of an area, which is empty afterwards. Valid until the next row is written. */
  take(area: 0 | 1): Buffer {
    const rows = this.#memory.subarray(areas[area], this.#ends[area])
    this.#ends[area] = areas[area]
    return rows
  }

  /** Expects fields in the order in which a record had them: `spans` says where each column's value begins. */
  learn(spans: Int32Array): void {
    if (this.#order.length === 0 || this.#learned >= MAX_LEARNED) return
    const present = this.#order.filter((c) => (spans[2 * c] as number) >= 0)
    const isKnown = present.every(
      (c, i) => i === 0 || (spans[2 * c] as number) > (spans[2 * (present[i - 1] as number)] as number),
    )
    // It was not the order that made it less plain.
    if (isKnown) return
    this.#learned++
    const sorted = present.toSorted((a, b) => (spans[2 * a] as number) - (spans[2 * b] as number))
    this.#expect([...sorted, ...this.#order.filter((c) => !sorted.includes(c))])
  }

  #expect(order: readonly number[]): void {
    let at = keysAt
    for (const [i, column] of order.entries()) {
      const { path, type } = this.#table.columns[column] as Table['columns'][number]
      const key = Buffer.from(`${JSON.stringify(path[0])}:`)
      if (at + key.length + padding > metadataAt) {
        this.#order = []
        return
      }
      key.copy(this.#memory, at)
      this.#words.set([at, key.length, spansAt + 8 * column, kindOf(type)], 4 * i)
      at += key.length
    }
    this.#order = order
  }

  /** Puts the part of a record's buffer that begins with it into the memory: the next records are in it too. */
  #bring({ buffer, from }: RecordMessage): void {
    const to = Math.min(buffer.length, from + inBytes)
    this.#memory.set(buffer.subarray(from, to), inAt)
    // What reads on and on stops here.
    this.#memory.fill(0, inAt + to - from, inAt + to - from + padding)
    this.#buffer = buffer
    this.#from = from
    this.#to = to
  }

  /** The cells of the metadata columns as COPY has them; false where there is no room for them. They are ASCII without escapes. */
  #setMetadata(metadata: readonly Cell[]): boolean {
    let isSame = true
    for (let m = 0; m < this.#cells.length; m++) if (metadata[m] !== this.#cells[m]) isSame = false
    if (isSame) return true
    let at = metadataAt
    for (let m = 0; m < this.#cells.length; m++) {
      const cell = metadata[m] as Cell
      this.#cells[m] = cell
      const text = cell?.startsWith('"') === true ? (JSON.parse(cell) as string) : cell
      if (text !== null && !/^[ -[\]-~]{0,100}$/.test(text)) {
        this.#cells.fill(null)
        this.#metadataSpans.fill(-1)
        return false
      }
      this.#metadataSpans[2 * m] = text === null ? -1 : at
      if (text !== null) at += this.#memory.write(text, at, 'latin1')
      this.#metadataSpans[2 * m + 1] = text === null ? -1 : at
    }
    this.#metadataBytes = at - metadataAt
    return true
  }
}
