import type { Actor } from '../../domain/access.ts'
import type { TokensPlane } from '../control-plane.ts'
import type { Act, PresentedToken, SigningKey, TokenVerdict } from '../types.ts'
import { note } from './page.ts'
import { bytes, flag, number, optionalTime, type Queries, type Row, type Sql, text, time } from './sql.ts'

const keyIn = (row: Row): SigningKey => ({
  id: text(row, 'id'),
  algorithm: text(row, 'algorithm'),
  secret: bytes(row, 'secret'),
  createdAt: time(row, 'created_at'),
  retiredAt: optionalTime(row, 'retired_at'),
})

const putKey = async (tx: Queries, key: SigningKey): Promise<void> => {
  await tx.run(
    'insert into signing_key (id, algorithm, secret, created_at) values (?, ?, ?, ?)',
    key.id,
    key.algorithm,
    key.secret,
    key.createdAt.getTime(),
  )
}

const newestKey = 'select * from signing_key where retired_at is null order by created_at desc, id desc limit 1'

export class SqlTokens implements TokensPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async signingKey(fresh: SigningKey): Promise<SigningKey> {
    const known = await this.#sql.read.get(newestKey)
    if (known !== undefined) return keyIn(known)
    return await this.#sql.write(async (tx) => {
      await tx.lock('signing key')
      const made = await tx.get(newestKey)
      if (made !== undefined) return keyIn(made)
      await putKey(tx, fresh)
      return fresh
    })
  }

  async signingKeys(): Promise<readonly SigningKey[]> {
    return (await this.#sql.read.all('select * from signing_key order by created_at desc, id desc')).map(keyIn)
  }

  async rotate(act: Act, fresh: SigningKey, forget: Date): Promise<void> {
    await this.#sql.write(async (tx) => {
      await tx.lock('signing key')
      await tx.run('update signing_key set retired_at = ? where retired_at is null', act.at.getTime())
      await tx.run('delete from signing_key where retired_at < ?', forget.getTime())
      await putKey(tx, fresh)
      await note(tx, act, { action: 'signing-key.rotated', subject: fresh.id })
    })
  }

  secret(purpose: string, fresh: Uint8Array): Promise<Uint8Array> {
    return this.#sql.write(async (tx) => {
      await tx.run('insert into secret (purpose, value) values (?, ?) on conflict do nothing', purpose, fresh)
      return bytes((await tx.get('select value from secret where purpose = ?', purpose)) as Row, 'value')
    })
  }

  async check({ id, actor, issuedAt, keyId }: PresentedToken): Promise<TokenVerdict> {
    const row = await this.#sql.read.get(
      actor.type === 'client'
        ? `select coalesce(tokens_from, 0) as tokens_from, is_revoked, 0 as is_administrator,
             (select count(*) from revoked_token t where t.id = ?) as revoked,
             (select count(*) from signing_key k where k.id = ?) as keys from client where id = ?`
        : `select coalesce(tokens_from, 0) as tokens_from, 0 as is_revoked, is_administrator,
             (select count(*) from revoked_token t where t.id = ?) as revoked,
             (select count(*) from signing_key k where k.id = ?) as keys from account where id = ?`,
      id,
      keyId ?? '',
      actor.id,
    )
    if (row === undefined) return { is: 'actor-gone' }
    // Tokens tell their time in whole seconds: one of the second in which all were revoked does not count.
    const isGood =
      !flag(row, 'is_revoked') &&
      !flag(row, 'revoked') &&
      (keyId === undefined || number(row, 'keys') > 0) &&
      issuedAt.getTime() >= number(row, 'tokens_from')
    return isGood ? { is: 'good', isAdministrator: flag(row, 'is_administrator') } : { is: 'revoked' }
  }

  async revoke(act: Act, token: { readonly id: string; readonly expiresAt: Date }): Promise<void> {
    await this.#sql.write(async (tx) => {
      await tx.run(
        'insert into revoked_token (id, expires_at) values (?, ?) on conflict do nothing',
        token.id,
        token.expiresAt.getTime(),
      )
      await note(tx, act, { action: 'token.revoked', subject: token.id })
    })
  }

  async revokeAll(act: Act, actor: Actor): Promise<void> {
    await this.#sql.write(async (tx) => {
      const table = actor.type === 'client' ? 'client' : 'account'
      const from = (Math.floor(act.at.getTime() / 1000) + 1) * 1000
      await tx.run(`update ${table} set tokens_from = ? where id = ?`, from, actor.id)
      await note(tx, act, { action: 'token.all-revoked', subject: `${actor.type}:${actor.id}` })
    })
  }
}
