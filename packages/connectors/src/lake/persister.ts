/** What a persister of Parquet consists of, wherever its files go. */
import type { Evidence, Logger, MessageOf, PersisterSession, RecordMessage, SchemaMessage } from '@millrace/sdk'
import { LakeNames } from '../object-store/names.ts'
import { SqlSession } from '../sql/session.ts'
import { ParquetFiles } from './parquet.ts'
import { partitionsOf } from './partitions.ts'
import type { LakePlace } from './place.ts'

export interface ParquetSettings {
  readonly nested: 'json' | 'flatten'
  readonly metadata: boolean
  readonly partitionBy: readonly string[]
}

/** The session of SQL destinations, with files instead of tables, and evidence of files. */
class ParquetSession implements PersisterSession {
  readonly #session: SqlSession
  readonly #place: LakePlace
  constructor(session: SqlSession, place: LakePlace) {
    this.#session = session
    this.#place = place
  }
  async declare(schema: SchemaMessage): Promise<void> {
    await this.#session.declare(schema)
  }
  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    await this.#session.write(substream, records)
  }
  async activateVersion(message: MessageOf<'ACTIVATE_VERSION'>): Promise<void> {
    await this.#session.activateVersion(message)
  }
  async flush(): Promise<void> {
    await this.#session.flush()
  }
  async evidence(): Promise<readonly Evidence[]> {
    return this.#place.evidence()
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]()
  }
}

/** Opens a session that writes Parquet. Owns the place, also where it throws. */
export const openParquet = async (
  place: LakePlace,
  settings: ParquetSettings,
  log: Logger,
): Promise<PersisterSession> => {
  const { nested, metadata, partitionBy } = settings
  const partitions = partitionsOf(partitionBy)
  const files = await ParquetFiles.open({ place, names: new LakeNames(), partitions })
  const sql = { nested, metadata, mode: 'append', deletes: 'hard' } as const
  return new ParquetSession(await SqlSession.open(files, sql, log), place)
}
