/**
 * What a project remembers: runs, states, books, evidence and dead letters. All of it is in one SQLite file,
 * `.millrace/millrace.db`, that any number of processes may open at once.
 */
import type { Books, DeadLetter, Evidence, JsonObject } from '@millrace/sdk'

/** How a run ended. `crashed`: its process was gone before it could say. */
export type RunEnding = 'finished' | 'stopped' | 'failed' | 'crashed'

/** Where a run began: at the beginning, at the stored state, or at a state given for this run. */
export type RunMode = 'full' | 'incremental' | 'override'

/** Records by what became of them, and bytes received, of all substreams. */
export interface RunCounts {
  readonly received: number
  readonly stored: number
  readonly filtered: number
  readonly deadLettered: number
  readonly bytes: number
}

/** One run. Its id sorts by time. Times are ISO 8601 in UTC. */
export interface RunRecord {
  readonly id: string
  readonly pipeline: string
  readonly mode: RunMode
  readonly startedAt: string
  /** Undefined while it runs, and after a crash until the next run of its pipeline. */
  readonly endedAt: string | undefined
  readonly why: RunEnding | undefined
  readonly exitCode: number | undefined
  readonly error: { readonly code: string; readonly message: string } | undefined
  readonly counts: RunCounts
  /** What the run wrote to; runs with the same identity wrote to the same place. */
  readonly destination: string
  /** That place in words, where it can be told: see `destinationPlace`. */
  readonly place: string | undefined
  /** The pipeline as it was run, without secrets; undefined where it was not kept. */
  readonly definition: JsonObject | undefined
}

/** How a state came to be the state of its pipeline. */
export type StateOrigin = 'run' | 'set' | 'revert'

/** One accepted state. `text` is exact; undefined stands for the beginning. */
export interface StateEntry {
  readonly id: number
  readonly pipeline: string
  readonly run: string | undefined
  readonly at: string
  readonly origin: StateOrigin
  readonly text: string | undefined
  /** Records stored by its run up to this state. */
  readonly records: number
}

/** A dead letter as it is kept. */
export interface StoredDeadLetter extends DeadLetter {
  readonly id: number
  readonly run: string
  readonly pipeline: string
  readonly at: string
  readonly replayedAt: string | undefined
}

export interface DeadLetterQuery {
  readonly pipeline?: string
  readonly run?: string
  readonly substream?: string
  readonly code?: string
  /** Left out: only those not replayed. */
  readonly replayed?: boolean | 'any'
  /** Only those with a greater id: the next page. */
  readonly after?: number
  /** Default 1,000. */
  readonly limit?: number
}

export interface BeginRun {
  readonly pipeline: string
  readonly destination: string
  /** `incremental` becomes `full` where no state is stored. */
  readonly mode: RunMode
  /** Where it writes to, in words. An incremental run is refused where the stored state was made for another place. */
  readonly place?: string | undefined
  readonly definition?: JsonObject
}

export interface Commit {
  readonly run: string
  /** Left out: no new state came. */
  readonly state?: string
  /** Since the start of the run. */
  readonly books: Books
  /** Since the last commit. */
  readonly deadLetters: readonly DeadLetter[]
}

export interface EndRun {
  readonly run: string
  readonly why: Exclude<RunEnding, 'crashed'>
  readonly exitCode: number
  readonly error?: { readonly code: string; readonly message: string }
  readonly books: Books
  readonly evidence: readonly Evidence[]
}

/** The evidence that stands for a substream at a destination: that of the last run that wrote it. */
export interface StandingEvidence extends Evidence {
  readonly run: string
}

/**
 * The store of a project. Every method is one transaction: it happened wholly, durably, or not at all. They do not wait,
 * but for another process's transaction (at most five seconds). All throw STORE_UNUSABLE where the file fails them.
 */
export interface Store extends Disposable {
  /** The database file. */
  readonly file: string
  /** Begins a run and takes the lock of its pipeline. A lock whose process is gone is taken over, and what is left of its children is killed. Throws RUN_LOCKED, STATE_OF_OTHER_DESTINATION. */
  beginRun(begin: BeginRun): { readonly run: RunRecord; readonly state: StateEntry | undefined }
  /** Notes the process groups of a run, for the one who takes over after a crash. */
  noteProcesses(run: string, pids: readonly number[]): void
  /** Keeps state, books and dead letters together. A state equal to the one before, made for the same place, makes no new entry. Throws RUN_LOCKED where the run no longer holds its lock. */
  commit(commit: Commit): void
  /** Ends a run and frees its lock. */
  endRun(end: EndRun): void
  /** Runs, newest first. */
  listRuns(query?: { readonly pipeline?: string; readonly limit?: number }): readonly RunRecord[]
  /** A run by its id, the beginning or end of its id where only one fits, or `latest`. Throws RUN_UNKNOWN. */
  getRun(id: string): RunRecord
  books(run: string): Books
  evidence(run: string): readonly Evidence[]
  /** For each substream of a destination, the evidence of the last run that wrote it. */
  standingEvidence(destination: string): readonly StandingEvidence[]
  /** The state of a pipeline; undefined where it has none, or was set to the beginning. */
  stateOf(pipeline: string): StateEntry | undefined
  /** All states of a pipeline, newest first. Default limit 1,000. */
  stateLog(pipeline: string, limit?: number): readonly StateEntry[]
  /** Sets the state; undefined text is the beginning. Throws STATE_UNREADABLE, RUN_LOCKED. */
  setState(pipeline: string, text: string | undefined): StateEntry
  /** Makes an earlier entry of the log the state again; without an id, the one before the last run. Throws STATE_UNREADABLE, RUN_LOCKED. */
  revertState(pipeline: string, id?: number): StateEntry
  /** Pipelines that have runs or states. */
  pipelines(): readonly string[]
  deadLetters(query?: DeadLetterQuery): readonly StoredDeadLetter[]
  countDeadLetters(query?: DeadLetterQuery): number
  findDeadLetter(id: number): StoredDeadLetter | undefined
  markReplayed(ids: readonly number[]): void
  /** Closes the file. A run that was begun here and not ended counts as crashed. */
  [Symbol.dispose](): void
}
