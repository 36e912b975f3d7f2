import {
  choice,
  type ConfigOf,
  defineStreamer,
  flag,
  json,
  list,
  type MethodChoice,
  MillraceError,
  type Streamer,
  type StreamerContext,
  type Substream,
  type SubstreamGroup,
  text,
} from '@millrace/sdk'
import { postgresSettings, targetOf } from '../../postgres/settings.ts'
import { byCatalog, bySettings, type ChosenTable, didYouMean, whyNoKey } from './choose.ts'
import { checkLog } from './log/check.ts'
import { followLog, type LogOptions } from './log/follow.ts'
import { keysOf } from './log/followable.ts'
import { schemaOfTable } from './log/substream.ts'
import { DELETED_AT, LSN } from './log/table-changes.ts'
import { failureOf, openSource, readTable } from './read.ts'
import { isMeant, readTables, type SourceTable } from './tables.ts'
import { type Column, nulledIn, schemaOf } from './types.ts'

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
    doc: 'For each substream the column that rises with every change, by which only new rows are read; * for all that have it, where it can order. Without one a table is read as a whole',
    default: {},
    example: '{"orders":"updated_at"}',
  }),
  replicationMethod: choice(['FULL_TABLE', 'LOG_BASED'], {
    doc: 'How tables without a replication key are read where the catalog does not say: whole, or by the log of changes (logical replication)',
    default: 'FULL_TABLE',
    aliases: ['default_replication_method'],
  }),
  slot: text({
    doc: 'The replication slot that keeps the changes until they are read, one for each pipeline; left out: millrace_ and the database',
    optional: true,
    aliases: ['replication_slot_name'],
  }),
  publication: text({ doc: 'The publication that names the tables; left out: called as the slot', optional: true }),
  infinity: choice(['text', 'null'], {
    doc: 'What becomes of infinity and NaN in times, dates and numbers, which JSON has not: their text, which stops the run or is set aside where it is checked, or null. Keys keep their text',
    default: 'text',
  }),
  logPlaces: flag({ doc: 'Add _sdc_lsn to changes: the place of their commit in the log', default: false }),
}
type Settings = ConfigOf<typeof config>
type TableSubstream = Substream<typeof config>

/** Tables and views of a PostgreSQL database. */
export const postgres: Streamer = defineStreamer({
  name: 'postgres',
  doc: 'Reads tables and views of a PostgreSQL database: whole, only what is new by a column, or every change by its log.',
  config,
  reference: {
    substreams:
      'One for each table, partitioned table, view and materialised view that the user may read, called as the table; outside of the schema public with its schema before it: `sales-orders`',
    state: {
      doc: 'With a replication key: the greatest value that was read; rows that have it come again. By the log: the slot, and the place before which all changes of the table are read; `version` rises when it is truncated. A whole table keeps none',
      example: {
        bookmarks: {
          orders: { bookmark: { column: 'updated_at', value: '2026-01-01T00:00:00+00:00' } },
          customers: {
            bookmark: {
              slot: 'millrace_shop',
              system: '7446744073709551615',
              lsn: '0/1949F40',
              version: 1_790_000_000_000,
              table: 16_385,
            },
          },
        },
      },
    },
    page: 'postgres-source.md',
  },
  check: async (ctx) => {
    const tables = await tablesOf(ctx)
    const followed = tables.filter((t) => bySettings(t, ctx.config).method === 'LOG_BASED')
    if (followed.length > 0) await checkLog(logOptions(ctx.config, tables), followed, ctx.signal)
  },
  substreams: async (ctx) => {
    const tables = await tablesOf(ctx)
    const options = logOptions(ctx.config, tables)
    const group: SubstreamGroup<typeof config> = { records: (c) => followLog(options, c) }
    return tables.map((table): TableSubstream => {
      const as = (chosen: ChosenTable): TableSubstream =>
        chosen.method === 'LOG_BASED' ? byLog(chosen.table, options, group) : bySelect(chosen, options)
      const choose = (choice: MethodChoice): TableSubstream => as(byCatalog(table, ctx.config, choice))
      return { ...as(bySettings(table, ctx.config)), choose }
    })
  },
})

const logOptions = (settings: Settings, tables: readonly SourceTable[]): LogOptions => ({
  target: targetOf(settings),
  tables,
  slot: settings.slot,
  publication: settings.publication,
  places: settings.logPlaces,
  nullsInfinity: settings.infinity === 'null',
})

/** The substream of a table that is read by statements: whole, or from its replication key on. */
const bySelect = ({ table, replicationKey }: ChosenTable, options: LogOptions): TableSubstream => {
  const nulled = nulledIn(table, [...table.keys, ...(replicationKey === undefined ? [] : [replicationKey])], options)
  const isNullable = (c: Column): boolean => c.isNullable || nulled.has(c.name)
  return {
    name: table.substream,
    schema: {
      type: 'object',
      properties: Object.fromEntries(table.columns.map((c) => [c.name, schemaOf({ ...c, isNullable: isNullable(c) })])),
    },
    keyProperties: table.keys,
    ...(replicationKey === undefined
      ? { replicationMethod: 'FULL_TABLE' as const, versioned: true }
      : { replicationMethod: 'INCREMENTAL' as const, automatic: [replicationKey] }),
    records: (c) => readTable({ target: options.target, table, replicationKey, nulled }, c),
  }
}

/** The substream of a table that is read by the log of changes, with all others that are. */
const byLog = (table: SourceTable, options: LogOptions, group: SubstreamGroup<typeof config>): TableSubstream => ({
  name: table.substream,
  schema: schemaOfTable(table, options),
  keyProperties: keysOf(table),
  replicationMethod: 'LOG_BASED',
  automatic: [DELETED_AT, LSN],
  group,
  records: () => [],
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

const checkNames = (tables: readonly SourceTable[], settings: Settings): void => {
  const { replicationKeys, tables: wanted } = settings
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
  for (const substream of Object.keys(replicationKeys)) {
    if (substream === '*') continue
    const table = byName.get(substream)
    if (table === undefined)
      problems.push(
        `replicationKeys names ${substream}, which is no substream${didYouMean(substream, [...byName.keys()])}`,
      )
  }
  for (const table of tables) {
    const { replicationKey } = bySettings(table, settings)
    const why = replicationKey === undefined ? undefined : whyNoKey(table, replicationKey)
    if (why !== undefined) problems.push(`replicationKeys: ${table.substream}: ${why}`)
  }
  if (problems.length > 0) throw new MillraceError('CONFIG_INVALID', { what: 'streamer postgres', problems })
}
