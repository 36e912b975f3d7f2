/**
 * How much memory DuckDB may have. It reads and writes 2,048 rows of a table at a time, and for each column it holds a
 * block or two: so wide tables and long rows need more than others, and get it. What ordinary records need stays small.
 */
const MiB = 1024 * 1024
/** What everybody has. */
export const ordinaryMemory: number = 107 * MiB
/** So many columns are in that. */
const ORDINARY_COLUMNS = 24
const PER_COLUMN = (5 * MiB) / 8
const ROWS_AT_ONCE = 2048
/** What is kept for long texts while rows are moved, as a multiple of the rows that are moved at once. */
const COPIES = 1.5
/** More than this is only taken where a setting says so. */
const MOST = 2048 * MiB

/** A line counts as long from here on: 2,048 shorter ones fit into what everybody has. */
export const longLineBytes: number = 8192

/** Lines that are long. */
export interface LongLines {
  bytes: number
  lines: number
}

/** The limit for a table with so many columns, some of whose lines are long. */
export const memoryFor = (columns: number, long: LongLines): number => {
  const atOnce = long.lines <= ROWS_AT_ONCE ? long.bytes : (long.bytes / long.lines) * ROWS_AT_ONCE
  return Math.min(
    MOST,
    Math.round(ordinaryMemory + Math.max(0, columns - ORDINARY_COLUMNS) * PER_COLUMN + atOnce * COPIES),
  )
}

/** Twice as much, for what turned out to need more; undefined where that is too much. */
export const moreMemory = (bytes: number): number | undefined => (bytes * 2 > MOST ? undefined : bytes * 2)
