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
import {
  INCOMPLETE,
  isTooDeep,
  maxDepth,
  NEWLINE,
  skimMembers,
  skimValue,
  skipSpace,
  startsWithAt,
  textAt,
  TOO_DEEP,
  trimEnd,
} from './bytes.ts'
import { HeaderReader, type ContentType } from './header.ts'
import { isObject, type JsonObject, parseExact } from './json.ts'
import { LineScanner, maxScanBytes } from './line-scan.ts'
import { messagesOf, type ParsedMessage } from './parse.ts'
import { jsonFault, RecordMessage } from './record.ts'
import type { Message } from './types.ts'
import { decodeTransit, toJson } from './transit.ts'

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
}

interface Prefix {
  readonly stream: string
  readonly bytes: Uint8Array
}

const MAX_PREFIXES = 16
/** Below this a block is read line by line: the scanner's call would cost more than it saves. */
const minScanBytes = 1024
const CLOSE_BRACE = 125
const OPEN_BRACE = 123
const QUOTE = 34
const BACKSLASH = 92
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])
/** How the member behind a record begins: written compact, and as Python's json.dumps writes it. */
const TIME_TAILS: readonly Buffer[] = [Buffer.from(',"time_extracted":"'), Buffer.from(', "time_extracted": "')]

/** Reads one input. Not for two inputs: it remembers the header, the schemas' keys and the unfinished line. */
export class MessageReader {
  readonly #maxLineBytes: number
  readonly #source: string | undefined
  readonly #open: boolean
  readonly #handOver: boolean
  readonly #header = new HeaderReader()
  readonly #keys = new Map<string, string>()
  #rest: Buffer[] = []
  #restBytes = 0
  #line = 0
  #ended = false
  #failure: MillraceError | undefined
  #prefixes: Prefix[] = []
  #times: string | undefined
  #timesBytes: Buffer | undefined
  #timeTailBytes: Buffer = TIME_TAILS[0] as Buffer

  constructor(options: ReaderOptions = {}) {
    this.#maxLineBytes = options.maxLineBytes ?? defaultMaxLineBytes
    this.#source = options.source
    this.#open = options.open ?? false
    this.#handOver = options.onUnreadable === 'hand-over'
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
    if (this.#restBytes > 0) {
      const newline = b.indexOf(NEWLINE)
      if (newline < 0) {
        this.#keep(b)
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
    if (this.#failure === undefined && b.length > last + 1) this.#keep(b.subarray(Math.max(at, last + 1)))
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
      const line = this.#line
      this.#readLines(last, 0, last.length, out)
      const failure = this.#failure as MillraceError | undefined
      if (failure?.code === 'MESSAGE_NOT_JSON')
        this.#failure = this.#error('MESSAGE_INCOMPLETE', { line: line + 1, bytes: last.length }, failure)
    }
    if (this.#failure === undefined && this.#header.isOpen)
      this.#failure = this.#error('MESSAGE_UNSUPPORTED_FORMAT', {
        line: this.#line,
        why: 'the stitchstream header has no closing -- line',
      })
    return out
  }

  #keep(b: Buffer): void {
    if (b.length === 0) return
    this.#rest.push(b)
    this.#restBytes += b.length
    if (this.#restBytes > this.#maxLineBytes) this.#tooLong(this.#line + 1)
  }

  #tooLong(line: number): void {
    this.#rest = []
    this.#restBytes = 0
    this.#failure = this.#error('MESSAGE_TOO_LONG', { line, maxBytes: this.#maxLineBytes })
  }

