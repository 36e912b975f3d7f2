import { type ConfigOf, definePersister, type Field, type Persister, text } from '@millrace/sdk'
import { type PostgresSettingFields, postgresSettings } from '../../postgres/settings.ts'
import { openSql, planSql, type SqlAccess, verifySql } from '../../sql/persister.ts'
import { type SqlSettingFields, sqlSettings } from '../../sql/settings.ts'
import type { PostgresDatabase } from './database.ts'
import { postgresDialect } from './dialect.ts'

type Config = PostgresSettingFields & SqlSettingFields & { readonly schema: Field<string> }

const config: Config = {
  ...postgresSettings,
  ...sqlSettings,
  schema: text({
    doc: 'The schema in which the tables are; it is made where it is not there',
    default: 'public',
    aliases: ['default_target_schema'],
  }),
}

type Settings = ConfigOf<Config>

const open = async (settings: Settings, how: 'write' | 'read'): Promise<PostgresDatabase> =>
  (await import('./open.ts')).openPostgres(settings, how)

const accessTo = (settings: Settings): SqlAccess<Settings> => ({
  dialect: postgresDialect(settings.schema),
  path: () => undefined,
  open,
})

/** Tables in a PostgreSQL database. */
export const postgres: Persister = definePersister({
  name: 'postgres',
  doc: 'Writes tables into a PostgreSQL database, by COPY',
  config,
  reference: { page: 'postgres-destination.md' },
  supports: { upsert: true, exactNumbers: true, versions: true, opensRecords: false },
  open: (ctx) => openSql(accessTo(ctx.config), ctx),
  check: async (ctx) => {
    await using db = await open(ctx.config, 'read')
    await db.checkPrivileges()
  },
  verify: (ctx, evidence) => verifySql(accessTo(ctx.config), ctx, evidence),
  plan: (ctx, schemas) => planSql(accessTo(ctx.config), ctx, schemas),
})
