import type { JsonObject } from '@millrace/sdk'
import type { Doer } from '../../domain/access.ts'
import { type AuditPlane, auditStep } from '../control-plane.ts'
import type { Act, AuditLine, AuditQuery, NewAuditLine, Page } from '../types.ts'
import { limitOf, note, numberCursor, pageOf } from './page.ts'
import { big, optionalText, type Param, type Row, type Sql, text, time } from './sql.ts'

const lineIn = (row: Row): AuditLine => ({
  seq: big(row, 'seq'),
  at: time(row, 'at'),
  by: { type: text(row, 'by_type') as Doer['type'], id: text(row, 'by_id') },
  action: text(row, 'action'),
  streamId: optionalText(row, 'stream'),
  subject: optionalText(row, 'subject'),
  details: JSON.parse(text(row, 'details')) as JsonObject,
})

export class SqlAudit implements AuditPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async append(act: Act, lines: readonly NewAuditLine[]): Promise<void> {
    await this.#sql.write(async (tx) => {
      for (const line of lines) await note(tx, act, line)
    })
  }

  async forgetBefore(before: Date): Promise<number> {
    return await this.#sql.write(async (tx) => {
      // By their order, which has an index: in an old log the first lines are the old ones.
      const oldest = await tx.all('select seq, at from audit order by seq limit ?', auditStep)
      const kept = oldest.findIndex((row) => time(row, 'at') >= before)
      const last = kept < 0 ? oldest.at(-1) : oldest[kept - 1]
      return last === undefined ? 0 : await tx.run('delete from audit where seq <= ?', big(last, 'seq'))
    })
  }

  async list(query: AuditQuery): Promise<Page<AuditLine>> {
    const limit = limitOf(query)
    const conditions: string[] = []
    const params: Param[] = []
    const where = (condition: string, ...values: readonly Param[]): void => {
      conditions.push(condition)
      params.push(...values)
    }
    if (query.streamId !== undefined) where('stream = ?', query.streamId)
    if (query.by !== undefined) where('by_type = ? and by_id = ?', query.by.type, query.by.id)
    const after = numberCursor(query.after)
    if (after !== undefined) where('seq < ?', after)
    const rows = await this.#sql.read.all(
      `select * from audit ${conditions.length > 0 ? `where ${conditions.join(' and ')}` : ''} order by seq desc limit ?`,
      ...params,
      limit + 1,
    )
    return pageOf(rows, limit, lineIn, (last) => String(last.seq))
  }
}
