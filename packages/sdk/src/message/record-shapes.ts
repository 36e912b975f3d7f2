/**
 * The shapes of RECORD lines. Line after line of a substream begins with the same bytes, and ends with the same or with
 * a time behind the same: where both are known, a line is read without parsing anything but its record.
 */
import { skipSpace, startsWithAt, textAt } from './bytes.ts'
import type { JsonObject } from './json.ts'
import { type KnownSchema, timeOf, versionOf } from './parse.ts'
import { isAsSingerHasIt } from './untouched-lines.ts'
import type { Version } from './types.ts'

/**
 * How the RECORD lines of a substream begin, up to the record. Where the records bring their keys or schema along
 * (0.1), it holds only as long as the substream's schema is the one that these very bytes gave.
 */
export interface Prefix {
  readonly stream: string
  readonly bytes: Uint8Array
  /** Where in `bytes` the last byte of the name stands: substreams mostly differ there, or in their length. */
  readonly probe: number
  readonly version: Version | undefined
  readonly schema: KnownSchema | undefined
  /** Whether the lines that begin so may be passed on to whoever reads Singer. */
  readonly isSinger: boolean
}

/** How a tail begins that ends with a time, up to the quote that opens the time. */
export interface TailHead {
  readonly bytes: Uint8Array
  readonly version: Version | undefined
}

/** How RECORD lines end, from behind the record, and what it says. */
export interface Tail {
  readonly bytes: Uint8Array
  readonly version: Version | undefined
  readonly timeExtracted: string | undefined
}

interface Place {
  readonly from: number
  readonly to: number
}

/** A RECORD line that was read member by member. */
interface ParsedLine {
  readonly b: Buffer
  readonly from: number
  readonly end: number
  /** The names of its members, in their order, twice where they came twice. */
  readonly order: readonly string[]
  readonly members: ReadonlyMap<string, Place>
}

const MAX_PREFIXES = 128
const MAX_TAIL_HEADS = 6
const MAX_TAIL_BYTES = 200
const MAX_TIME_BYTES = 100
export const NO_TAIL: Tail = { bytes: new Uint8Array(0), version: undefined, timeExtracted: undefined }
/** Members of a RECORD that may stand before the record in a line that is read without parsing it. */
const BEFORE_RECORD: ReadonlySet<string> = new Set(['type', 'stream', 'version', 'key_fields', 'schema'])
const BEHIND_RECORD: ReadonlySet<string> = new Set(['version', 'time_extracted'])
const CLOSE_BRACE = 125
const QUOTE = 34
const BACKSLASH = 92
/** How the member behind a record begins: written compact, and as Python's json.dumps writes it. */
const TAIL_HEADS: readonly TailHead[] = [',"time_extracted":"', ', "time_extracted": "'].map((text) => ({
  bytes: Buffer.from(text),
  version: undefined,
}))

/** What one reader has learned of its input's RECORD lines. */
export class RecordShapes {
  #prefixes: Prefix[] = []
  #tail: Tail = NO_TAIL
  #tailHeads: readonly TailHead[] = TAIL_HEADS
  #time = ''

  /** The known beginning that the line at [from, end) has. */
  find(b: Buffer, from: number, end: number): Prefix | undefined {
    const prefixes = this.#prefixes
    for (let i = 0; i < prefixes.length; i++) {
      const prefix = prefixes[i] as Prefix
      const { probe } = prefix
      if (b[from + probe] !== prefix.bytes[probe] || b[from + probe + 1] !== QUOTE) continue
      if (!startsWithAt(b, from, end, prefix.bytes)) continue
      if (i > 0) {
        // What comes often moves to the front.
        const half = i >> 1
        prefixes[i] = prefixes[half] as Prefix
        prefixes[half] = prefix
      }
      return prefix
    }
    return undefined
  }

  /** How the tails of late begin, up to the quote that opens the time. */
  get tailHead(): TailHead {
    return this.#tailHeads[0] as TailHead
  }

