import type { ConfigOf, ConfigSpec } from '../config/fields.ts'
import type { Logger } from '../log/logger.ts'
import type { JsonObject } from '../message/json.ts'
import type { RecordLines } from '../message/record-lines.ts'
import type { RecordMessage } from '../message/record.ts'
import type { MessageOf, SchemaMessage } from '../message/types.ts'

/** What a persister's code is given when it opens its destination. */
export interface PersisterContext<C extends ConfigSpec = ConfigSpec> {
  readonly config: ConfigOf<C>
  readonly log: Logger
  /** Aborted when the run is to stop at once. */
  readonly signal: AbortSignal
  /** Takes a line that a program of somebody else wrote on its log, to be passed on as it is; left out: nobody listens. */
  readonly relay?: ((line: string) => void) | undefined
  /** No state was ever kept: whatever an unfinished run left of a substream comes again, and may be dropped. */
  readonly startsOver?: boolean
}

/**
 * What the destination holds of a substream, as evidence that can be asked for again: how many rows or lines, and a
 * persister's own marks (a file's length and digest, a table's fingerprint). JSON, kept in the ledger.
 */
export interface Evidence {
  readonly substream: string
  readonly rows: number
  readonly marks: JsonObject
}

/** What asking again found. `problems` is empty where all is as it was left. */
export interface VerifyFinding {
  readonly substream: string
  readonly rows: number
  readonly problems: readonly string[]
}

/** What a persister can do: the runner and the test kit read it. */
export interface PersisterSupports {
  /** Rows with the same key properties replace each other. */
  readonly upsert: boolean
  /** Numbers are kept digit for digit. */
  readonly exactNumbers: boolean
  /** ACTIVATE_VERSION removes or marks the rows of other versions. */
  readonly versions: boolean
  /** It asks for the values of records (false: their bytes will do, and nothing is parsed for its sake). */
  readonly opensRecords: boolean
  /** Where the streamer gave no schema it wants one inferred from the values, even if it does not open records itself. */
  readonly needsSchemas?: boolean
}

/**
 * One open destination. The runner calls one method at a time and waits for it.
 *
 * - `declare` comes before the first `write` of a substream and again whenever its schema or keys change. Where it throws
 *   SCHEMA_INVALID or SCHEMA_CHANGE_REFUSED the session must be as it was before: a flush may still follow.
 * - `write` takes records of one substream, all of its latest schema, in order. It may keep them in memory or in an
 *   open transaction; the array and its records stay valid until the next `flush` has resolved.
 * - `flush` resolves only when everything written before it survives a crash. Only then does the runner release a
 *   state. After it throws, nothing more is called but disposal.
 * - Disposal without a `flush` must leave the destination as the last `flush` left it: what is half written does not count.
 *
 * Never sees a STATE, but where it has `states`. Throws MillraceError: DESTINATION_* for the destination's faults, SCHEMA_CHANGE_REFUSED, and for
 * one bad value {@link RejectedRecords}, which names the records that cannot be stored.
 */
export interface PersisterSession extends AsyncDisposable {
  declare(schema: SchemaMessage): Promise<void>
  /**
   * Whether rows that are there may make `declare` refuse this schema. Then what came before it is flushed first, and
   * stays with its states.
   */
  mayRefuse?(schema: SchemaMessage): boolean
  write(substream: string, records: readonly RecordMessage[]): Promise<void>
  /**
   * The same as `write` for records that are wanted as they came and as nothing else: where the session has this, and
   * nothing stands before it that changes records, those that are valid by their bytes come gathered, many at a time and
   * without their time and version. Their bytes are valid until it resolves. Throws no {@link RejectedRecords}.
   */
  writeLines?(substream: string, lines: RecordLines): Promise<void>
  /** What it writes are messages: it is given the lines that the records came in (`RecordLines.whole`). */
  readonly wantsWhole?: boolean
  /** Rows of other versions of this substream are to go. Takes effect with the next flush, after all records before it. */
  activateVersion?(message: MessageOf<'ACTIVATE_VERSION'>): Promise<void>
  flush(): Promise<void>
  /** For a destination that says by itself what is durable. With it, states are passed on and `flush` comes at the end only. */
  readonly states?: StateAcknowledger
  /**
   * The input came to its end, and all of it was written and flushed. Called once, after the last flush; not called
   * where the run was stopped or failed. For what may only be done with the whole: a file takes another's place.
   */
  finish?(): Promise<void>
  /** Evidence of the substreams written in this session, asked for once after the last flush. */
  evidence?(): Promise<readonly Evidence[]>
}

/**
 * A destination that is given each STATE in its place, and answers one when everything before it is durable (a Singer
 * target). A state is then released when it was answered, and what was written before it counts as stored from then on.
 */
export interface StateAcknowledger {
  /** Hands over a state, as JSON text, behind all records before it. */
  pass(text: string): Promise<void>
  /** Calls back with each state that is answered, as JSON text, in order; and once where the destination ended by itself. */
  listen(onState: (text: string) => void, onEnd: (error: Error) => void): void
  /** After the last flush: whether the newest state passed may count as answered, as everything is durable. */
  readonly flushAnswers: boolean
}

/** How much a flush should cover, where the usual is not good for a destination. A run's own options win. */
export interface FlushSizes {
  readonly records?: number
  readonly bytes?: number
  readonly ms?: number
}

/** A persister: puts data into a destination. Made by {@link definePersister}. */
/** A schema that is to come, with what the catalog tells beside it. */
export interface PlannedSchema extends SchemaMessage {
  /** Its records carry a version, and one is activated: rows that are gone are dropped. */
  readonly versioned?: boolean
}

export interface Persister<C extends ConfigSpec = ConfigSpec> {
  readonly kind: 'persister'
  readonly name: string
  /** One sentence: where it writes. */
  readonly doc: string
  readonly config: C
  readonly supports: PersisterSupports
  readonly flushes?: FlushSizes
  readonly open: (ctx: PersisterContext<C>) => Promise<PersisterSession>
  /** Proves quickly that the settings reach the destination, changing nothing. Throws what is wrong. */
  readonly check?: (ctx: PersisterContext<C>) => Promise<void>
  /** Asks the destination again whether it holds what the evidence says, changing nothing. */
  readonly verify?: (ctx: PersisterContext<C>, evidence: readonly Evidence[]) => Promise<readonly VerifyFinding[]>
  /** What declaring these schemas would do (DDL, files made), changing nothing: one line of text each. */
  readonly plan?: (ctx: PersisterContext<C>, schemas: readonly PlannedSchema[]) => Promise<readonly string[]>
  /** What the reference page tells besides: `page`, the one that tells the rest, as a path from docs/reference. */
  readonly reference?: { readonly page?: string }
}

/**
 * Thrown by `write` (never by `flush`) when some of its records, and only those, cannot be stored. The session is then
 * as it was before that call; the runner sets the rejected aside, or stops, and writes the others again.
 */
export class RejectedRecords extends Error {
  override readonly name: string = 'RejectedRecords'
  readonly rejected: readonly { readonly record: RecordMessage; readonly error: Error }[]
  constructor(rejected: RejectedRecords['rejected']) {
    super(`${rejected.length} records rejected`)
    this.rejected = rejected
  }
}
