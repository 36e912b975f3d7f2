/** The log file, worked on synchronously; all that touches it is here. Runs in threads of its own (thread.ts). */
import { closeSync, existsSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { MillraceError } from '@millrace/sdk/errors'
import { RecordBatch } from '../../record-batch.ts'
import type { ReadLimit, Retention } from '../../types.ts'
import { decodeContent, encodeContent, pack, unpack } from './block.ts'
import { schemaSql, schemaVersion } from './schema.ts'

/** Records of one block, and bytes: what one read decompresses at least. */
const blockRecords = 10_000
const blockBytes = 1024 * 1024
/** Blocks that are removed at a time where a stream was dropped or trimmed. */
const purgeBlocks = 500
const busyMs = 10_000
/** Pages of 4 KiB that gather beside the file before they are brought into it: each time costs two more waits for the disk. */
const checkpointPages = 4000

/** An append as it waits for its commit. */
export interface PendingAppend {
  readonly stream: number
  readonly name: string
  /** A batch, as block.ts writes it. */
  readonly content: Uint8Array<ArrayBuffer>
  readonly writer: { readonly id: string; readonly seq: bigint } | undefined
  readonly at: number
}

export interface AppendDone {
  readonly first: number
  readonly next: number
  readonly at: number
  readonly isRepeated: boolean
}

export interface StreamRow {
  readonly id: number
  readonly created_at: number
  readonly last_at: number | null
  readonly first: number
  readonly next: number
  readonly bytes: number
  readonly max_age_ms: number | null
  readonly max_bytes: number | null
  readonly max_records: number | null
}

interface WriterRow {
  readonly seq: string
  readonly first: number
  readonly next: number
  readonly at: number
}

interface BlockRow {
  readonly first: number
  readonly count: number
  readonly at: number
  readonly bytes: number
  readonly content_bytes: number
  readonly body: Uint8Array
}

/** A block as it was read, with the content of its batch. */
export interface StoredContent {
  readonly first: number
  readonly at: number
  readonly content: Uint8Array
}

/** A part of an append that goes into one block; with its content where it is all of an append. */
interface Piece {
  readonly records: RecordBatch
  readonly content: Uint8Array | undefined
}

/** A stream inside a commit: where it will be when that is done. */
interface Desk {
  readonly name: string
  first: number
  next: number
  at: number
  bytes: number
  /** What came since the last block was written. */
  waiting: Piece[]
  waitingRecords: number
  waitingBytes: number
}

export class LogStore {
  readonly #db: DatabaseSync
  readonly #prepared = new Map<string, StatementSync>()

  /** Opens the file; to write it is made where it is not there, for its owner only. */
  constructor(path: string, access: 'write' | 'read') {
    // Made here, so that nobody else may read it, whoever made its folder. SQLite gives the files beside it the same mode.
    if (access === 'write' && !existsSync(path)) closeSync(openSync(path, 'a', 0o600))
    this.#db = new DatabaseSync(path, { readOnly: access === 'read', timeout: busyMs })
    if (access === 'read') return
    this.#db.exec(
      `pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = ${checkpointPages}`,
    )
    this.#inTransaction(() => {
      const version = Number(this.#get<{ user_version: number }>('pragma user_version')?.user_version)
      if (version === 0) this.#db.exec(schemaSql)
      else if (version !== schemaVersion)
        throw new MillraceError('LOG_UNAVAILABLE', {
          what: path,
          why: `it was written by another version (${version})`,
        })
    })
  }

  close(): void {
    this.#db.close()
  }

  /** Makes a stream and answers its id. Throws STREAM_EXISTS. */
  create(name: string, at: number, retention: Retention): number {
    return this.#inTransaction(() => {
      if (this.find(name) !== undefined) throw new MillraceError('STREAM_EXISTS', { stream: name })
      const { lastInsertRowid } = this.#sql(
        'insert into stream (name, created_at, max_age_ms, max_bytes, max_records) values (?, ?, ?, ?, ?)',
      ).run(name, at, ...retentionValues(retention))
      return Number(lastInsertRowid)
    })
  }

  find(name: string): number | undefined {
    return this.#get<{ id: number }>('select id from stream where name = ?', name)?.id
  }

  /** Whether there is a stream of this id that was not dropped. */
  has(id: number): boolean {
    return this.#get<{ id: number }>('select id from stream where id = ? and name is not null', id) !== undefined
  }

  /** The offset that comes next; 0 where there is no such stream. */
  nextOf(id: number): number {
    return this.#get<{ next: number }>('select next from stream where id = ?', id)?.next ?? 0
  }

  /** When the record at an offset was taken; undefined where it is not there. */
  takenAt(id: number, offset: number): number | undefined {
    const block = this.#get<{ first: number; count: number; at: number }>(
      'select first, count, at from block where stream = ? and first <= ? order by first desc limit 1',
      id,
      offset,
    )
    return block !== undefined && block.first + block.count > offset ? block.at : undefined
  }

  /** Names behind `after`, in their order, at most `count`. */
  names(after: string, count: number): readonly string[] {
    return this.#all<{ name: string }>(
      'select name from stream where name > ? order by name limit ?',
      after,
      count,
    ).map((row) => row.name)
  }

  /** Names of streams that have a retention. */
  limited(): readonly string[] {
    return this.#all<{ name: string }>(
      'select name from stream where name is not null and coalesce(max_age_ms, max_bytes, max_records) is not null',
    ).map((row) => row.name)
  }

  /** Throws STREAM_UNKNOWN. */
  stat(id: number, name: string): StreamRow {
    const row = this.#get<StreamRow>('select * from stream where id = ? and name is not null', id)
    if (row === undefined) throw new MillraceError('STREAM_UNKNOWN', { stream: name })
    return row
  }

  /**
   * Makes all of them durable in one commit, or none. Answers for each what became of it: an append that is refused for its
   * own sake does not hold up the others.
   */
  append(pending: readonly PendingAppend[]): readonly (AppendDone | MillraceError)[] {
    return this.#inTransaction(() => {
      const desks = new Map<number, Desk>()
      const done = pending.map((one) => {
        try {
          return this.#appendOne(one, desks)
        } catch (e) {
          if (e instanceof MillraceError) return e
          throw e
        }
      })
      for (const [id, desk] of desks) {
        this.#writeBlock(id, desk)
        this.#sql('update stream set next = ?, last_at = ?, bytes = ? where id = ?').run(
          desk.next,
          desk.at,
          desk.bytes,
          id,
        )
      }
      return done
    })
  }

  #appendOne({ stream: id, name, content, writer, at }: PendingAppend, desks: Map<number, Desk>): AppendDone {
    const desk = desks.get(id) ?? this.#deskOf(id, name)
    desks.set(id, desk)
    if (writer !== undefined) {
      const known = this.#get<WriterRow>('select * from writer where stream = ? and id = ?', id, writer.id)
      if (known !== undefined && writer.seq <= BigInt(known.seq)) {
        if (writer.seq < BigInt(known.seq))
          throw new MillraceError('LOG_WRITER_BEHIND', {
            stream: name,
            writer: writer.id,
            seq: String(writer.seq),
            last: known.seq,
          })
        return { first: known.first, next: known.next, at: known.at, isRepeated: true }
      }
    }
    const records = decodeContent(content)
    // One time for a block, and times never fall.
    if (desk.waiting.length === 0) desk.at = Math.max(desk.at, at)
    const first = desk.next + desk.waitingRecords
    for (let from = 0; from < records.count; ) {
      const to = pieceEnd(records, from)
      const piece = records.slice(from, to)
      if (
        desk.waiting.length > 0 &&
        (desk.waiting[0]?.records.gap !== piece.gap ||
          desk.waitingRecords + piece.count > blockRecords ||
          desk.waitingBytes + piece.contentEnd > blockBytes)
      )
        this.#writeBlock(id, desk)
      desk.waiting.push({ records: piece, content: piece === records ? content : undefined })
      desk.waitingRecords += piece.count
      desk.waitingBytes += piece.contentEnd
      from = to
    }
    const next = first + records.count
    if (writer !== undefined)
      this.#sql(
        'insert into writer (stream, id, seq, first, next, at) values (?, ?, ?, ?, ?, ?) on conflict do update set seq = excluded.seq, first = excluded.first, next = excluded.next, at = excluded.at',
      ).run(id, writer.id, String(writer.seq), first, next, desk.at)
    return { first, next, at: desk.at, isRepeated: false }
  }

  #deskOf(id: number, name: string): Desk {
    const { first, next, last_at, bytes } = this.stat(id, name)
    return { name, first, next, at: last_at ?? 0, bytes, waiting: [], waitingRecords: 0, waitingBytes: 0 }
  }

  #writeBlock(id: number, desk: Desk): void {
    if (desk.waiting.length === 0) return
    const only = desk.waiting.length === 1 ? desk.waiting[0] : undefined
    const records = only?.records ?? RecordBatch.join(desk.waiting.map((piece) => piece.records))
    const content = only?.content ?? encodeContent(records)
    const { count, size } = records
    this.#sql(
      'insert into block (stream, first, count, at, bytes, content_bytes, body) values (?, ?, ?, ?, ?, ?, ?)',
    ).run(id, desk.next, count, desk.at, size, content.length, pack(content))
    desk.next += count
    desk.bytes += size
    desk.waiting = []
    desk.waitingRecords = 0
    desk.waitingBytes = 0
  }

  /**
   * The blocks from the one on that holds the record at `from`, enough of them for the limit and one more; none where there is
   * nothing. Throws STREAM_UNKNOWN and LOG_OFFSET_TRIMMED.
   */
  blocks(id: number, name: string, from: number, limit: ReadLimit): readonly StoredContent[] {
    return this.#inTransaction(() => {
      const { first } = this.stat(id, name)
      if (from < first)
        throw new MillraceError('LOG_OFFSET_TRIMMED', { stream: name, asked: String(from), first: String(first) })
      const out: StoredContent[] = []
      let { records, bytes } = limit
      for (const block of this.#blocksFrom(id, from)) {
        if (block.first + block.count <= from) continue
        out.push({ first: block.first, at: block.at, content: unpack(block.body, block.content_bytes) })
        if (block.first >= from) {
          records -= block.count
          bytes -= block.bytes
        } else records -= block.first + block.count - from
        if (records <= 0 || bytes <= 0) break
      }
      return out
    }, 'deferred')
  }

  *#blocksFrom(id: number, from: number): Generator<BlockRow, void, undefined> {
    const begin = this.#get<{ first: number | null }>(
      'select max(first) as first from block where stream = ? and first <= ?',
      id,
      from,
    )
    const rows = this.#sql(
      'select first, count, at, bytes, content_bytes, body from block where stream = ? and first >= ? order by first',
    ).iterate(id, begin?.first ?? from)
    for (const row of rows) yield row as unknown as BlockRow
  }

  /** The offset of the first record that came at `at` or later. */
  findTime(id: number, name: string, at: number): number {
    return this.#inTransaction(() => {
      const { first, next } = this.stat(id, name)
      const found = this.#get<{ first: number }>(
        'select first from block where stream = ? and at >= ? order by at, first limit 1',
        id,
        at,
      )
      return found === undefined ? next : Math.max(first, found.first)
    }, 'deferred')
  }

  writer(id: number, name: string, writer: string): WriterRow | undefined {
    this.stat(id, name)
    return this.#get<WriterRow>('select * from writer where stream = ? and id = ?', id, writer)
  }

  trim(id: number, name: string, before: number): { readonly first: number; readonly next: number } {
    return this.#inTransaction(() => this.#trim(id, name, before))
  }

  #trim(id: number, name: string, before: number): { readonly first: number; readonly next: number } {
    const { first, next, bytes } = this.stat(id, name)
    const begin = Math.max(first, Math.min(before, next))
    if (begin === first) return { first, next }
    // Only blocks that are trimmed wholly go; of the one that is cut in two the file keeps all.
    const gone = this.#get<{ bytes: number | null }>(
      'select sum(bytes) as bytes from block where stream = ? and first < ? and first + count <= ?',
      id,
      begin,
      begin,
    )
    this.#sql('delete from block where stream = ? and first < ? and first + count <= ?').run(id, begin, begin)
    this.#sql('update stream set first = ?, bytes = ? where id = ?').run(begin, bytes - (gone?.bytes ?? 0), id)
    return { first: begin, next }
  }

  setRetention(id: number, name: string, retention: Retention): void {
    this.#inTransaction(() => {
      this.stat(id, name)
      this.#sql('update stream set max_age_ms = ?, max_bytes = ?, max_records = ? where id = ?').run(
        ...retentionValues(retention),
        id,
      )
    })
  }

  /** Trims what is beyond the stream's retention, block by block from the oldest. */
  retain(id: number, name: string, now: number): { readonly first: number; readonly next: number } {
    return this.#inTransaction(() => {
      const { first, next, bytes, max_age_ms, max_bytes, max_records } = this.stat(id, name)
      let kept = bytes
      let before = first
      const rows = this.#sql('select first, count, at, bytes from block where stream = ? order by first').iterate(id)
      for (const row of rows as Iterable<Record<'first' | 'count' | 'at' | 'bytes', number>>) {
        const isBeyond =
          now - row.at > (max_age_ms ?? Infinity) ||
          kept > (max_bytes ?? Infinity) ||
          next - row.first > (max_records ?? Infinity)
        if (!isBeyond) break
        kept -= row.bytes
        before = row.first + row.count
      }
      return this.#trim(id, name, before)
    })
  }

  /** Takes the name away; the records go in steps ({@link purge}). Throws STREAM_UNKNOWN. */
  drop(name: string): void {
    const { changes } = this.#sql('update stream set name = null where name = ?').run(name)
    if (changes === 0) throw new MillraceError('STREAM_UNKNOWN', { stream: name })
  }

  /** Removes some of what dropped streams left behind. Answers whether there is more. */
  purge(): boolean {
    return this.#inTransaction(() => {
      const dropped = this.#get<{ id: number }>('select id from stream where name is null limit 1')
      if (dropped === undefined) return false
      const { changes } = this.#sql(
        'delete from block where rowid in (select rowid from block where stream = ? limit ?)',
      ).run(dropped.id, purgeBlocks)
      if (Number(changes) < purgeBlocks) {
        this.#sql('delete from writer where stream = ?').run(dropped.id)
        this.#sql('delete from stream where id = ?').run(dropped.id)
      }
      return true
    })
  }

  /** A number that changes when somebody else changed the file. */
  dataVersion(): number {
    return Number(this.#get<{ data_version: number }>('pragma data_version')?.data_version)
  }

  #inTransaction<T>(work: () => T, kind: 'immediate' | 'deferred' = 'immediate'): T {
    this.#db.exec(`begin ${kind}`)
    try {
      const result = work()
      this.#db.exec('commit')
      return result
    } catch (e) {
      // A full disk has rolled it back already.
      if (this.#db.isTransaction) this.#db.exec('rollback')
      throw e
    }
  }

  #sql(text: string): StatementSync {
    let statement = this.#prepared.get(text)
    if (statement === undefined) {
      statement = this.#db.prepare(text)
      this.#prepared.set(text, statement)
    }
    return statement
  }

  #get<T>(sql: string, ...values: readonly (string | number)[]): T | undefined {
    return this.#sql(sql).get(...values) as T | undefined
  }

  #all<T>(sql: string, ...values: readonly (string | number)[]): readonly T[] {
    return this.#sql(sql).all(...values) as unknown as readonly T[]
  }
}

/** Where a piece of a batch ends that is no larger than a block; a record that is larger is a piece of its own. */
const pieceEnd = (records: RecordBatch, from: number): number => {
  const most = Math.min(records.count, from + blockRecords)
  let bytes = 0
  for (let i = from; i < most; i++) {
    bytes += records.sizeOf(i) + records.gap
    if (bytes > blockBytes && i > from) return i
  }
  return most
}

const retentionValues = ({ maxAgeMs, maxBytes, maxRecords }: Retention): (number | null)[] => [
  maxAgeMs ?? null,
  maxBytes ?? null,
  maxRecords ?? null,
]
