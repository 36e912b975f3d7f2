import { MillraceError } from '@millrace/sdk/errors'
import type { UsersPlane } from '../control-plane.ts'
import type { Act, NewUser, Page, PageQuery, User } from '../types.ts'
import { forgetActor } from './clients.ts'
import { limitOf, note, pageOf } from './page.ts'
import { bit, flag, optionalText, type Queries, type Row, type Sql, text, time } from './sql.ts'

const userIn = (row: Row): User => ({
  id: text(row, 'id'),
  email: text(row, 'email'),
  displayName: text(row, 'display_name'),
  isAdministrator: flag(row, 'is_administrator'),
  createdAt: time(row, 'created_at'),
  hasPassword: row['password'] !== null,
})

const findBy = async (q: Queries, column: 'id' | 'email', value: string): Promise<User | undefined> => {
  const row = await q.get(`select * from account where ${column} = ?`, value)
  return row === undefined ? undefined : userIn(row)
}

const mustChange = (changed: number, id: string): void => {
  if (changed === 0) throw new MillraceError('ACTOR_UNKNOWN', { type: 'user', id })
}

export class SqlUsers implements UsersPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  create(act: Act, user: NewUser): Promise<User> {
    return this.#sql.write(async (tx) => {
      if (!(await this.#insert(tx, act, user))) throw new MillraceError('USER_EXISTS', { email: user.email })
      return (await findBy(tx, 'id', user.id)) as User
    })
  }

  ensure(act: Act, user: NewUser): Promise<User> {
    return this.#sql.write(async (tx) => {
      await this.#insert(tx, act, user)
      return (await findBy(tx, 'email', user.email.toLowerCase())) as User
    })
  }

  async #insert(tx: Queries, act: Act, user: NewUser): Promise<boolean> {
    const email = user.email.toLowerCase()
    const made = await tx.run(
      `insert into account (id, email, display_name, is_administrator, created_at) values (?, ?, ?, ?, ?)
       on conflict do nothing`,
      user.id,
      email,
      user.displayName,
      bit(user.isAdministrator),
      act.at.getTime(),
    )
    if (made > 0)
      await note(tx, act, {
        action: 'user.created',
        subject: `user:${user.id}`,
        details: { email, isAdministrator: user.isAdministrator },
      })
    return made > 0
  }

  find(id: string): Promise<User | undefined> {
    return findBy(this.#sql.read, 'id', id)
  }

  findByEmail(email: string): Promise<User | undefined> {
    return findBy(this.#sql.read, 'email', email.toLowerCase())
  }

  async list(query: PageQuery): Promise<Page<User>> {
    const limit = limitOf(query)
    const rows = await this.#sql.read.all(
      'select * from account where id > ? order by id limit ?',
      query.after ?? '',
      limit + 1,
    )
    return pageOf(rows, limit, userIn, (last) => last.id)
  }

  async update(act: Act, id: string, user: Pick<NewUser, 'displayName' | 'isAdministrator'>): Promise<User> {
    const { displayName, isAdministrator } = user
    return await this.#sql.write(async (tx) => {
      mustChange(
        await tx.run(
          'update account set display_name = ?, is_administrator = ? where id = ?',
          displayName,
          bit(isAdministrator),
          id,
        ),
        id,
      )
      await note(tx, act, { action: 'user.updated', subject: `user:${id}`, details: { isAdministrator } })
      return (await findBy(tx, 'id', id)) as User
    })
  }

  async setPassword(act: Act, id: string, hash: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      mustChange(await tx.run('update account set password = ? where id = ?', hash, id), id)
      await note(tx, act, { action: 'user.password-set', subject: `user:${id}` })
    })
  }

  async passwordHash(id: string): Promise<string | undefined> {
    const row = await this.#sql.read.get('select password from account where id = ?', id)
    return row === undefined ? undefined : optionalText(row, 'password')
  }

  async setOneTimeLogin(act: Act, id: string, hash: Uint8Array, expiresAt: Date): Promise<void> {
    await this.#sql.write(async (tx) => {
      mustChange(
        await tx.run(
          'update account set login_hash = ?, login_expires_at = ? where id = ?',
          hash,
          expiresAt.getTime(),
          id,
        ),
        id,
      )
      await note(tx, act, { action: 'user.login-made', subject: `user:${id}` })
    })
  }

  takeOneTimeLogin(hash: Uint8Array, at: Date, password?: string): Promise<User | undefined> {
    return this.#sql.write(async (tx) => {
      const row = await tx.get(
        'select * from account where login_hash = ? and login_expires_at > ?',
        hash,
        at.getTime(),
      )
      if (row === undefined) return undefined
      // Of two that come at once, one changes the row.
      const taken = await tx.run(
        'update account set login_hash = null, login_expires_at = null where id = ? and login_hash = ?',
        text(row, 'id'),
        hash,
      )
      if (taken === 0) return undefined
      const by = { type: 'user', id: text(row, 'id') } as const
      await note(tx, { by, at }, { action: 'user.login-used', subject: `user:${by.id}` })
      if (password === undefined) return userIn(row)
      // From the second on in which it was set: the token that this login gets counts.
      const from = Math.floor(at.getTime() / 1000) * 1000
      await tx.run('update account set password = ?, tokens_from = ? where id = ?', password, from, by.id)
      await note(tx, { by, at }, { action: 'user.password-set', subject: `user:${by.id}` })
      return await findBy(tx, 'id', by.id)
    })
  }

  async remove(act: Act, id: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      if ((await findBy(tx, 'id', id)) === undefined) throw new MillraceError('ACTOR_UNKNOWN', { type: 'user', id })
      await forgetActor(tx, { type: 'user', id })
      await tx.run('delete from account where id = ?', id)
      await note(tx, act, { action: 'user.deleted', subject: `user:${id}` })
    })
  }
}