  /** Where the tail begins that ends at `end`, or -1: the one that the line before had, or a time. */
  tailStart(b: Buffer, from: number, end: number): number {
    const known = this.#tail.bytes
    const at = end - known.length
    if (known.length > 0 && at > from && startsWithAt(b, at, end, known)) return at
    if (b[end - 2] !== QUOTE) return -1
    let open = end - 3
    while (open > from && b[open] !== QUOTE && end - open < MAX_TIME_BYTES) open--
    for (const { bytes } of this.#tailHeads) {
      const start = open + 1 - bytes.length
      if (start > from && startsWithAt(b, start, end, bytes)) return start
    }
    return -1
  }

  /** What [at, end) says where that is the end of a RECORD which can be read without parsing it. */
  tailAt(b: Buffer, at: number, end: number): Tail | undefined {
    const known = this.#tail
    if (at < end && known.bytes.length === end - at && startsWithAt(b, at, end, known.bytes)) return known
    if (b[at] === CLOSE_BRACE) return skipSpace(b, at + 1, end) === end ? NO_TAIL : undefined
    for (const { bytes: head, version } of this.#tailHeads) {
      if (!startsWithAt(b, at, end, head)) continue
      const from = at + head.length
      let i = from
      for (;;) {
        const c = b[i] as number
        if (c === QUOTE) break
        if (c === BACKSLASH || c < 32 || i - from > MAX_TIME_BYTES || i >= end) return undefined
        i++
      }
      if (b[i + 1] !== CLOSE_BRACE || skipSpace(b, i + 2, end) !== end) return undefined
      const timeExtracted = textAt(b, from, i)
      const tail = { bytes: NO_TAIL.bytes, version, timeExtracted }
      // Worth comparing bytes with only where times come in runs.
      if (timeExtracted === this.#time) this.#tail = { ...tail, bytes: new Uint8Array(b.subarray(at, end)) }
      this.#time = timeExtracted
      return tail
    }
    return undefined
  }

  /**
   * Remembers how the lines of a substream begin and end, where that says the same in every such line. `known` is the
   * substream's schema after this line.
   */
  learn(body: JsonObject, line: ParsedLine, known: KnownSchema | undefined): void {
    const { b, from, end, order, members } = line
    const { from: recordFrom, to: recordTo } = members.get('record') as Place
    const at = order.indexOf('record')
    const before = order.slice(0, at)
    const behind = order.slice(at + 1)
    if (new Set(order).size !== order.length) return
    if (!before.every((key) => BEFORE_RECORD.has(key)) || !behind.every((key) => BEHIND_RECORD.has(key))) return
    if (!before.includes('type') || !before.includes('stream')) return
    const stream = body['stream'] as string
    const bringsKeys = before.includes('key_fields') || before.includes('schema')
    const version = before.includes('version') ? versionOf(body) : undefined
    const schema = bringsKeys ? known : undefined
    if (behind.length > 0 && end - recordTo <= MAX_TAIL_BYTES) {
      const version = behind.includes('version') ? versionOf(body) : undefined
      this.#tail = { bytes: new Uint8Array(b.subarray(recordTo, end)), version, timeExtracted: timeOf(body) }
      const time = members.get('time_extracted')
      if (behind.at(-1) === 'time_extracted' && time !== undefined && b[time.from] === QUOTE) {
        const head = { bytes: new Uint8Array(b.subarray(recordTo, time.from + 1)), version }
        const others = this.#tailHeads.filter((known) => Buffer.compare(known.bytes, head.bytes) !== 0)
        this.#tailHeads = [head, ...others].slice(0, MAX_TAIL_HEADS)
      }
    }
    const probe = (members.get('stream') as Place).to - 2 - from
    const bytes = new Uint8Array(b.subarray(from, recordFrom))
    this.#prefixes = this.#prefixes.filter((p) => Buffer.compare(p.bytes, bytes) !== 0)
    const isSinger = isAsSingerHasIt({ type: 'RECORD', body })
    this.#prefixes.unshift({ stream, bytes, probe, version, schema, isSinger })
    if (this.#prefixes.length > MAX_PREFIXES) this.#prefixes.pop()
  }
}
