/**
 * Which records have a key, for streams that were asked. Nothing is done where records are appended: a question first makes the
 * index catch up with the stream, so that a stream nobody asks costs nothing. The newest records stand in memory ({@link Tail}), the
 * others in runs on the disk ({@link RunFile}), which are merged as they become many.
 */
import { isMillraceError } from '@millrace/sdk/errors'
import { decodeContent } from '../block.ts'
import type { LogStore, StoredContent, StreamRow } from '../store.ts'
import { hashOf } from './hash.ts'
import { mergeRuns, type Run, type RunFile } from './run-file.ts'
import { Tail } from './tail.ts'

/** Entries of a run, at least; its span in offsets has a limit too, for records without keys. */
const defaultRunEntries = 65_536
const maxSpanOfRun = 2 ** 24
/** A merged run covers no more offsets than its entries can say. */
const maxSpan = 2 ** 32
/** Read at a time; then others have their turn. */
const readRecords = 20_000
const readBytes = 4 * 1024 * 1024
/** Streams whose newest records are kept in memory. */
const keptStreams = 64

interface Known {
  /** Covered are the offsets below. */
  end: number
  /** When the log took the last of them. */
  lastAt: number
  /** Newest first. */
  runs: readonly Run[]
  tail: Tail
  /** One at a time brings it up to date. */
  catching: Promise<void> | undefined
}

/** Which records of a stream have a key. */
export interface Question {
  readonly stream: number
  readonly name: string
  readonly key: string
  readonly limit: number
  readonly before: number
}

export class KeyIndex {
  readonly #file: RunFile
  readonly #store: LogStore
  readonly #runEntries: number
  readonly #known = new Map<number, Known>()
  /** The streams as they were when questions were asked last: asked once for all that came together. */
  readonly #rows = new Map<number, StreamRow>()

  /** `runEntries`: for tests, which would have to write much otherwise. */
  constructor(file: RunFile, store: LogStore, runEntries: number = defaultRunEntries) {
    this.#file = file
    this.#store = store
    this.#runEntries = runEntries
  }

  /** Forgets what dropped streams left behind. */
  async tidy(): Promise<void> {
    for (const stream of this.#file.streams())
      if (!this.#store.has(stream)) await this.#file.remove(this.#file.runs(stream))
  }

  /**
   * For each question the offsets below `before` of records that may have the key, newest first, at most `limit`: that they have it is for
   * the caller to see. Where there are fewer there are no more. What was appended before this was called is found. Each throws
   * STREAM_UNKNOWN, and what SQLite throws.
   */
  ask(questions: readonly Question[]): readonly Promise<readonly number[]>[] {
    const asked = (async () => this.#refresh())()
    return questions.map(async (question) => {
      await asked
      return await this.#find(question)
    })
  }

  /** What another process merged is not where it was; what was appended is to be covered. */
  #refresh(): void {
    if (this.#file.changedByOthers()) this.#known.clear()
    this.#rows.clear()
  }

  async #find({ stream, name, key, limit, before }: Question): Promise<readonly number[]> {
    for (;;) {
      const known = this.#known.get(stream) ?? (await this.#load(stream))
      this.#used(stream, known)
      const { first } = await this.#caughtUp(known, stream, name)
      const found = this.#lookUp(known, key, limit, before)
      if (found === undefined) continue
      // Newest first: what was trimmed stands at the end.
      while (found.length > 0 && (found.at(-1) as number) < first) found.pop()
      return found
    }
  }

  /** Undefined where a run turned out to be merged by another process: it is to be looked for again. */
  #lookUp(known: Known, key: string, limit: number, before: number): number[] | undefined {
    const hash = hashOf(key, this.#file.seed)
    const found: number[] = []
    known.tail.find(hash, before, limit, found)
    for (const run of known.runs) {
      if (found.length >= limit) break
      if (run.first >= before || this.#file.find(run, hash, before, limit, found)) continue
      if (!this.#file.changedByOthers()) continue
      this.#known.clear()
      return undefined
    }
    return found
  }

  /** In the order of their use; what was not used for longest goes. */
  #used(stream: number, known: Known): void {
    this.#known.delete(stream)
    this.#known.set(stream, known)
    for (const [old, { catching }] of this.#known) {
      if (this.#known.size <= keptStreams || catching !== undefined) break
      this.#known.delete(old)
    }
  }

  /** What the file has of a stream, where the log is still the one that it was made from. */
  async #load(stream: number): Promise<Known> {
    let runs = this.#file.runs(stream)
    const isOfOther = runs.some((run) => {
      const at = this.#store.takenAt(stream, run.first + run.span - 1)
      return at !== undefined && at !== run.last_at
    })
    const [newest] = runs
    const isAhead = newest !== undefined && newest.first + newest.span > this.#store.nextOf(stream)
    if (isOfOther || isAhead) {
      await this.#file.remove(runs)
      runs = []
    }
    const loaded = this.#known.get(stream)
    if (loaded !== undefined) return loaded
    const end = runs[0] === undefined ? 0 : runs[0].first + runs[0].span
    const known: Known = { end, lastAt: 0, runs, tail: new Tail(end), catching: undefined }
    this.#known.set(stream, known)
    return known
  }

  /** Resolves with the stream as it was when this was asked, all of which is covered then. */
  async #caughtUp(known: Known, stream: number, name: string): Promise<StreamRow> {
    const row = this.#rows.get(stream) ?? this.#store.stat(stream, name)
    this.#rows.set(stream, row)
    while (known.end < row.next) {
      known.catching ??= this.#catchUp(known, stream, name, row).finally(() => {
        known.catching = undefined
      })
      await known.catching
    }
    return row
  }

