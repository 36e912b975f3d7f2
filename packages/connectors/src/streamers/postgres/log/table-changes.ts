/** The changes of one table, written as RECORD lines. */
import { EncodedRecords, type Json, type JsonObject } from '@millrace/sdk'
import type { SourceTable } from '../tables.ts'
import { infinities, isUnbounded, schemaOf } from '../types.ts'
import type { Fetcher } from './fetch.ts'
import { Out } from './out.ts'
import type { Relation, Tuple } from './pgoutput.ts'
import { columnOf } from './type-book.ts'
import { type ValueType, type ValueWriter, writerOf } from './values.ts'

const COMMA = 44
const BRACE = 123
const END = Buffer.from('}}\n')
const NULL = Buffer.from('null')
/** The longest word for an infinity. */
const longestWord = 9

/** Fields that a change has beside the columns of its table. */
export const DELETED_AT = '_sdc_deleted_at'
export const LSN = '_sdc_lsn'

/** The transaction that a change is of. */
export interface Transaction {
  readonly lsn: bigint
  /** `"_sdc_deleted_at":"…"` */
  readonly deletedAt: Buffer
  /** `"_sdc_lsn":…`; undefined where nobody wants it. */
  readonly place: Buffer | undefined
}

/** A column of the relation as it is now. */
interface Source {
  readonly name: string
  /** `,"name":` */
  readonly label: Buffer
  readonly write: ValueWriter
  readonly isWanted: boolean
  readonly isKey: boolean
}

/** A record that lacks values which have to be asked for. `at`: where they go. */
interface Hole {
  readonly at: number
  readonly key: readonly (string | undefined)[]
  readonly columns: readonly string[]
}

/** What the schema of a table that is followed has beside its columns. */
export const schemaOfLog = (
  properties: { readonly [name: string]: JsonObject },
  { places }: { readonly places: boolean },
): JsonObject => ({
  type: 'object',
  properties: {
    ...properties,
    [DELETED_AT]: { type: ['null', 'string'], format: 'date-time' },
    ...(places ? { [LSN]: { type: ['null', 'integer'] } } : {}),
  } as { readonly [name: string]: Json },
})

const nullingInfinity =
  (write: ValueWriter): ValueWriter =>
  (from, start, end, out) => {
    if (end - start <= longestWord && infinities.includes(from.toString('latin1', start, end))) out.all(NULL)
    else write(from, start, end, out)
  }

export class TableChanges {
  readonly table: SourceTable
  /** Transactions whose commit stands before it are not this table's: its snapshot has them, or an earlier run. */
  readonly from: bigint
  version: number
  keys: readonly string[]
  readonly #fields: ReadonlySet<string> | undefined
  readonly #places: boolean
  readonly #nullsInfinity: boolean
  readonly #prefix: Buffer
  #sources: readonly Source[] = []
  #types = new Map<string, ValueType>()
  /** Columns that the log never brings. */
  #generated: readonly string[] = []
  #out = new Out()
  #count = 0
  #holes: Hole[] = []
  #recordAt = 0
  #schema: string

  constructor(options: {
    readonly table: SourceTable
    readonly keys: readonly string[]
    readonly from: bigint
    readonly version: number
    readonly fields: ReadonlySet<string> | undefined
    readonly places: boolean
    /** Whether infinity and NaN become null, but in keys. */
    readonly nullsInfinity: boolean
    /** The schema that was written for it. */
    readonly schema: JsonObject
  }) {
    this.table = options.table
    this.keys = options.keys
    this.from = options.from
    this.version = options.version
    this.#fields = options.fields
    this.#places = options.places
    this.#nullsInfinity = options.nullsInfinity
    this.#prefix = Buffer.from(`{"type":"RECORD","stream":${JSON.stringify(options.table.substream)},"record":`)
    this.#schema = JSON.stringify(options.schema)
  }

  /** Bytes that wait to be taken. */
  get size(): number {
    return this.#out.length + this.#holes.length * 64
  }

  get count(): number {
    return this.#count
  }

