/**
 * Rows of DuckDB's chunks as lines of RECORDs, made of the columns as they lie in memory: the columns are copied into a
 * WebAssembly memory and written there (row-lines.wat), no value becomes one of JavaScript. A column of a type that has no
 * way here is asked of DuckDB as JSON text, which is copied.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api'
import duckdb, { type Vector } from '@duckdb/node-bindings'
import { EncodedRecords } from '@millrace/sdk'
import type { ValueType } from './parquet-sql.ts'
import { rowLinesWasm } from './row-lines.generated.ts'
import { spellDouble } from './spell-double.ts'

/** Lines are handed on in pieces of about this length. */
const pieceBytes = 256 * 1024

/** Kinds of row-lines.wat: those that are treated apart, and all with the bytes of an element. */
const jsonKind = 0
const textKind = 1
const structKind = 14
const listKind = 15
const kinds: Readonly<Record<string, readonly [kind: number, bytes: number]>> = {
  JSON: [jsonKind, 16],
  VARCHAR: [textKind, 16],
  BOOLEAN: [2, 1],
  TINYINT: [3, 1],
  SMALLINT: [4, 2],
  INTEGER: [5, 4],
  BIGINT: [6, 8],
  UTINYINT: [7, 1],
  USMALLINT: [8, 2],
  UINTEGER: [9, 4],
  UBIGINT: [10, 8],
  DOUBLE: [11, 8],
  DATE: [12, 4],
  TIMESTAMP: [13, 8],
  TIMESTAMPTZ: [13, 8],
  'TIMESTAMP WITH TIME ZONE': [13, 8],
  STRUCT: [structKind, 0],
  LIST: [listKind, 16],
}

/** A column, or what is inside one. */
interface Node {
  readonly kind: number
  readonly bytes: number
  readonly places: number
  /** What stands before its value. */
  readonly before: string
  readonly inner: readonly Node[]
  /** Its place in the memory. */
  at: number
}

/** Undefined where DuckDB has to write the value. */
const nodeOf = (type: ValueType, before: string): Node | undefined => {
  const { kind, fields, inner, width = 38, scale = 0 } = type
  // Text that is JSON already may have line breaks in it; such a column is asked for without them.
  if (kind === 'JSON' || (kind === 'DECIMAL' && width > 18)) return undefined
  const stored = kind === 'DECIMAL' ? (width > 9 ? 'BIGINT' : width > 4 ? 'INTEGER' : 'SMALLINT') : kind
  const known = kinds[fields === undefined ? stored : 'STRUCT']
  if (known === undefined) return undefined
  const nodes =
    fields?.map((f, i) => nodeOf(f.type, `${i === 0 ? '{' : ','}${JSON.stringify(f.name)}:`)) ??
    (inner === undefined ? [] : [nodeOf(inner, '')])
  if (nodes.includes(undefined)) return undefined
  return { kind: known[0], bytes: known[1], places: scale, before, inner: nodes as Node[], at: 0 }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number }
  readonly at: { value: number }
  readonly odd: { readonly value: number }
  readonly rows: (node: number, from: number, count: number, limit: number) => number
  readonly texts: (data: number, bits: number, count: number, table: number, heap: number) => number
}

// The library types have WebAssembly only together with the browser's.
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object
    readonly Instance: new (
      module: object,
      imports: { readonly spell: { readonly double: (x: number, at: number) => number } },
    ) => { readonly exports: Exports }
  }
}

const endLengthAt = 92
const endAt = 96
const nodesAt = 1024
const nodeBytes = 48
const pageBytes = 65_536
const noBytes = new Uint8Array(0)

/** What was made of a chunk. */
export interface Taken {
  readonly records: readonly EncodedRecords[]
  /** How many of its rows are in `records`; fewer than it has where a value comes that only DuckDB knows to spell. */
  readonly rows: number
}

/** Writes the rows of one substream. */
export class RowLines {
  /** For each column whether it is asked for as JSON text. */
  readonly asJson: readonly boolean[]
  readonly #before: number
  readonly #root: Node
  readonly #exports: Exports
  #memory: Buffer
  /** Where a chunk's columns may stand, and up to where they do. */
  readonly #base: number
  #top: number

