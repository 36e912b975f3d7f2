/** Records on their way into and out of a stream: many at a time, their bodies in one piece of memory. */

/** One record as its publisher gives it. */
export interface NewRecord {
  /** What the record is about: records of one key are handed out in order even where readers share the work. */
  readonly key?: string | undefined
  /** What the body is, as HTTP says it. Left out: application/json. */
  readonly contentType?: string | undefined
  readonly body: Uint8Array
}

/** One text a record, where any record has one. */
type Texts = readonly (string | undefined)[] | undefined

/** What is written beside the bodies. */
export interface BatchTexts {
  readonly keys?: Texts
  readonly contentTypes?: Texts
}

const none: BatchTexts = {}
const NEWLINE = 10

/**
 * Records in their order. Body i stands in `bytes` from `ends[i - 1] + gap` (0 for the first) to `ends[i]`; between two
 * bodies lie `gap` bytes that belong to neither, so that lines can be kept as they came, newlines and all. Not to be changed.
 */
export class RecordBatch {
  readonly bytes: Uint8Array
  readonly ends: Uint32Array
  readonly gap: 0 | 1
  #texts: BatchTexts | (() => BatchTexts)

  /** `texts` says keys and content types only when they are asked for, in place of `keys` and `contentTypes`. */
  constructor(
    parts: {
      readonly bytes: Uint8Array
      readonly ends: Uint32Array
      readonly gap?: 0 | 1
      readonly texts?: () => BatchTexts
    } & BatchTexts,
  ) {
    this.bytes = parts.bytes
    this.ends = parts.ends
    this.gap = parts.gap ?? 0
    this.#texts =
      parts.texts ??
      (parts.keys === undefined && parts.contentTypes === undefined
        ? none
        : { keys: parts.keys, contentTypes: parts.contentTypes })
  }

  /** The keys, where any record has one. */
  get keys(): Texts {
    return this.#readTexts().keys
  }

  /** The content types, where any record is something else than JSON. */
  get contentTypes(): Texts {
    return this.#readTexts().contentTypes
  }

  #readTexts(): BatchTexts {
    if (typeof this.#texts === 'function') this.#texts = this.#texts()
    return this.#texts
  }

  /** Copies records into a batch. */
  static of(records: readonly NewRecord[]): RecordBatch {
    const ends = new Uint32Array(records.length)
    let size = 0
    for (let i = 0; i < records.length; i++) {
      size += (records[i] as NewRecord).body.length
      ends[i] = size
    }
    const bytes = new Uint8Array(size)
    let at = 0
    for (const { body } of records) {
      bytes.set(body, at)
      at += body.length
    }
    const keys = records.some((r) => r.key !== undefined) ? records.map((r) => r.key) : undefined
    const typed = records.some((r) => r.contentType !== undefined)
    return new RecordBatch({ bytes, ends, keys, contentTypes: typed ? records.map((r) => r.contentType) : undefined })
  }

  /** Each line a record, without its newline. The last line may lack it. Nothing is copied. */
  static lines(bytes: Uint8Array): RecordBatch {
    const b = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const ends: number[] = []
    for (let at = 0; at < b.length; ) {
      const newline = b.indexOf(NEWLINE, at)
      const end = newline < 0 ? b.length : newline
      ends.push(end)
      at = end + 1
    }
    return new RecordBatch({ bytes, ends: Uint32Array.from(ends), gap: 1 })
  }

  /** Batches one behind the other as one. Their gaps must be the same. */
  static join(batches: readonly RecordBatch[]): RecordBatch {
    const [only] = batches
    if (batches.length === 1 && only !== undefined) return only
    const gap = only?.gap ?? 0
    const count = batches.reduce((n, b) => n + b.count, 0)
    const bytes = new Uint8Array(batches.reduce((n, b) => n + b.contentEnd + gap, 0))
    const ends = new Uint32Array(count)
    let at = 0
    let i = 0
    for (const batch of batches) {
      bytes.set(batch.bytes.subarray(0, batch.contentEnd), at)
      for (const end of batch.ends) ends[i++] = at + end
      at += batch.contentEnd
      if (gap === 1) bytes[at++] = NEWLINE
    }
    const keys = joinTexts(batches, (b) => b.keys)
    return new RecordBatch({ bytes, ends, gap, keys, contentTypes: joinTexts(batches, (b) => b.contentTypes) })
  }

  get count(): number {
    return this.ends.length
  }

  /** Behind the last body. */
  get contentEnd(): number {
    return this.ends.at(-1) ?? 0
  }

  /** Bytes of all bodies together. */
  get size(): number {
    return this.contentEnd - this.gap * Math.max(0, this.count - 1)
  }

  /** Bytes of the body of record i. */
  sizeOf(i: number): number {
    return (this.ends[i] as number) - this.#start(i)
  }

  #start(i: number): number {
    return i === 0 ? 0 : (this.ends[i - 1] as number) + this.gap
  }

  /** The body of record i: a view. */
  body(i: number): Uint8Array {
    return this.bytes.subarray(this.#start(i), this.ends[i])
  }

  /** Record i; its body is a view. */
  record(i: number): NewRecord {
    return { key: this.keys?.[i], contentType: this.contentTypes?.[i], body: this.body(i) }
  }

  /** All records. */
  *records(): Generator<NewRecord, void, undefined> {
    for (let i = 0; i < this.count; i++) yield this.record(i)
  }

  /** Records from, up to but not including `to`. A view. */
  slice(from: number, to: number): RecordBatch {
    if (from === 0 && to >= this.count) return this
    const start = this.#start(from)
    const ends = this.ends.slice(from, to)
    for (let i = 0; i < ends.length; i++) ends[i] = (ends[i] as number) - start
    const bytes = this.bytes.subarray(start, start + (ends.at(-1) ?? 0))
    const { gap } = this
    if (this.#texts === none) return new RecordBatch({ bytes, ends, gap })
    const texts = (): BatchTexts => {
      const { keys, contentTypes } = this.#readTexts()
      return { keys: keys?.slice(from, to), contentTypes: contentTypes?.slice(from, to) }
    }
    return new RecordBatch({ bytes, ends, gap, texts })
  }
}

const joinTexts = (batches: readonly RecordBatch[], of: (batch: RecordBatch) => Texts): Texts => {
  if (batches.every((b) => of(b) === undefined)) return undefined
  const out: (string | undefined)[] = []
  for (const batch of batches) {
    const texts = of(batch)
    for (let i = 0; i < batch.count; i++) out.push(texts?.[i])
  }
  return out
}