  /**
   * Takes the table as it is from here on: `types` of its columns, in their order; `hidden`, columns that the user may not read. What
   * was written before must have been taken. Answers its schema where it is another one than before.
   */
  describe(relation: Relation, types: readonly ValueType[], hidden: ReadonlySet<string>): JsonObject | undefined {
    const shown = relation.columns.map((c) => ({ ...c, isShown: !hidden.has(c.name) }))
    const told = relation.columns.filter((c) => c.isKey).map((c) => c.name)
    // Whole old rows have no key of their own.
    if (relation.identity !== 'f' && told.length > 0 && told.toSorted().join('\0') !== this.keys.toSorted().join('\0'))
      this.keys = told
    const known = new Set(this.table.columns.map((c) => c.name))
    const isWanted = (name: string): boolean =>
      this.#fields === undefined || this.#fields.has(name) || this.keys.includes(name) || !known.has(name)
    this.#types = new Map(relation.columns.map((c, i) => [c.name, types[i] as ValueType]))
    this.#sources = shown.map((c, i) => ({
      name: c.name,
      label: Buffer.from(`,${JSON.stringify(c.name)}:`),
      write: this.#writer(c.name, types[i] as ValueType),
      isWanted: c.isShown && isWanted(c.name),
      isKey: this.keys.includes(c.name),
    }))
    const generated = this.table.columns.filter((c) => c.isGenerated && !this.#types.has(c.name))
    this.#generated = generated.map((c) => c.name).filter(isWanted)
    const properties = new Map(
      shown.flatMap((c, i) =>
        c.isShown ? [[c.name, schemaOf(columnOf(c, types[i] as ValueType, !this.keys.includes(c.name)))] as const] : [],
      ),
    )
    for (const c of generated) properties.set(c.name, schemaOf({ ...c, isNullable: true }))
    // In the order of the table where it has them, so that nothing seems to have changed.
    const order = [...this.table.columns.map((c) => c.name), ...properties.keys()].filter((n) => properties.has(n))
    const schema = schemaOfLog(
      Object.fromEntries([...new Set(order)].map((n) => [n, properties.get(n) as JsonObject])),
      { places: this.#places },
    )
    const text = JSON.stringify(schema)
    if (text === this.#schema) return undefined
    this.#schema = text
    return schema
  }

  insert(row: Tuple, tx: Transaction): void {
    this.#write(row, undefined, tx)
  }

  /** `old`: the row before, or its key; undefined where the key did not change. `isWhole`: all of it. */
  update(row: Tuple, old: Tuple | undefined, isWhole: boolean, tx: Transaction): void {
    if (old !== undefined && this.#sources.some((s, i) => s.isKey && row.has(i) && !row.isSame(i, old)))
      this.delete(old, isWhole, tx)
    this.#write(row, old, tx)
  }

  /** A record of the row that is gone: all that is known of it, at least its key. */
  delete(old: Tuple, isWhole: boolean, tx: Transaction): void {
    const out = this.#begin()
    this.#sources.forEach((source, i) => {
      if (!source.isWanted || !(isWhole || source.isKey)) return
      out.all(source.label)
      if (old.has(i)) source.write(old.bytes, old.start(i), old.end(i), out)
      else out.all(NULL)
    })
    out.byte(COMMA)
    out.all(tx.deletedAt)
    this.#end(tx)
  }

  /** The lines that wait, with what was missing in them. Throws SOURCE_*. */
  async take(fetcher: Fetcher): Promise<EncodedRecords | undefined> {
    if (this.#count === 0) return undefined
    const lines = this.#out.take()
    const count = this.#count
    const holes = this.#holes
    this.#count = 0
    this.#holes = []
    const whole = holes.length === 0 ? lines : await this.#filled(lines, holes, fetcher)
    return new EncodedRecords(whole, count, { before: this.#prefix.length, after: 1 })
  }

  #write(row: Tuple, old: Tuple | undefined, tx: Transaction): void {
    const out = this.#begin()
    let missing: string[] | undefined
    const sources = this.#sources
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i] as Source
      if (!source.isWanted) continue
      const from = row.isUntouched(i) ? old : row
      if (from?.has(i) === true) {
        out.all(source.label)
        source.write(from.bytes, from.start(i), from.end(i), out)
      } else if (row.isUntouched(i)) {
        missing = [...(missing ?? []), source.name]
      } else {
        out.all(source.label)
        out.all(NULL)
      }
    }
    if (this.#generated.length > 0) missing = [...(missing ?? []), ...this.#generated]
    if (missing !== undefined) {
      const key = this.keys.map((name) => {
        const i = sources.findIndex((s) => s.name === name)
        return row.isUntouched(i) ? old?.text(i) : row.text(i)
      })
      this.#holes.push({ at: out.length, key, columns: missing })
    }
    this.#end(tx)
  }

  /** Opens a line; the comma of the first field is taken for the brace. */
  #begin(): Out {
    const out = this.#out
    out.all(this.#prefix)
    this.#recordAt = out.length
    return out
  }

  #end(tx: Transaction): void {
    const out = this.#out
    if (tx.place !== undefined) {
      out.byte(COMMA)
      out.all(tx.place)
    }
    out.set(this.#recordAt, BRACE)
    out.all(END)
    this.#count++
  }

  async #filled(lines: Buffer, holes: readonly Hole[], fetcher: Fetcher): Promise<Buffer> {
    const fills = new Map<Hole, Buffer>()
    for (const group of Map.groupBy(holes, (h) => h.columns.join('\0')).values()) {
      const columns = (group[0] as Hole).columns
      const rows = await fetcher.values(this.table, this.keys, { columns, rows: group.map((h) => h.key) })
      const writers = columns.map((name) => this.#writerOf(name))
      group.forEach((hole, n) => {
        const row = rows[n]
        if (row === undefined) return
        const out = new Out()
        row.forEach((text, i) => {
          out.byte(COMMA)
          out.text(`${JSON.stringify(columns[i])}:`)
          if (text === null) out.all(NULL)
          else {
            const bytes = Buffer.from(text)
            ;(writers[i] as ValueWriter)(bytes, 0, bytes.length, out)
          }
        })
        fills.set(hole, out.take())
      })
    }
    const parts: Buffer[] = []
    let from = 0
    for (const hole of holes) {
      const fill = fills.get(hole)
      if (fill === undefined) continue
      parts.push(lines.subarray(from, hole.at), fill)
      from = hole.at
    }
    return Buffer.concat([...parts, lines.subarray(from)])
  }

  #writerOf(name: string): ValueWriter {
    const type = this.#types.get(name)
    if (type !== undefined) return this.#writer(name, type)
    const column = this.table.columns.find((c) => c.name === name)
    const kind = { name: column?.type ?? 'text', kind: column?.kind ?? 'b' }
    return this.#writer(name, column?.isArray === true ? { name: `_${kind.name}`, kind: 'b', element: kind } : kind)
  }

  #writer(name: string, type: ValueType): ValueWriter {
    const write = writerOf(type)
    const mayBe = isUnbounded({ type: type.name, kind: type.kind, isArray: type.element !== undefined })
    return this.#nullsInfinity && mayBe && !this.keys.includes(name) ? nullingInfinity(write) : write
  }
}
