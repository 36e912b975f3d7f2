import { MillraceError } from '@millrace/sdk/errors'
import type { Actor } from '../../domain/access.ts'
import type { ClientsPlane } from '../control-plane.ts'
import type { Act, Client, NewClient, NewSecret, Page, PageQuery } from '../types.ts'
import { limitOf, note, pageOf } from './page.ts'
import { lockOwners } from './permissions.ts'
import {
  bytes,
  flag,
  number,
  optionalTime,
  type Queries,
  type Row,
  type Sql,
  text,
  time,
  type Transaction,
} from './sql.ts'
import { ownedAlone } from './streams.ts'

const columns = 'c.*, (select count(*) from client_secret s where s.client = c.id) as secrets'

const clientIn = (row: Row): Client => ({
  id: text(row, 'id'),
  displayName: text(row, 'display_name'),
  description: text(row, 'description'),
  owner: { type: text(row, 'owner_type') as Actor['type'], id: text(row, 'owner') },
  createdAt: time(row, 'created_at'),
  lastUsedAt: optionalTime(row, 'last_used_at'),
  isRevoked: flag(row, 'is_revoked'),
  secrets: number(row, 'secrets'),
})

const mustFind = async (tx: Queries, id: string): Promise<Client> => {
  const row = await tx.get(`select ${columns} from client c where c.id = ?`, id)
  if (row === undefined) throw new MillraceError('ACTOR_UNKNOWN', { type: 'client', id })
  return clientIn(row)
}

const addSecret = async (tx: Queries, client: string, { id, hash }: NewSecret, at: Date): Promise<void> => {
  await tx.run(
    'insert into client_secret (client, id, hash, created_at) values (?, ?, ?, ?)',
    client,
    id,
    hash,
    at.getTime(),
  )
}

/** Leaves the newest secrets of a client only. */
const keepSecrets = async (tx: Queries, client: string, count: number): Promise<void> => {
  await tx.run(
    `delete from client_secret where client = ? and id not in (
       select id from client_secret where client = ? order by created_at desc, id desc limit ?)`,
    client,
    client,
    count,
  )
}

/** What goes with an actor: what it was granted, and what it has read. Throws LAST_OWNER. */
export const forgetActor = async (tx: Transaction, actor: Actor): Promise<void> => {
  await lockOwners(tx)
  const alone = await ownedAlone(tx, actor)
  if (alone > 0) throw new MillraceError('LAST_OWNER', { what: `${alone} ${alone === 1 ? 'stream' : 'streams'}` })
  const reader = `${actor.type}:${actor.id}`
  // The streams it may have read are those that it was granted now; what it read of others goes with them.
  for (const table of ['read_range', 'reader'])
    await tx.run(
      `delete from ${table} where reader = ? and stream in (select stream from permission where actor_type = ? and actor = ?)`,
      reader,
      actor.type,
      actor.id,
    )
  await tx.run('delete from permission where actor_type = ? and actor = ?', actor.type, actor.id)
  await tx.run('delete from idempotency where actor_type = ? and actor = ?', actor.type, actor.id)
}

export class SqlClients implements ClientsPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  create(act: Act, client: NewClient): Promise<Client> {
    return this.#sql.write(async (tx) => {
      await tx.run(
        `insert into client (id, display_name, description, owner_type, owner, created_at, is_revoked)
         values (?, ?, ?, ?, ?, ?, 0)`,
        client.id,
        client.displayName,
        client.description,
        client.owner.type,
        client.owner.id,
        act.at.getTime(),
      )
      await addSecret(tx, client.id, client.secret, act.at)
      await note(tx, act, {
        action: 'client.created',
        subject: `client:${client.id}`,
        details: { displayName: client.displayName },
      })
      return mustFind(tx, client.id)
    })
  }

  async find(id: string): Promise<Client | undefined> {
    const row = await this.#sql.read.get(`select ${columns} from client c where c.id = ?`, id)
    return row === undefined ? undefined : clientIn(row)
  }

  async list(query: PageQuery & { readonly owner?: Actor | undefined }): Promise<Page<Client>> {
    const limit = limitOf(query)
    const after = query.after ?? ''
    const rows =
      query.owner === undefined
        ? await this.#sql.read.all(
            `select ${columns} from client c where c.id > ? order by c.id limit ?`,
            after,
            limit + 1,
          )
        : await this.#sql.read.all(
            `select ${columns} from client c where c.owner_type = ? and c.owner = ? and c.id > ? order by c.id limit ?`,
            query.owner.type,
            query.owner.id,
            after,
            limit + 1,
          )
    return pageOf(rows, limit, clientIn, (last) => last.id)
  }

  async secretHashes(id: string): Promise<readonly Uint8Array[]> {
    const rows = await this.#sql.read.all(
      `select s.hash from client_secret s join client c on c.id = s.client
       where s.client = ? and c.is_revoked = 0 order by s.created_at desc, s.id desc`,
      id,
    )
    return rows.map((row) => bytes(row, 'hash'))
  }

  rotate(act: Act, id: string, secret: NewSecret): Promise<Client> {
    return this.#sql.write(async (tx) => {
      await tx.lock(`client ${id}`)
      await mustFind(tx, id)
      await keepSecrets(tx, id, 1)
      await addSecret(tx, id, secret, act.at)
      await note(tx, act, { action: 'client.rotated', subject: `client:${id}` })
      return mustFind(tx, id)
    })
  }

  endRotation(act: Act, id: string): Promise<Client> {
    return this.#sql.write(async (tx) => {
      await tx.lock(`client ${id}`)
      await mustFind(tx, id)
      await keepSecrets(tx, id, 1)
      await note(tx, act, { action: 'client.rotation-ended', subject: `client:${id}` })
      return mustFind(tx, id)
    })
  }

  async revoke(act: Act, id: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      await mustFind(tx, id)
      await tx.run('update client set is_revoked = 1 where id = ?', id)
      await note(tx, act, { action: 'client.revoked', subject: `client:${id}` })
    })
  }

  async remove(act: Act, id: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      await mustFind(tx, id)
      await forgetActor(tx, { type: 'client', id })
      await tx.run('delete from client_secret where client = ?', id)
      await tx.run('delete from client where id = ?', id)
      await note(tx, act, { action: 'client.deleted', subject: `client:${id}` })
    })
  }

  async seen(clients: readonly { readonly id: string; readonly at: Date }[]): Promise<void> {
    if (clients.length === 0) return
    await this.#sql.write(async (tx) => {
      for (const { id, at } of clients) {
        const minute = Math.floor(at.getTime() / 60_000) * 60_000
        await tx.run(
          'update client set last_used_at = ? where id = ? and coalesce(last_used_at, 0) < ?',
          minute,
          id,
          minute,
        )
      }
    })
  }
}
