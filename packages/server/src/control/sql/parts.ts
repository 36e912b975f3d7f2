import { MillraceError } from '@millrace/sdk/errors'
import type { StreamPartsPlane } from '../control-plane.ts'
import type { Act, SchemaType, StreamKey, StreamSchema } from '../types.ts'
import { note } from './page.ts'
import { optionalText, type Row, type Sql, text, time } from './sql.ts'
import { mustBeThere } from './streams.ts'

const schemaIn = (row: Row): StreamSchema => ({
  id: text(row, 'id'),
  streamId: text(row, 'stream'),
  type: text(row, 'type') as SchemaType,
  text: text(row, 'text'),
  createdAt: time(row, 'created_at'),
})

const keyIn = (row: Row): StreamKey => ({
  id: text(row, 'id'),
  streamId: text(row, 'stream'),
  algorithm: text(row, 'algorithm'),
  encoding: text(row, 'encoding'),
  value: text(row, 'value'),
  description: optionalText(row, 'description'),
  createdAt: time(row, 'created_at'),
})

export class SqlStreamParts implements StreamPartsPlane {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  async addSchema(act: Act, schema: StreamSchema): Promise<void> {
    await this.#sql.write(async (tx) => {
      await mustBeThere(tx, schema.streamId)
      await tx.run(
        'insert into stream_schema (stream, id, type, text, created_at) values (?, ?, ?, ?, ?)',
        schema.streamId,
        schema.id,
        schema.type,
        schema.text,
        schema.createdAt.getTime(),
      )
      await note(tx, act, { action: 'schema.added', streamId: schema.streamId, subject: schema.id })
    })
  }

  async schema(streamId: string, id: string): Promise<StreamSchema | undefined> {
    const row = await this.#sql.read.get('select * from stream_schema where stream = ? and id = ?', streamId, id)
    return row === undefined ? undefined : schemaIn(row)
  }

  async schemas(streamId: string): Promise<readonly StreamSchema[]> {
    return (await this.#sql.read.all('select * from stream_schema where stream = ? order by id', streamId)).map(
      schemaIn,
    )
  }

  async removeSchema(act: Act, streamId: string, id: string): Promise<void> {
    await this.#sql.write(async (tx) => {
      const gone = await tx.run('delete from stream_schema where stream = ? and id = ?', streamId, id)
      if (gone === 0) throw new MillraceError('SCHEMA_UNKNOWN', { schema: id })
      await tx.run('update stream set active_schema = null where id = ? and active_schema = ?', streamId, id)
      await note(tx, act, { action: 'schema.deleted', streamId, subject: id })
    })
  }

  async activateSchema(act: Act, streamId: string, id: string | undefined): Promise<void> {
    await this.#activate(act, streamId, id, 'schema')
  }

  async addKey(act: Act, key: StreamKey): Promise<void> {
    await this.#sql.write(async (tx) => {
      await mustBeThere(tx, key.streamId)
      await tx.run(
        `insert into stream_key (stream, id, algorithm, encoding, value, description, created_at) values (?, ?, ?, ?, ?, ?, ?)`,
        key.streamId,
        key.id,
        key.algorithm,
        key.encoding,
        key.value,
        key.description ?? null,
        key.createdAt.getTime(),
      )
      await note(tx, act, { action: 'key.added', streamId: key.streamId, subject: key.id })
    })
  }

  async key(streamId: string, id: string): Promise<StreamKey | undefined> {
    const row = await this.#sql.read.get('select * from stream_key where stream = ? and id = ?', streamId, id)
    return row === undefined ? undefined : keyIn(row)
  }

  async keys(streamId: string): Promise<readonly StreamKey[]> {
    return (await this.#sql.read.all('select * from stream_key where stream = ? order by id', streamId)).map(keyIn)
  }

  async activateKey(act: Act, streamId: string, id: string | undefined): Promise<void> {
    await this.#activate(act, streamId, id, 'key')
  }

  async #activate(act: Act, streamId: string, id: string | undefined, what: 'schema' | 'key'): Promise<void> {
    await this.#sql.write(async (tx) => {
      await mustBeThere(tx, streamId)
      if (id !== undefined) {
        const found = await tx.get(`select 1 as one from stream_${what} where stream = ? and id = ?`, streamId, id)
        if (found === undefined)
          throw what === 'schema'
            ? new MillraceError('SCHEMA_UNKNOWN', { schema: id })
            : new MillraceError('KEY_UNKNOWN', { key: id })
      }
      await tx.run(`update stream set active_${what} = ? where id = ?`, id ?? null, streamId)
      await note(tx, act, {
        action: id === undefined ? `${what}.deactivated` : `${what}.activated`,
        streamId,
        subject: id,
      })
    })
  }
}
