/** From records to rows of one table: raw where the scanner allows it, else cell by cell. */
import { isObject, type Json, type JsonObject, MillraceError, type RecordMessage, toMillraceError } from '@millrace/sdk'
import { cellOf, UnstorableValue } from './cells.ts'
import { typeOfValue, wholeOf } from './column-types.ts'
import { metadataColumn } from './evolve.ts'
import { RecordScanner } from './scanner.ts'
import type { Cell, Column, ColumnType, Dialect, MetadataName, RowEncoder, Table } from './types.ts'
import type { WantedColumn } from './wanted.ts'

/** Where the fields of a record go: a column, or deeper; `child` is the table of an array's elements. */
interface Place {
  column: number
  readonly inside: Map<string, Place>
  child: ChildRows | undefined
}

export interface RejectedRecord {
  readonly record: RecordMessage
  readonly error: Error
}

/** What encoding a batch found out. With wants or `versioned`, the table must change and the batch be encoded again. */
export interface EncodedBatch {
  readonly rows: RowEncoder
  readonly rejected: readonly RejectedRecord[]
  readonly wants: readonly WantedColumn[]
  /** Wants of the child tables, in their order. */
  readonly childWants: readonly (readonly WantedColumn[])[]
  readonly childRows: readonly RowEncoder[]
  /** The cells of the parents' keys, where there are children: their earlier rows go first. */
  readonly groups: readonly (readonly Cell[])[]
  readonly versioned: boolean
  readonly beyondDouble: ReadonlySet<number>
  /** Names of fields that the schema forbids and that were left out. */
  readonly ignored: ReadonlySet<string>
}

/** The rows of an array's elements. */
class ChildRows {
  readonly table: Table
  readonly closed: boolean
  readonly places = new Map<string, number>()
  constructor(table: Table, closed: boolean) {
    this.table = table
    this.closed = closed
    table.columns.forEach((c, i) => {
      if (c.path.length === 1) this.places.set(c.path[0] as string, i)
    })
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** Makes rows of one table, as it is now: made anew whenever the table changes. */
export class RowMaker {
  readonly table: Table
  readonly #dialect: Dialect
  readonly #closed: boolean
  readonly #children: readonly ChildRows[]
  readonly #root: Place = { column: -1, inside: new Map(), child: undefined }
  readonly #keys: readonly number[]
  readonly #metadata: readonly { readonly index: number; readonly name: MetadataName }[]
  readonly #versioned: boolean
  readonly #ignored = new Set<string>()
  /** Undefined where every record must be taken apart. */
  #scanner: RecordScanner | undefined

  constructor(
    table: Table,
    options: {
      readonly dialect: Dialect
      readonly closed: boolean
      readonly children: readonly { readonly table: Table; readonly closed: boolean }[]
    },
  ) {
    this.table = table
    this.#dialect = options.dialect
    this.#closed = options.closed
    this.#children = options.children.map((c) => new ChildRows(c.table, c.closed))
    this.#keys = table.keys.map((k) => table.columns.findIndex((c) => c.name === k))
    this.#metadata = table.columns.flatMap((c, index) =>
      c.metadata === undefined ? [] : [{ index, name: c.metadata }],
    )
    this.#versioned = metadataColumn(table, '_sdc_table_version') !== undefined
    table.columns.forEach((c, i) => {
      if (c.path.length > 0) this.#place(c.path).column = i
    })
    for (const child of this.#children) this.#place(child.table.path).child = child
    this.#renewScanner()
  }

  #renewScanner(): void {
    const plain = this.#children.length === 0 && this.table.columns.every((c) => c.path.length <= 1)
    this.#scanner = plain ? new RecordScanner(this.table, this.#ignored, this.#dialect) : undefined
  }

  #place(path: readonly string[]): Place {
    let at = this.#root
    for (const part of path) {
      let next = at.inside.get(part)
      if (next === undefined) {
        next = { column: -1, inside: new Map(), child: undefined }
        at.inside.set(part, next)
      }
      at = next
    }
    return at
  }

