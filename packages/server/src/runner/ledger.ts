/**
 * What a run has settled so far, kept in the store as it comes. A state is judged before it is kept: it must be JSON and
 * not emptier than the one before. State, books and dead letters of a commit go into the store together.
 */
import { type Books, type CommitReport, MillraceError } from '@millrace/sdk'
import { totals } from '../domain/books.ts'
import { isEmptier } from '../domain/state.ts'
import type { Store } from '../store/types.ts'
import type { RunEvent } from './types.ts'

export interface LedgerOptions {
  readonly store: Store
  readonly run: string
  readonly pipeline: string
  /** What a new state is compared with; undefined: anything goes. */
  readonly baseline: string | undefined
  readonly allowEmptier: boolean
  /** Whether the pipeline's selection leaves a substream out, whose bookmark may then be gone. */
  readonly isLeftOut: (substream: string) => boolean
  readonly onEvent: (event: RunEvent) => void
}

export class Ledger {
  readonly #options: LedgerOptions
  #state: string | undefined
  #refused = false
  books: Books = {}
  deadLetters = 0

  constructor(options: LedgerOptions) {
    this.#options = options
    this.#state = options.baseline
  }

  /** The last state that was kept; undefined where none came. */
  kept: string | undefined

  /** Keeps a commit. Throws STATE_EMPTIER or STATE_UNREADABLE after keeping all of it but its state, and what the store throws. */
  commit(report: Pick<CommitReport, 'state' | 'books' | 'deadLetters'>): void {
    const { store, run, onEvent } = this.#options
    const refusal = report.state === undefined || this.#refused ? undefined : this.#judge(report.state)
    const state = refusal === undefined && !this.#refused ? report.state : undefined
    store.commit({
      run,
      books: report.books,
      deadLetters: report.deadLetters,
      ...(state === undefined ? {} : { state }),
    })
    this.books = report.books
    this.deadLetters += report.deadLetters.length
    if (report.deadLetters.length > 0) onEvent({ kind: 'dead-letters', count: this.deadLetters })
    if (state !== undefined) {
      this.#state = state
      this.kept = state
      onEvent({ kind: 'state', text: state, stored: totals(report.books).stored })
    }
    if (refusal === undefined) return
    // What comes after a refused state may build on it.
    this.#refused = true
    throw refusal
  }

  #judge(state: string): MillraceError | undefined {
    const { pipeline, allowEmptier, isLeftOut } = this.#options
    try {
      JSON.parse(state)
    } catch (e) {
      return new MillraceError(
        'STATE_UNREADABLE',
        { source: `that the persister of ${pipeline} printed`, why: 'it is not JSON' },
        { cause: e },
      )
    }
    const why = allowEmptier ? undefined : isEmptier(this.#state, state, isLeftOut)
    return why === undefined ? undefined : new MillraceError('STATE_EMPTIER', { pipeline, why })
  }
}
