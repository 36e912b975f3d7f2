/**
 * The seam below the control plane: the statements are written once, in what SQLite and PostgreSQL have in common, and
 * run on either. A place for a value is `?`; the few words that differ stand in braces in the schema (schema.ts).
 */

/** What a statement is given. Booleans are 0 and 1, times milliseconds, offsets bigints. */
export type Param = string | number | bigint | Uint8Array | null

/** A row as the driver gives it: numbers may be bigints or texts of digits. Read it by the functions below. */
export type Row = Readonly<Record<string, unknown>>

export interface Queries {
  all(sql: string, ...params: readonly Param[]): Promise<readonly Row[]>
  get(sql: string, ...params: readonly Param[]): Promise<Row | undefined>
  /** Answers how many rows it changed. */
  run(sql: string, ...params: readonly Param[]): Promise<number>
}

export interface Transaction extends Queries {
  /** Whoever else asks for the same name waits until this transaction ends. Where there is one writer at a time, nothing. */
  lock(name: string): Promise<void>
}

/** A database. Statements of `read` see what is committed; `write` is one transaction, durable when it resolves. */
export interface Sql extends AsyncDisposable {
  readonly read: Queries
  /** Runs `work` as a transaction; what it throws undoes it and is thrown. `work` awaits nothing but its transaction. */
  write<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

export const text = (row: Row, column: string): string => String(row[column])
export const optionalText = (row: Row, column: string): string | undefined =>
  row[column] === null || row[column] === undefined ? undefined : String(row[column])
export const number = (row: Row, column: string): number => Number(row[column])
export const flag = (row: Row, column: string): boolean => Number(row[column]) !== 0
export const big = (row: Row, column: string): bigint => BigInt(row[column] as bigint | string)
export const optionalBig = (row: Row, column: string): bigint | undefined =>
  row[column] === null || row[column] === undefined ? undefined : big(row, column)
export const time = (row: Row, column: string): Date => new Date(number(row, column))
export const optionalTime = (row: Row, column: string): Date | undefined =>
  row[column] === null || row[column] === undefined ? undefined : time(row, column)
/** A copy, so that it is plain bytes whichever driver made it. */
export const bytes = (row: Row, column: string): Uint8Array => Uint8Array.from(row[column] as Uint8Array)
export const bit = (value: boolean): 0 | 1 => (value ? 1 : 0)
