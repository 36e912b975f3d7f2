/** The publication says of which tables the log is read. It is made and extended here where the user may do so. */
import { MillraceError } from '@millrace/sdk'
import type { Client } from 'pg'
import { connectPostgres } from '../../../postgres/connect.ts'
import { type ConnectionTarget, nameOf } from '../../../postgres/settings.ts'
import type { SourceTable } from '../tables.ts'
import { quoteName } from '../types.ts'
import { failureOfLog } from './failures.ts'

/** The version from which on partitioned tables can be published as one. */
const VIA_ROOT = 130_000

interface Publication {
  readonly exists: boolean
  readonly viaRoot: boolean
  /** What it leaves out of insert, update, delete and truncate. */
  readonly omits: readonly string[]
  readonly missing: readonly SourceTable[]
}

const nameOfTable = (t: SourceTable): string =>
  `${t.log.kind === 'r' ? 'ONLY ' : ''}${quoteName(t.schema)}.${quoteName(t.name)}`

/** The statement that is missing, ready to be run by somebody who may. */
const statement = (name: string, p: Publication, version: number): string => {
  const tables = p.missing.map(nameOfTable).join(', ')
  if (p.exists) return `ALTER PUBLICATION ${quoteName(name)} ADD TABLE ${tables}`
  const options = version >= VIA_ROOT ? ' WITH (publish_via_partition_root = true)' : ''
  return `CREATE PUBLICATION ${quoteName(name)} FOR TABLE ${tables}${options}`
}

const look = async (
  client: Client,
  name: string,
  tables: readonly SourceTable[],
  version: number,
): Promise<Publication> => {
  const viaRoot = version >= VIA_ROOT ? 'pubviaroot' : 'false'
  const { rows } = await client.query<Readonly<Record<string, boolean>>>(
    `SELECT pubinsert, pubupdate, pubdelete, pubtruncate, ${viaRoot} AS via_root FROM pg_publication WHERE pubname = $1`,
    [name],
  )
  const [found] = rows
  if (found === undefined) return { exists: false, viaRoot: false, omits: [], missing: tables }
  const listed = await client.query<{ readonly schemaname: string; readonly tablename: string }>(
    'SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1',
    [name],
  )
  const members = new Set(listed.rows.map((r) => JSON.stringify([r.schemaname, r.tablename])))
  return {
    exists: true,
    viaRoot: found['via_root'] === true,
    omits: ['insert', 'update', 'delete', 'truncate'].filter((kind) => found[`pub${kind}`] !== true),
    missing: tables.filter((t) => !members.has(JSON.stringify([t.schema, t.name]))),
  }
}

const refused = (target: ConnectionTarget, why: string, fix: string, cause?: unknown): MillraceError =>
  new MillraceError('SOURCE_REFUSED', { what: nameOf(target), why, fix }, { cause })

/** What is wrong with the publication that only its owner can mend. */
const refuseUnfit = (
  p: Publication,
  { target, name, tables }: { target: ConnectionTarget; name: string; tables: readonly SourceTable[] },
): void => {
  if (!p.exists) return
  const parted = tables.find((t) => t.log.kind === 'p')
  if (parted !== undefined && !p.viaRoot)
    throw refused(
      target,
      `the publication ${name} tells changes of the partitions of ${parted.schema}.${parted.name}, not of the table`,
      `Run: ALTER PUBLICATION ${quoteName(name)} SET (publish_via_partition_root = true)`,
    )
  if (p.omits.length > 0)
    throw refused(
      target,
      `the publication ${name} leaves out ${p.omits.join(', ')}`,
      `Run: ALTER PUBLICATION ${quoteName(name)} SET (publish = 'insert, update, delete, truncate')`,
    )
}

export interface PublicationOptions {
  readonly target: ConnectionTarget
  readonly name: string
  readonly tables: readonly SourceTable[]
  readonly version: number
}

/**
 * Brings the tables into the publication; answers those that were not in it, of which no change before now can be read. Throws
 * SOURCE_REFUSED with the statement that somebody has to run who may.
 */
export const ensurePublication = async (options: PublicationOptions): Promise<readonly SourceTable[]> => {
  const { target, name, tables, version } = options
  const client = await connectPostgres(target, 'SOURCE')
  try {
    const found = await look(client, name, tables, version)
    refuseUnfit(found, options)
    if (found.missing.length === 0) return []
    const sql = statement(name, found, version)
    try {
      await client.query(`SET default_transaction_read_only = off; ${sql}`)
    } catch (e) {
      if ((e as { readonly code?: string }).code !== '42501') throw e
      throw mustBeRun(options, found, sql, e)
    }
    return found.missing
  } catch (e) {
    throw failureOfLog(e, target)
  } finally {
    await client.end().catch(() => {})
  }
}

/** The same, without making anything: what a run would be refused for. */
export const checkPublication = async (client: Client, options: PublicationOptions): Promise<void> => {
  const { name, tables, version } = options
  const found = await look(client, name, tables, version)
  refuseUnfit(found, options)
  if (found.missing.length === 0) return
  const { rows } = await client.query<{ readonly may: boolean }>(
    `SELECT coalesce((SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = $1), true)
       AND has_database_privilege(current_database(), 'CREATE')
       AND NOT EXISTS (SELECT FROM pg_class WHERE oid = ANY ($2::oid[]) AND NOT pg_has_role(relowner, 'USAGE')) AS may`,
    [name, found.missing.map((t) => t.log.oid)],
  )
  if (rows[0]?.may !== true) throw mustBeRun(options, found, statement(name, found, version), undefined)
}

const mustBeRun = (
  { target, name }: PublicationOptions,
  found: Publication,
  sql: string,
  cause: unknown,
): MillraceError =>
  refused(
    target,
    found.exists
      ? `the publication ${name} lacks ${found.missing.map((t) => `${t.schema}.${t.name}`).join(', ')}, and the user may not add them`
      : `there is no publication ${name}, and the user may not make it`,
    `Let the owner of the tables run: ${sql}`,
    cause,
  )
