import { MillraceError } from '@millrace/sdk/errors'
import { claim, comesBack, settle } from '../../domain/lease.ts'
import { normalised, type OffsetRange, rangesOf } from '../../domain/ranges.ts'
import type { Claim, GroupOf, GroupsPlane, Settle } from '../control-plane.ts'
import type { Act, DeadLetter, Group, GroupSettings, Lease, Page, PageQuery } from '../types.ts'
import { limitOf, note, numberCursor, pageOf } from './page.ts'
import { big, number, optionalText, type Queries, type Row, type Sql, text, time, type Transaction } from './sql.ts'

const sums = (table: string): string =>
  `(select coalesce(sum(x.next - x.first), 0) from ${table} x where x.stream = g.stream and x.grp = g.name)`
const columns = `g.*, ${sums('lease')} as leased, ${sums('returned')} as returned,
  (select count(*) from dead_letter x where x.stream = g.stream and x.grp = g.name) as dead`

const groupIn = (row: Row): Group => ({
  streamId: text(row, 'stream'),
  name: text(row, 'name'),
  settings: { ackTimeoutMs: number(row, 'ack_timeout_ms'), maxTries: number(row, 'max_tries') },
  createdAt: time(row, 'created_at'),
  madeBy: optionalText(row, 'made_by'),
  cursor: big(row, 'cursor_at'),
  leased: big(row, 'leased'),
  returned: big(row, 'returned'),
  deadLetters: big(row, 'dead'),
})

const rangeIn = (row: Row): OffsetRange => ({ first: big(row, 'first'), next: big(row, 'next') })
const leaseIn = (rows: readonly Row[]): Lease => {
  const row = rows[0] as Row
  return {
    id: text(row, 'id'),
    ranges: rows.map(rangeIn),
    consumer: text(row, 'consumer'),
    until: time(row, 'until'),
    attempt: number(row, 'attempt'),
  }
}

const settingsDetails = ({ ackTimeoutMs, maxTries }: GroupSettings) => ({ ackTimeoutMs, maxTries })

