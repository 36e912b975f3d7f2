/**
 * The file of the index: runs, which never change. A run covers the offsets [first, first + span) of one stream. Its entries are 8
 * bytes, the hash of a key and the place of its record behind `first`, in buckets by the upper bits of the hash, in the order of
 * their places. What is here can be made again from the log.
 */
import { closeSync, existsSync, openSync, rmSync } from 'node:fs'
import { randomInt } from 'node:crypto'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

const version = 1
const busyMs = 10_000
/** Entries of a bucket, about. */
const bucketEntries = 256
const maxBits = 24
const idsOfRun = 2 ** maxBits
/** So many runs of about one size become one. */
export const mergeRuns = 4
/** Buckets that were read are kept up to so many bytes, that is those of four million records. */
const maxKeptBytes = 32 * 1024 * 1024
const bucketOverhead = 200
/** Buckets that are merged before others have their turn. */
const mergedAtATime = 256

const schemaSql = `
create table meta (seed integer not null) strict;
-- last_at: when the log took the last record that it covers, by which it is known whether the log is still the same.
create table run (
  id integer primary key autoincrement,
  stream integer not null,
  first integer not null,
  span integer not null,
  entries integer not null,
  bits integer not null,
  last_at integer not null
) strict;
create index run_of on run (stream, first);
-- id: that of the run times 2^${maxBits}, and the number of the bucket.
create table bucket (id integer primary key, body blob not null) strict;
pragma user_version = ${version};
`

export interface Run {
  readonly id: number
  readonly stream: number
  readonly first: number
  readonly span: number
  readonly entries: number
  readonly bits: number
  readonly last_at: number
}

type NewRun = Omit<Run, 'id' | 'bits'>

export class RunFile {
  readonly seed: number
  readonly #db: DatabaseSync
  readonly #prepared = new Map<string, StatementSync>()
  #dataVersion = 0
  /** The first was read longest ago. */
  readonly #buckets = new Map<number, Uint32Array>()
  #keptBytes = 0
  /** One change at a time: a merge gives way in the middle of its transaction. */
  #changing: Promise<unknown> = Promise.resolve()

