/**
 * Reading the history, parents before children, so that what was read is closed under "parent of" at any moment: its
 * newest commits, the heads, say everything. The next run asks for what the refs reach and the heads do not.
 */
import {
  bookmark,
  isObject,
  type Json,
  type JsonObject,
  type Logger,
  MillraceError,
  recordsOf,
  type Yielded,
} from '@millrace/sdk'
import { git } from './git-process.ts'
import { type LoggedCommit, LogParser, logFormat } from './log-parser.ts'
import { resolveCommits, type Snapshot, trueParents } from './repository.ts'

/**
 * How far the history was read. `heads`: everything they reach was read. `trail`: commits read before, the newest close
 * together and the older ones ever further apart; after a force-push whose old tips are gone, they still say what was
 * shared. `shallow`: the edge of a shallow clone at that time. `backfill`: heads of what was read, up to now, of the
 * history that came to light behind that edge.
 */
interface Position {
  readonly heads: readonly string[]
  readonly trail: readonly (readonly [number, string])[]
  readonly read: number
  readonly shallow: readonly string[]
  readonly backfill: readonly string[] | undefined
}

/** Commits between two bookmarks, at least: fewer would make states a weight where there are many heads. */
const bookmarkEvery = 1000
/** A state must stay small. Where there are more heads, the oldest are left out, and a few commits come again. */
const maxHeads = 10_000
/** So many of the newest commits are on the trail without gaps. */
const denseTrail = 32

export interface HistoryOptions {
  readonly path: string
  readonly snapshot: Snapshot
  readonly from: Json | undefined
  readonly signal: AbortSignal
  readonly log: Logger
  /** What is yielded for a commit. */
  readonly commits: boolean
  readonly files: boolean
  /** Whether the records of files belong to another substream than the one that is read. */
  readonly filesAreGuests: boolean
  readonly stats: boolean
}

/** Reads what is new since `from`. */
export async function* readHistory(options: HistoryOptions): AsyncGenerator<Yielded, void, undefined> {
  const { path, snapshot, signal } = options
  const before = positionOf(options.from)
  const exists = new Set(
    (
      await resolveCommits(
        path,
        [
          ...new Set([
            ...before.heads,
            ...before.trail.map(([, sha]) => sha),
            ...before.shallow,
            ...(before.backfill ?? []),
          ]),
        ],
        signal,
      )
    ).filter((sha) => sha !== undefined),
  )
  if (signal.aborted) return
  const gone = before.heads.filter((sha) => !exists.has(sha)).length
  if (gone > 0) options.log.info('commits read before are no longer in the repository', { commits: gone })
  const progress = new Progress(before, exists)
  const boundary = await trueParents(path, snapshot.shallow, signal)
  const walk = (
    tips: readonly string[],
    not: readonly string[],
    heads: Heads,
  ): AsyncGenerator<Yielded, void, undefined> => readRange(options, { tips, not, heads, progress, boundary })

  const uncovered = before.shallow.filter((sha) => exists.has(sha) && !boundary.has(sha))
  if (uncovered.length > 0 || progress.backfill !== undefined) {
    options.log.info('history came to light behind the edge of the shallow clone', { commits: uncovered.length })
    const heads = progress.beginBackfill()
    yield* walk(uncovered, heads.list(), heads)
    if (signal.aborted) return
  }
  progress.endBackfill(snapshot.shallow)
  const not = [
    ...new Set([...progress.heads.list(), ...before.trail.map(([, sha]) => sha).filter((sha) => exists.has(sha))]),
  ]
  if (!snapshot.tips.every((tip) => progress.heads.has(tip))) yield* walk(snapshot.tips, not, progress.heads)
  // Also where nothing came: the edge may have moved.
  if (!signal.aborted) yield bookmark(progress.value())
}

interface Range {
  readonly tips: readonly string[]
  readonly not: readonly string[]
  readonly heads: Heads
  readonly progress: Progress
  readonly boundary: ReadonlyMap<string, readonly string[]>
}

