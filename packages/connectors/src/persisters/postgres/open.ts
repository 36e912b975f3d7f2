import { MillraceError } from '@millrace/sdk'
import { from } from 'pg-copy-streams'
import { connectPostgres } from '../../postgres/connect.ts'
import { nameOf, type PostgresSettings, targetOf } from '../../postgres/settings.ts'
import { PostgresDatabase } from './database.ts'
import { MAX_NAME_BYTES } from './dialect.ts'
import { Link } from './link.ts'

/** Connects; to write, the schema and the catalog are made where they are not there. Throws DESTINATION_* and CONFIG_INVALID. */
export const openPostgres = async (
  settings: PostgresSettings & { readonly schema: string },
  how: 'write' | 'read',
): Promise<PostgresDatabase> => {
  const bytes = Buffer.byteLength(settings.schema)
  if (bytes === 0 || bytes > MAX_NAME_BYTES || settings.schema.includes('\0'))
    throw new MillraceError('CONFIG_INVALID', {
      what: 'persister postgres',
      problems: [`schema must be a name of 1 to ${MAX_NAME_BYTES} bytes`],
    })
  const target = targetOf(settings)
  const client = await connectPostgres(target, 'DESTINATION')
  const db = new PostgresDatabase(new Link({ client, from, schema: settings.schema, what: nameOf(target) }))
  try {
    if (how === 'write') await db.prepare()
    return db
  } catch (e) {
    await db[Symbol.asyncDispose]()
    throw e
  }
}
