import { type ConfigOf, definePersister, type Field, type Persister } from '@millrace/sdk'
import { checkSql, openSql, planSql, type SqlAccess, verifySql } from '../../sql/persister.ts'
import { pathSetting, type SqlSettingFields, sqlSettings } from '../../sql/settings.ts'
import { sqliteDialect } from './dialect.ts'
import { SqliteDatabase } from './database.ts'

type Config = SqlSettingFields & { readonly path: Field<string> }

const config: Config = {
  path: pathSetting('The SQLite file; it is made where it is not there', 'orders.db'),
  ...sqlSettings,
}

type Settings = ConfigOf<Config>

const access: SqlAccess<Settings> = {
  dialect: sqliteDialect,
  path: (settings) => settings.path,
  open: (settings, how) => SqliteDatabase.open(settings.path, how),
}

/** Tables in an SQLite file. */
export const sqlite: Persister = definePersister({
  name: 'sqlite',
  doc: 'Writes tables into an SQLite file',
  config,
  reference: { page: 'sql-destinations.md' },
  supports: { upsert: true, exactNumbers: true, versions: true, opensRecords: false },
  open: (ctx) => openSql(access, ctx),
  check: (ctx) => checkSql(access, ctx),
  verify: (ctx, evidence) => verifySql(access, ctx, evidence),
  plan: (ctx, schemas) => planSql(access, ctx, schemas),
})
