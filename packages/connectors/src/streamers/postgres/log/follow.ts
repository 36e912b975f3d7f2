/**
 * Tables read by the log of changes.
 *
 * What is promised. A table that has no place yet is read as it was at one moment (a snapshot), with the place in the log that belongs
 * to that moment; its changes are applied from there on. A state comes between transactions only. The server is told that it may
 * forget what is before the lowest place of the state that this run began with, and nothing else: whatever is killed, it has what comes
 * after the stored state. Where a snapshot is cut short, its table has no place and is read again; the slot stays as it is.
 */
import {
  type Bookmarks,
  bookmarks,
  type EncodedRecords,
  type GroupContext,
  type GroupMember,
  type Json,
  MillraceError,
  type PartOf,
  partOf,
  versionOf,
} from '@millrace/sdk'
import type { Client } from 'pg'
import { type ConnectionTarget, nameOf } from '../../../postgres/settings.ts'
import { openSource, readTable } from '../read.ts'
import type { SourceTable } from '../tables.ts'
import { nulledIn } from '../types.ts'
import { bookmarkOf, type Place, placeOf } from './bookmark.ts'
import { ReplicationConnection } from './connection.ts'
import { failureOfLog, lost } from './failures.ts'
import { Fetcher } from './fetch.ts'
import { keysOf, refuseUnfollowable } from './followable.ts'
import { formatLsn, parseLsn } from './lsn.ts'
import { ensurePublication } from './publication.ts'
import { createSlot, lookAtSlot, type Moment, type Slot, slotNameOf } from './slot.ts'
import { streamChanges } from './stream.ts'
import { schemaOfTable } from './substream.ts'
import { TableChanges } from './table-changes.ts'

export interface LogOptions {
  readonly target: ConnectionTarget
  /** All tables that there are. */
  readonly tables: readonly SourceTable[]
  /** Undefined: made from the name of the database. */
  readonly slot: string | undefined
  /** Undefined: called as the slot. */
  readonly publication: string | undefined
  /** Whether changes tell their place. */
  readonly places: boolean
  /** Whether infinity and NaN become null. */
  readonly nullsInfinity: boolean
}

/** A table that is followed. */
interface Followed {
  readonly table: SourceTable
  readonly member: GroupMember
  place: Place | undefined
}

/** What is known of the server, and how things are called there. */
export interface LogServer {
  readonly system: string
  readonly version: number
  readonly database: string
  readonly slot: string
  readonly publication: string
}

/** The earliest version with all that is needed. */
const MIN_VERSION = 120_000

/** Asks who the server is. Throws SOURCE_REFUSED where it has no log of changes. */
export const identify = async (connection: ReplicationConnection, options: LogOptions): Promise<LogServer> => {
  const { target } = options
  const refuse = (why: string, fix: string): MillraceError =>
    new MillraceError('SOURCE_REFUSED', { what: nameOf(target), why, fix })
  const shown = async (name: string): Promise<string> => (await connection.query(`SHOW ${name}`)).rows[0]?.[name] ?? ''
  const version = Number(await shown('server_version_num'))
  refuseVersion(version, target)
  const { standby } = (await connection.query('SELECT pg_is_in_recovery()::text AS standby')).rows[0] ?? {}
  if (standby === 'true')
    throw refuse(
      'it is a standby, where the log of changes cannot be read',
      'Connect to the primary server; or read by replication keys or as a whole, which a standby allows.',
    )
  const level = await shown('wal_level')
  if (level !== 'logical')
    throw refuse(
      `its log has no changes of rows (wal_level is ${level})`,
      'Set wal_level = logical and restart the server (ALTER SYSTEM SET wal_level = logical; on Amazon RDS: rds.logical_replication = 1).',
    )
  const { systemid, dbname } = (await connection.query('IDENTIFY_SYSTEM')).rows[0] ?? {}
  const database = dbname ?? ''
  const slot = options.slot ?? slotNameOf(database)
  return { system: systemid ?? '', version, database, slot, publication: options.publication ?? slot }
}

/** Throws SOURCE_REFUSED for a server that is too old. */
export const refuseVersion = (version: number, target: ConnectionTarget): void => {
  if (version >= MIN_VERSION) return
  throw new MillraceError('SOURCE_REFUSED', {
    what: nameOf(target),
    why: `it is PostgreSQL ${Math.floor(version / 10_000)}; its log of changes can be read from 12 on`,
    fix: 'Read it by replication keys or as a whole.',
  })
}