  private constructor(db: DatabaseSync) {
    this.#db = db
    this.seed = Number(this.#sql('select seed from meta').get()?.['seed'])
  }

  /** Opens the file, for its owner only. One that is damaged or of another version is made anew. Throws what SQLite throws. */
  static open(path: string): RunFile {
    try {
      return RunFile.#open(path)
    } catch (e) {
      if (!isDamage(e) && !(e instanceof OtherVersion)) throw e
      RunFile.remove(path)
      return RunFile.#open(path)
    }
  }

  static remove(path: string): void {
    for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true })
  }

  static #open(path: string): RunFile {
    if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600))
    const db = new DatabaseSync(path, { timeout: busyMs })
    try {
      db.exec(
        'pragma page_size = 16384; pragma journal_mode = wal; pragma synchronous = normal; pragma cache_size = -32000',
      )
      db.exec('begin immediate')
      const found = Number(db.prepare('pragma user_version').get()?.['user_version'])
      if (found === 0) {
        db.exec(schemaSql)
        db.prepare('insert into meta (seed) values (?)').run(randomInt(2 ** 32))
      } else if (found !== version) throw new OtherVersion()
      db.exec('commit')
      return new RunFile(db)
    } catch (e) {
      db.close()
      throw e
    }
  }

  close(): void {
    this.#db.close()
  }

  /** Whether another process changed the file since this was last asked. */
  changedByOthers(): boolean {
    const before = this.#dataVersion
    this.#dataVersion = Number(this.#sql('pragma data_version').get()?.['data_version'])
    return this.#dataVersion !== before
  }

  /** The runs of a stream, newest first. */
  runs(stream: number): readonly Run[] {
    return this.#sql('select * from run where stream = ? order by first desc').all(stream) as unknown as readonly Run[]
  }

  /** The streams that have any. */
  streams(): readonly number[] {
    return this.#sql('select distinct stream from run')
      .all()
      .map((row) => Number(row['stream']))
  }

  /**
   * Adds offsets below `before` whose key may be the one of this hash to `out`, newest first, until it has `limit`. Answers false where
   * nothing is in that place: that may be because another process merged the run.
   */
  find(run: Run, hash: number, before: number, limit: number, out: number[]): boolean {
    const entries = this.#kept(run, run.bits === 0 ? 0 : hash >>> (32 - run.bits))
    for (let i = entries.length - 2; i >= 0 && out.length < limit; i -= 2) {
      const offset = run.first + (entries[i + 1] as number)
      if (entries[i] === hash && offset < before) out.push(offset)
    }
    return entries.length > 0
  }

  /** Empty, too, where another process merged the run meanwhile. */
  #bucket(run: Pick<Run, 'id'>, number: number): Uint32Array {
    const row = this.#sql('select body from bucket where id = ?').get(run.id * idsOfRun + number)
    return row === undefined ? new Uint32Array(0) : words(row['body'] as Uint8Array)
  }

  /** The same, kept for the next who looks there: a bucket never changes, and its id never comes again. */
  #kept(run: Pick<Run, 'id'>, number: number): Uint32Array {
    const id = run.id * idsOfRun + number
    let entries = this.#buckets.get(id)
    if (entries !== undefined) return entries
    entries = this.#bucket(run, number)
    if (entries.length === 0) return entries
    this.#buckets.set(id, entries)
    this.#keptBytes += entries.byteLength + bucketOverhead
    for (const [old, { byteLength }] of this.#buckets) {
      if (this.#keptBytes <= maxKeptBytes) break
      this.#buckets.delete(old)
      this.#keptBytes -= byteLength + bucketOverhead
    }
    return entries
  }

  /**
   * Adds a run behind the others of its stream. `entries`: pairs of hash and place, in the order of their places. Undefined where
   * somebody else was there before.
   */
  async add(run: NewRun, entries: Uint32Array): Promise<Run | undefined> {
    return await this.#change(() => {
      const [last] = this.runs(run.stream)
      if (last !== undefined && last.first + last.span > run.first) return undefined
      const whole: Run = { ...run, id: this.#nextId(), bits: bitsFor(run.entries) }
      this.#insertBuckets(whole.id, 0, byBucket(entries, whole.bits, 0))
      this.#insertRun(whole)
      return whole
    })
  }

  /**
   * Makes one of runs that follow one another, newest first; others have their turn meanwhile. `done` is told of it in the same
   * moment in which the old ones are gone. Does nothing where somebody else merged them.
   */
  async merge(runs: readonly Run[], done: (merged: Run) => void): Promise<void> {
    const old = runs.toReversed()
    const [oldest] = old
    const newest = old.at(-1)
    if (oldest === undefined || newest === undefined || oldest === newest) return
    const merged = async (): Promise<Run | undefined> => {
      const there = new Set(this.runs(oldest.stream).map(({ id }) => id))
      if (!old.every(({ id }) => there.has(id))) return undefined
      const entries = old.reduce((n, run) => n + run.entries, 0)
      const bits = bitsFor(entries)
      const span = newest.first + newest.span - oldest.first
      const run: Run = { ...newest, id: this.#nextId(), first: oldest.first, span, entries, bits }
      // Old and new buckets in step: by the bits that all of them have.
      const shared = Math.min(bits, ...old.map((one) => one.bits))
      for (let part = 0; part < 2 ** shared; part++) {
        const pieces = old.map((one) => this.#part(one, part, shared, one.first - oldest.first))
        this.#insertBuckets(run.id, part * 2 ** (bits - shared), byBucket(joined(pieces), bits, shared))
        if (part % mergedAtATime === mergedAtATime - 1) await turn()
      }
      return run
    }
    await this.#change(
      merged,
      (run) => {
        if (run === undefined) return
        this.#insertRun(run)
        for (const one of old) this.#remove(one)
      },
      (run) => run !== undefined && done(run),
    )
  }

  /** The entries of a run whose hashes begin with the bits `part`, places moved on, in the order of their places. */
  #part(run: Run, part: number, shared: number, moved: number): Uint32Array {
    const each = 2 ** (run.bits - shared)
    const pieces: Uint32Array[] = []
    for (let i = 0; i < each; i++) pieces.push(this.#bucket(run, part * each + i))
    const all = joined(pieces)
    for (let i = 1; i < all.length; i += 2) all[i] = (all[i] as number) + moved
    return each === 1 ? all : byPlace(all)
  }

  /** Removes runs. */
  async remove(runs: readonly Run[]): Promise<void> {
    if (runs.length === 0) return
    await this.#change(() => {
      for (const run of runs) this.#remove(run)
    })
  }

  #remove({ id }: Run): void {
    this.#sql('delete from run where id = ?').run(id)
    this.#sql('delete from bucket where id >= ? and id < ?').run(id * idsOfRun, (id + 1) * idsOfRun)
  }

  /** Ids never come again. */
  #nextId(): number {
    return Number(this.#sql("select seq from sqlite_sequence where name = 'run'").get()?.['seq'] ?? 0) + 1
  }

  #insertRun({ id, stream, first, span, entries, bits, last_at }: Run): void {
    this.#sql('insert into run (id, stream, first, span, entries, bits, last_at) values (?, ?, ?, ?, ?, ?, ?)').run(
      id,
      stream,
      first,
      span,
      entries,
      bits,
      last_at,
    )
  }

  #insertBuckets(run: number, from: number, buckets: readonly Uint32Array[]): void {
    const insert = this.#sql('insert into bucket (id, body) values (?, ?)')
    buckets.forEach((entries, i) => {
      if (entries.length > 0) insert.run(run * idsOfRun + from + i, bytesOf(entries))
    })
  }

  /**
   * What it does is there wholly or not at all. Others that use this connection may have their turn while `work` is at it, and must see
   * nothing of it: what they would see is done in `finish`, which is one step with the commit and with `done`.
   */
  async #change<T>(work: () => T | Promise<T>, finish?: (made: T) => void, done?: (made: T) => void): Promise<T> {
    const before = this.#changing
    const over = Promise.withResolvers<void>()
    this.#changing = over.promise
    await before
    try {
      this.#db.exec('begin immediate')
      try {
        const working = work()
        const made = working instanceof Promise ? await working : working
        finish?.(made)
        this.#db.exec('commit')
        done?.(made)
        return made
      } catch (e) {
        if (this.#db.isTransaction) this.#db.exec('rollback')
        throw e
      }
    } finally {
      over.resolve()
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
}

class OtherVersion extends Error {}

const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

/** Whether SQLite says that a file is none of its own, or broken. */
export const isDamage = (e: unknown): boolean => {
  const code = ((e as { errcode?: number }).errcode ?? 0) & 0xff
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const bitsFor = (entries: number): number =>
  Math.min(maxBits, Math.max(0, Math.ceil(Math.log2(Math.max(1, entries) / bucketEntries))))

/** Entries by the bits of their hashes behind the first `from` up to `bits`; in each bucket they keep their order. */
const byBucket = (entries: Uint32Array, bits: number, from: number): readonly Uint32Array[] => {
  const buckets = 2 ** (bits - from)
  if (buckets === 1) return [entries]
  const shift = 32 - bits
  const mask = buckets - 1
  const ends = new Uint32Array(buckets + 1)
  for (let i = 0; i < entries.length; i += 2) {
    const slot = (((entries[i] as number) >>> shift) & mask) + 1
    ends[slot] = (ends[slot] as number) + 2
  }
  for (let i = 1; i <= buckets; i++) ends[i] = (ends[i] as number) + (ends[i - 1] as number)
  const sorted = new Uint32Array(entries.length)
  const at = ends.slice(0, buckets)
  for (let i = 0; i < entries.length; i += 2) {
    const slot = ((entries[i] as number) >>> shift) & mask
    const place = at[slot] as number
    sorted[place] = entries[i] as number
    sorted[place + 1] = entries[i + 1] as number
    at[slot] = place + 2
  }
  return Array.from({ length: buckets }, (_, i) => sorted.subarray(ends[i], ends[i + 1]))
}

const byPlace = (entries: Uint32Array): Uint32Array => {
  const order = Array.from({ length: entries.length / 2 }, (_, i) => i * 2)
  order.sort((a, b) => (entries[a + 1] as number) - (entries[b + 1] as number))
  const sorted = new Uint32Array(entries.length)
  order.forEach((from, i) => {
    sorted[2 * i] = entries[from] as number
    sorted[2 * i + 1] = entries[from + 1] as number
  })
  return sorted
}

const joined = (pieces: readonly Uint32Array[]): Uint32Array => {
  const all = new Uint32Array(pieces.reduce((n, piece) => n + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

const bytesOf = (entries: Uint32Array): Uint8Array =>
  new Uint8Array(entries.buffer, entries.byteOffset, entries.byteLength)

const words = (bytes: Uint8Array): Uint32Array =>
  bytes.byteOffset % 4 === 0
    ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    : new Uint32Array(bytes.slice().buffer)
