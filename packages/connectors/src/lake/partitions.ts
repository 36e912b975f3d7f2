/** Partitioned paths: folders named `field=value`, by the value of a field or by the day, month or year of a time. */
import { MillraceError } from '@millrace/sdk'
import { quote } from '../persisters/duckdb/dialect.ts'
import type { Table } from '../sql/types.ts'

/** One level of folders. */
export interface Partition {
  readonly field: string
  readonly by: 'value' | 'date' | 'month' | 'year'
}

/** Reads `country` and `date(updated_at)`. Throws CONFIG_INVALID. */
export const partitionsOf = (words: readonly string[]): readonly Partition[] =>
  words.map((word) => {
    const m = /^(?:(date|month|year)\((.+)\)|([^()]+))$/.exec(word.trim())
    if (m === null)
      throw new MillraceError('CONFIG_INVALID', {
        problems: [`partition-by "${word}" is neither FIELD nor date(FIELD), month(FIELD), year(FIELD)`],
      })
    return { field: (m[2] ?? m[3] ?? '').trim(), by: (m[1] as Partition['by'] | undefined) ?? 'value' }
  })

/** A column by which the rows of a table are put into folders. */
export interface PartitionColumn {
  readonly name: string
  /** What it is made of; undefined where it is a column of the table. */
  readonly sql: string | undefined
}

const formats = { date: '%Y-%m-%d', month: '%Y-%m', year: '%Y' } as const

/** The columns of a table that its partitions ask for: those whose fields it has. */
export const partitionColumns = (table: Table, partitions: readonly Partition[]): readonly PartitionColumn[] => {
  const taken = new Set(table.columns.map((c) => c.name.toLowerCase()))
  return partitions.flatMap(({ field, by }): readonly PartitionColumn[] => {
    const column = table.columns.find((c) => c.path.length === 1 && c.path[0] === field)
    if (column === undefined) return []
    if (by === 'value') return [{ name: column.name, sql: undefined }]
    let name = `${column.name}_${by}`
    while (taken.has(name.toLowerCase())) name += '_'
    taken.add(name.toLowerCase())
    const value = quote(column.name)
    const time = column.type === 'timestamp' || column.type === 'date' ? value : `TRY_CAST(${value} AS TIMESTAMPTZ)`
    return [{ name, sql: `strftime(${time}, '${formats[by]}')` }]
  })
}

/** The folders below that of a substream, for a plan. */
export const foldersLike = (words: readonly string[]): string =>
  partitionsOf(words)
    .map(({ field, by }) => `${by === 'value' ? field : `${field}_${by}`}=<value>/`)
    .join('')
