/**
 * Bytes in, messages out: every generation of the format, told apart by its first line.
 *
 * A pipe's chunks end anywhere, so the reader keeps the unfinished line until the rest of it arrives. What it hands out
 * are arrays of messages, one array for a chunk. A RECORD is recognised by its first bytes, which are the same in line
 * after line of a substream, and its extent found by matching brackets: its values are not parsed here, unless `open`
 * is set. Everything else is parsed.
 */
import { isUtf8 } from 'node:buffer'
import { MillraceError } from '../errors/error.ts'
import { isTooDeep, maxDepth, NEWLINE, skimValue, skipSpace, startsWithAt, textAt, trimEnd } from './bytes.ts'
import { type ContentType, HeaderReader } from './header.ts'
import { isObject } from './json.ts'
import { LineScanner, maxScanBytes } from './line-scan.ts'
import { type KnownSchema, messagesOf } from './parse.ts'
import { RecordMessage } from './record.ts'
import { RecordLines } from './record-lines.ts'
import { NO_TAIL, type Prefix, RecordShapes, type Tail } from './record-shapes.ts'
import type { Message } from './types.ts'
import { isAsSingerHasIt, UntouchedLines } from './untouched-lines.ts'
import { membersOf, parseLine, parseTransit } from './whole-line.ts'

/** A line longer than this is refused unless the caller says otherwise. */
export const defaultMaxLineBytes: number = 64 * 1024 * 1024

export interface ReaderOptions {
  /** Longest line accepted, in bytes. Default {@link defaultMaxLineBytes}. */
  readonly maxLineBytes?: number
  /** What to call the input in an error: a file's name. Nothing for stdin. */
  readonly source?: string
  /** Parse each record as it is read. Faster than opening it later where every record will be opened. */
  readonly open?: boolean
  /** What to do with a line that cannot be read: stop (the default), or hand it over as UNREADABLE and go on. */
  readonly onUnreadable?: 'stop' | 'hand-over'
  /** For `convert`: lines that Singer would write the same way are handed out as {@link UntouchedLines}. */
  readonly untouched?: boolean
  /** Records that stand in lines alike are handed out together, as {@link RecordLines}, valid until more is read; `hashed` with their hashes. */
  readonly gather?: 'hashed' | 'plain'
  /** What is gathered brings the lines that it came in, and nothing is gathered of lines that Singer would write another way. */
  readonly whole?: boolean
}

/** Below this a block is read line by line: the scanner's call would cost more than it saves. */
const minScanBytes = 1024
/** So much of a line that is too long is handed over. */
const beginningBytes = 1_000
const CLOSE_BRACE = 125
const OPEN_BRACE = 123
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** Where a record ends, and what stands behind it. */
interface Extent {
  readonly to: number
  readonly tail: Tail
}

/** Reads one input. Not for two inputs: it remembers the header, the schemas' keys and the unfinished line. */
export class MessageReader {
  readonly #maxLineBytes: number
  readonly #source: string | undefined
  readonly #open: boolean
  readonly #handOver: boolean
  readonly #header = new HeaderReader()
  readonly #untouched: boolean
  readonly #gather: boolean
  readonly #hash: boolean
  readonly #whole: boolean
  #gathered: Buffer = Buffer.alloc(0)
  #gatheredAt = 0
  readonly #schemas = new Map<string, KnownSchema>()
  readonly #shapes = new RecordShapes()
  #rest: Buffer[] = []
  #restBytes = 0
  /** Set while the rest of a line that was handed over as too long goes by. */
  #skipping = false
  #line = 0
  #ended = false
  /** Set while the last line, which has no newline, is read. */
  #isLast = false
  #failure: MillraceError | undefined
  /** Whether the scanner says of the line being read that no number in it can be rounded. */
  #isExact = false

  constructor(options: ReaderOptions = {}) {
    this.#maxLineBytes = options.maxLineBytes ?? defaultMaxLineBytes
    this.#source = options.source
    this.#open = options.open ?? false
    this.#handOver = options.onUnreadable === 'hand-over'
    this.#untouched = options.untouched ?? false
    this.#gather = options.gather !== undefined
    this.#hash = options.gather === 'hashed'
    this.#whole = options.whole ?? false
  }

  /** What stopped the reader, if anything did. Messages handed out before it are good. */
  get failure(): MillraceError | undefined {
    return this.#failure
  }

