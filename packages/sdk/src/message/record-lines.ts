/** Records that are only passed on: their bytes, gathered out of lines that are all alike. */
import { MillraceError } from '../errors/error.ts'
import { NEWLINE, skimValue, textAt } from './bytes.ts'
import { RecordMessage } from './record.ts'
import type { Version } from './types.ts'

/** The lines that gathered records came in, and how each is made: a beginning, the record, and } or a head, a time, a quote and }. */
export interface WholeLines {
  /** A newline behind each. */
  readonly bytes: Buffer
  readonly prefixBytes: number
  /** What the beginning says of a version. */
  readonly version: Version | undefined
  readonly headBytes: number
  /** What the head says of one. */
  readonly headVersion: Version | undefined
}

/**
 * Records of one substream that came one behind the other, without the messages around them. What those said of a version
 * or a time is only in `whole`: the rest is for persisters that write records as they came and nothing else.
 */
export class RecordLines {
  readonly type = 'RECORD_LINES' as const
  readonly stream: string
  /** Number of the first one's line in the input, from 1; each is a line further. */
  readonly line: number
  readonly count: number
  /** The records, a newline behind each. Valid until the reader reads more. */
  readonly bytes: Buffer
  /** Sums of the halves of their hashes (books/digest.ts), where they were asked for. */
  readonly hashHigh: number
  readonly hashLow: number
  /** The lines as they came, all as Singer has them, where those were asked for. */
  readonly whole: WholeLines | undefined

  constructor(
    stream: string,
    line: number,
    gathered: {
      readonly count: number
      readonly bytes: Buffer
      readonly hashHigh: number
      readonly hashLow: number
      readonly whole?: WholeLines | undefined
    },
  ) {
    this.stream = stream
    this.line = line
    this.count = gathered.count
    this.bytes = gathered.bytes
    this.hashHigh = gathered.hashHigh
    this.hashLow = gathered.hashLow
    this.whole = gathered.whole
  }

  /** Bytes of the records, without the newlines. */
  get size(): number {
    return this.bytes.length - this.count
  }

  /** The same as messages of their own, for whoever must look at each. They may be kept. */
  *records(): Generator<RecordMessage, void, undefined> {
    if (this.whole !== undefined) {
      yield* this.#messages(this.whole)
      return
    }
    const buffer = Buffer.from(this.bytes)
    let from = 0
    // No byte of JSON inside a line is a newline.
    for (let line = this.line; from < buffer.length; line++) {
      const to = buffer.indexOf(NEWLINE, from)
      yield new RecordMessage(this.stream, line, { buffer, from, to })
      from = to + 1
    }
  }

  /** With the version and the time that their lines give. */
  *#messages(whole: WholeLines): Generator<RecordMessage, void, undefined> {
    const { bytes: buffer, prefixBytes, version, headBytes, headVersion } = whole
    let at = 0
    for (let line = this.line; at < buffer.length; line++) {
      const newline = buffer.indexOf(NEWLINE, at)
      const from = at + prefixBytes
      const to = skimValue(buffer, from, newline)
      if (to < 0) throw new MillraceError('INTERNAL', { why: `a gathered record of line ${line} has no end` })
      const meta =
        to + 1 === newline
          ? { version }
          : { version: headVersion ?? version, timeExtracted: textAt(buffer, to + headBytes, newline - 2) }
      yield new RecordMessage(this.stream, line, { buffer, from, to }, meta)
      at = newline + 1
    }
  }
}