  #error(
    code: ConstructorParameters<typeof MillraceError>[0],
    details: ConstructorParameters<typeof MillraceError>[1],
    cause?: unknown,
  ): MillraceError {
    const known = this.#source === undefined ? details : { source: this.#source, ...details }
    return new MillraceError(code, known, cause === undefined ? undefined : { cause })
  }

  /** Reads the whole lines in [from, end). */
  #readLines(b: Buffer, from: number, end: number, out: Message[]): void {
    // One check for the block; only a bad block is searched for its bad line.
    const goodText = isUtf8(b.subarray(from, end))
    let at = from
    while (at < end && this.#failure === undefined) {
      // The scanner wants whole lines, and is only worth its call where records stay closed.
      const stop =
        goodText && !this.#open && end - at > minScanBytes ? lastLineEnd(b, at, Math.min(end, at + maxScanBytes)) : at
      at = stop > at && this.#readScanned(b, at, stop, out) ? stop : this.#readOneLine(b, at, end, goodText, out)
    }
  }

  /** Reads whole lines with their extents found by the scanner. Answers false, and reads nothing, where it cannot. */
  #readScanned(b: Buffer, from: number, end: number, out: Message[]): boolean {
    const scanner = LineScanner.shared
    const lines = scanner.scan(b, from, end)
    if (lines < 0) return false
    const { table } = scanner
    let at = from
    for (let i = 0; i < lines && this.#failure === undefined; i++) {
      const newline = from + (table[2 * i] as number)
      const closed = table[2 * i + 1] as number
      this.#line++
      if (newline - at > this.#maxLineBytes) this.#tooLong(this.#line)
      else this.#tryLine(b, at, newline, closed < 0 ? -1 : from + closed, out)
      at = newline + 1
    }
    return true
  }

  /** Reads the line at `at` and answers where the next begins. */
  #readOneLine(b: Buffer, at: number, end: number, goodText: boolean, out: Message[]): number {
    let newline = b.indexOf(NEWLINE, at)
    if (newline < 0 || newline >= end) newline = end
    this.#line++
    if (newline - at > this.#maxLineBytes) this.#tooLong(this.#line)
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
      const hasSource = e.details['source'] !== undefined || this.#source === undefined
      this.#refuse(b, at, newline, hasSource ? e : this.#error(e.code, e.details, e.cause), out)
    }
  }

  /** Stops at a line that cannot be read, or hands it over. */
  #refuse(b: Buffer, at: number, newline: number, error: MillraceError, out: Message[]): void {
    if (!this.#handOver || error.code === 'MESSAGE_UNSUPPORTED_FORMAT') this.#failure = error
    else out.push({ type: 'UNREADABLE', text: textAt(b, at, newline), error, line: this.#line })
  }

  /** `recordEnd`: where the first nested value of the line ends, or -1 where that is not known. */
  #readLine(b: Buffer, from: number, end: number, recordEnd: number, out: Message[]): void {
    const prefixes = this.#prefixes
    for (let i = 0; i < prefixes.length; i++) {
      const prefix = prefixes[i] as Prefix
      if (!startsWithAt(b, from, end, prefix.bytes)) continue
      if (i > 0) {
        prefixes.splice(i, 1)
        prefixes.unshift(prefix)
      }
      const at = from + prefix.bytes.length
      const message = this.#open
        ? this.#openRecord(b, at, end, prefix.stream)
        : this.#skimRecord(b, at, end, recordEnd, prefix.stream)
      if (message === undefined) break
      out.push(message)
      return
    }
    this.#readOther(b, from, end, out)
  }

  /**
   * A record whose values will be asked for. The tail is guessed from its shape and the record parsed: where that
   * works the line was valid, as it is prefix + value + tail.
   */
  #openRecord(b: Buffer, at: number, lineEnd: number, stream: string): RecordMessage | undefined {
    const end = b[lineEnd - 1] === CLOSE_BRACE ? lineEnd : trimEnd(b, at, lineEnd)
    if (b[end - 1] !== CLOSE_BRACE || b[at] !== OPEN_BRACE) return undefined
    let to = end - 1
    let time: string | undefined
    if (b[to - 1] !== CLOSE_BRACE) {
      const tail = this.#timeTail(b, at, to)
      if (tail < 0) return undefined
      time = this.#time(b, tail + this.#timeTailBytes.length, to - 1)
      to = tail
    }
    if (to - at >= maxDepth && isTooDeep(b, at, to))
      throw this.#error('MESSAGE_TOO_DEEP', { line: this.#line, maxDepth })
    let plain: unknown
    try {
      plain = JSON.parse(textAt(b, at, to))
    } catch {
      return undefined
    }
    if (!isObject(plain)) return undefined
    const message = new RecordMessage(
      stream,
      this.#line,
      { buffer: b, from: at, to },
      time === undefined ? undefined : { timeExtracted: time },
    )
    message.adopt(plain)
    return message
  }

  /** A record whose bytes will do: its end is found by matching brackets. */
  #skimRecord(b: Buffer, at: number, end: number, recordEnd: number, stream: string): RecordMessage | undefined {
    if (b[at] !== OPEN_BRACE) return undefined
    const to = recordEnd < 0 ? skimValue(b, at, end) : recordEnd
    if (to < 0) return undefined
    if (b[to] === CLOSE_BRACE && (to + 1 === end || skipSpace(b, to + 1, end) === end))
      return new RecordMessage(stream, this.#line, { buffer: b, from: at, to })
    const close = b[end - 1] === CLOSE_BRACE ? end - 1 : trimEnd(b, to, end) - 1
    if (b[close] !== CLOSE_BRACE || this.#timeTail(b, to, close) !== to) return undefined
    return new RecordMessage(
      stream,
      this.#line,
      { buffer: b, from: at, to },
      { timeExtracted: this.#time(b, to + this.#timeTailBytes.length, close - 1) },
    )
  }

  /** Where `,"time_extracted":"…"` begins that ends at `close`, or -1. */
  #timeTail(b: Buffer, from: number, close: number): number {
    if (b[close - 1] !== QUOTE) return -1
    const known = this.#timesBytes
    if (known !== undefined) {
      const at = close - 1 - known.length - this.#timeTailBytes.length
      if (at >= from && startsWithAt(b, at, close, this.#timeTailBytes)) return at
    }
    for (const tail of TIME_TAILS) {
      const at = b.lastIndexOf(tail, close - 1)
      if (at < from) continue
      this.#timeTailBytes = tail
      for (let i = at + tail.length; i < close - 1; i++) if (b[i] === QUOTE || b[i] === BACKSLASH) return -1
      return at
    }
    return -1
  }

  /** The text of a time; consecutive records mostly have the same one, which is then the same string. */
  #time(b: Buffer, from: number, to: number): string {
    const known = this.#timesBytes
    if (known !== undefined && known.length === to - from && startsWithAt(b, from, to, known))
      return this.#times as string
    const time = textAt(b, from, to)
    this.#times = time
    this.#timesBytes = Buffer.from(time)
    return time
  }

  #readOther(b: Buffer, lineFrom: number, lineEnd: number, out: Message[]): void {
    let from = lineFrom
    if (this.#line === 1 && startsWithAt(b, from, lineEnd, BYTE_ORDER_MARK)) from += BYTE_ORDER_MARK.length
    from = skipSpace(b, from, lineEnd)
    const end = trimEnd(b, from, lineEnd)
    if (from === end) return
    if (this.#header.take(b, from, end, this.#line)) return
    if (this.#header.contentType === 'transit') {
      this.#readTransit(b, from, end, out)
      return
    }
    const members = new Map<string, { from: number; to: number }>()
    let order = ''
    const to = skimMembers(b, from, end, (m) => {
      if (members.size < 64 || members.has(m.key)) members.set(m.key, m)
      order += `${m.key}\n`
    })
    if (to === TOO_DEEP) throw this.#error('MESSAGE_TOO_DEEP', { line: this.#line, maxDepth })
    const text = (): string => textAt(b, from, end)
    if (to === INCOMPLETE || to !== end) throw this.#notJson(text())
    const record = members.get('record')
    const parsed = this.#parseEnvelope(b, from, end, members, record)
    if (record !== undefined && parsed.type === 'RECORD')
      this.#learnPrefix(b, lineFrom, from, record.from, order, parsed)
    messagesOf(parsed, this.#keys, out)
  }

  /** Parses everything but the record, which stays bytes (and is opened where that is wanted). */
  #parseEnvelope(
    b: Buffer,
    from: number,
    end: number,
    members: ReadonlyMap<string, { from: number; to: number }>,
    record: { from: number; to: number } | undefined,
  ): ParsedMessage {
    try {
      if (record === undefined || b[record.from] !== OPEN_BRACE) {
        const body = parseExact(textAt(b, from, end))
        const value = members.get('value')
        return {
          ...envelopeOf(body as JsonObject),
          line: this.#line,
          text: () => textAt(b, from, end),
          valueText: value === undefined ? undefined : textAt(b, value.from, value.to),
        }
      }
      const body: Record<string, unknown> = Object.create(null)
      for (const [key, m] of members) if (key !== 'record') body[key] = parseExact(textAt(b, m.from, m.to))
      const bytes = { buffer: b, from: record.from, to: record.to }
      const plain: unknown = this.#open ? JSON.parse(textAt(b, record.from, record.to)) : undefined
      return {
        ...envelopeOf(body as JsonObject),
        line: this.#line,
        text: () => textAt(b, from, end),
        valueText: undefined,
        recordBytes: bytes,
        ...(plain === undefined ? {} : { plain: plain as JsonObject }),
      }
    } catch (e) {
      if (e instanceof SyntaxError) throw this.#error('MESSAGE_NOT_JSON', { line: this.#line, why: jsonFault(e) }, e)
      throw e
    }
  }

  #notJson(text: string): MillraceError {
    let cause: unknown
    try {
      const value: unknown = JSON.parse(text)
      return this.#error('MESSAGE_NOT_JSON', {
        line: this.#line,
        why: `a message is a JSON object, this is ${value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`}`,
      })
    } catch (e) {
      cause = e
    }
    return this.#error('MESSAGE_NOT_JSON', { line: this.#line, why: jsonFault(cause) }, cause)
  }

  /** Remembers how the lines of a substream begin, where nothing but type and stream stands before the record. */
  #learnPrefix(
    b: Buffer,
    lineFrom: number,
    from: number,
    recordFrom: number,
    order: string,
    parsed: ParsedMessage,
  ): void {
    if (lineFrom !== from || !/^(type\nstream|stream\ntype)\nrecord\n(time_extracted\n)?$/.test(order)) return
    if (typeof parsed.body['stream'] !== 'string') return
    this.#prefixes.unshift({ stream: parsed.body['stream'], bytes: new Uint8Array(b.subarray(from, recordFrom)) })
    if (this.#prefixes.length > MAX_PREFIXES) this.#prefixes.pop()
  }

  /** One line of a transit body: one element, or several without a newline between them. */
  #readTransit(b: Buffer, from: number, end: number, out: Message[]): void {
    let at = from
    while (at < end) {
      const to = skimValue(b, at, end)
      if (to === TOO_DEEP) throw this.#error('MESSAGE_TOO_DEEP', { line: this.#line, maxDepth })
      if (to === INCOMPLETE) throw this.#notJson(textAt(b, at, end))
      let body: unknown
      try {
        body = toJson(decodeTransit(textAt(b, at, to)))
      } catch (e) {
        throw this.#error('MESSAGE_NOT_JSON', { line: this.#line, why: `not transit: ${(e as Error).message}` }, e)
      }
      if (!isObject(body))
        throw this.#error('MESSAGE_NOT_JSON', { line: this.#line, why: 'a message is a transit map' })
      const element = textAt(b, at, to)
      messagesOf({ ...envelopeOf(body), line: this.#line, text: () => element, valueText: undefined }, this.#keys, out)
      at = skipSpace(b, to, end)
    }
  }
}

const envelopeOf = (body: JsonObject): { readonly type: string; readonly body: JsonObject } => {
  const type = body['type']
  return { type: typeof type === 'string' ? type.toUpperCase() : '', body }
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
