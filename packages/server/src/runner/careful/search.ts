/**
 * The search for what a persister refuses and does not name. A segment that failed as a whole is given to persisters of
 * their own in halves, left before right, so that the order holds, down to single records. What is refused alone, and once
 * more, is set aside; what is only refused in company is stored. Bounded in tries, in time and in records refused in a row.
 */
import {
  type Books,
  type DeadLetter,
  Digest,
  encodeJson,
  type Evidence,
  MillraceError,
  MessageWriter,
} from '@millrace/sdk'
import { addBooks, setAsideBooks } from '../../domain/books.ts'
import type { Delivered, PieceInput } from './piece.ts'
import type { Segment, SegmentReader } from './segment.ts'

/** Processes started for the search in one run. */
const maxTries = 1_000
const maxMs = 600_000
/** So many records refused one after the other, and none taken: it is not the records. */
const maxRefusedInARow = 20

/** Failures that may be those of a record. A destination that is away, full or busy is that whatever it is given. */
const mayBeARecords: ReadonlySet<string> = new Set(['PROCESS_FAILED', 'DESTINATION_REFUSED', 'INTERNAL'])
export const mayBePoison = (failure: MillraceError): boolean => mayBeARecords.has(failure.code)

export interface SearchOptions {
  /** Gives a part to a fresh persister, and kills it after `maxMs`. */
  readonly deliver: (input: PieceInput, maxMs: number | undefined) => Promise<Delivered>
  readonly reader: SegmentReader
  readonly what: string
  /** What came before in the run counts from its beginning: nothing was kept at all. */
  readonly startsOver: boolean
  /** The newest state kept: it ends parts that no state of their own belongs to. */
  readonly state: () => string | undefined
}

/** What became of a segment. */
export interface Settled {
  readonly books: Books
  readonly letters: readonly DeadLetter[]
  readonly state: string | undefined
  readonly evidence: readonly Evidence[]
}

export class Search {
  readonly #options: SearchOptions
  #startsOver: boolean
  #tries = 0
  #ms = 0
  #refusedInARow = 0
  /** Records set aside by the search. */
  found = 0

  constructor(options: SearchOptions) {
    this.#options = options
    this.#startsOver = options.startsOver
  }

  /** Settles all of a segment, or throws and nothing of it counts. Throws what the persister failed with, RECORDS_REFUSED. */
  async settle(segment: Segment, moreComes: boolean): Promise<Settled> {
    const parts = new Parts(segment)
    for (const m of segment.unreadable) parts.addUnreadable(m)
    const whole = { from: 0, to: segment.count, tail: true, moreComes }
    const first = await this.#deliver(segment, whole, undefined)
    if (first.failure === undefined) return parts.add(first, 0).close(first.state)
    if (segment.count === 0 || !mayBePoison(first.failure)) throw first.failure
    // Refused without any record: then no record is to blame.
    const none = await this.#try(segment, { from: 0, to: 0, tail: false, moreComes: true })
    if (none.failure !== undefined) throw first.failure
    await this.#halve(segment, parts, { from: 0, to: segment.count, isKnown: true })
    const last = await this.#try(segment, { from: 0, to: 0, tail: true, moreComes })
    if (last.failure !== undefined) throw last.failure
    return parts.add(last, 0).close(last.state)
  }