export class SqlGroups implements GroupsPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  create(act: Act, { streamId, name }: GroupOf, settings: GroupSettings, cursor: bigint): Promise<Group> {
    return this.#sql.write(async (tx) => {
      const made = await tx.run(
        `insert into consumer_group (stream, name, ack_timeout_ms, max_tries, created_at, cursor_at, made_by)
         values (?, ?, ?, ?, ?, ?, ?)
         on conflict do nothing`,
        streamId,
        name,
        settings.ackTimeoutMs,
        settings.maxTries,
        act.at.getTime(),
        cursor,
        `${act.by.type}:${act.by.id}`,
      )
      if (made === 0) throw new MillraceError('GROUP_EXISTS', { group: name })
      await note(tx, act, { action: 'group.created', streamId, subject: name, details: settingsDetails(settings) })
      return await this.#must(tx, { streamId, name })
    })
  }

  async #find(q: Queries, { streamId, name }: GroupOf): Promise<Group | undefined> {
    const row = await q.get(`select ${columns} from consumer_group g where g.stream = ? and g.name = ?`, streamId, name)
    return row === undefined ? undefined : groupIn(row)
  }

  async #must(q: Queries, of: GroupOf): Promise<Group> {
    const found = await this.#find(q, of)
    if (found === undefined) throw new MillraceError('GROUP_UNKNOWN', { group: of.name })
    return found
  }

  find(of: GroupOf): Promise<Group | undefined> {
    return this.#find(this.#sql.read, of)
  }

  async list(streamId: string, query: PageQuery): Promise<Page<Group>> {
    const limit = limitOf(query)
    const rows = await this.#sql.read.all(
      `select ${columns} from consumer_group g where g.stream = ? and g.name > ? order by g.name limit ?`,
      streamId,
      query.after ?? '',
      limit + 1,
    )
    return pageOf(rows, limit, groupIn, (last) => last.name)
  }

  update(act: Act, of: GroupOf, settings: GroupSettings): Promise<Group> {
    return this.#locked(of, async (tx) => {
      await tx.run(
        'update consumer_group set ack_timeout_ms = ?, max_tries = ? where stream = ? and name = ?',
        settings.ackTimeoutMs,
        settings.maxTries,
        of.streamId,
        of.name,
      )
      await note(tx, act, {
        action: 'group.changed',
        streamId: of.streamId,
        subject: of.name,
        details: settingsDetails(settings),
      })
      return await this.#must(tx, of)
    })
  }

  async remove(act: Act, of: GroupOf): Promise<void> {
    await this.#locked(of, async (tx) => {
      for (const table of ['lease', 'returned', 'dead_letter'])
        await tx.run(`delete from ${table} where stream = ? and grp = ?`, of.streamId, of.name)
      await tx.run('delete from consumer_group where stream = ? and name = ?', of.streamId, of.name)
      await note(tx, act, { action: 'group.deleted', streamId: of.streamId, subject: of.name })
    })
  }

  /** One at a time for each group, and only for one that is there. */
  #locked<T>(
    of: GroupOf,
    work: (tx: Transaction, settings: GroupSettings & { cursor: bigint }) => Promise<T>,
  ): Promise<T> {
    return this.#sql.write(async (tx) => {
      await tx.lock(`group ${of.streamId} ${of.name}`)
      const row = await tx.get(
        'select ack_timeout_ms, max_tries, cursor_at from consumer_group where stream = ? and name = ?',
        of.streamId,
        of.name,
      )
      if (row === undefined) throw new MillraceError('GROUP_UNKNOWN', { group: of.name })
      return await work(tx, {
        ackTimeoutMs: number(row, 'ack_timeout_ms'),
        maxTries: number(row, 'max_tries'),
        cursor: big(row, 'cursor_at'),
      })
    })
  }

  claim(of: GroupOf, { consumer, at, count, within, ids }: Claim): Promise<readonly Lease[]> {
    return this.#locked(of, async (tx, { ackTimeoutMs, maxTries, cursor }) => {
      await this.#takeBackExpired(tx, of, at, maxTries)
      const rows = await tx.all(
        'select first, next, tries from returned where stream = ? and grp = ? order by first limit ?',
        of.streamId,
        of.name,
        ids.length + 1,
      )
      const returned = rows.map((row) => ({ ...rangeIn(row), tries: number(row, 'tries') }))
      const chosen = claim({ cursor, returned, within }, count, ids.length)
      for (const { first } of chosen.taken)
        await tx.run('delete from returned where stream = ? and grp = ? and first = ?', of.streamId, of.name, first)
      for (const { first, next, tries } of chosen.left) await this.#putReturned(tx, of, { first, next }, tries)
      if (chosen.cursor !== cursor)
        await tx.run(
          'update consumer_group set cursor_at = ? where stream = ? and name = ?',
          chosen.cursor,
          of.streamId,
          of.name,
        )
      const until = new Date(at.getTime() + ackTimeoutMs)
      const leases = chosen.grants.map(
        ({ first, next, attempt }, i): Lease => ({
          id: ids[i] as string,
          ranges: [{ first, next }],
          consumer,
          until,
          attempt,
        }),
      )
      for (const lease of leases) await this.#putLease(tx, of, lease)
      return leases
    })
  }

  async #takeBackExpired(tx: Transaction, of: GroupOf, at: Date, maxTries: number): Promise<void> {
    const expired = await tx.all(
      'select * from lease where stream = ? and grp = ? and until <= ? order by first',
      of.streamId,
      of.name,
      at.getTime(),
    )
    if (expired.length === 0) return
    await tx.run('delete from lease where stream = ? and grp = ? and until <= ?', of.streamId, of.name, at.getTime())
    for (const row of expired) {
      const reason = `not acknowledged in time by ${text(row, 'consumer')}`
      await this.#giveBack(tx, of, [rangeIn(row)], { attempt: number(row, 'attempt'), maxTries, reason, at })
    }
  }

  async #giveBack(
    tx: Transaction,
    of: GroupOf,
    ranges: readonly OffsetRange[],
    how: { readonly attempt: number; readonly maxTries: number; readonly reason: string; readonly at: Date },
  ): Promise<void> {
    const { attempt, maxTries, reason, at } = how
    for (const range of ranges) {
      if (comesBack(attempt, maxTries) === 'returned') await this.#putReturned(tx, of, range, attempt)
      else
        for (let offset = range.first; offset < range.next; offset++)
          await tx.run(
            'insert into dead_letter (stream, grp, pos, tries, reason, at) values (?, ?, ?, ?, ?, ?)',
            of.streamId,
            of.name,
            offset,
            attempt,
            reason,
            at.getTime(),
          )
    }
  }

  async #putReturned(tx: Transaction, of: GroupOf, { first, next }: OffsetRange, tries: number): Promise<void> {
    await tx.run(
      'insert into returned (stream, grp, first, next, tries) values (?, ?, ?, ?, ?)',
      of.streamId,
      of.name,
      first,
      next,
      tries,
    )
  }

  async #putLease(tx: Transaction, of: GroupOf, lease: Lease): Promise<void> {
    for (const { first, next } of lease.ranges)
      await tx.run(
        'insert into lease (stream, grp, id, first, next, consumer, until, attempt) values (?, ?, ?, ?, ?, ?, ?, ?)',
        of.streamId,
        of.name,
        lease.id,
        first,
        next,
        lease.consumer,
        lease.until.getTime(),
        lease.attempt,
      )
  }

  async #lease(tx: Transaction, of: GroupOf, id: string): Promise<Lease> {
    const rows = await tx.all(
      'select * from lease where stream = ? and grp = ? and id = ? order by first',
      of.streamId,
      of.name,
      id,
    )
    if (rows.length === 0) throw new MillraceError('LEASE_UNKNOWN', { group: of.name, lease: id })
    return leaseIn(rows)
  }

  /** Takes ranges out of a lease; answers them, and the lease as it was. */
  async #settle(tx: Transaction, of: GroupOf, { lease: id, ranges }: Settle) {
    const lease = await this.#lease(tx, of, id)
    const { settled, left } = settle(lease.ranges, ranges === undefined ? undefined : normalised(ranges))
    if (settled.length > 0) {
      await tx.run('delete from lease where stream = ? and grp = ? and id = ?', of.streamId, of.name, id)
      await this.#putLease(tx, of, { ...lease, ranges: left })
    }
    return { lease, settled }
  }

  async ack(of: GroupOf, what: Settle): Promise<void> {
    await this.#locked(of, (tx) => this.#settle(tx, of, what))
  }

  async nack(of: GroupOf, what: Settle & { readonly reason: string }): Promise<void> {
    await this.#locked(of, async (tx, { maxTries }) => {
      const { lease, settled } = await this.#settle(tx, of, what)
      await this.#giveBack(tx, of, settled, { attempt: lease.attempt, maxTries, reason: what.reason, at: what.at })
    })
  }

  async release(of: GroupOf, what: Settle): Promise<void> {
    await this.#locked(of, async (tx) => {
      const { lease, settled } = await this.#settle(tx, of, what)
      for (const range of settled) await this.#putReturned(tx, of, range, lease.attempt - 1)
    })
  }

  extend(of: GroupOf, lease: string, until: Date): Promise<Lease> {
    return this.#locked(of, async (tx) => {
      await tx.run(
        'update lease set until = ? where stream = ? and grp = ? and id = ?',
        until.getTime(),
        of.streamId,
        of.name,
        lease,
      )
      return await this.#lease(tx, of, lease)
    })
  }

  async deadLetters(of: GroupOf, query: PageQuery): Promise<Page<DeadLetter>> {
    const limit = limitOf(query)
    await this.#must(this.#sql.read, of)
    const rows = await this.#sql.read.all(
      'select * from dead_letter where stream = ? and grp = ? and pos > ? order by pos limit ?',
      of.streamId,
      of.name,
      numberCursor(query.after) ?? -1n,
      limit + 1,
    )
    return pageOf(
      rows,
      limit,
      (row) => ({
        offset: big(row, 'pos'),
        tries: number(row, 'tries'),
        reason: text(row, 'reason'),
        at: time(row, 'at'),
      }),
      (last) => String(last.offset),
    )
  }

  dropDeadLetters(act: Act, of: GroupOf, offsets: readonly bigint[]): Promise<number> {
    return this.#takeDead(act, of, offsets, 'dropped')
  }

  retryDeadLetters(act: Act, of: GroupOf, offsets: readonly bigint[]): Promise<number> {
    return this.#takeDead(act, of, offsets, 'retried')
  }

  #takeDead(act: Act, of: GroupOf, offsets: readonly bigint[], how: 'dropped' | 'retried'): Promise<number> {
    return this.#locked(of, async (tx) => {
      const found: bigint[] = []
      for (const offset of new Set(offsets)) {
        const gone = await tx.run(
          'delete from dead_letter where stream = ? and grp = ? and pos = ?',
          of.streamId,
          of.name,
          offset,
        )
        if (gone > 0) found.push(offset)
      }
      if (how === 'retried') for (const range of rangesOf(found)) await this.#putReturned(tx, of, range, 0)
      if (found.length > 0)
        await note(tx, act, {
          action: `dead-letter.${how}`,
          streamId: of.streamId,
          subject: of.name,
          details: { count: found.length },
        })
      return found.length
    })
  }
}
