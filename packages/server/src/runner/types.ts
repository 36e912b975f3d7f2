/** What a run is given, what it tells while it goes, and what it ends with. */
import type { Books, Evidence, JsonObject } from '@millrace/sdk'
import type { Pipeline, PipelineEnd } from '../domain/pipeline.ts'
import type { Environment } from '../project/references.ts'
import type { RunMode, Store } from '../store/types.ts'
import type { ExitReport } from './exit-report.ts'
import type { Metric } from './reports.ts'

export type Side = 'streamer' | 'persister'

/** How our own connectors are started: the program and the arguments before `sync`, `--config` and so on. Throws REGISTRY_UNKNOWN. */
export interface ConnectorCommands {
  readonly streamer: (name: string) => readonly string[]
  readonly persister: (name: string) => readonly string[]
}

/** What starting the programs of a pipeline needs. */
export interface ProgramOptions {
  readonly pipeline: Pipeline
  readonly commands: ConnectorCommands
  /** The environment: of the process, with what `.env` adds ({@link projectEnvironment}). */
  readonly env: Environment
  /** Where variables were looked for, in words, for errors. */
  readonly envPlaces?: string
  /** Variables that reach the programs beside the allow-list, such as those that the settings of a connector declare. */
  readonly passOn?: readonly string[]
}

export interface RunOptions extends ProgramOptions {
  readonly store: Store
  /** First abort: the streamer is stopped, the persister finishes what it read. */
  readonly signal?: AbortSignal
  /** Second abort: both are killed at once. */
  readonly kill?: AbortSignal
  readonly onEvent?: (event: RunEvent) => void
  /** Starts at the beginning, whatever state is stored. */
  readonly fullRefresh?: boolean
  /** Starts at this state and not at the stored one: the text of a state file, and its name. */
  readonly stateOverride?: { readonly text: string; readonly source: string }
  readonly allowEmptierState?: boolean
  /** Ends the run when for this long nothing was read, written or said. Default: never. */
  readonly idleTimeoutMs?: number
  /** Between SIGTERM and SIGKILL. Default 10,000. */
  readonly graceMs?: number
  /** How long the persister may take to settle what it read once the run is to end early. Default 60,000. */
  readonly settleMs?: number
  /** The configuration of an end as the store may keep it, without secrets; left out, none is kept. */
  readonly redact?: (end: PipelineEnd) => JsonObject
}

/** What a run tells. `log` lines come from the programs as they are. */
export type RunEvent =
  | { readonly kind: 'started'; readonly run: string; readonly mode: RunMode; readonly state: string | undefined }
  /** Both programs were started. */
  | { readonly kind: 'running'; readonly streamer: number | undefined; readonly persister: number | undefined }
  | ProgressEvent
  | { readonly kind: 'state'; readonly text: string; readonly stored: number }
  | { readonly kind: 'dead-letters'; readonly count: number }
  | {
      readonly kind: 'log'
      readonly side: Side
      readonly line: string
      readonly level: 'debug' | 'info' | 'warn' | 'error'
    }
  | ({ readonly kind: 'metric'; readonly side: Side } & Metric)
  /** The run ends early; `why` in words. */
  | { readonly kind: 'stopping'; readonly why: string }

export interface ProgressEvent {
  readonly kind: 'progress'
  readonly elapsedMs: number
  /** Since the start of the run. */
  readonly substreams: Readonly<Record<string, { readonly received: number; readonly stored: number }>>
  readonly records: number
  readonly bytes: number
  /** Since the last event of this kind. */
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
  /** Shares of that time, 0 to 1: the persister waited for the streamer; the persister was in the destination. */
  readonly waitingShare: number
  readonly writingShare: number
}

/** Why a run is red. */
export interface RunFailure {
  readonly code: string
  readonly message: string
  readonly fix: string
}

export interface RunOutcome {
  readonly run: string
  readonly pipeline: string
  readonly mode: RunMode
  readonly why: 'finished' | 'stopped' | 'failed'
  readonly exitCode: number
  readonly failure: RunFailure | undefined
  /** Where it started and where it got to: texts; undefined is the beginning. */
  readonly stateBefore: string | undefined
  readonly stateAfter: string | undefined
  /** By substream; empty where a foreign persister kept none. */
  readonly books: Books
  /** What does not close in the books; empty where they are closed. */
  readonly open: readonly string[]
  /** Whether the persister kept books at all. */
  readonly booksKept: boolean
  readonly evidence: readonly Evidence[]
  readonly deadLetters: number
  readonly elapsedMs: number
  readonly streamer: ExitReport | undefined
  readonly persister: ExitReport | undefined
}
