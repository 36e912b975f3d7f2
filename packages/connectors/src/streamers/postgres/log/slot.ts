/** The replication slot: it makes the server keep what was not read yet. */
import { setTimeout as after } from 'node:timers/promises'
import { randomBytes } from 'node:crypto'
import { MillraceError } from '@millrace/sdk'
import type { Client } from 'pg'
import { type ConnectionTarget, nameOf } from '../../../postgres/settings.ts'
import type { ReplicationConnection } from './connection.ts'
import { failureOfLog, lost } from './failures.ts'
import { parseLsn } from './lsn.ts'

/** The longest name of PostgreSQL. */
const MAX_NAME = 63
/** A server may take a moment to see that the run before was killed. */
const FREE_MS = 10_000
const LOOK_MS = 250

/** A slot as it was found. */
export interface Slot {
  /** Up to there the server may have forgotten. */
  readonly confirmed: bigint
}

/** The name of the slot where none is given: slots are of a whole server, their names of small letters, digits and _. */
export const slotNameOf = (database: string): string =>
  `millrace_${database.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')}`.slice(0, MAX_NAME)

interface SlotRow {
  readonly plugin: string | null
  readonly database: string | null
  readonly pid: number | null
  readonly status: string | null
  readonly confirmed: string | null
}

const find = async (client: Client, name: string): Promise<SlotRow | undefined> => {
  // wal_status is of PostgreSQL 13.
  const { rows } = await client.query<SlotRow>(
    `SELECT plugin, database, active_pid AS pid, to_jsonb(s)->>'wal_status' AS status, confirmed_flush_lsn::text AS confirmed
     FROM pg_replication_slots s WHERE slot_name = $1`,
    [name],
  )
  return rows[0]
}

const refused = (target: ConnectionTarget, why: string, fix: string): MillraceError =>
  new MillraceError('SOURCE_REFUSED', { what: nameOf(target), why, fix })

/**
 * Looks whether a slot can be read by us; undefined where there is none, `lost` where it can never be read again. `isNeeded`: the state
 * counts on it. Throws SOURCE_LOG_LOST, SOURCE_REFUSED; where another process reads it and does not end, SOURCE_UNAVAILABLE.
 */
export const lookAtSlot = async (
  client: Client,
  options: {
    readonly target: ConnectionTarget
    readonly name: string
    readonly database: string
    readonly isNeeded: boolean
    readonly signal: AbortSignal
  },
): Promise<Slot | 'lost' | undefined> => {
  const { target, name, database, isNeeded, signal } = options
  for (const end = performance.now() + FREE_MS; ; ) {
    const row = await find(client, name)
    if (row === undefined) {
      if (isNeeded) throw lost(target, `there is no replication slot ${name}: somebody dropped it`)
      return undefined
    }
    if (row.plugin !== 'pgoutput' || row.database !== database)
      throw refused(
        target,
        `the replication slot ${name} is not ours: it is of ${row.plugin ?? 'physical replication'}${row.database === null || row.database === database ? '' : `, database ${row.database}`}`,
        'Name another one with slot; it is made if it is not there.',
      )
    const confirmed = row.confirmed === null ? undefined : parseLsn(row.confirmed)
    if (row.status === 'lost' || confirmed === undefined) {
      if (isNeeded)
        throw lost(
          target,
          `the server gave up the replication slot ${name}, as more was waiting in it than max_slot_wal_keep_size allows`,
          'Raise max_slot_wal_keep_size or run more often. ',
        )
      return 'lost'
    }
    if (row.pid === null) return { confirmed }
    if (performance.now() >= end)
      throw failureOfLog(Object.assign(new Error(`active for PID ${row.pid}`), { code: '55006' }), target, {
        slot: `${name} (process ${row.pid})`,
        publication: '',
      })
    await after(LOOK_MS, undefined, { signal })
  }
}

/** A moment of the database, and the place in the log from which on changes come after it. */
export interface Moment {
  readonly snapshot: string
  readonly lsn: bigint
  /** The temporary slot that gave it; undefined where it is the run's own. */
  readonly temporary: string | undefined
}

/**
 * Makes a slot and exports the snapshot of its first moment, which other sessions can read as long as this connection does nothing
 * else. A temporary one is gone with the connection, however that ends.
 */
export const createSlot = async (
  connection: ReplicationConnection,
  name: string,
  { temporary }: { readonly temporary: boolean },
): Promise<Moment> => {
  const own = temporary ? `${name.slice(0, MAX_NAME - 14)}_${randomBytes(6).toString('hex')}` : name
  const { rows } = await connection.query(
    `CREATE_REPLICATION_SLOT "${own}" ${temporary ? 'TEMPORARY ' : ''}LOGICAL pgoutput EXPORT_SNAPSHOT`,
  )
  const { consistent_point: point, snapshot_name: snapshot } = rows[0] ?? {}
  const lsn = parseLsn(point ?? '')
  if (lsn === undefined || snapshot == null)
    throw new MillraceError('INTERNAL', { why: `the server made the slot ${own} and gave no snapshot` })
  return { snapshot, lsn, temporary: temporary ? own : undefined }
}
