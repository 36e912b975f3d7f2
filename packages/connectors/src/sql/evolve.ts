/**
 * How a table follows what is asked of it. Pure: from a table as it is and columns that are wanted to a table as it is
 * to be, and the steps between. Nothing is ever dropped, and no column becomes narrower.
 */
import { widen } from './column-types.ts'
import { fold, Names } from './names.ts'
import type { Column, ColumnType, Dialect, MetadataName, Table, TableChange } from './types.ts'
import type { WantedColumn, WantedTable } from './wanted.ts'

const metadataTypes: { readonly [K in MetadataName]: ColumnType } = {
  _sdc_extracted_at: 'timestamp',
  _sdc_received_at: 'timestamp',
  _sdc_batched_at: 'timestamp',
  _sdc_sequence: 'integer',
  _sdc_table_version: 'integer',
  _sdc_deleted_at: 'timestamp',
}

/** All metadata columns, in the order they get in a new table. */
export const metadataNames: readonly MetadataName[] = Object.keys(metadataTypes) as MetadataName[]

export interface Evolution {
  readonly table: Table
  readonly changes: readonly TableChange[]
}

export interface EvolveOptions {
  readonly dialect: Dialect
  readonly metadata: readonly MetadataName[]
}

export const samePath = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((part, i) => part === b[i])

/** A table that was not there yet. `keys` are property names; of a child table: `parent` gives its links. */
export const newTable = (
  about: {
    readonly name: string
    readonly substream: string
    readonly keys: readonly string[]
    readonly parent?: Table
  },
  wanted: WantedTable,
  options: EvolveOptions,
): Evolution => {
  const names = new Names(options.dialect, options.dialect.reservesColumn)
  const columns: Column[] = []
  if (about.parent !== undefined) {
    for (const key of about.parent.keys) {
      const column = about.parent.columns.find((c) => c.name === key) as Column
      const link = { parentKey: column.path[0] ?? '' }
      columns.push({ path: [], name: names.claim(`_sdc_source_key_${link.parentKey}`), type: column.type, link })
    }
    columns.push({ path: [], name: names.claim('_sdc_level_0_id'), type: 'integer', link: { index: true } })
  }
  for (const w of wanted.columns) columns.push({ path: w.path, name: names.claim(w.path.join('__')), type: w.type })
  for (const m of options.metadata) addMetadata(m, columns, names)
  // No table is without a column: where the schema names none, the first is the order of the rows.
  if (columns.length === 0) addMetadata('_sdc_sequence', columns, names)
  const table: Table = {
    name: about.name,
    substream: about.substream,
    path: wanted.path,
    columns,
    keys: about.keys.map((k) => (columns.find((c) => samePath(c.path, [k])) as Column).name),
  }
  return { table, changes: [{ kind: 'create', table }] }
}

/** The column that Millrace fills with this. */
export const metadataColumn = (table: Table, metadata: MetadataName): Column | undefined =>
  table.columns.find((c) => c.metadata === metadata)

/**
 * A name that stands already is the record's own: a log-based streamer sends `_sdc_deleted_at` as a field. But a field
 * is never the version of its row, by which rows are removed: that gets a column of its own.
 */
const addMetadata = (metadata: MetadataName, columns: Column[], names: Names): Column | undefined => {
  const stands = (c: Column): boolean =>
    c.metadata === metadata || (metadata !== '_sdc_table_version' && fold(c.name) === metadata)
  if (columns.some(stands)) return undefined
  const column: Column = { path: [], name: names.claim(metadata), type: metadataTypes[metadata], metadata }
  columns.push(column)
  return column
}

/** The same table with what is wanted added and widened. */
export const evolve = (table: Table, wanted: readonly WantedColumn[], options: EvolveOptions): Evolution => {
  const { dialect } = options
  const columns = [...table.columns]
  const names = new Names(
    dialect,
    dialect.reservesColumn,
    columns.map((c) => c.name),
  )
  const added: Column[] = []
  const retyped: { column: Column; from: ColumnType }[] = []
  let isAdopted = false
  for (const w of wanted) {
    const own = columns.findIndex(
      (c) => c.metadata !== undefined && c.metadata !== '_sdc_table_version' && samePath([c.metadata], w.path),
    )
    if (own >= 0) {
      // What was ours to fill the streamer fills from now on, in the same column.
      const { name, type } = columns[own] as Column
      columns[own] = { path: w.path, name, type }
      isAdopted = true
    }
    const i = columns.findIndex((c) => c.metadata === undefined && c.link === undefined && samePath(c.path, w.path))
    const old = columns[i]
    if (old === undefined) {
      const column: Column = { path: w.path, name: names.claim(w.path.join('__')), type: w.type }
      columns.push(column)
      added.push(column)
      continue
    }
    const type = widen(old.type, w.type, old.beyondDouble)
    if (type === old.type) continue
    const column: Column = { ...old, type }
    columns[i] = column
    retyped.push({ column, from: old.type })
  }
  for (const m of options.metadata) {
    const column = addMetadata(m, columns, names)
    if (column !== undefined) added.push(column)
  }
  const next: Table = { ...table, columns }
  const changes: TableChange[] = [
    ...added.map((column): TableChange => ({ kind: 'add-column', table: next, column })),
    ...retyped.map(({ column, from }): TableChange => ({ kind: 'retype', table: next, column, from })),
  ]
  return { table: changes.length === 0 && !isAdopted ? table : next, changes }
}

/** Whether the rows of a table replace each other by these keys, in any order. `keys` are property names. */
export const hasKeys = (table: Table, keys: readonly string[]): boolean =>
  keys.length === table.keys.length &&
  keys.every((k) => table.columns.some((c) => samePath(c.path, [k]) && table.keys.includes(c.name)))

/** The same table with other keys. `keys` are property names. */
export const rekey = (evolution: Evolution, keys: readonly string[]): Evolution => {
  const { table } = evolution
  if (hasKeys(table, keys)) return evolution
  const names = keys.map((k) => (table.columns.find((c) => samePath(c.path, [k])) as Column).name)
  const next: Table = { ...table, keys: names }
  const earlier = evolution.changes.map((c): TableChange => ({ ...c, table: { ...c.table, keys: table.keys } }))
  return { table: next, changes: [...earlier, { kind: 'rekey', table: next, from: table.keys }] }
}