/** Reads the members: those without a place as they are now, then what changed, until the end of the log as it is after that. */
export async function* followLog(
  options: LogOptions,
  ctx: GroupContext,
): AsyncGenerator<PartOf | Bookmarks, void, undefined> {
  const byName = new Map(options.tables.map((t) => [t.substream, t]))
  const followed = ctx.members.map(
    (member): Followed => ({ member, table: byName.get(member.name) as SourceTable, place: placeOf(member.bookmark) }),
  )
  refuseUnfollowable(
    followed.map((f) => f.table),
    options.target,
  )
  const connection = await ReplicationConnection.open(options.target, ctx.signal)
  try {
    const client = await openSource(options.target)
    try {
      yield* new Following(options, ctx, connection, client).run(followed)
    } finally {
      await client.end().catch(() => {})
    }
  } catch (e) {
    if (!ctx.signal.aborted) throw e
  } finally {
    await connection.close()
  }
}

class Following {
  readonly #options: LogOptions
  readonly #ctx: GroupContext
  readonly #connection: ReplicationConnection
  readonly #client: Client

  constructor(options: LogOptions, ctx: GroupContext, connection: ReplicationConnection, client: Client) {
    this.#options = options
    this.#ctx = ctx
    this.#connection = connection
    this.#client = client
  }

  async *run(followed: readonly Followed[]): AsyncGenerator<PartOf | Bookmarks, void, undefined> {
    const server = await identify(this.#connection, this.#options)
    await this.#matchPlaces(followed, server)
    const slot = await this.#slot(followed, server)
    const places = followed.flatMap((f) => f.place ?? [])
    if (slot !== undefined) this.#refuseForgotten(followed, slot, server)
    // What the server may forget: what every table of the stored state has. New tables need nothing of it.
    const stored = places.length === 0 ? undefined : least(places.map((p) => p.lsn))
    const unread = followed.filter((f) => f.place === undefined)
    if (slot !== undefined && places.length === 0)
      this.#ctx.log.warn(
        'the replication slot was there before: if another pipeline reads from it, set slot, so that each has its own',
        { slot: server.slot },
      )
    let confirmed = stored ?? slot?.confirmed
    if (unread.length > 0 || slot === undefined) {
      const moment = await this.#moment(slot === undefined, server)
      confirmed ??= moment.lsn
      for (const one of unread) {
        yield* this.#snapshot(one, moment, server)
        if (this.#ctx.signal.aborted) return
      }
      if (moment.temporary !== undefined) await this.#connection.query(`DROP_REPLICATION_SLOT "${moment.temporary}"`)
    }
    yield* this.#stream(followed, confirmed as bigint, server)
  }

  /** Drops places that say nothing of this table any more; throws for those of another server or slot. */
  async #matchPlaces(followed: readonly Followed[], server: LogServer): Promise<void> {
    const { target } = this.#options
    const { log } = this.#ctx
    for (const f of followed) {
      const { place, table } = f
      if (place === undefined) continue
      if (place.system !== server.system) throw lost(target, 'the state is of another server')
      if (place.slot !== server.slot)
        throw lost(target, `the state is of the slot ${place.slot}`, `Set slot to ${place.slot} if it is still there. `)
      if (place.table === table.log.oid) continue
      log.warn('the table was dropped and made anew: it is read as a whole', { substream: table.substream })
      f.place = undefined
    }
    const added = await ensurePublication({
      target,
      name: server.publication,
      tables: followed.map((f) => f.table),
      version: server.version,
    })
    for (const f of followed) {
      if (!added.includes(f.table) || f.place === undefined) continue
      log.warn('the table was not in the publication, so changes of it are missing: it is read as a whole', {
        substream: f.table.substream,
      })
      f.place = undefined
    }
  }

