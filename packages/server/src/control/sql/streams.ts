import { MillraceError } from '@millrace/sdk/errors'
import type { JsonObject } from '@millrace/sdk/json'
import type { Actor } from '../../domain/access.ts'
import type { StreamsPlane } from '../control-plane.ts'
import type {
  Act,
  NewStream,
  Page,
  StreamAccess,
  StreamChange,
  StreamEntry,
  StreamQuery,
  StreamSettings,
  StreamState,
} from '../types.ts'
import { limitOf, note, pageOf } from './page.ts'
import { putPermission, rightsIn } from './permissions.ts'
import { tablesOfStream } from './schema.ts'
import { number, optionalText, type Queries, type Row, type Sql, text, time } from './sql.ts'

const columns =
  's.id, s.name, s.display_name, s.description, s.content_type, s.settings, s.state, s.created_at, s.active_schema, s.active_key'

const streamIn = (row: Row): StreamEntry => ({
  id: text(row, 'id'),
  name: text(row, 'name'),
  displayName: text(row, 'display_name'),
  description: text(row, 'description'),
  contentType: text(row, 'content_type'),
  settings: JSON.parse(text(row, 'settings')) as StreamSettings,
  state: text(row, 'state') as StreamState,
  createdAt: time(row, 'created_at'),
  activeSchemaId: optionalText(row, 'active_schema'),
  activeKeyId: optionalText(row, 'active_key'),
})

const accessIn = (row: Row): StreamAccess => ({
  stream: streamIn(row),
  rights: row['is_owner'] === null ? undefined : rightsIn(row),
})

/** The stream with this id, if it is there. Throws STREAM_UNKNOWN. */
export const mustBeThere = async (tx: Queries, id: string): Promise<StreamEntry> => {
  const row = await tx.get(`select ${columns} from stream s where s.id = ? and s.state = 'there'`, id)
  if (row === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: id })
  return streamIn(row)
}

