/** What a run by the log of changes would be refused for, found beforehand and without making anything. */
import { MillraceError } from '@millrace/sdk'
import { nameOf } from '../../../postgres/settings.ts'
import { openSource } from '../read.ts'
import type { SourceTable } from '../tables.ts'
import { ReplicationConnection } from './connection.ts'
import { failureOfLog } from './failures.ts'
import { identify, type LogOptions } from './follow.ts'
import { refuseUnfollowable } from './followable.ts'
import { checkPublication } from './publication.ts'
import { lookAtSlot } from './slot.ts'

/** Throws SOURCE_REFUSED and SOURCE_UNAVAILABLE with what has to be done. */
export const checkLog = async (
  options: LogOptions,
  tables: readonly SourceTable[],
  signal: AbortSignal,
): Promise<void> => {
  const { target } = options
  refuseUnfollowable(tables, target)
  const connection = await ReplicationConnection.open(target, signal)
  try {
    const server = await identify(connection, options)
    const client = await openSource(target)
    try {
      await checkPublication(client, { target, name: server.publication, tables, version: server.version })
      const slot = await lookAtSlot(client, {
        target,
        name: server.slot,
        database: server.database,
        isNeeded: false,
        signal,
      })
      const { rows } = await client.query<{ readonly free: number }>(
        "SELECT current_setting('max_replication_slots')::int - count(*)::int AS free FROM pg_replication_slots",
      )
      if (slot === undefined && (rows[0]?.free ?? 0) < 1)
        throw new MillraceError('SOURCE_REFUSED', {
          what: nameOf(target),
          why: 'all replication slots are in use',
          fix: 'Drop one that nobody reads, or raise max_replication_slots and restart the server.',
        })
    } catch (e) {
      throw failureOfLog(e, target)
    } finally {
      await client.end().catch(() => {})
    }
  } finally {
    await connection.close()
  }
}
