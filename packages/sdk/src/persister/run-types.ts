import type { Books, DeadLetter } from '../books/types.ts'
import type { CompileMap, CompileSchema } from '../gate/types.ts'
import type { Logger } from '../log/logger.ts'
import type { JsonObject } from '../message/json.ts'
import type { Report } from '../report/types.ts'
import type { Evidence } from './types.ts'

/** How a persister is run. */
export interface PersisterRunOptions {
  /** Its settings, resolved: {@link resolveConfig}. */
  readonly config: JsonObject | Readonly<Record<string, unknown>>
  readonly input: AsyncIterable<Uint8Array>
  /** Takes one line of state (with its newline), and resolves when it is written. */
  readonly writeState: (line: string) => void | Promise<void>
  readonly log: Logger
  /** First abort: finish what was read, flush, release its state, end. */
  readonly signal: AbortSignal
  /** Second abort: stop at once. */
  readonly kill?: AbortSignal
  /** Checks records; left out: records are not checked. */
  readonly compileSchema?: CompileSchema
  readonly compileMap?: CompileMap
  /** What to do with a bad record or line. Default `stop`. */
  readonly onInvalid?: 'stop' | 'dead-letter'
  /** Keeps dead letters durably before the state behind them is released. Needed for `dead-letter` without a report. */
  readonly keepDeadLetters?: (letters: readonly DeadLetter[]) => Promise<void>
  /** Tells the runner; makes books with digests. */
  readonly report?: (report: Report) => void | Promise<void>
  readonly requireSchema?: boolean
  /** {@link PersisterContext.relay} */
  readonly relay?: ((line: string) => void) | undefined
  /** {@link PersisterContext.startsOver} */
  readonly startsOver?: boolean
  /** The input is a part of a whole: the session is not told that the whole came to its end. */
  readonly moreComes?: boolean
  readonly maxLineBytes?: number
  /** Records gathered before they are handed to `write`. Default 10,000, and never more than `batchBytes`. */
  readonly batchRecords?: number
  readonly batchBytes?: number
  /** A flush happens at the first of: this many records, this many bytes, this many milliseconds, end of input. */
  readonly flushRecords?: number
  readonly flushBytes?: number
  readonly flushMs?: number
  /** What to call the input in errors. */
  readonly source?: string
}

export interface PersisterRunResult {
  readonly books: Books
  readonly evidence: readonly Evidence[]
  /** Text of the last state released. */
  readonly state: string | undefined
}