  async #halve(
    segment: Segment,
    parts: Parts,
    { from, to, isKnown }: { readonly from: number; readonly to: number; readonly isKnown: boolean },
  ): Promise<void> {
    if (!isKnown || to - from === 1) {
      const tried = await this.#try(segment, { from, to, tail: false, moreComes: true })
      if (tried.failure === undefined) {
        this.#refusedInARow = 0
        parts.add(tried, from)
        return
      }
      if (!mayBePoison(tried.failure)) throw tried.failure
      if (to - from === 1) return await this.#confirm(segment, parts, { at: from, refusal: tried.failure, isKnown })
    }
    const middle = from + Math.ceil((to - from) / 2)
    await this.#halve(segment, parts, { from, to: middle, isKnown: false })
    await this.#halve(segment, parts, { from: middle, to, isKnown: false })
  }

  /** A single record that was refused: once more, since a program may also die of something else. */
  async #confirm(
    segment: Segment,
    parts: Parts,
    { at, refusal, isKnown }: { readonly at: number; readonly refusal: MillraceError; readonly isKnown: boolean },
  ): Promise<void> {
    // Where the whole was this one record, it was refused twice already.
    const again = isKnown
      ? { failure: refusal }
      : await this.#try(segment, { from: at, to: at + 1, tail: false, moreComes: true })
    if (again.failure === undefined) {
      this.#refusedInARow = 0
      parts.add(again as Delivered, at)
      return
    }
    this.found++
    parts.setAside(this.#options.reader, at, again.failure)
    if (++this.#refusedInARow >= maxRefusedInARow)
      throw this.#givenUp(`it refused ${maxRefusedInARow} records one after the other and took none`, again.failure)
  }

  /** One process of the search. */
  async #try(segment: Segment, part: Part): Promise<Delivered> {
    if (++this.#tries > maxTries) throw this.#givenUp(`${maxTries} tries were not enough`, undefined)
    const started = performance.now()
    const tried = await this.#deliver(segment, part, maxMs - this.#ms)
    this.#ms += performance.now() - started
    if (this.#ms >= maxMs) throw this.#givenUp(`${maxMs / 60_000} minutes were not enough`, tried.failure)
    return tried
  }

  async #deliver(segment: Segment, part: Part, limitMs: number | undefined): Promise<Delivered> {
    const { deliver, reader } = this.#options
    const state = part.tail ? segment.state : this.#options.state()
    const done = await deliver(
      { lines: linesOf(segment, part, { reader, state }), moreComes: part.moreComes, startsOver: this.#startsOver },
      limitMs,
    )
    if (done.failure === undefined && part.to > part.from) this.#startsOver = false
    return done
  }

  #givenUp(why: string, last: MillraceError | undefined): MillraceError {
    return new MillraceError('RECORDS_REFUSED', {
      what: this.#options.what,
      why: last === undefined ? why : `${why}; the last time: ${last.message}`,
    })
  }
}

interface Part {
  readonly from: number
  readonly to: number
  /** With what comes behind all records of the segment. */
  readonly tail: boolean
  readonly moreComes: boolean
}

function* linesOf(
  segment: Segment,
  part: Part,
  { reader, state }: { readonly reader: SegmentReader; readonly state: string | undefined },
): Generator<Uint8Array, void, undefined> {
  const writer = new MessageWriter()
  for (const schema of segment.schemas) writer.add(schema)
  yield writer.take()
  yield* reader.pieces(part.from, part.to)
  if (part.tail) for (const version of segment.versions) writer.add(version)
  if (state !== undefined) writer.add({ type: 'STATE', text: state, line: 0 })
  yield writer.take()
}

/** What the parts of a segment came to. */
class Parts {
  readonly #segment: Segment
  readonly #books: Books[] = []
  readonly #letters: DeadLetter[] = []
  readonly #evidence = new Map<string, Evidence>()

  constructor(segment: Segment) {
    this.#segment = segment
  }

  /** A part that was taken; its first record is number `from` of the segment. */
  add(done: Pick<Delivered, 'books' | 'letters' | 'evidence'>, from: number): this {
    this.#books.push(done.books)
    for (const e of done.evidence) this.#evidence.set(e.substream, e)
    for (const letter of done.letters) {
      // Its line is that of the part, which begins with the schemas.
      const line = this.#segment.lines[from + letter.line - this.#segment.schemas.length - 1]
      this.#letters.push(line === undefined ? letter : { ...letter, line })
    }
    return this
  }

  addUnreadable({ line, text, error }: Segment['unreadable'][number]): void {
    const digest = new Digest()
    digest.addHash({ hashHigh: line | 0, hashLow: text.length | 0 })
    this.#books.push(setAsideBooks('', { bytes: text.length, digest: digest.toString() }))
    const { code = 'MESSAGE_NOT_JSON', message } = error as Error & { readonly code?: string }
    this.#letters.push({ substream: '', line, code, reason: message, text })
  }

  setAside(reader: SegmentReader, index: number, failure: MillraceError): void {
    const record = reader.record(index)
    const digest = new Digest()
    digest.add(record.buffer, record.from, record.to)
    this.#books.push(setAsideBooks(record.stream, { bytes: record.size, digest: digest.toString() }))
    const schema = this.#segment.schemas.find((s) => s.stream === record.stream)
    this.#letters.push({
      substream: record.stream,
      line: this.#segment.lines[index] ?? 0,
      code: 'DESTINATION_REFUSED',
      // A line in the message would be that of a part.
      reason: String(failure.details['reason'] ?? failure.message),
      text: record.bytes().toString(),
      ...(schema === undefined
        ? {}
        : {
            schema: encodeJson({
              type: 'SCHEMA',
              stream: schema.stream,
              schema: schema.schema,
              key_properties: schema.keyProperties,
            }),
          }),
    })
  }

  close(state: string | undefined): Settled {
    return {
      books: addBooks(...this.#books),
      letters: this.#letters,
      state,
      evidence: [...this.#evidence.values()],
    }
  }
}
