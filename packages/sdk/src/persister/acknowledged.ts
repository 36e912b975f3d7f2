/**
 * Releases states that the destination answers: a Singer target, which is given each STATE behind the records before it,
 * and prints it again once they are durable. The answer stands for the flush; a flush comes only at the end.
 *
 * Of each state that is under way the books up to it are kept, so that what is told as stored is what was answered for. A
 * target may print a state that it was not given (some keep bookmarks of substreams apart): it is released as it is, and
 * the books stay where the last known answer left them until the end.
 */
import type { Books, DeadLetter } from '../books/types.ts'
import { encodeJson, isObject, type Json, parseExact } from '../message/json.ts'
import type { Intake } from './intake.ts'
import type { Release, WaitingState } from './release.ts'
import type { PersisterRunOptions } from './run-types.ts'
import type { PersisterSession, StateAcknowledger } from './types.ts'

/** States under way; of more than these every second is forgotten, and an answer to it counts as one that is not known. */
const maxUnderWay = 1_000
const maxCharsUnderWay = 16 * 1024 * 1024

interface UnderWay {
  readonly text: string
  /** Its text in one form, whatever spaces and order of keys the target writes. */
  readonly form: string
  readonly books: Books
  readonly letters: readonly DeadLetter[]
}

export class AcknowledgedRelease implements Release {
  readonly #session: PersisterSession
  readonly #states: StateAcknowledger
  readonly #intake: Intake
  readonly #options: PersisterRunOptions
  #underWay: UnderWay[] = []
  #chars = 0
  #books: Books = {}
  #answering: Promise<void> = Promise.resolve()
  #failure: Error | undefined
  #begun = false
  released: string | undefined
  writingMs = 0

  constructor(
    session: PersisterSession,
    states: StateAcknowledger,
    { intake, options }: { readonly intake: Intake; readonly options: PersisterRunOptions },
  ) {
    this.#session = session
    this.#states = states
    this.#intake = intake
    this.#options = options
    states.listen(
      (text) => {
        this.#answering = this.#answering.then(() => this.#answered(text)).catch((e: unknown) => this.#fail(e))
      },
      (error) => this.#fail(error),
    )
  }

  #fail(e: unknown): void {
    this.#failure ??= e instanceof Error ? e : new Error(String(e))
  }

  async add({ text }: WaitingState): Promise<void> {
    this.#begun = true
    await this.#intake.writeAll()
    const letters = this.#intake.flushed()
    const entry = { text, form: formOf(text), books: this.#intake.books.close(), letters }
    this.#underWay.push(entry)
    this.#chars += sizeOf(entry)
    if (this.#underWay.length > maxUnderWay || this.#chars > maxCharsUnderWay) this.#thin()
    await this.#states.pass(text)
  }

  /** Forgets every second one; its letters go with the next. */
  #thin(): void {
    const kept: UnderWay[] = []
    let letters: DeadLetter[] = []
    for (const [i, entry] of this.#underWay.entries()) {
      letters.push(...entry.letters)
      if (i % 2 === 0 && i !== this.#underWay.length - 1) continue
      kept.push({ ...entry, letters })
      letters = []
    }
    this.#underWay = kept
    this.#chars = kept.reduce((n, entry) => n + sizeOf(entry), 0)
  }

  /** A flush, which ends the target and begins another, comes in between only where more letters wait than there is room for. */
  isDue(): boolean {
    if (this.#failure !== undefined) throw this.#failure
    return this.#intake.isFullOfLetters || this.#chars > 2 * maxCharsUnderWay
  }

  async #answered(text: string): Promise<void> {
    if (this.#failure !== undefined) return
    const form = formOf(text)
    // Of equal states the oldest: what comes after it is answered for by the next.
    const at = this.#underWay.findIndex((entry) => entry.form === form)
    const covered = at < 0 ? [] : this.#underWay.splice(0, at + 1)
    for (const entry of covered) this.#chars -= sizeOf(entry)
    this.#books = covered.at(-1)?.books ?? this.#books
    await this.#commit(
      text,
      covered.flatMap((entry) => entry.letters),
    )
  }

  async #commit(state: string | undefined, letters: readonly DeadLetter[]): Promise<void> {
    if (letters.length > 0) await this.#options.keepDeadLetters?.(letters)
    await this.#options.report?.({ kind: 'commit', state, books: this.#books, deadLetters: letters })
    if (state === undefined) return
    await this.#options.writeState(`${state}\n`)
    this.released = state
  }

  /** Ends the destination's input and waits until it has settled everything, and answered for it. */
  async flush(): Promise<void> {
    const started = performance.now()
    if (this.#failure !== undefined) throw this.#failure
    await this.#intake.writeAll()
    await this.#session.flush()
    await this.#answering
    if (this.#failure !== undefined) throw this.#failure
    const letters = [...this.#underWay.flatMap((entry) => entry.letters), ...this.#intake.flushed()]
    const last = this.#underWay.at(-1)?.text
    if (last !== undefined && !this.#states.flushAnswers)
      this.#options.log.warn('the target ended well, but did not answer the last state: it is not kept', {
        states: this.#underWay.length,
      })
    this.#underWay = []
    this.#chars = 0
    this.#begun = false
    this.#books = this.#intake.books.close()
    await this.#commit(this.#states.flushAnswers ? last : undefined, letters)
    this.writingMs += performance.now() - started
  }

  counts(): ReturnType<Release['counts']> {
    return Object.fromEntries(
      Object.entries(this.#intake.books.counts()).map(([name, { received }]) => [
        name,
        { received, stored: this.#books[name]?.stored.records ?? 0 },
      ]),
    )
  }

  get hasWork(): boolean {
    return this.#begun || this.#intake.dirty || this.#intake.records > 0 || this.#intake.hasDeadLetters
  }
}

const sizeOf = (entry: UnderWay): number =>
  2 * entry.text.length + 400 * Object.keys(entry.books).length + entry.letters.reduce((n, l) => n + l.text.length, 0)

/** JSON text with the keys of objects in order and no spaces. Text that is not JSON is its own form. */
const formOf = (text: string): string => {
  try {
    return encodeJson(ordered(parseExact(text) as Json))
  } catch {
    return text
  }
}
const ordered = (value: Json): Json =>
  Array.isArray(value)
    ? value.map((v) => ordered(v as Json))
    : isObject(value)
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([k, v]) => [k, ordered(v)]),
        )
      : value
