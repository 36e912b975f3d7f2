/** How a table is read: by the settings, and by what the metadata of a catalog says otherwise. */
import { type MethodChoice, MillraceError, nearest, type ReplicationMethod } from '@millrace/sdk'
import { isInLog } from './log/followable.ts'
import type { SourceTable } from './tables.ts'
import { whyNoOrder } from './types.ts'

/** What the settings say of all tables. */
export interface MethodSettings {
  readonly replicationKeys: Readonly<Record<string, unknown>>
  readonly replicationMethod: 'FULL_TABLE' | 'LOG_BASED'
}

/** A table with the way to read it. */
export interface ChosenTable {
  /** Of a view, with the keys that the catalog names. */
  readonly table: SourceTable
  readonly method: ReplicationMethod
  /** The column by which only new rows are read; undefined where that is not the method. */
  readonly replicationKey: string | undefined
}

/** The replication key of a table by the settings: its own, or the common one where it has such a column, which can order. */
const keyOf = ({ substream, columns }: SourceTable, { replicationKeys }: MethodSettings): string | undefined => {
  const own = replicationKeys[substream]
  const common = replicationKeys['*']
  if (own !== undefined) return String(own)
  return columns.some((c) => c.name === common && whyNoOrder(c) === undefined) ? String(common) : undefined
}

/** A table as the settings want it. What is in no log is read whole, whatever they say of the others. */
export const bySettings = (table: SourceTable, settings: MethodSettings): ChosenTable => {
  const replicationKey = keyOf(table, settings)
  if (replicationKey !== undefined) return { table, method: 'INCREMENTAL', replicationKey }
  const isFollowed = settings.replicationMethod === 'LOG_BASED' && isInLog(table)
  return { table, method: isFollowed ? 'LOG_BASED' : 'FULL_TABLE', replicationKey: undefined }
}

/**
 * A table as the catalog wants it; what that leaves open is as the settings say. A replication key alone makes it incremental.
 * Throws CATALOG_INVALID for columns that are not there or cannot order, and for keys of what has its own.
 */
export const byCatalog = (table: SourceTable, settings: MethodSettings, choice: MethodChoice): ChosenTable => {
  const keyed = withKeys(table, choice.viewKeys)
  const usual = bySettings(keyed, settings)
  const method = choice.method ?? (choice.replicationKey === undefined ? usual.method : 'INCREMENTAL')
  // A key that is not read by now may stand there for another day.
  if (method !== 'INCREMENTAL') return { table: keyed, method, replicationKey: undefined }
  const replicationKey = choice.replicationKey ?? usual.replicationKey
  if (replicationKey === undefined)
    throw refused(
      `the replication-method of ${table.substream} is INCREMENTAL, and no replication-key says by which column`,
      'Add "replication-key" beside it, or name the column in replicationKeys.',
    )
  const why = whyNoKey(table, replicationKey)
  if (why !== undefined)
    throw refused(
      `the replication-key of ${table.substream}: ${why}`,
      'Name a column that rises with every change in "replication-key".',
    )
  return { table: keyed, method, replicationKey }
}

const refused = (why: string, fix: string): MillraceError => new MillraceError('CATALOG_INVALID', { why, fix })

/** Why a table cannot be read by this column; undefined: it can. */
export const whyNoKey = (table: SourceTable, name: string): string | undefined => {
  const column = table.columns.find((c) => c.name === name)
  if (column === undefined) return noColumn(table, name)
  const why = whyNoOrder(column)
  return why === undefined ? undefined : `the column ${name} ${why}`
}

const noColumn = ({ columns }: SourceTable, name: string): string =>
  `there is no column ${name}${didYouMean(
    name,
    columns.map((c) => c.name),
  )}`

/** `; did you mean …?`, or nothing. */
export const didYouMean = (name: string, names: readonly string[]): string => {
  const found = nearest(name, names)
  return found.length === 0 ? '' : `; did you mean ${found.join(' or ')}?`
}

/** The table with keys that only the catalog knows. A table of its own has those of its primary key, or none that anybody vouches for. */
const withKeys = (table: SourceTable, keys: readonly string[] | undefined): SourceTable => {
  if (keys === undefined || keys.length === 0) return table
  const { substream, columns } = table
  if (table.log.kind === 'r' || table.log.kind === 'p')
    throw refused(
      `${substream} has view-key-properties and is no view: its keys are those of its primary key`,
      'Take them out of the catalog, or give the table a primary key.',
    )
  const missing = keys.filter((k) => !columns.some((c) => c.name === k))
  if (missing.length > 0)
    throw refused(
      `the view-key-properties of ${substream}: ${missing.map((k) => noColumn(table, k)).join('; ')}`,
      'Name columns that together are different in every row.',
    )
  return { ...table, keys }
}
