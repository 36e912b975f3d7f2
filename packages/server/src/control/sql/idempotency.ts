import type { IdempotencyPlane } from '../control-plane.ts'
import type { IdempotencyKey, IdempotencyVerdict } from '../types.ts'
import { optionalText, type Row, type Sql, text } from './sql.ts'

const where = 'where actor_type = ? and actor = ? and name = ?'

export class SqlIdempotency implements IdempotencyPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  begin(key: IdempotencyKey, at: Date): Promise<IdempotencyVerdict> {
    const { actor, key: name, fingerprint, expiresAt } = key
    return this.#sql.write(async (tx) => {
      await tx.run(`delete from idempotency ${where} and expires_at <= ?`, actor.type, actor.id, name, at.getTime())
      const made = await tx.run(
        'insert into idempotency (actor_type, actor, name, fingerprint, expires_at) values (?, ?, ?, ?, ?) on conflict do nothing',
        actor.type,
        actor.id,
        name,
        fingerprint,
        expiresAt.getTime(),
      )
      if (made > 0) return { is: 'new' }
      const row = (await tx.get(`select * from idempotency ${where}`, actor.type, actor.id, name)) as Row
      if (text(row, 'fingerprint') !== fingerprint) return { is: 'other-request' }
      const response = optionalText(row, 'response')
      return response === undefined ? { is: 'unfinished' } : { is: 'done', response }
    })
  }

  async finish({ actor, key, fingerprint }: IdempotencyKey, response: string): Promise<void> {
    await this.#sql.write((tx) =>
      tx.run(
        `update idempotency set response = ? ${where} and fingerprint = ?`,
        response,
        actor.type,
        actor.id,
        key,
        fingerprint,
      ),
    )
  }

  async abandon({ actor, key, fingerprint }: IdempotencyKey): Promise<void> {
    await this.#sql.write((tx) =>
      tx.run(
        `delete from idempotency ${where} and fingerprint = ? and response is null`,
        actor.type,
        actor.id,
        key,
        fingerprint,
      ),
    )
  }
}
