/** Records by reference: the files that a BATCH message of the Singer SDK names. */
import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { type Duplex, pipeline } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { createGunzip } from 'node:zlib'
import { MillraceError } from '../errors/error.ts'
import { createZstdFramesDecompress } from '../io/zstd-frames.ts'
import { INCOMPLETE, maxDepth, NEWLINE, skimValue, skipSpace, textAt, TOO_DEEP, trimEnd } from './bytes.ts'
import type { JsonObject } from './json.ts'
import { defaultMaxLineBytes } from './reader.ts'
import { jsonFault, RecordMessage } from './record.ts'
import type { MessageOf, UnreadableMessage } from './types.ts'

export interface BatchFilesOptions {
  /** Longest record accepted, in bytes. Default {@link defaultMaxLineBytes}. */
  readonly maxLineBytes?: number
  /** What to call the input that the BATCH message came from. */
  readonly source?: string
  /** Parse each record as it is read: a record that is not JSON is then told with its file and line. */
  readonly open?: boolean
  /** What to do with a line that cannot be read: stop (the default), or hand it over as UNREADABLE and go on. */
  readonly onUnreadable?: 'stop' | 'hand-over'
  /** Stops reading between two chunks. */
  readonly signal?: AbortSignal
}

const OPEN_BRACE = 123
const CHUNK_BYTES = 256 * 1024
/** So much of a bad line is handed over. */
const beginningBytes = 64 * 1024

/**
 * The records of a BATCH message, in the order of its manifest and of the lines: an array for each chunk that completed
 * any. Memory is bounded by the chunk and the longest line. A file is decompressed where the message says so or where
 * its first bytes do. A record's `line` is that of the BATCH message.
 *
 * Throws BATCH_FILE, naming the file and the line in it, where a file cannot be read or (unless such lines are handed over)
 * holds something else than one JSON object a line, and where the format, the compression or the place of a file is none of ours (parquet, s3).
 */
export async function* readBatchFiles(
  message: MessageOf<'BATCH'>,
  options: BatchFilesOptions = {},
): AsyncGenerator<BatchItem[], void, undefined> {
  const fault = faultOf(message, options)
  if (message.format !== 'jsonl')
    throw fault('(manifest)', `its format "${message.format}" is not read here, only jsonl is`)
  const { compression } = message
  if (compression !== undefined && compression !== 'gzip' && compression !== 'zstd')
    throw fault('(manifest)', `its compression "${compression}" is not read here, only gzip and zstd are`)
  for (const url of message.manifest) yield* readFile(message, pathOf(url, fault), options)
}

/** A record of a file, or a line of it that holds none. */
type BatchItem = RecordMessage | UnreadableMessage

type Fault = (file: string, why: string, cause?: unknown) => MillraceError
const faultOf =
  (message: MessageOf<'BATCH'>, { source }: BatchFilesOptions): Fault =>
  (file, why, cause) =>
    new MillraceError(
      'BATCH_FILE',
      { ...(source === undefined ? {} : { source }), line: message.line, file, why },
      { cause },
    )

const pathOf = (url: string, fault: Fault): string => {
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(url)?.[1]?.toLowerCase()
  if (scheme === undefined) return url
  if (scheme !== 'file') throw fault(url, `files at ${scheme}:// are not read here, only file:// and plain paths are`)
  try {
    return fileURLToPath(url)
  } catch (e) {
    throw fault(url, `not a usable file URL (${(e as Error).message})`, e)
  }
}

async function* readFile(
  message: MessageOf<'BATCH'>,
  path: string,
  options: BatchFilesOptions,
): AsyncGenerator<BatchItem[], void, undefined> {
  const fault = faultOf(message, options)
  const splitter = new RecordSplitter(message, options, (why) => fault(path, why))
  try {
    for await (const chunk of await openFile(path, message.compression)) {
      options.signal?.throwIfAborted()
      const records = splitter.push(chunk)
      if (records.length > 0) yield records
      if (splitter.failure !== undefined) throw splitter.failure
    }
  } catch (e) {
    if (e instanceof MillraceError || options.signal?.aborted === true) throw e
    throw fault(path, (e as Error).message, e)
  }
  const records = splitter.end()
  if (records.length > 0) yield records
  if (splitter.failure !== undefined) throw splitter.failure
}

/** The file's content, decompressed. The reading end owns the file: leaving its loop closes it. */
const openFile = async (path: string, compression: string | undefined): Promise<AsyncIterable<Buffer>> => {
  const kind = compression ?? (await compressionOf(path))
  const input = createReadStream(path, { highWaterMark: CHUNK_BYTES })
  if (kind === undefined) return input
  const unpack: Duplex =
    kind === 'gzip' ? createGunzip({ chunkSize: CHUNK_BYTES }) : createZstdFramesDecompress(CHUNK_BYTES)
  // An error of either side destroys both and arrives at whoever iterates over the unpacking side.
  pipeline(input, unpack, () => {})
  return unpack
}

