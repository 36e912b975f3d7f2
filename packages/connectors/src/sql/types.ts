/**
 * The vocabulary of SQL destinations. What they share is here: which columns a schema asks for, how a table follows a
 * schema that changes, how a record becomes a row. What differs is a {@link Dialect} and a {@link SqlDatabase}.
 */
import type { RecordMessage } from '@millrace/sdk'

/**
 * What a column holds, whatever the database calls it. `decimal` is any number, kept as its digits; `decimal(2)` has at
 * most so many digits behind the point, and 38 in all; `integer` is 64 bit, `bigint` has up to 38 digits.
 */
export type ColumnType =
  | 'boolean'
  | 'integer'
  | 'bigint'
  | 'decimal'
  | `decimal(${number})`
  | 'float'
  | 'text'
  | 'timestamp'
  | 'date'
  | 'time'
  | 'json'

/** What Millrace itself writes into a row. */
export type MetadataName =
  | '_sdc_extracted_at'
  | '_sdc_received_at'
  | '_sdc_batched_at'
  | '_sdc_sequence'
  | '_sdc_table_version'
  | '_sdc_deleted_at'

export interface Column {
  /** Where its value stands in the record; empty for a column that is not from the record. */
  readonly path: readonly string[]
  readonly name: string
  readonly type: ColumnType
  /** Set where the value is not a field of the record. */
  readonly metadata?: MetadataName
  /** Set in a child table: a key property of the parent's record, or the element's place in the array, from 0. */
  readonly link?: { readonly parentKey: string } | { readonly index: true }
  /** Set on an integer column that holds values which a double would round. */
  readonly beyondDouble?: boolean
}

/** A table as it is to be. Kept in the destination (catalog.ts), so that names once given stay. */
export interface Table {
  readonly name: string
  readonly substream: string
  /** Where the array stands whose elements are the rows; empty for the table of the substream itself. */
  readonly path: readonly string[]
  readonly columns: readonly Column[]
  /** Names of the columns by which rows replace each other; empty: rows are appended. */
  readonly keys: readonly string[]
}

/** One step from a table as it is to a table as it is to be. */
export type TableChange =
  | { readonly kind: 'create'; readonly table: Table }
  | { readonly kind: 'add-column'; readonly table: Table; readonly column: Column }
  | { readonly kind: 'retype'; readonly table: Table; readonly column: Column; readonly from: ColumnType }
  | { readonly kind: 'rekey'; readonly table: Table; readonly from: readonly string[] }

/** The version whose rows stay, and the column in which rows have theirs. */
export interface ActiveVersion {
  readonly column: string
  readonly active: number | bigint
}

/** What a database can do and how it writes SQL. Pure: no connection. */
export interface Dialect {
  readonly name: string
  /** Bytes a name may have. */
  readonly maxNameBytes: number
  /** Whether a table's name is taken by the database itself. */
  readonly reservesTable: (name: string) => boolean
  /** Whether a column may have this name. */
  readonly reservesColumn: (name: string) => boolean
  /** Whether it has numbers of exact digits behind the point: else `decimal(n)` is asked for as `float`. */
  readonly exactDecimals: boolean
  /** Whether `decimal` is a number there, not text: else `number` of any digits begins as `float`. */
  readonly anyDecimals: boolean
  /** Whether dates and times have types of their own (else any text is kept as it is). */
  readonly temporalTypes: boolean
  /** Whether JSON inside a record's bytes is kept character by character when they are loaded raw. */
  readonly loadsJsonVerbatim: boolean
  /** Whether JSON text may hold the escape of half a surrogate pair. */
  readonly loneSurrogatesInJson: boolean
  /** Whether text, and strings in JSON, may hold the character NUL. */
  readonly nulCharacters: boolean
  /** Bytes that the keys of a row may have together; undefined where there is no limit that a line would not hit first. */
  readonly maxKeyBytes?: number
  /** Digits that a number of any length may have before and behind its point; undefined: any. */
  readonly maxDigits?: { readonly whole: number; readonly fraction: number }
  readonly quote: (name: string) => string
  readonly typeName: (type: ColumnType) => string
  /** The statements of a change, as a user may read them in a plan. */
  readonly statements: (change: TableChange) => readonly string[]
}

/**
 * One value of a row as text: the digits of a number, `true`, a JSON string literal for `text` and times, JSON text for
 * `json`; null for no value.
 */
export type Cell = string | null

/**
 * Gathers the rows of one `write` in a database's own form. A row comes as the record's bytes, where everything in
 * them is plain enough to be loaded as it stands, or as cells.
 */
export interface RowEncoder {
  /**
   * Finds the values of a record by itself and takes it, where it can; false: nothing happened. Only asked where each column is a field of
   * the record or of metadata; the row must be the one that `cells` or `raw` would have given.
   */
  plain?(record: RecordMessage, metadata: readonly Cell[]): boolean
  /**
   * `spans` holds for each column of the layout where its value's JSON text begins and ends in the record's buffer
   * (-1: no value); `metadata` the cells of the metadata columns, in their order.
   */
  raw(record: RecordMessage, spans: Int32Array, metadata: readonly Cell[]): void
  /** All cells in the order of the table's columns. */
  cells(cells: readonly Cell[]): void
  readonly rows: number
}

/**
 * An open database. Everything between two `commit`s is one transaction. The session calls one method
 * at a time; `load` may go on in the background once it has resolved, and what fails there is thrown by a later call.
 */
export interface SqlDatabase extends AsyncDisposable {
  readonly dialect: Dialect
  /** The rows of the catalog table; none where there is no such table yet. */
  readCatalog(): Promise<readonly string[]>
  /**
   * For a database with more than one writer: called before anything else is asked or done for a substream in a
   * transaction. Takes its lock, and answers its catalog entries where another writer changed them since they were read.
   */
  enter?(substream: string): Promise<readonly string[] | undefined>
  /** Names of the columns that a table really has; undefined where there is no such table. */
  columnsOf(table: string): Promise<readonly string[] | undefined>
  /** Makes changes, in their order; rows loaded before are converted. Throws SCHEMA_CHANGE_REFUSED for keys that do not hold. */
  change(changes: readonly TableChange[]): Promise<void>
  /** An empty encoder for rows of this table, as it is now. */
  encoder(table: Table): RowEncoder
  /** Takes the rows of an encoder into the open transaction, replacing rows with the same keys; the last one wins. */
  load(table: Table, rows: RowEncoder): Promise<void>
  /** Removes the rows whose key columns `columns` have the values of any row in `rows` (cells of those columns only). */
  removeGroups(table: Table, columns: readonly Column[], rows: readonly (readonly Cell[])[]): Promise<void>
  /** Removes the rows of other versions with the rows of `children` that belong to them; or marks them with a time. */
  retire(table: Table, children: readonly Table[], version: ActiveVersion, deletedAt: string | undefined): Promise<void>
  /** Removes the rows that the source marked as deleted (`_sdc_deleted_at`), and what belongs to them. */
  purge(table: Table, children: readonly Table[]): Promise<void>
  /** Makes everything since the last commit durable, with these catalog entries (table name and JSON text). */
  commit(catalog: readonly { readonly table: string; readonly entry: string }[]): Promise<void>
  /** Rows of a table, and a digest over all its values that does not depend on their order; undefined where it would cost too much. */
  measure(table: Table): Promise<{ readonly rows: number; readonly fingerprint: string | undefined }>
}
