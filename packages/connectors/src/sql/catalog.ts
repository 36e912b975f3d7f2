/**
 * What a destination remembers of the tables that Millrace made in it: which field each column holds and what its type
 * means. One row a table, in the table `_millrace_catalog`; written in the same transaction as the change it describes.
 */
import { MillraceError } from '@millrace/sdk/errors'
import { isObject } from '@millrace/sdk/json'
import type { Table } from './types.ts'

/** The catalog's own name; its columns are `table_name` and `entry`. */
export const catalogTable = '_millrace_catalog'

/** Reads the entries. Throws DESTINATION_REFUSED where one cannot be understood: a newer Millrace may have written it. */
export const readEntries = (entries: readonly string[]): readonly Table[] => entries.map(readEntry)

const readEntry = (text: string): Table => {
  try {
    const value: unknown = JSON.parse(text)
    if (
      isObject(value) &&
      typeof value['name'] === 'string' &&
      Array.isArray(value['columns']) &&
      Array.isArray(value['keys'])
    )
      return value as unknown as Table
  } catch {
    // Told below.
  }
  throw new MillraceError('DESTINATION_REFUSED', {
    what: `table ${catalogTable}`,
    why: 'an entry of it cannot be read',
    fix: 'Use the Millrace that wrote it, or drop that table together with the tables it names and load them anew.',
  })
}