const compressionOf = async (path: string): Promise<'gzip' | 'zstd' | undefined> => {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0)
  if (bytesRead >= 2 && buffer.readUInt16BE(0) === 0x1f8b) return 'gzip'
  return bytesRead === 4 && buffer.readUInt32BE(0) === 0x28b52ffd ? 'zstd' : undefined
}

/** Cuts chunks into records, one a line. What came before a bad line is handed out, then `failure` is set. */
class RecordSplitter {
  readonly #message: MessageOf<'BATCH'>
  readonly #maxLineBytes: number
  readonly #open: boolean
  readonly #handOver: boolean
  readonly #fault: (why: string) => MillraceError
  #rest: Buffer[] = []
  #restBytes = 0
  #line = 0
  /** Set while the rest of a line that is too long goes by. */
  #skipping = false
  failure: MillraceError | undefined

  constructor(message: MessageOf<'BATCH'>, options: BatchFilesOptions, fault: (why: string) => MillraceError) {
    this.#message = message
    this.#maxLineBytes = options.maxLineBytes ?? defaultMaxLineBytes
    this.#open = options.open ?? false
    this.#handOver = options.onUnreadable === 'hand-over'
    this.#fault = fault
  }

  push(chunk: Buffer): BatchItem[] {
    const out: BatchItem[] = []
    const newline = chunk.indexOf(NEWLINE)
    if (newline < 0) {
      this.#keep(chunk, out)
      return out
    }
    let at = 0
    if (this.#skipping) {
      this.#skipping = false
      at = newline + 1
    } else if (this.#restBytes > 0) {
      const first = Buffer.concat([...this.#rest, chunk.subarray(0, newline)])
      this.#rest = []
      this.#restBytes = 0
      this.#readLine(first, 0, first.length, out)
      at = newline + 1
    }
    for (;;) {
      if (this.failure !== undefined) return out
      const end = chunk.indexOf(NEWLINE, at)
      if (end < 0) break
      this.#readLine(chunk, at, end, out)
      at = end + 1
    }
    this.#keep(chunk.subarray(at), out)
    return out
  }

  /** The last line may lack its newline. */
  end(): BatchItem[] {
    const out: BatchItem[] = []
    if (this.failure !== undefined || this.#restBytes === 0) return out
    const last = Buffer.concat(this.#rest)
    this.#readLine(last, 0, last.length, out)
    return out
  }

  #keep(b: Buffer, out: BatchItem[]): void {
    if (b.length === 0 || this.#skipping) return
    this.#rest.push(b)
    this.#restBytes += b.length
    if (this.#restBytes <= this.#maxLineBytes) return
    const beginning = Buffer.concat(this.#rest, Math.min(this.#restBytes, beginningBytes))
    this.#rest = []
    this.#restBytes = 0
    this.#skipping = true
    this.#line++
    this.#fail(this.#tooLong, beginning, out)
  }

  get #tooLong(): string {
    return `is longer than the limit of ${this.#maxLineBytes} bytes`
  }

  /** Sets a line aside, or stops at it. Of a long one only the beginning is kept. */
  #fail(why: string, text: Buffer, out: BatchItem[]): void {
    const error = this.#fault(`its line ${this.#line} ${why}`)
    if (!this.#handOver) this.failure = error
    else {
      const cut = text.length > beginningBytes ? '…' : ''
      out.push({
        type: 'UNREADABLE',
        text: `${text.toString('utf8', 0, beginningBytes)}${cut}`,
        error,
        line: this.#message.line,
      })
    }
  }

  #readLine(b: Buffer, lineFrom: number, lineEnd: number, out: BatchItem[]): void {
    this.#line++
    const isMarked = this.#line === 1 && b[lineFrom] === 0xef && b[lineFrom + 1] === 0xbb && b[lineFrom + 2] === 0xbf
    const from = skipSpace(b, isMarked ? lineFrom + 3 : lineFrom, lineEnd)
    const to = trimEnd(b, from, lineEnd)
    if (from === to) return
    const why = this.#whyNot(b, from, to)
    if (why !== undefined) {
      this.#fail(why, b.subarray(from, to), out)
      return
    }
    const { stream, line, version } = this.#message
    const record = new RecordMessage(stream, line, { buffer: b, from, to }, { version })
    if (this.#open) {
      try {
        record.adopt(JSON.parse(textAt(b, from, to)) as JsonObject)
      } catch (e) {
        this.#fail(`is not JSON (${jsonFault(e)})`, b.subarray(from, to), out)
        return
      }
    }
    out.push(record)
  }

  /** Why [from, to) cannot be a record. */
  #whyNot(b: Buffer, from: number, to: number): string | undefined {
    if (to - from > this.#maxLineBytes) return this.#tooLong
    if (!isUtf8(b.subarray(from, to))) return 'is not valid UTF-8'
    const end = b[from] === OPEN_BRACE ? skimValue(b, from, to) : INCOMPLETE
    if (end === TOO_DEEP) return `is nested deeper than ${maxDepth} levels`
    return end === to ? undefined : 'is not one JSON object'
  }
}
