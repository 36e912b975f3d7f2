import { MillraceError } from '@millrace/sdk/errors'
import type { JsonObject } from '@millrace/sdk/json'
import type { BatchesPlane, NewBatch } from '../control-plane.ts'
import type { Act, Batch, BatchPart, Page, PageQuery } from '../types.ts'
import { limitOf, note, pageOf } from './page.ts'
import { number, optionalBig, optionalText, type Queries, type Row, type Sql, text, time } from './sql.ts'
import { mustBeThere } from './streams.ts'

const batchIn = (row: Row, parts: readonly BatchPart[]): Batch => ({
  id: text(row, 'id'),
  streamId: text(row, 'stream'),
  outstanding: parts.filter((part) => part.offset === undefined).map((part) => part.number),
  parts,
  attributes: JSON.parse(text(row, 'attributes')) as JsonObject,
  createdAt: time(row, 'created_at'),
  offset: optionalBig(row, 'pos'),
})

const partsOf = async (q: Queries, streamId: string, id: string): Promise<readonly BatchPart[]> =>
  (await q.all('select * from batch_part where stream = ? and batch = ? order by number', streamId, id)).map((row) => ({
    number: number(row, 'number'),
    hash: optionalText(row, 'hash'),
    offset: optionalBig(row, 'pos'),
  }))

const findIn = async (q: Queries, streamId: string, id: string): Promise<Batch | undefined> => {
  const row = await q.get('select * from batch where stream = ? and id = ?', streamId, id)
  return row === undefined ? undefined : batchIn(row, await partsOf(q, streamId, id))
}

const mustFind = async (q: Queries, streamId: string, id: string): Promise<Batch> => {
  const found = await findIn(q, streamId, id)
  if (found === undefined) throw new MillraceError('BATCH_UNKNOWN', { batch: id })
  return found
}

export class SqlBatches implements BatchesPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  create(act: Act, { id, streamId, parts, attributes }: NewBatch): Promise<Batch> {
    return this.#sql.write(async (tx) => {
      await mustBeThere(tx, streamId)
      await tx.run(
        'insert into batch (stream, id, attributes, created_at) values (?, ?, ?, ?)',
        streamId,
        id,
        JSON.stringify(attributes),
        act.at.getTime(),
      )
      for (const part of parts)
        await tx.run(
          'insert into batch_part (stream, batch, number, hash) values (?, ?, ?, ?)',
          streamId,
          id,
          part.number,
          part.hash ?? null,
        )
      await note(tx, act, { action: 'batch.begun', streamId, subject: id, details: { parts: parts.length } })
      return await mustFind(tx, streamId, id)
    })
  }

  find(streamId: string, id: string): Promise<Batch | undefined> {
    return findIn(this.#sql.read, streamId, id)
  }

  partCame(streamId: string, id: string, part: { readonly number: number; readonly offset: bigint }): Promise<Batch> {
    return this.#sql.write(async (tx) => {
      await tx.lock(`batch ${streamId} ${id}`)
      await tx.run(
        'update batch_part set pos = ? where stream = ? and batch = ? and number = ?',
        part.offset,
        streamId,
        id,
        part.number,
      )
      return await mustFind(tx, streamId, id)
    })
  }

  finish(act: Act, streamId: string, id: string, offset: bigint): Promise<boolean> {
    return this.#sql.write(async (tx) => {
      const done = await tx.run(
        'update batch set pos = ? where stream = ? and id = ? and pos is null',
        offset,
        streamId,
        id,
      )
      if (done > 0)
        await note(tx, act, { action: 'batch.finished', streamId, subject: id, details: { offset: String(offset) } })
      else await mustFind(tx, streamId, id)
      return done > 0
    })
  }

  async list(streamId: string, query: PageQuery): Promise<Page<Batch>> {
    const limit = limitOf(query)
    const rows = await this.#sql.read.all(
      'select * from batch where stream = ? and id > ? order by id limit ?',
      streamId,
      query.after ?? '',
      limit + 1,
    )
    const parts = new Map<unknown, readonly BatchPart[]>()
    for (const row of rows.slice(0, limit))
      parts.set(row['id'], await partsOf(this.#sql.read, streamId, text(row, 'id')))
    return pageOf(
      rows,
      limit,
      (row) => batchIn(row, parts.get(row['id']) ?? []),
      (last) => last.id,
    )
  }

  async remove(act: Act, streamId: string, id: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      await tx.run('delete from batch_part where stream = ? and batch = ?', streamId, id)
      const gone = await tx.run('delete from batch where stream = ? and id = ?', streamId, id)
      if (gone === 0) throw new MillraceError('BATCH_UNKNOWN', { batch: id })
      await note(tx, act, { action: 'batch.deleted', streamId, subject: id })
    })
  }
}
