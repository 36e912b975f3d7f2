import { bytes, type ConfigOf, definePersister, type Field, type Persister, text } from '@millrace/sdk'
import { checkSql, openSql, planSql, type SqlAccess, verifySql } from '../../sql/persister.ts'
import { pathSetting, type SqlSettingFields, sqlSettings } from '../../sql/settings.ts'
import { duckdbDialect } from './dialect.ts'

type Config = SqlSettingFields & {
  readonly path: Field<string>
  readonly schema: Field<string>
  readonly memory: Field<number | undefined>
}

const config: Config = {
  path: pathSetting('The DuckDB file; it is made where it is not there', 'warehouse.duckdb'),
  ...sqlSettings,
  schema: text({ doc: 'The schema of the database in which the tables are', default: 'main' }),
  memory: bytes({
    doc: 'Memory that DuckDB may take, 112 MB and more for wide tables and long rows where it is not given',
    optional: true,
    min: 32 * 1024 * 1024,
    example: '1GB',
  }),
}

type Settings = ConfigOf<Config>

const accessTo = (settings: Settings): SqlAccess<Settings> => ({
  dialect: duckdbDialect(settings.schema),
  path: (s) => s.path,
  open: async (s, how) => await (await import('./database.ts')).DuckDatabase.open(s.path, s.schema, how, s.memory),
})

/** Tables in a DuckDB file. */
export const duckdb: Persister = definePersister({
  name: 'duckdb',
  doc: 'Writes tables into a DuckDB file',
  config,
  reference: { page: 'sql-destinations.md' },
  supports: { upsert: true, exactNumbers: true, versions: true, opensRecords: false },
  // A commit of many rows goes straight into the file, in groups of 122,880 rows. Each one ends in a group that is not
  // full, and the checkpoint at the end writes those and their neighbours again: half of all the work at 250,000 rows.
  flushes: { records: 400_000, bytes: 256 * 1024 * 1024, ms: 5_000 },
  open: (ctx) => openSql(accessTo(ctx.config), ctx),
  check: (ctx) => checkSql(accessTo(ctx.config), ctx),
  verify: (ctx, evidence) => verifySql(accessTo(ctx.config), ctx, evidence),
  plan: (ctx, schemas) => planSql(accessTo(ctx.config), ctx, schemas),
})