async function* readRange(options: HistoryOptions, range: Range): AsyncGenerator<Yielded, void, undefined> {
  const { path, signal } = options
  const withDiff = options.stats || options.files
  const args = [
    'log',
    '--stdin',
    '--topo-order',
    '--reverse',
    '-z',
    `--format=${logFormat}`,
    '--date=raw',
    '--no-color',
    '--no-decorate',
    '--no-notes',
  ]
  if (withDiff)
    args.push('--raw', '--numstat', '--no-abbrev', '-M', '-l1000', '--no-ext-diff', '--no-textconv', '-O/dev/null')
  const input = `${range.tips.join('\n')}\n${range.not.map((sha) => `^${sha}\n`).join('')}`
  const parser = new LogParser({ withDiff, boundary: range.boundary })
  let sinceBookmark = 0
  let commits: JsonObject[] = []
  let files: JsonObject[] = []
  const take = (list: readonly LoggedCommit[]): void => {
    for (const c of list) {
      range.heads.add(c.sha, c.parents)
      range.progress.passed(c.sha)
      if (options.commits) commits.push(c.record)
      if (options.files) for (const f of c.files) files.push(f)
    }
    sinceBookmark += list.length
  }
  function* hand(): Generator<Yielded, void, undefined> {
    if (commits.length > 0) yield commits
    if (files.length > 0) yield options.filesAreGuests ? recordsOf('files', files) : files
    commits = []
    files = []
  }
  for await (const chunk of git(path, args, { input, signal })) {
    // A stop kills git, and what it still sends may end in the middle.
    if (signal.aborted) break
    take(parser.push(chunk))
    const due = sinceBookmark >= Math.max(bookmarkEvery, range.heads.size * 10)
    if (!due && commits.length + files.length < bookmarkEvery) continue
    yield* hand()
    if (!due) continue
    sinceBookmark = 0
    yield bookmark(range.progress.value())
  }
  if (!signal.aborted) take(parser.end())
  yield* hand()
  yield bookmark(range.progress.value())
}

/** The newest commits of what was read. */
class Heads {
  readonly #heads: Set<string>
  constructor(heads: readonly string[]) {
    this.#heads = new Set(heads)
  }
  add(sha: string, parents: readonly string[]): void {
    for (const p of parents) this.#heads.delete(p)
    this.#heads.add(sha)
  }
  has(sha: string): boolean {
    return this.#heads.has(sha)
  }
  get size(): number {
    return this.#heads.size
  }
  list(): readonly string[] {
    const all = [...this.#heads]
    return all.length <= maxHeads ? all : all.slice(all.length - maxHeads)
  }
}

class Progress {
  readonly heads: Heads
  backfill: Heads | undefined
  #trail: (readonly [number, string])[]
  #read: number
  #shallow: readonly string[]

  constructor(before: Position, exists: ReadonlySet<string>) {
    const existing = (list: readonly string[]): readonly string[] => list.filter((sha) => exists.has(sha))
    this.heads = new Heads(existing(before.heads))
    this.backfill = before.backfill === undefined ? undefined : new Heads(existing(before.backfill))
    this.#trail = before.trail.filter(([, sha]) => exists.has(sha))
    this.#read = before.read
    this.#shallow = before.shallow
  }

  beginBackfill(): Heads {
    this.backfill ??= new Heads([])
    return this.backfill
  }

  endBackfill(shallow: readonly string[]): void {
    this.backfill = undefined
    this.#shallow = shallow
  }

  passed(sha: string): void {
    this.#read++
    this.#trail.push([this.#read, sha])
    if (this.#trail.length > 4 * denseTrail) this.#trail = thin(this.#trail, this.#read)
  }

  value(): JsonObject {
    this.#trail = thin(this.#trail, this.#read)
    return {
      heads: this.heads.list(),
      trail: this.#trail,
      read: this.#read,
      ...(this.#shallow.length === 0 ? {} : { shallow: this.#shallow }),
      ...(this.backfill === undefined ? {} : { backfill: this.backfill.list() }),
    }
  }
}

/** Keeps the newest, and of the older ones one for each doubling of the distance. */
const thin = (trail: readonly (readonly [number, string])[], read: number): (readonly [number, string])[] => {
  const kept: (readonly [number, string])[] = []
  let bucket = -1
  for (const entry of trail) {
    const age = read - entry[0]
    const own = age < denseTrail ? -1 : Math.floor(Math.log2(age))
    if (own === -1 || own !== bucket) kept.push(entry)
    bucket = own
  }
  return kept
}

/** Throws STATE_UNREADABLE where the bookmark is not one of ours. */
const positionOf = (from: Json | undefined): Position => {
  const p = from === undefined || from === null ? { heads: [] } : from
  if (!isObject(p) || !Array.isArray(p['heads']))
    throw new MillraceError('STATE_UNREADABLE', {
      source: 'of the streamer git',
      why: 'a bookmark has no list of "heads"',
    })
  const texts = (v: Json | undefined): readonly string[] =>
    Array.isArray(v) ? v.filter((s): s is string => typeof s === 'string') : []
  const trail = Array.isArray(p['trail']) ? (p['trail'] as readonly Json[]) : []
  return {
    heads: texts(p['heads']),
    trail: trail.filter(
      (t): t is [number, string] => Array.isArray(t) && typeof t[0] === 'number' && typeof t[1] === 'string',
    ),
    read: typeof p['read'] === 'number' ? p['read'] : 0,
    shallow: texts(p['shallow']),
    backfill: p['backfill'] === undefined ? undefined : texts(p['backfill']),
  }
}
