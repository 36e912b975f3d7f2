import { MillraceError } from '@millrace/sdk/errors'
import type { Actor, Rights } from '../../domain/access.ts'
import type { PermissionsPlane } from '../control-plane.ts'
import type { Act, Permission } from '../types.ts'
import { note } from './page.ts'
import { bit, flag, type Queries, type Row, type Sql, text, time, type Transaction } from './sql.ts'

export const rightsIn = (row: Row): Rights => ({
  isOwner: flag(row, 'is_owner'),
  isProducer: flag(row, 'is_producer'),
  isConsumer: flag(row, 'is_consumer'),
})

/** Grants exactly these rights. */
export const putPermission = async (
  tx: Queries,
  stream: { readonly streamId: string; readonly name: string },
  actor: Actor,
  { rights, at }: { readonly rights: Rights; readonly at: Date },
): Promise<void> => {
  await tx.run(
    `insert into permission (stream, actor_type, actor, stream_name, is_owner, is_producer, is_consumer, granted_at)
     values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (stream, actor_type, actor) do update set
     is_owner = excluded.is_owner, is_producer = excluded.is_producer, is_consumer = excluded.is_consumer`,
    stream.streamId,
    actor.type,
    actor.id,
    stream.name,
    bit(rights.isOwner),
    bit(rights.isProducer),
    bit(rights.isConsumer),
    at.getTime(),
  )
}

const exists = async (tx: Queries, { type, id }: Actor): Promise<boolean> =>
  (await tx.get(`select 1 as one from ${type === 'client' ? 'client' : 'account'} where id = ?`, id)) !== undefined

const rightsOf = async (q: Queries, streamId: string, { type, id }: Actor): Promise<Rights | undefined> => {
  const row = await q.get(
    'select is_owner, is_producer, is_consumer from permission where stream = ? and actor_type = ? and actor = ?',
    streamId,
    type,
    id,
  )
  return row === undefined ? undefined : rightsIn(row)
}

/** Whether another than this one owns the stream. */
const hasOtherOwner = async (tx: Queries, streamId: string, { type, id }: Actor): Promise<boolean> =>
  (await tx.get(
    'select 1 as one from permission where stream = ? and is_owner = 1 and not (actor_type = ? and actor = ?) limit 1',
    streamId,
    type,
    id,
  )) !== undefined

/** Who owns what is decided one at a time: two who both stay owner "because of the other" would both go. */
export const lockOwners = (tx: Transaction): Promise<void> => tx.lock('owners')

export class SqlPermissions implements PermissionsPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async list(streamId: string): Promise<readonly Permission[]> {
    const rows = await this.#sql.read.all(
      `select p.*, coalesce(c.display_name, a.email, p.actor) as display_name from permission p
       left join client c on p.actor_type = 'client' and c.id = p.actor
       left join account a on p.actor_type = 'user' and a.id = p.actor
       where p.stream = ? order by p.granted_at, p.actor_type, p.actor`,
      streamId,
    )
    return rows.map((row) => ({
      ...rightsIn(row),
      actor: { type: text(row, 'actor_type') as Actor['type'], id: text(row, 'actor') },
      displayName: text(row, 'display_name'),
      grantedAt: time(row, 'granted_at'),
    }))
  }

  of(streamId: string, actor: Actor): Promise<Rights | undefined> {
    return rightsOf(this.#sql.read, streamId, actor)
  }

  async grant(act: Act, streamId: string, actor: Actor, rights: Rights): Promise<void> {
    await this.#sql.write(async (tx) => {
      await lockOwners(tx)
      const stream = await tx.get("select name from stream where id = ? and state = 'there'", streamId)
      if (stream === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: streamId })
      if (!(await exists(tx, actor))) throw new MillraceError('ACTOR_UNKNOWN', { type: actor.type, id: actor.id })
      if (!rights.isOwner && (await rightsOf(tx, streamId, actor))?.isOwner === true)
        if (!(await hasOtherOwner(tx, streamId, actor)))
          throw new MillraceError('LAST_OWNER', { what: `stream ${text(stream, 'name')}` })
      await putPermission(tx, { streamId, name: text(stream, 'name') }, actor, { rights, at: act.at })
      await note(tx, act, {
        action: 'permission.granted',
        streamId,
        subject: `${actor.type}:${actor.id}`,
        details: { ...rights },
      })
    })
  }

  async revoke(act: Act, streamId: string, actor: Actor): Promise<void> {
    await this.#sql.write(async (tx) => {
      await lockOwners(tx)
      const rights = await rightsOf(tx, streamId, actor)
      if (rights === undefined) throw new MillraceError('ACTOR_UNKNOWN', { type: actor.type, id: actor.id })
      if (rights.isOwner && !(await hasOtherOwner(tx, streamId, actor)))
        throw new MillraceError('LAST_OWNER', { what: `stream ${streamId}` })
      await tx.run(
        'delete from permission where stream = ? and actor_type = ? and actor = ?',
        streamId,
        actor.type,
        actor.id,
      )
      await note(tx, act, { action: 'permission.revoked', streamId, subject: `${actor.type}:${actor.id}` })
    })
  }
}
