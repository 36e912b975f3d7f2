/**
 * Streams in one SQLite file: batches as compressed blocks, a row each, with the ranges of their offsets and times indexed.
 * With a write-ahead log and `synchronous = full` a commit is on the disk when it is answered. One thread writes and one
 * reads, so that neither waits for the other nor the process for them; a third finds keys, once somebody asks for one.
 */

import { MillraceError } from '@millrace/sdk/errors'
import { StreamEngine } from '../../stream-engine.ts'
import type { StreamLog } from '../../stream-log.ts'
import type { EngineSupports, Retention, StreamName } from '../../types.ts'
import { Waiters } from '../../waiters.ts'
import { BlockCache } from './block-cache.ts'
import { Connection, LateConnection } from './connection.ts'
import { Followers } from './followers.ts'
import { type Shared, SqliteLog } from './log.ts'
import { ReadAhead } from './read-ahead.ts'
import { Rows } from './rows.ts'

/** Bytes of blocks that are kept decoded for the next who reads them. */
const defaultCacheBytes = 256 * 1024 * 1024
/** Bytes that are fetched ahead of all readers, at most. */
const maxAheadBytes = 16 * 1024 * 1024
const namesAtATime = 1000

export interface SqliteEngineOptions {
  /** The file; its folder must be there. */
  readonly path: string
  /** The clock of records. */
  readonly now: () => Date
  /** What it keeps at most in memory of what was read, for the next reader of the same; 256 MiB where nobody says. */
  readonly cacheBytes?: number | undefined
}

/** An engine on one SQLite file. */
export class SqliteEngine extends StreamEngine {
  readonly supports: EngineSupports = { durable: true, shared: true, find: 'index', amqp: false }
  readonly #shared: Shared

  private constructor(shared: Shared) {
    super()
    this.#shared = shared
  }

  /** Opens the file, which is made where it is not there. Throws LOG_UNAVAILABLE and LOG_DAMAGED. */
  static async open({ path, now, cacheBytes = defaultCacheBytes }: SqliteEngineOptions): Promise<SqliteEngine> {
    const writing = await Connection.open(path, 'write')
    const reading = new LateConnection(path, 'read')
    const rows = new Rows(path)
    let version: unknown
    const followers = new Followers(async () => {
      const before = version
      version = await reading.ask({ do: 'call', method: 'dataVersion', args: [] })
      return before !== version
    })
    return new SqliteEngine({
      writing,
      reading,
      finding: new LateConnection(path, 'find'),
      followers,
      rows,
      cache: new BlockCache(cacheBytes),
      loading: new Map(),
      // What is ahead is not to push out of the cache what else is ahead.
      ahead: new ReadAhead(Math.min(maxAheadBytes, cacheBytes / 2)),
      now,
      inFlightBytes: 0,
      servedBytes: 0,
      landed: new Waiters(),
    })
  }

  protected override async doCreate(name: StreamName, retention: Retention): Promise<StreamLog> {
    const at = this.#shared.now().getTime()
    const id = await this.#shared.writing.ask({ do: 'call', method: 'create', args: [name, at, retention] })
    return new SqliteLog(name, id as number, this.#shared)
  }

  protected override async doOpen(name: StreamName): Promise<StreamLog> {
    const id = await this.#shared.reading.ask({ do: 'call', method: 'find', args: [name] })
    if (id === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: name })
    return new SqliteLog(name, id as number, this.#shared)
  }

  protected override async *doList(): AsyncGenerator<StreamName, void, undefined> {
    let after = ''
    for (;;) {
      const args = [after, namesAtATime]
      const names = (await this.#shared.reading.ask({ do: 'call', method: 'names', args })) as readonly StreamName[]
      yield* names
      const last = names.at(-1)
      if (last === undefined || names.length < namesAtATime) return
      after = last
    }
  }

  protected override async *doListLimited(): AsyncGenerator<StreamName, void, undefined> {
    // Of the thread that is there anyway: who has no such stream starts no other for the question.
    yield* (await this.#shared.writing.ask({ do: 'call', method: 'limited', args: [] })) as readonly StreamName[]
  }

  protected override async doDrop(name: StreamName): Promise<void> {
    await this.#shared.writing.ask({ do: 'call', method: 'drop', args: [name] })
    this.#shared.rows.forget()
    this.#shared.followers.wakeAll()
  }

  protected override async doClose(): Promise<void> {
    this.#shared.followers.stop()
    this.#shared.rows.close()
    await this.#shared.finding.close()
    await this.#shared.reading.close()
    await this.#shared.writing.close()
  }
}
