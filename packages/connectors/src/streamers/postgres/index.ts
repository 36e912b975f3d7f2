import {
  type ConfigOf,
  defineStreamer,
  json,
  list,
  MillraceError,
  nearest,
  type Streamer,
  type StreamerContext,
  type Substream,
} from '@millrace/sdk'
import { postgresSettings, targetOf } from '../../postgres/settings.ts'
import { failureOf, openSource, readTable } from './read.ts'
import { isMeant, readTables, type SourceTable } from './tables.ts'
import { schemaOf } from './types.ts'

const config = {
  ...postgresSettings,
  schemas: list({
    doc: 'Schemas to read, with * and ?; left out: all that are not the system’s',
    default: [],
    aliases: ['filter_schemas'],
  }),
  tables: list({
    doc: 'Tables and views to read, alone or with their schema, with * and ?; left out: all',
    default: [],
    example: 'orders,sales.*',
  }),
  replicationKeys: json({
    doc: 'For each substream the column that rises with every change, by which only new rows are read; * for all that have it. Without one a table is read as a whole',
    default: {},
    example: '{"orders":"updated_at"}',
  }),
}
type Settings = ConfigOf<typeof config>

/** Tables and views of a PostgreSQL database. */
export const postgres: Streamer = defineStreamer({
  name: 'postgres',
  doc: 'Reads tables and views of a PostgreSQL database, whole or only what is new by a column.',
  config,
  reference: {
    substreams:
      'One for each table, partitioned table, view and materialised view that the user may read, called as the table; outside of the schema public with its schema before it: `sales-orders`',
    state: {
      doc: 'With a replication key: the greatest value that was read. Rows that have it come again. A whole table keeps none',
      example: { bookmarks: { orders: { bookmark: { column: 'updated_at', value: '2026-01-01T00:00:00+00:00' } } } },
    },
    page: 'postgres-source.md',
  },
  check: async (ctx) => {
    await tablesOf(ctx)
  },
  substreams: async (ctx) => {
    const target = targetOf(ctx.config)
    const tables = await tablesOf(ctx)
    return tables.map((table): Substream<typeof config> => {
      const replicationKey = keyOf(table, ctx.config)
      return {
        name: table.substream,
        schema: {
          type: 'object',
          properties: Object.fromEntries(table.columns.map((c) => [c.name, schemaOf(c)])),
        },
        keyProperties: table.keys,
        ...(replicationKey === undefined
          ? { replicationMethod: 'FULL_TABLE' as const, versioned: true }
          : { replicationMethod: 'INCREMENTAL' as const }),
        records: (c) => readTable({ target, table, replicationKey }, c),
      }
    })
  },
})

const tablesOf = async (ctx: StreamerContext<typeof config>): Promise<readonly SourceTable[]> => {
  const target = targetOf(ctx.config)
  const client = await openSource(target)
  let tables: readonly SourceTable[]
  try {
    tables = await readTables(client, ctx.config)
  } catch (e) {
    throw failureOf(e, target)
  } finally {
    await client.end().catch(() => {})
  }
  checkNames(tables, ctx.config)
  return tables
}

/** The replication key of a table: its own, or the common one where it has such a column. */
const keyOf = ({ substream, columns }: SourceTable, { replicationKeys }: Settings): string | undefined => {
  const own = replicationKeys[substream]
  const common = replicationKeys['*']
  if (own !== undefined) return String(own)
  return columns.some((c) => c.name === common) ? String(common) : undefined
}

const checkNames = (tables: readonly SourceTable[], { replicationKeys, tables: wanted }: Settings): void => {
  const byName = new Map<string, SourceTable>()
  const problems = wanted
    .filter((pattern) => !tables.some((table) => isMeant(pattern, table)))
    .map((pattern) => `tables names ${pattern}: there is no such table, or the user may not read it`)
  for (const table of tables) {
    const other = byName.get(table.substream)
    if (other !== undefined)
      problems.push(
        `tables ${other.schema}.${other.name} and ${table.schema}.${table.name} would both be called ${table.substream}: choose one with tables`,
      )
    byName.set(table.substream, table)
  }
  for (const [substream, column] of Object.entries(replicationKeys)) {
    if (substream === '*') continue
    const table = byName.get(substream)
    const near = (names: readonly string[], name: string): string => {
      const found = nearest(name, names)
      return found.length === 0 ? '' : `; did you mean ${found.join(' or ')}?`
    }
    if (table === undefined)
      problems.push(`replicationKeys names ${substream}, which is no substream${near([...byName.keys()], substream)}`)
    else if (!table.columns.some((c) => c.name === column))
      problems.push(
        `replicationKeys: ${substream} has no column ${String(column)}${near(
          table.columns.map((c) => c.name),
          String(column),
        )}`,
      )
  }
  if (problems.length > 0) throw new MillraceError('CONFIG_INVALID', { what: 'streamer postgres', problems })
}
