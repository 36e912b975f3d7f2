/**
 * Rows of COPY … TO STDOUT (text format, one message CopyData a row) as RECORD lines, bytes to bytes: about 0.2 µs for
 * a row of 300 bytes, in WebAssembly. Rows that are too long for its memory are taken as text.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html and …/sql-copy.html, "Text Format"
 */
import { copyRowsWasm } from './copy-rows.generated.ts'
import { jsonOf, type Spelling } from './values.ts'

/** A value of each line. */
export interface LineColumn {
  readonly name: string
  readonly spelling: Spelling
}

/** What a line consists of, beside the values. */
export interface LineShape {
  readonly columns: readonly LineColumn[]
  /** What stands before the record, and what behind it, without the newline. */
  readonly before: string
  readonly after: string
}

/** Whole lines, and how many. */
export interface Lines {
  readonly bytes: Buffer
  readonly count: number
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly rows: { readonly value: number }
  readonly written: { readonly value: number }
  readonly read: (
    from: number,
    end: number,
    out: number,
    outEnd: number,
    columns: number,
    fixed: number,
    tail: number,
    tailLength: number,
  ) => number
}

// The library types have WebAssembly only together with the browser's.
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object
    readonly Instance: new (module: object) => { readonly exports: Exports }
  }
}
let compiled: object | undefined

const COPY_DATA = 100
const HEADER_BYTES = 5
const MAX_COLUMNS = 1664
const labelsAt = MAX_COLUMNS * 12
const slack = 32
const inAt = 0x110000
/** Rows that are longer, with what was not read of them yet, are not for the memory here. */
const inBytes = 0x40000
const outAt = inAt + inBytes + slack
const outEnd = 80 * 0x10000 - slack

/** The form of each spelling in copy-rows.wat. */
const forms: Readonly<Record<Spelling, number>> = {
  boolean: 0,
  number: 1,
  text: 2,
  local: 3,
  instant: 4,
  json: 5,
  server: 5,
}

/** A row longer than the memory, which is gathered first. */
interface LongRow {
  readonly parts: Buffer[]
  missing: number
}

/** Makes the lines of one table, out of what the server sends in pieces of any size. */
export class CopyRows {
  readonly #shape: LineShape
  readonly #exports: Exports
  readonly #memory: Buffer
  readonly #fixed: number
  readonly #tail: { readonly at: number; readonly length: number }
  /** Bytes at the beginning of the input that are a message's beginning. */
  #held = 0
  #long: LongRow | undefined

  constructor(shape: LineShape) {
    compiled ??= new wasm.Module(Buffer.from(copyRowsWasm, 'base64'))
    this.#exports = new wasm.Instance(compiled).exports
    this.#memory = Buffer.from(this.#exports.memory.buffer)
    this.#shape = shape
    const names = shape.columns.map((c) => `${JSON.stringify(c.name)}:`)
    const [first = '', ...others] = names
    const labels = [`${shape.before}{${first}`, ...others.map((name) => `,${name}`)]
    let at = labelsAt
    const place = (text: string): number => {
      const from = at
      at += this.#memory.write(text, at, inAt - slack - at)
      return from
    }
    const words = new Int32Array(this.#exports.memory.buffer, 0, labels.length * 3)
    labels.forEach((label, i) => {
      const from = place(label)
      words.set([forms[shape.columns[i]?.spelling ?? 'text'], from, at - from], i * 3)
    })
    const tail = place(`}${shape.after}\n`)
    this.#tail = { at: tail, length: at - tail }
    this.#fixed = at - labelsAt
  }

  /**
   * Takes the beginning of `chunk`, as far as it is rows: answers how many bytes that were. The lines are given to `take`. What
   * follows in the chunk is the beginning of another message. Throws an Error where a row is not what the columns say.
   */
  push(chunk: Buffer, take: (lines: Lines) => void): number {
    let used = 0
    while (used < chunk.length) {
      if (this.#long !== undefined) {
        used += this.#gather(this.#long, chunk.subarray(used), take)
        continue
      }
      if (this.#held === 0 && chunk[used] !== COPY_DATA) return used
      const taken = Math.min(inBytes - this.#held, chunk.length - used)
      chunk.copy(this.#memory, inAt + this.#held, used, used + taken)
      used += taken
      const end = inAt + this.#held + taken
      const next = this.#read(end, take)
      this.#held = end - next
      if (this.#held > 0 && this.#memory[next] !== COPY_DATA) {
        used -= this.#held
        this.#held = 0
        return used
      }
      this.#memory.copyWithin(inAt, next, end)
      this.#lookForLong()
    }
    return used
  }

  /** Reads what is whole before `end`; answers where the rest begins. */
  #read(end: number, take: (lines: Lines) => void): number {
    const { read, rows, written } = this.#exports
    for (let from = inAt; ; ) {
      const next = read(
        from,
        end,
        outAt,
        outEnd,
        this.#shape.columns.length,
        this.#fixed,
        this.#tail.at,
        this.#tail.length,
      )
      if (next < 0) throw new Error('COPY sent a row that is not as its columns are')
      if (rows.value > 0) take({ bytes: Buffer.from(this.#memory.subarray(outAt, written.value)), count: rows.value })
      // Where the room for lines was used up, there is more to read.
      if (next === from || next === end) return next
      from = next
    }
  }

  /** Whether what is held begins a row that will not do here. */
  #lookForLong(): void {
    if (this.#held < HEADER_BYTES) return
    const length = this.#memory.readUInt32BE(inAt + 1)
    if (length + 1 <= inBytes) return
    const begun = Buffer.from(this.#memory.subarray(inAt + HEADER_BYTES, inAt + this.#held))
    this.#long = { parts: [begun], missing: length + 1 - this.#held }
    this.#held = 0
  }

  #gather(long: LongRow, chunk: Buffer, take: (lines: Lines) => void): number {
    const part = chunk.subarray(0, long.missing)
    long.parts.push(Buffer.from(part))
    long.missing -= part.length
    if (long.missing === 0) {
      this.#long = undefined
      take({ bytes: lineOf(Buffer.concat(long.parts), this.#shape), count: 1 })
    }
    return part.length
  }
}

/** The line of one row of COPY, its newline included: the same as {@link CopyRows} makes, by way of text. */
export const lineOf = (row: Buffer, { columns, before, after }: LineShape): Buffer => {
  // Each byte a character: what is not ASCII passes through as it is.
  const text = row.toString('latin1', 0, row.length - 1)
  const values = columns.length === 0 && text === '' ? [] : text.split('\t')
  if (values.length !== columns.length || row.at(-1) !== NEWLINE)
    throw new Error('COPY sent a row that is not as its columns are')
  const names = columns.map((c) => Buffer.from(JSON.stringify(c.name)).toString('latin1'))
  const members = columns.map(({ spelling }, i) => {
    const value = values[i] as string
    return `${names[i]}:${value === String.raw`\N` ? 'null' : jsonOf(spelling, unescaped(value))}`
  })
  return Buffer.concat([
    Buffer.from(before),
    Buffer.from(`{${members.join(',')}}`, 'latin1'),
    Buffer.from(`${after}\n`),
  ])
}

const NEWLINE = 10
const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

const unescaped = (text: string): string =>
  text.includes('\\') ? text.replaceAll(/\\(.)/gs, (_, c: string) => escapes[c] ?? c) : text
