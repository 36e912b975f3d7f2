import { from } from 'pg-copy-streams'
import { connectPostgres } from '../../postgres/connect.ts'
import { nameOf, type PostgresSettings, targetOf } from '../../postgres/settings.ts'
import { PostgresDatabase } from './database.ts'

/** Connects; to write, the schema and the catalog are made where they are not there. Throws DESTINATION_* and CONFIG_INVALID. */
export const openPostgres = async (
  settings: PostgresSettings & { readonly schema: string },
  how: 'write' | 'read',
): Promise<PostgresDatabase> => {
  const target = targetOf(settings)
  const client = await connectPostgres(target, 'DESTINATION')
  const db = new PostgresDatabase({ client, from, schema: settings.schema, what: nameOf(target) })
  try {
    if (how === 'write') await db.prepare()
    return db
  } catch (e) {
    await db[Symbol.asyncDispose]()
    throw e
  }
}
