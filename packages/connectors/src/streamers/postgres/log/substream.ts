/** A table as a substream that is read by the log of changes. */
import type { JsonObject } from '@millrace/sdk'
import type { SourceTable } from '../tables.ts'
import { schemaOf } from '../types.ts'
import { keysOf } from './followable.ts'
import { schemaOfLog } from './table-changes.ts'

/**
 * The schema of a table that is followed. Only keys are never null: a deleted row is told by its keys alone, and what was not null
 * yesterday may be in the log as null from the day before.
 */
export const schemaOfTable = (table: SourceTable, options: { readonly places: boolean }): JsonObject => {
  const keys = keysOf(table)
  return schemaOfLog(
    Object.fromEntries(table.columns.map((c) => [c.name, schemaOf({ ...c, isNullable: !keys.includes(c.name) })])),
    options,
  )
}