  async #catchUp(known: Known, stream: number, name: string, row: StreamRow): Promise<void> {
    while (known.end < row.next) {
      const { first } = this.#store.stat(stream, name)
      // What was trimmed before it was looked at has no entries.
      if (known.end < first) known.end = first
      for (const block of this.#blocks(stream, name, known.end)) {
        const { keys, count } = decodeContent(block.content)
        const skipped = known.end - block.first
        known.end = block.first + count
        known.lastAt = block.at
        if (keys === undefined) continue
        for (let i = skipped; i < count; i++) {
          const key = keys[i]
          if (key !== undefined) known.tail.add(hashOf(key, this.#file.seed), block.first + i)
        }
      }
      if (known.tail.count >= this.#runEntries || known.end - known.tail.first >= maxSpanOfRun)
        await this.#seal(known, stream, first)
      await turn()
    }
  }

  /** None where it was trimmed in this moment. */
  #blocks(stream: number, name: string, from: number): readonly StoredContent[] {
    try {
      return this.#store.blocks(stream, name, from, { records: readRecords, bytes: readBytes })
    } catch (e) {
      if (isMillraceError(e) && e.code === 'LOG_OFFSET_TRIMMED') return []
      throw e
    }
  }

  /** Makes a run of the tail. */
  async #seal(known: Known, stream: number, trimmedBelow: number): Promise<void> {
    const { tail, end } = known
    const entries = new Uint32Array(tail.count * 2)
    for (let i = 0; i < tail.count; i++) entries.set(tail.entry(i), 2 * i)
    const span = end - tail.first
    const shape = { stream, first: tail.first, span, entries: tail.count, last_at: known.lastAt }
    const added = await this.#file.add(shape, entries)
    if (added === undefined) {
      // Another process was there before: what it has is taken, and gone on with.
      known.runs = this.#file.runs(stream)
      const [newest] = known.runs
      known.end = newest === undefined ? 0 : newest.first + newest.span
      known.tail = new Tail(known.end)
      return
    }
    known.runs = [added, ...known.runs]
    known.tail = new Tail(end)
    const trimmed = known.runs.filter((run) => run.first + run.span <= trimmedBelow)
    if (trimmed.length > 0) {
      known.runs = known.runs.filter((run) => !trimmed.includes(run))
      await this.#file.remove(trimmed)
    }
    await this.#merge(known)
  }

  /** While the newest runs are so many of about one size, they become one of the next. */
  async #merge(known: Known): Promise<void> {
    for (;;) {
      const size = this.#sizeOf(known.runs[0])
      const other = known.runs.findIndex((run) => this.#sizeOf(run) !== size)
      const same = known.runs.slice(0, other < 0 ? undefined : other)
      const oldest = same.at(-1)
      const newest = same[0]
      if (oldest === undefined || newest === undefined || same.length < mergeRuns) return
      if (newest.first + newest.span - oldest.first >= maxSpan) return
      const before = known.runs.length
      await this.#file.merge(same, (merged) => {
        known.runs = [merged, ...known.runs.slice(same.length)]
      })
      if (known.runs.length === before) return
    }
  }

  #sizeOf(run: Run | undefined): number {
    return Math.floor(Math.log(Math.max(1, (run?.entries ?? 0) / this.#runEntries)) / Math.log(mergeRuns) + 1e-9)
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