  /** Lines read so far. */
  get lines(): number {
    return this.#line
  }

  /** The content type of the body: `jsonline` unless a 0.1 header or the first line says transit. */
  get contentType(): ContentType {
    return this.#header.contentType
  }

  /** Reads one chunk. The chunk must not be changed afterwards: records keep places in it. */
  push(chunk: Uint8Array): Message[] {
    const out: Message[] = []
    if (this.#failure !== undefined || this.#ended) return out
    const b = asBuffer(chunk)
    let at = 0
    this.#gatheredAt = 0
    if (this.#skipping) {
      at = b.indexOf(NEWLINE) + 1
      if (at === 0) return out
      this.#skipping = false
    } else if (this.#restBytes > 0) {
      const newline = b.indexOf(NEWLINE)
      if (newline < 0) {
        this.#keep(b, out)
        return out
      }
      this.#rest.push(b.subarray(0, newline + 1))
      const first = this.#rest.length === 1 ? (this.#rest[0] as Buffer) : Buffer.concat(this.#rest)
      this.#rest = []
      this.#restBytes = 0
      this.#readLines(first, 0, first.length, out)
      at = newline + 1
    }
    const last = b.lastIndexOf(NEWLINE)
    if (last >= at && this.#failure === undefined) this.#readLines(b, at, last + 1, out)
    if (this.#failure === undefined && b.length > last + 1) this.#keep(b.subarray(Math.max(at, last + 1)), out)
    return out
  }

  /** Ends the input: reads a last line that has no newline. A half line is a failure, never a message. */
  end(): Message[] {
    const out: Message[] = []
    if (this.#ended) return out
    this.#ended = true
    if (this.#failure === undefined && this.#restBytes > 0) {
      const last = Buffer.concat(this.#rest)
      this.#rest = []
      this.#restBytes = 0
      this.#isLast = true
      this.#readLines(last, 0, last.length, out)
    }
    if (this.#failure === undefined && this.#header.isOpen)
      this.#failure = this.#error('MESSAGE_UNSUPPORTED_FORMAT', {
        line: this.#line + 1,
        why: 'the stitchstream header has no closing -- line',
      })
    return out
  }

  #keep(b: Buffer, out: Message[]): void {
    if (b.length === 0) return
    this.#rest.push(b)
    this.#restBytes += b.length
    if (this.#restBytes <= this.#maxLineBytes) return
    let beginning = this.#rest[0] as Buffer
    if (beginning.length < beginningBytes)
      beginning = Buffer.concat(this.#rest, Math.min(beginningBytes, this.#restBytes))
    this.#rest = []
    this.#restBytes = 0
    this.#skipping = true
    this.#line++
    this.#tooLong(beginning, 0, out)
  }

  /** Stops at a line that is too long, or hands its beginning over; the rest of it is never kept. */
  #tooLong(b: Buffer, at: number, out: Message[]): void {
    const error = this.#error('MESSAGE_TOO_LONG', { line: this.#line, maxBytes: this.#maxLineBytes })
    const text = `${textAt(b, at, Math.min(b.length, at + beginningBytes))}…`
    if (this.#handOver) out.push({ type: 'UNREADABLE', text, error, line: this.#line })
    else this.#failure = error
  }

  #error(
    code: ConstructorParameters<typeof MillraceError>[0],
    details: ConstructorParameters<typeof MillraceError>[1],
    cause?: unknown,
  ): MillraceError {
    const known = this.#source === undefined ? details : { source: this.#source, ...details }
    return new MillraceError(code, known, cause === undefined ? undefined : { cause })
  }

  /** The error with the input's name; one about a last line without newline says that it is cut off. */
  #known(e: MillraceError, bytes: number): MillraceError {
    if (this.#isLast && (e.code === 'MESSAGE_NOT_JSON' || e.code === 'MESSAGE_NOT_UTF8'))
      return this.#error('MESSAGE_INCOMPLETE', { line: this.#line, bytes }, e)
    return e.details['source'] === undefined && this.#source !== undefined ? this.#error(e.code, e.details, e.cause) : e
  }

  /** Reads the whole lines in [from, end). */
  #readLines(b: Buffer, from: number, end: number, out: Message[]): void {
    // One check for the block; only a bad block is searched for its bad line.
    const goodText = isUtf8(b.subarray(from, end))
    let at = from
    while (at < end && this.#failure === undefined) {
      // The scanner wants whole lines.
      const stop = goodText && end - at > minScanBytes ? lastLineEnd(b, at, Math.min(end, at + maxScanBytes)) : at
      at = stop > at && this.#readScanned(b, at, stop, out) ? stop : this.#readOneLine(b, at, end, goodText, out)
    }
  }

  /** Reads whole lines with their extents found by the scanner. Answers false, and reads nothing, where it cannot. */
  #readScanned(b: Buffer, from: number, end: number, out: Message[]): boolean {
    const scanner = LineScanner.shared
    const lines = scanner.scan(b, { from, end, numbers: this.#open })
    if (lines < 0) return false
    const gathers = this.#gather && this.#maxLineBytes >= maxScanBytes
    let at = from
    for (let i = 0; i < lines && this.#failure === undefined; i++) {
      if (gathers) {
        const taken = this.#gatherLines(b, i, { from, at, end }, out)
        if (taken > 0) {
          i += taken - 1
          at = from + scanner.newline(i) + 1
          continue
        }
      }
      const newline = from + scanner.newline(i)
      const closed = scanner.closed(i)
      this.#line++
      if (newline - at > this.#maxLineBytes) this.#tooLong(b, at, out)
      else {
        this.#isExact = this.#open && !scanner.mayRound(i)
        this.#tryLine(b, at, newline, closed < 0 ? -1 : from + closed, out)
        this.#isExact = false
      }
      at = newline + 1
    }
    return true
  }

  /** Hands out the records of the scanned lines from line i on as one, as far as they are alike. Answers how many. */
  #gatherLines(
    b: Buffer,
    i: number,
    place: { readonly from: number; readonly at: number; readonly end: number },
    out: Message[],
  ): number {
    const prefix = this.#shapes.find(b, place.at, place.end)
    if (prefix === undefined || !this.#isKnown(prefix) || (this.#whole && !prefix.isSinger)) return 0
    const head = this.#shapes.tailHead
    const shape = { prefix: prefix.bytes, head: head.bytes, hash: this.#hash }
    const gathered = LineScanner.shared.gather(i, place.at - place.from, shape)
    if (gathered === undefined) return 0
    const { count, hashHigh, hashLow } = gathered
    const bytes = this.#copyGathered(gathered.bytes, b.length)
    const whole = this.#whole
      ? {
          bytes: b.subarray(place.at, place.from + LineScanner.shared.newline(i + count - 1) + 1),
          prefixBytes: prefix.bytes.length,
          version: prefix.version,
          headBytes: head.bytes.length,
          headVersion: head.version,
        }
      : undefined
    const lines = new RecordLines(prefix.stream, this.#line + 1, { bytes, count, hashHigh, hashLow, whole })
    out.push(lines as unknown as Message)
    this.#line += count
    return count
  }

  /**
   * Copies what the scanner gathered, whose memory is used again, into a buffer that is used again for the next chunk: new
   * ones of this size would keep the garbage collector busy. What is gathered is never longer than the lines it came in.
   */
  #copyGathered(bytes: Uint8Array, chunkBytes: number): Buffer {
    if (this.#gathered.length - this.#gatheredAt < bytes.length) {
      this.#gathered = Buffer.allocUnsafeSlow(Math.max(chunkBytes, bytes.length))
      this.#gatheredAt = 0
    }
    const at = this.#gatheredAt
    this.#gathered.set(bytes, at)
    this.#gatheredAt = at + bytes.length
    return this.#gathered.subarray(at, this.#gatheredAt)
  }

  /** Reads the line at `at` and answers where the next begins. */
  #readOneLine(b: Buffer, at: number, end: number, goodText: boolean, out: Message[]): number {
    let newline = b.indexOf(NEWLINE, at)
    if (newline < 0 || newline >= end) newline = end
    this.#line++
    if (newline - at > this.#maxLineBytes) this.#tooLong(b, at, out)
    else if (!goodText && !isUtf8(b.subarray(at, newline)))
      this.#refuse(b, at, newline, this.#error('MESSAGE_NOT_UTF8', { line: this.#line }), out)
    else this.#tryLine(b, at, newline, -1, out)
    return newline + 1
  }

  #tryLine(b: Buffer, at: number, newline: number, recordEnd: number, out: Message[]): void {
    try {
      this.#readLine(b, at, newline, recordEnd, out)
    } catch (e) {
      if (!(e instanceof MillraceError)) throw e
      this.#refuse(b, at, newline, e, out)
    }
  }

  /** Stops at a line that cannot be read, or hands it over. */
  #refuse(b: Buffer, at: number, newline: number, e: MillraceError, out: Message[]): void {
    const error = this.#known(e, newline - at)
    if (!this.#handOver || error.code === 'MESSAGE_UNSUPPORTED_FORMAT') this.#failure = error
    else out.push({ type: 'UNREADABLE', text: textAt(b, at, newline), error, line: this.#line })
  }

  /** `recordEnd`: where the first nested value of the line ends, or -1 where that is not known. */
  #readLine(b: Buffer, from: number, end: number, recordEnd: number, out: Message[]): void {
    const prefix = this.#shapes.find(b, from, end)
    if (prefix !== undefined && this.#isKnown(prefix)) {
      const at = from + prefix.bytes.length
      if (this.#untouched) {
        if (this.#isRecordLine(b, at, end, recordEnd)) {
          this.#pass(out, b, from, end, 1)
          return
        }
      } else {
        const message = this.#open
          ? this.#openRecord(b, at, { end, recordEnd }, prefix)
          : this.#skimRecord(b, at, end, recordEnd, prefix)
        if (message !== undefined) {
          out.push(message)
          return
        }
      }
    }
    this.#readOther(b, from, end, out)
  }

  /** Whether the records that begin so are still of the schema that this beginning said. */
  #isKnown(prefix: Prefix): boolean {
    return prefix.schema === undefined || this.#schemas.get(prefix.stream) === prefix.schema
  }

  /**
   * A record whose values will be asked for. Where its end is not known, the tail is found from the line's end: if the record
   * parses then, the line was valid, as it is prefix + value + tail.
   */
  #openRecord(
    b: Buffer,
    at: number,
    line: { readonly end: number; readonly recordEnd: number },
    prefix: Prefix,
  ): RecordMessage | undefined {
    if (b[at] !== OPEN_BRACE) return undefined
    const extent = line.recordEnd > at ? this.#tailBehind(b, line) : this.#tailBefore(b, at, line.end)
    if (extent === undefined) return undefined
    const { to, tail } = extent
    let plain: unknown
    try {
      plain = JSON.parse(textAt(b, at, to))
    } catch {
      return undefined
    }
    if (!isObject(plain)) return undefined
    const message = this.#message(b, at, to, prefix, tail)
    message.adopt(plain, this.#isExact)
    return message
  }

  /** The tail of a line whose record's end is known; the scanner has seen that it is not nested too deep. */
  #tailBehind(b: Buffer, line: { readonly end: number; readonly recordEnd: number }): Extent | undefined {
    const { end, recordEnd: to } = line
    const tail = b[to] === CLOSE_BRACE && to + 1 === end ? NO_TAIL : this.#shapes.tailAt(b, to, end)
    return tail === undefined ? undefined : { to, tail }
  }

  /** The tail that the line at [at, lineEnd) seems to have, and so the end of its record. Throws MESSAGE_TOO_DEEP. */
  #tailBefore(b: Buffer, at: number, lineEnd: number): Extent | undefined {
    const end = b[lineEnd - 1] === CLOSE_BRACE ? lineEnd : trimEnd(b, at, lineEnd)
    if (b[end - 1] !== CLOSE_BRACE) return undefined
    let to = end - 1
    let tail = NO_TAIL
    if (b[to - 1] !== CLOSE_BRACE) {
      to = this.#shapes.tailStart(b, at, end)
      if (to < 0) return undefined
      const found = this.#shapes.tailAt(b, to, end)
      if (found === undefined) return undefined
      tail = found
    }
    if (to - at >= maxDepth && isTooDeep(b, at, to))
      throw this.#error('MESSAGE_TOO_DEEP', { line: this.#line, maxDepth })
    return { to, tail }
  }

  /** A record whose bytes will do: its end is found by matching brackets. */
  #skimRecord(b: Buffer, at: number, end: number, recordEnd: number, prefix: Prefix): RecordMessage | undefined {
    if (b[at] !== OPEN_BRACE) return undefined
    // The first nested value is the record, unless key_fields or a schema stand before it.
    const to = recordEnd > at ? recordEnd : skimValue(b, at, end)
    if (to < 0) return undefined
    const tail = b[to] === CLOSE_BRACE && to + 1 === end ? NO_TAIL : this.#shapes.tailAt(b, to, end)
    return tail === undefined ? undefined : this.#message(b, at, to, prefix, tail)
  }

  /** Whether a line that begins as a RECORD goes on as one. */
  #isRecordLine(b: Buffer, at: number, end: number, recordEnd: number): boolean {
    if (b[at] !== OPEN_BRACE) return false
    const to = recordEnd > at ? recordEnd : skimValue(b, at, end)
    return to > 0 && ((b[to] === CLOSE_BRACE && to + 1 === end) || this.#shapes.tailAt(b, to, end) !== undefined)
  }

  #message(b: Buffer, from: number, to: number, prefix: Prefix, tail: Tail): RecordMessage {
    const version = tail.version ?? prefix.version
    const { timeExtracted } = tail
    const meta = version === undefined && timeExtracted === undefined ? undefined : { version, timeExtracted }
    return new RecordMessage(prefix.stream, this.#line, { buffer: b, from, to }, meta)
  }

  /** Adds the line at [from, end) to what is handed out untouched. */
  #pass(out: Message[], b: Buffer, from: number, end: number, records: number): void {
    const to = Math.min(end + 1, b.length)
    const last = out[out.length - 1] as Message | UntouchedLines | undefined
    if (last !== undefined && last.type === 'LINES' && last.to === from && last.buffer === b) {
      last.to = to
      last.count++
      last.records += records
    } else out.push(new UntouchedLines(b, from, to, records) as unknown as Message)
  }

  #readOther(b: Buffer, lineFrom: number, lineEnd: number, out: Message[]): void {
    let from = lineFrom
    if (this.#line === 1 && startsWithAt(b, from, lineEnd, BYTE_ORDER_MARK)) from += BYTE_ORDER_MARK.length
    from = skipSpace(b, from, lineEnd)
    const end = trimEnd(b, from, lineEnd)
    if (from === end) return
    if (this.#header.take(b, from, end, this.#line)) return
    const source = this.#source === undefined ? {} : { source: this.#source }
    const line = { b, from, end, line: this.#line, ...source }
    if (this.#header.contentType === 'transit') {
      for (const parsed of parseTransit(line)) messagesOf(parsed, this.#schemas, out)
      return
    }
    const members = membersOf(line)
    const parsed = parseLine(line, members, this.#open)
    const before = out.length
    messagesOf(parsed, this.#schemas, out)
    if (this.#untouched && out.length === before + 1 && isAsSingerHasIt(parsed)) {
      out.pop()
      this.#pass(out, b, from, lineEnd, parsed.type === 'RECORD' ? 1 : 0)
    }
    // Into Singer, a line that brings its keys or schema is not passed on as it is.
    if (parsed.recordBytes === undefined || lineFrom !== from) return
    if (this.#untouched && !isAsSingerHasIt(parsed)) return
    const stream = parsed.body['stream'] as string
    this.#shapes.learn(parsed.body, { b, from, end, ...members }, this.#schemas.get(stream))
  }
}

/** The offset behind the last newline in [from, end), or `from`. */
const lastLineEnd = (b: Buffer, from: number, end: number): number => {
  const newline = b.lastIndexOf(NEWLINE, end - 1)
  return newline < from ? from : newline + 1
}

const asBuffer = (chunk: Uint8Array): Buffer =>
  Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)

/**
 * Reads messages from chunks of bytes: one array for each chunk that completed any. Ends with the input; throws what
 * stopped it after everything before was handed out.
 */
export async function* readMessages(
  input: AsyncIterable<Uint8Array>,
  options: ReaderOptions = {},
): AsyncGenerator<Message[], void, undefined> {
  const reader = new MessageReader(options)
  for await (const chunk of input) {
    const messages = reader.push(chunk)
    if (messages.length > 0) yield messages
    if (reader.failure !== undefined) throw reader.failure
  }
  const messages = reader.end()
  if (messages.length > 0) yield messages
  if (reader.failure !== undefined) throw reader.failure
}