  async #slot(followed: readonly Followed[], server: LogServer): Promise<Slot | undefined> {
    const { target } = this.#options
    try {
      const found = await lookAtSlot(this.#client, {
        target,
        name: server.slot,
        database: server.database,
        isNeeded: followed.some((f) => f.place !== undefined),
        signal: this.#ctx.signal,
      })
      if (found !== 'lost') return found
      // Nobody counts on it.
      await this.#connection.query(`DROP_REPLICATION_SLOT "${server.slot}"`)
      return undefined
    } catch (e) {
      throw failureOfLog(e, target, server)
    }
  }

  /** A place before what the slot keeps: the server would begin at what it keeps, and say nothing. */
  #refuseForgotten(followed: readonly Followed[], slot: Slot, server: LogServer): void {
    const behind = followed.find((f) => f.place !== undefined && f.place.lsn < slot.confirmed)
    if (behind === undefined) return
    const { lsn } = behind.place as Place
    throw lost(
      this.#options.target,
      `the state of ${behind.table.substream} is at ${formatLsn(lsn)}, and the slot ${server.slot} keeps what is after ${formatLsn(slot.confirmed)}: another run read from it, or the state is an older one`,
      'Give each pipeline a slot of its own (slot). ',
    )
  }

  async #moment(isFirst: boolean, server: LogServer): Promise<Moment> {
    const { log } = this.#ctx
    const timer = setTimeout(() => {
      log.info('waiting for transactions that run since before: the log can be read from their end on', {})
    }, WAIT_TOLD_MS)
    try {
      return await createSlot(this.#connection, server.slot, { temporary: !isFirst })
    } catch (e) {
      throw failureOfLog(e, this.#options.target, server)
    } finally {
      clearTimeout(timer)
    }
  }

  /** The rows of a table at a moment, as a version of their own; then its place. */
  async *#snapshot(
    one: Followed,
    { snapshot, lsn }: Moment,
    server: LogServer,
  ): AsyncGenerator<PartOf | Bookmarks, void, undefined> {
    const { table, member } = one
    const version = Date.now()
    const { target } = this.#options
    yield partOf(table.substream, versionOf(version, { complete: false }))
    const keys = keysOf(table)
    const nulled = nulledIn(table, keys, this.#options)
    const rows = readTable(
      { target, table: { ...table, keys }, replicationKey: undefined, nulled, snapshot },
      { ...this.#ctx, bookmark: undefined, fields: member.fields, together: new Set(), version },
    )
    for await (const part of rows) yield partOf(table.substream, part as EncodedRecords)
    if (this.#ctx.signal.aborted) return
    yield partOf(table.substream, versionOf(version, { complete: true }))
    one.place = { slot: server.slot, system: server.system, lsn, version, table: table.log.oid }
    yield bookmarks(new Map([[table.substream, bookmarkOf(one.place)]]))
  }

  async *#stream(
    followed: readonly Followed[],
    confirmed: bigint,
    server: LogServer,
  ): AsyncGenerator<PartOf | Bookmarks, void, undefined> {
    const until = await this.#endOfLog()
    await using fetcher = new Fetcher(this.#options.target)
    const changes = followed.map(({ table, member, place }) => {
      const known = place as Place
      return new TableChanges({
        table,
        keys: keysOf(table),
        from: known.lsn,
        version: known.version,
        fields: member.fields,
        places: this.#options.places,
        nullsInfinity: this.#options.nullsInfinity,
        schema: schemaOfTable(table, this.#options),
      })
    })
    // Rows carry the version of their table, so that the next one that counts takes none of them away.
    for (const c of changes) yield partOf(c.table.substream, versionOf(c.version, { complete: false }))
    const placesAt = (lsn: bigint): ReadonlyMap<string, Json> =>
      new Map(
        changes.map((c) => [
          c.table.substream,
          bookmarkOf({
            slot: server.slot,
            system: server.system,
            lsn: lsn > c.from ? lsn : c.from,
            version: c.version,
            table: c.table.log.oid,
          }),
        ]),
      )
    const pulled = this.#connection.changes({
      slot: server.slot,
      publication: server.publication,
      from: least(changes.map((c) => c.from)),
      confirmed,
      names: server,
    })
    yield* streamChanges({
      pulled,
      changes,
      until,
      fetcher,
      client: this.#client,
      target: this.#options.target,
      places: this.#options.places,
      signal: this.#ctx.signal,
      bookmarksAt: (lsn) => bookmarks(placesAt(lsn)),
    })
  }

  /** Where the log ends now: what is durable of it, which is all that was acknowledged to anybody. */
  async #endOfLog(): Promise<bigint> {
    try {
      const { rows } = await this.#client.query<{ readonly lsn: string }>(
        'SELECT pg_current_wal_flush_lsn()::text AS lsn',
      )
      return parseLsn(rows[0]?.lsn ?? '') ?? 0n
    } catch (e) {
      throw failureOfLog(e, this.#options.target)
    }
  }
}

/** After this long somebody is told what is waited for. */
const WAIT_TOLD_MS = 3_000

const least = (lsns: readonly bigint[]): bigint => lsns.toSorted((a, b) => (a < b ? -1 : 1))[0] ?? 0n
