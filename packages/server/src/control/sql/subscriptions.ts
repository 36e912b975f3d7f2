import { MillraceError } from '@millrace/sdk/errors'
import type { JsonObject } from '@millrace/sdk/json'
import type { SubscriptionsPlane } from '../control-plane.ts'
import type { Act, Page, PageQuery, Subscription } from '../types.ts'
import { limitOf, note, pageOf } from './page.ts'
import { big, number, type Row, type Sql, text, time } from './sql.ts'
import { mustBeThere } from './streams.ts'

const subscriptionIn = (row: Row): Subscription => ({
  id: text(row, 'id'),
  streamId: text(row, 'stream'),
  settings: JSON.parse(text(row, 'settings')) as JsonObject,
  position: big(row, 'position'),
  tries: number(row, 'tries'),
  state: text(row, 'state'),
  createdAt: time(row, 'created_at'),
})

export class SqlSubscriptions implements SubscriptionsPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async create(act: Act, s: Subscription): Promise<void> {
    await this.#sql.write(async (tx) => {
      await mustBeThere(tx, s.streamId)
      await tx.run(
        `insert into subscription (id, stream, settings, position, tries, state, created_at) values (?, ?, ?, ?, ?, ?, ?)`,
        s.id,
        s.streamId,
        JSON.stringify(s.settings),
        s.position,
        s.tries,
        s.state,
        s.createdAt.getTime(),
      )
      await note(tx, act, { action: 'subscription.created', streamId: s.streamId, subject: s.id })
    })
  }

  async find(streamId: string, id: string): Promise<Subscription | undefined> {
    const row = await this.#sql.read.get('select * from subscription where id = ? and stream = ?', id, streamId)
    return row === undefined ? undefined : subscriptionIn(row)
  }

  async list(query: PageQuery & { readonly streamId?: string | undefined }): Promise<Page<Subscription>> {
    const limit = limitOf(query)
    const after = query.after ?? ''
    const rows =
      query.streamId === undefined
        ? await this.#sql.read.all('select * from subscription where id > ? order by id limit ?', after, limit + 1)
        : await this.#sql.read.all(
            'select * from subscription where stream = ? and id > ? order by id limit ?',
            query.streamId,
            after,
            limit + 1,
          )
    return pageOf(rows, limit, subscriptionIn, (last) => last.id)
  }

  async update(act: Act, streamId: string, id: string, settings: JsonObject): Promise<void> {
    await this.#sql.write(async (tx) => {
      const changed = await tx.run(
        'update subscription set settings = ? where id = ? and stream = ?',
        JSON.stringify(settings),
        id,
        streamId,
      )
      if (changed === 0) throw new MillraceError('SUBSCRIPTION_UNKNOWN', { subscription: id })
      await note(tx, act, { action: 'subscription.changed', streamId, subject: id })
    })
  }

  async hold(
    id: string,
    { holder, at, until }: { readonly holder: string; readonly at: Date; readonly until: Date },
  ): Promise<boolean> {
    const held = await this.#sql.write((tx) =>
      tx.run(
        'update subscription set holder = ?, held_until = ? where id = ? and (holder is null or holder = ? or held_until <= ?)',
        holder,
        until.getTime(),
        id,
        holder,
        at.getTime(),
      ),
    )
    return held === 1
  }

  async note(id: string, holder: string, how: Pick<Subscription, 'position' | 'tries' | 'state'>): Promise<boolean> {
    const noted = await this.#sql.write((tx) =>
      tx.run(
        'update subscription set position = ?, tries = ?, state = ? where id = ? and holder = ?',
        how.position,
        how.tries,
        how.state,
        id,
        holder,
      ),
    )
    return noted === 1
  }

  async remove(act: Act, streamId: string, id: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      const gone = await tx.run('delete from subscription where id = ? and stream = ?', id, streamId)
      if (gone === 0) throw new MillraceError('SUBSCRIPTION_UNKNOWN', { subscription: id })
      await note(tx, act, { action: 'subscription.deleted', streamId, subject: id })
    })
  }
}