  private constructor(substream: string, columns: readonly { readonly name: string; readonly type: ValueType }[]) {
    const prefix = `{"type":"RECORD","stream":${JSON.stringify(substream)},"record":`
    this.#before = Buffer.byteLength(prefix)
    const nodes = columns.map(({ name, type }, i) => {
      const before = `${i === 0 ? `${prefix}{` : ','}${JSON.stringify(name)}:`
      return nodeOf(type, before) ?? { kind: jsonKind, bytes: 16, places: 0, before, inner: [], at: 0 }
    })
    this.asJson = nodes.map((n) => n.kind === jsonKind)
    this.#root = { kind: structKind, bytes: 0, places: 0, before: '', inner: nodes, at: 0 }
    const module = new wasm.Module(Buffer.from(rowLinesWasm, 'base64'))
    const spell = (x: number, at: number): number => at + this.#view.write(spellDouble(x), at, 'latin1')
    this.#exports = new wasm.Instance(module, { spell: { double: spell } }).exports
    this.#memory = Buffer.from(this.#exports.memory.buffer)
    this.#top = nodesAt
    this.#memory.writeInt32LE(this.#memory.write('}\n', endAt), endLengthAt)
    this.#place([this.#root])
    this.#base = this.#top
  }

  /** Undefined where DuckDB has to write every column. */
  static for(
    substream: string,
    columns: readonly { readonly name: string; readonly type: ValueType }[],
  ): RowLines | undefined {
    return columns.some(({ type }) => nodeOf(type, '') !== undefined) ? new RowLines(substream, columns) : undefined
  }

  /** The memory, which is another object when it has grown. */
  get #view(): Buffer {
    const { buffer } = this.#exports.memory
    if (this.#memory.buffer !== buffer) this.#memory = Buffer.from(buffer)
    return this.#memory
  }

  /** Room for so many bytes, with as much behind them as is looked at too far. */
  #room(bytes: number): number {
    const at = this.#top
    this.#top = (at + bytes + 15) & ~15
    const missing = this.#top + 64 - this.#view.length
    if (missing > 0) this.#exports.memory.grow(Math.ceil(missing / pageBytes) + 16)
    return at
  }

  #put(bytes: Uint8Array): number {
    const at = this.#room(bytes.length)
    this.#view.set(bytes, at)
    return at
  }

  /** Gives nodes, and those inside them, their places: siblings one behind the other. */
  #place(nodes: readonly Node[]): void {
    const first = this.#room(nodes.length * nodeBytes)
    for (const [i, node] of nodes.entries()) {
      node.at = first + i * nodeBytes
      const before = Buffer.from(node.before)
      const beforeAt = this.#put(before)
      if (node.inner.length > 0) this.#place(node.inner)
      const fields = [node.kind, 0, 0, node.places, beforeAt, before.length, node.inner[0]?.at ?? 0, node.inner.length]
      for (const [j, field] of fields.entries()) this.#view.writeInt32LE(field, node.at + 4 * j)
    }
  }

  /** Takes a chunk. Its memory is not needed afterwards. */
  take(chunk: DuckDBDataChunk): Taken {
    const count = chunk.rowCount
    const records: EncodedRecords[] = []
    this.#top = this.#base
    const loaded = this.#root.inner.every((node, i) =>
      this.#load(node, duckdb.data_chunk_get_vector(chunk.chunk, i), count, null),
    )
    if (!loaded) return { records, rows: 0 }
    const { at, rows, odd } = this.#exports
    const start = this.#room(0)
    for (let row = 0; row < count; ) {
      at.value = start
      const next = rows(this.#root.at, row, count, start + pieceBytes)
      if (next > row) {
        const lines = Buffer.allocUnsafeSlow(at.value - start)
        this.#view.copy(lines, 0, start, at.value)
        records.push(new EncodedRecords(lines, next - row, { before: this.#before, after: 1 }))
      }
      row = next
      if (odd.value !== 0) return { records, rows: row }
    }
    return { records, rows: count }
  }

  /** Copies a vector; `parent` are the validity bits of what it is inside of. False where its texts are too long. */
  #load(node: Node, vector: Vector, count: number, parent: Uint8Array | null): boolean {
    if (count === 0) return true
    // The client answers null where nothing is null. What stands where the parent is null may be anything.
    const own = duckdb.vector_get_validity(vector, Math.ceil(count / 64) * 8) as Uint8Array | null
    const bits = own === null || parent === null ? (own ?? parent) : own.map((byte, i) => byte & (parent[i] as number))
    const bitsAt = bits === null ? 0 : this.#put(bits)
    const data = node.bytes === 0 ? noBytes : duckdb.vector_get_data(vector, count * node.bytes)
    const dataAt = this.#put(data)
    this.#view.writeInt32LE(dataAt, node.at + 4)
    this.#view.writeInt32LE(bitsAt, node.at + 8)
    switch (node.kind) {
      case jsonKind:
      case textKind:
        return this.#loadTexts(data, dataAt, bitsAt, count)
      case structKind:
        return node.inner.every((n, i) => this.#load(n, duckdb.struct_vector_get_child(vector, i), count, bits))
      case listKind: {
        const items = duckdb.list_vector_get_size(vector)
        return this.#load(node.inner[0] as Node, duckdb.list_vector_get_child(vector), items, null)
      }
      default:
        return true
    }
  }

  /**
   * Texts of up to 12 bytes stand in the vector, longer ones elsewhere, by their address. Those of a chunk mostly lie one
   * behind the other, so they are fetched in runs: a call for each would cost more than all the rest.
   */
  #loadTexts(data: Uint8Array, dataAt: number, bitsAt: number, count: number): boolean {
    const table = this.#room(count * 8)
    let at = this.#room(0)
    const runs = this.#exports.texts(dataAt, bitsAt, count, table, at)
    if (runs < 0) return false
    for (let i = 0; i < runs; i++) {
      const row = this.#view.readInt32LE(table + 8 * i)
      const bytes = this.#view.readInt32LE(table + 8 * i + 4)
      const run = duckdb.get_data_from_pointer(data.buffer as ArrayBuffer, data.byteOffset + row * 16 + 8, bytes)
      this.#top = at
      this.#room(bytes)
      this.#view.set(run, at)
      at += bytes
    }
    return true
  }
}