export class SqlStreams implements StreamsPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  create(act: Act, stream: NewStream): Promise<StreamEntry> {
    return this.#sql.write(async (tx) => {
      const at = act.at.getTime()
      const made = await tx.run(
        `insert into stream (id, name, display_name, description, content_type, settings, state, state_at, created_at)
         values (?, ?, ?, ?, ?, ?, 'making', ?, ?) on conflict do nothing`,
        stream.id,
        stream.name,
        stream.displayName,
        stream.description,
        stream.contentType,
        JSON.stringify(stream.settings),
        at,
        at,
      )
      if (made === 0) throw new MillraceError('STREAM_EXISTS', { stream: stream.name })
      await putPermission(tx, { streamId: stream.id, name: stream.name }, stream.owner, {
        at: act.at,
        rights: { isOwner: true, isProducer: true, isConsumer: true },
      })
      await note(tx, act, { action: 'stream.created', streamId: stream.id, details: { name: stream.name } })
      return streamIn((await tx.get(`select ${columns} from stream s where s.id = ?`, stream.id)) as Row)
    })
  }

  async made(id: string): Promise<void> {
    await this.#sql.write((tx) => tx.run("update stream set state = 'there' where id = ? and state = 'making'", id))
  }

  async find(idOrName: string): Promise<StreamEntry | undefined> {
    const row = await this.#sql.read.get(
      `select ${columns} from stream s where (s.id = ? or s.name = ?) and s.state = 'there' order by s.id = ? desc limit 1`,
      idOrName,
      idOrName,
      idOrName,
    )
    return row === undefined ? undefined : streamIn(row)
  }

  async access(idOrName: string, actor: Actor): Promise<StreamAccess | undefined> {
    const row = await this.#sql.read.get(
      `select ${columns}, p.is_owner, p.is_producer, p.is_consumer from stream s
       left join permission p on p.stream = s.id and p.actor_type = ? and p.actor = ?
       where (s.id = ? or s.name = ?) and s.state = 'there' order by s.id = ? desc limit 1`,
      actor.type,
      actor.id,
      idOrName,
      idOrName,
      idOrName,
    )
    return row === undefined ? undefined : accessIn(row)
  }

  async list(query: StreamQuery): Promise<Page<StreamAccess>> {
    const limit = limitOf(query)
    const { actor, prefix = '' } = query
    const after = query.after ?? ''
    // No name has a character beyond ASCII, so all that begins with the prefix comes before the prefix and U+FFFF.
    const end = `${prefix}\uffff`
    // A walk along one of two indexes, whichever there are fewer of.
    const rows =
      actor === undefined || query.all === true
        ? await this.#sql.read.all(
            `select ${columns}, p.is_owner, p.is_producer, p.is_consumer from stream s
             left join permission p on p.stream = s.id and p.actor_type = ? and p.actor = ?
             where s.name > ? and s.name >= ? and s.name < ? and s.state = 'there' order by s.name limit ?`,
            actor?.type ?? '',
            actor?.id ?? '',
            after,
            prefix,
            end,
            limit + 1,
          )
        : await this.#sql.read.all(
            `select ${columns}, p.is_owner, p.is_producer, p.is_consumer from permission p join stream s on s.id = p.stream
             where p.actor_type = ? and p.actor = ? and p.stream_name > ? and p.stream_name >= ? and p.stream_name < ?
             and s.state = 'there' order by p.stream_name limit ?`,
            actor.type,
            actor.id,
            after,
            prefix,
            end,
            limit + 1,
          )
    return pageOf(rows, limit, accessIn, (last) => last.stream.name)
  }

  async unfinished(before: Date): Promise<readonly StreamEntry[]> {
    const rows = await this.#sql.read.all(
      `select ${columns} from stream s where s.state <> 'there' and s.state_at < ? order by s.id limit 1000`,
      before.getTime(),
    )
    return rows.map(streamIn)
  }

  update(act: Act, id: string, change: StreamChange): Promise<StreamEntry> {
    return this.#sql.write(async (tx) => {
      const old = await mustBeThere(tx, id)
      const now = {
        ...old,
        ...Object.fromEntries(Object.entries(change).filter(([, v]) => v !== undefined)),
      } as StreamEntry
      await tx.run(
        'update stream set display_name = ?, description = ?, content_type = ?, settings = ? where id = ?',
        now.displayName,
        now.description,
        now.contentType,
        JSON.stringify(now.settings),
        id,
      )
      await note(tx, act, {
        action: 'stream.changed',
        streamId: id,
        details: JSON.parse(JSON.stringify(change)) as JsonObject,
      })
      return now
    })
  }

  async beginRemoval(act: Act, id: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      const { name } = await mustBeThere(tx, id)
      await tx.run("update stream set state = 'going', state_at = ? where id = ?", act.at.getTime(), id)
      await note(tx, act, { action: 'stream.deleted', streamId: id, details: { name } })
    })
  }

  async remove(id: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      for (const table of tablesOfStream) await tx.run(`delete from ${table} where stream = ?`, id)
      await tx.run('delete from stream where id = ?', id)
    })
  }

  async forgetBefore(id: string, before: bigint): Promise<void> {
    await this.#sql.write(async (tx) => {
      for (const table of ['read_range', 'returned', 'lease'])
        await tx.run(`delete from ${table} where stream = ? and next <= ?`, id, before)
    })
  }
}

/** How many streams an actor owns alone: they would be left without an owner. */
export const ownedAlone = async (tx: Queries, actor: Actor): Promise<number> => {
  const row = await tx.get(
    `select count(*) as n from permission p join stream s on s.id = p.stream
     where p.actor_type = ? and p.actor = ? and p.is_owner = 1 and s.state = 'there' and not exists (
       select 1 from permission o where o.stream = p.stream and o.is_owner = 1 and (o.actor_type <> p.actor_type or o.actor <> p.actor))`,
    actor.type,
    actor.id,
  )
  return row === undefined ? 0 : number(row, 'n')
}
