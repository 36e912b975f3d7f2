/** The dead letters of the store. Their schemas repeat from letter to letter, so each schema text is kept once. */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { DeadLetter } from '@millrace/sdk'
import type { DeadLetterQuery, StoredDeadLetter } from './types.ts'

export const insertDeadLetters = (
  db: DatabaseSync,
  of: { readonly run: string; readonly pipeline: string; readonly at: string },
  letters: readonly DeadLetter[],
): void => {
  if (letters.length === 0) return
  const schemas = new Map<string, number>()
  const keep = db.prepare('insert or ignore into schema_texts (text) values (?)')
  const find = db.prepare('select id from schema_texts where text = ?')
  const insert = db.prepare(
    'insert into dead_letters (run, pipeline, substream, line, code, reason, field, rule, text, schema_id, at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  )
  for (const l of letters) {
    if (l.schema !== undefined && !schemas.has(l.schema)) {
      keep.run(l.schema)
      schemas.set(l.schema, Number((find.get(l.schema) as { id: number }).id))
    }
    const schema = l.schema === undefined ? null : (schemas.get(l.schema) ?? null)
    insert.run(
      of.run,
      of.pipeline,
      l.substream,
      l.line,
      l.code,
      l.reason,
      l.field ?? null,
      l.rule ?? null,
      l.text,
      schema,
      of.at,
    )
  }
}

const where = (query: DeadLetterQuery): { readonly sql: string; readonly values: readonly SQLInputValue[] } => {
  const parts: string[] = ['d.id > ?']
  const values: SQLInputValue[] = [query.after ?? 0]
  for (const [column, value] of [
    ['pipeline', query.pipeline],
    ['run', query.run],
    ['substream', query.substream],
    ['code', query.code],
  ] as const) {
    if (value === undefined) continue
    parts.push(`d.${column} = ?`)
    values.push(value)
  }
  if (query.replayed !== 'any') parts.push(`d.replayed_at is ${query.replayed === true ? 'not ' : ''}null`)
  return { sql: parts.join(' and '), values }
}

const columns = 'd.*, s.text as schema_text from dead_letters d left join schema_texts s on s.id = d.schema_id'

/** Dead letters, oldest first. */
export const listDeadLetters = (db: DatabaseSync, query: DeadLetterQuery): readonly StoredDeadLetter[] => {
  const { sql, values } = where(query)
  return db
    .prepare(`select ${columns} where ${sql} order by d.id limit ?`)
    .all(...values, query.limit ?? 1_000)
    .map((r) => letterOf(r as Record<string, unknown>))
}

export const countDeadLetters = (db: DatabaseSync, query: DeadLetterQuery): number => {
  const { sql, values } = where(query)
  return Number((db.prepare(`select count(*) as n from dead_letters d where ${sql}`).get(...values) as { n: number }).n)
}

export const findDeadLetter = (db: DatabaseSync, id: number): StoredDeadLetter | undefined => {
  const row = db.prepare(`select ${columns} where d.id = ?`).get(id)
  return row === undefined ? undefined : letterOf(row as Record<string, unknown>)
}

export const markReplayed = (db: DatabaseSync, ids: readonly number[]): void => {
  const mark = db.prepare('update dead_letters set replayed_at = ? where id = ? and replayed_at is null')
  const at = new Date().toISOString()
  for (const id of ids) mark.run(at, id)
}

const letterOf = (r: Record<string, unknown>): StoredDeadLetter => {
  const text = (name: string): string | undefined =>
    r[name] === null || r[name] === undefined ? undefined : String(r[name])
  const field = text('field')
  const rule = text('rule')
  const schema = text('schema_text')
  return {
    id: Number(r['id']),
    run: String(r['run']),
    pipeline: String(r['pipeline']),
    at: String(r['at']),
    replayedAt: text('replayed_at'),
    substream: String(r['substream']),
    line: Number(r['line']),
    code: String(r['code']),
    reason: String(r['reason']),
    text: String(r['text']),
    ...(field === undefined ? {} : { field }),
    ...(rule === undefined ? {} : { rule }),
    ...(schema === undefined ? {} : { schema }),
  }
}