  /** Encodes records into `rows` and `childRows`. Changes nothing but those. */
  encode(
    records: readonly RecordMessage[],
    rows: RowEncoder,
    childRows: readonly RowEncoder[],
    stamp: (name: MetadataName, record: RecordMessage) => Cell,
  ): EncodedBatch {
    const batch = new Batch(rows, childRows)
    const scanner = this.#scanner
    const metadata = new Array<Cell>(this.#metadata.length).fill(null)
    const last = this.#children.length > 0 ? this.#lastOfEachKey(records) : undefined
    for (const record of records) {
      if (record.version !== undefined && !this.#versioned) batch.versioned = true
      for (let i = 0; i < metadata.length; i++)
        metadata[i] = stamp((this.#metadata[i] as { name: MetadataName }).name, record)
      if (record.buffer.length === 0) record.bytes()
      if (scanner !== undefined && rows.plain?.(record, metadata) === true) continue
      if (scanner?.scan(record.buffer, record.from, record.to) === true) {
        rows.raw(record, scanner.spans, metadata)
        continue
      }
      try {
        this.#exact(record, metadata, batch, last === undefined || last.has(record))
      } catch (e) {
        const error = e instanceof UnstorableValue ? e.at(record.stream, record.line) : toMillraceError(e)
        if (error.code === 'INTERNAL') throw e
        batch.rejected.push({ record, error })
      }
    }
    for (const i of scanner?.beyondDouble ?? []) batch.beyondDouble.add(i)
    if ([...batch.ignored].some((name) => !this.#ignored.has(name))) {
      for (const name of batch.ignored) this.#ignored.add(name)
      this.#renewScanner()
    }
    return batch
  }

  /** Rows of arrays are replaced together: only the last record of a key counts. */
  #lastOfEachKey(records: readonly RecordMessage[]): ReadonlySet<RecordMessage> {
    const last = new Map<string, RecordMessage>()
    for (const record of records) {
      try {
        const values = record.record
        last.set(
          JSON.stringify(this.#keys.map((k) => keyText(values[(this.table.columns[k] as Column).path[0] as string]))),
          record,
        )
      } catch {
        // It is rejected where it is encoded.
      }
    }
    return new Set(last.values())
  }

  #exact(record: RecordMessage, metadata: readonly Cell[], batch: Batch, isLast: boolean): void {
    const cells = new Array<Cell>(this.table.columns.length).fill(null)
    const arrays: { readonly child: number; readonly elements: readonly Json[] }[] = []
    const wants: WantedColumn[] = []
    this.#object(record.record, [], this.#root, { cells, arrays, wants, batch })
    for (const key of this.#keys)
      if (cells[key] === null && !wants.some((w) => w.path.join('\0') === this.table.columns[key]?.path.join('\0')))
        throw new MillraceError('RECORD_KEY_MISSING', {
          stream: record.stream,
          field: (this.table.columns[key] as Column).path.join('.'),
          ...(record.line > 0 ? { line: record.line } : {}),
        })
    this.#checkKeyLength(record, cells)
    for (let i = 0; i < metadata.length; i++)
      cells[(this.#metadata[i] as { index: number }).index] = metadata[i] as Cell
    const keyCells = this.#keys.map((k) => cells[k] as Cell)
    const children = isLast
      ? arrays.flatMap(({ child, elements }) => this.#elements(child, elements, keyCells, batch))
      : []
    batch.wants.push(...wants)
    batch.rows.cells(cells)
    if (this.#children.length === 0 || !isLast) return
    batch.groups.push(keyCells)
    for (const { child, row } of children) (batch.childRows[child] as RowEncoder).cells(row)
  }

  #checkKeyLength(record: RecordMessage, cells: readonly Cell[]): void {
    const max = this.#dialect.maxKeyBytes
    if (max === undefined) return
    let bytes = 0
    for (const key of this.#keys) bytes += Buffer.byteLength(cells[key] ?? '')
    if (bytes <= max) return
    const fields = this.#keys.map((k) => (this.table.columns[k] as Column).path.join('.')).join(', ')
    throw new UnstorableValue(fields, `its key properties have more than ${max} bytes, which no index takes`).at(
      record.stream,
      record.line,
    )
  }

  #object(
    value: JsonObject,
    path: readonly string[],
    place: Place,
    out: { cells: Cell[]; arrays: { child: number; elements: readonly Json[] }[]; wants: WantedColumn[]; batch: Batch },
  ): void {
    for (const key of Object.keys(value)) {
      const v = value[key] as Json
      if (v === null) continue
      const next = place.inside.get(key)
      if (next?.child !== undefined && Array.isArray(v) && v.every(isObject)) {
        out.arrays.push({ child: this.#children.indexOf(next.child), elements: v })
      } else if (next !== undefined && next.inside.size > 0 && isObject(v)) {
        this.#object(v, [...path, key], next, out)
      } else if (next !== undefined && next.column >= 0) {
        out.cells[next.column] = this.#cell(v, next.column, out)
      } else if (this.#closed && path.length === 0) {
        out.batch.ignored.add(key)
      } else {
        out.wants.push({ path: [...path, key], type: this.#typeOfNew(v, [...path, key]) })
      }
    }
  }

  /** What was ours to fill keeps its type where the record's value fits. */
  #typeOfNew(v: Json, path: readonly string[]): ColumnType {
    const ours = path.length === 1 ? metadataColumn(this.table, path[0] as MetadataName) : undefined
    return ours !== undefined && cellOf(v, ours, this.#dialect) !== undefined
      ? ours.type
      : (typeOfValue(v) as ColumnType)
  }

  #cell(v: Json, index: number, out: { wants: WantedColumn[]; batch: Batch }): Cell {
    const column = this.table.columns[index] as Column
    const cell = cellOf(v, column, this.#dialect)
    if (cell === undefined) {
      out.wants.push({ path: column.path, type: typeOfValue(v) as ColumnType })
      return null
    }
    if (column.type === 'integer' && cell !== null && cell.length > 15) {
      const whole = BigInt(cell)
      if (whole > MAX_SAFE || whole < -MAX_SAFE) out.batch.beyondDouble.add(index)
    }
    return cell
  }

  #elements(
    child: number,
    elements: readonly Json[],
    keyCells: readonly Cell[],
    batch: Batch,
  ): readonly { readonly child: number; readonly row: readonly Cell[] }[] {
    const { table, places, closed } = this.#children[child] as ChildRows
    return elements.map((element, n) => {
      const row = new Array<Cell>(table.columns.length).fill(null)
      keyCells.forEach((c, i) => {
        row[i] = c
      })
      row[keyCells.length] = String(n)
      for (const key of Object.keys(element as JsonObject)) {
        const v = (element as JsonObject)[key] as Json
        if (v === null) continue
        const index = places.get(key)
        if (index === undefined) {
          if (closed) batch.ignored.add(`${table.path.join('.')}.${key}`)
          else batch.childWant(child, { path: [key], type: typeOfValue(v) as ColumnType })
          continue
        }
        const column = table.columns[index] as Column
        const cell = cellOf(v, column, this.#dialect)
        if (cell === undefined) batch.childWant(child, { path: column.path, type: typeOfValue(v) as ColumnType })
        else row[index] = cell
      }
      return { child, row }
    })
  }
}

/** The same for the same key, however its number is written. */
const keyText = (v: Json | undefined): string => String(typeof v === 'number' && Number.isInteger(v) ? wholeOf(v) : v)

class Batch implements EncodedBatch {
  readonly rows: RowEncoder
  readonly childRows: readonly RowEncoder[]
  readonly rejected: RejectedRecord[] = []
  readonly wants: WantedColumn[] = []
  readonly childWants: WantedColumn[][]
  readonly groups: (readonly Cell[])[] = []
  readonly beyondDouble = new Set<number>()
  readonly ignored = new Set<string>()
  versioned = false
  constructor(rows: RowEncoder, childRows: readonly RowEncoder[]) {
    this.rows = rows
    this.childRows = childRows
    this.childWants = childRows.map(() => [])
  }
  childWant(child: number, want: WantedColumn): void {
    ;(this.childWants[child] as WantedColumn[]).push(want)
  }
}
