/** Records that are only passed on: their bytes, gathered out of lines that are all alike. */
import { NEWLINE } from './bytes.ts'
import { RecordMessage } from './record.ts'

/**
 * Records of one substream that came one behind the other, without the messages around them. What those said of a version
 * or a time is not kept: it is for persisters that write records as they came and nothing else.
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

  constructor(
    stream: string,
    line: number,
    gathered: {
      readonly count: number
      readonly bytes: Buffer
      readonly hashHigh: number
      readonly hashLow: number
    },
  ) {
    this.stream = stream
    this.line = line
    this.count = gathered.count
    this.bytes = gathered.bytes
    this.hashHigh = gathered.hashHigh
    this.hashLow = gathered.hashLow
  }

  /** Bytes of the records, without the newlines. */
  get size(): number {
    return this.bytes.length - this.count
  }

  /** The same as messages of their own, for whoever must look at each. They may be kept. */
  *records(): Generator<RecordMessage, void, undefined> {
    const buffer = Buffer.from(this.bytes)
    let from = 0
    // No byte of JSON inside a line is a newline.
    for (let line = this.line; from < buffer.length; line++) {
      const to = buffer.indexOf(NEWLINE, from)
      yield new RecordMessage(this.stream, line, { buffer, from, to })
      from = to + 1
    }
  }
}
