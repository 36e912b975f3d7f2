import { isUtf8 } from 'node:buffer'
import { MillraceError } from '../errors/error.ts'
import { jsonLinesWasm } from './json-lines.generated.ts'

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly check: (length: number, maxDepth: number) => number
}

// The library types have WebAssembly only together with the browser's.
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object
    readonly Instance: new (
      module: object,
    ) => {
      readonly exports: Exports
    }
  }
}

/** Bytes that are checked at once, in WebAssembly. A longer line is parsed instead. */
const blockBytes = 1024 * 1024
const endsAt = 0x140000
const resultAt = 0x350000
const padding = 64
/** How deep values may nest, as in messages. */
const maxDepth = 1000
const NEWLINE = 10
const SPACE = 32

interface Machine {
  readonly memory: Uint8Array
  readonly check: Exports['check']
  readonly ends: Uint32Array
  readonly result: Uint32Array
}
let shared: Machine | undefined
const machine = (): Machine => {
  if (shared === undefined) {
    const { exports } = new wasm.Instance(new wasm.Module(Buffer.from(jsonLinesWasm, 'base64')))
    const { buffer } = exports.memory
    shared = {
      memory: new Uint8Array(buffer),
      check: exports.check,
      ends: new Uint32Array(buffer, endsAt, (0x340000 - endsAt) / 4),
      result: new Uint32Array(buffer, resultAt, 3),
    }
  }
  return shared
}

/** Lines of a block that were found to be JSON. */
export interface CheckedLines {
  /** What was checked, without blank lines: where there were any, a copy. */
  readonly bytes: Uint8Array
  /** Behind the value of each line: where its newline is. */
  readonly ends: Uint32Array
  /** How many lines there were, blank ones counted. */
  readonly lines: number
}

/**
 * Checks that `bytes`, whole lines of which the last may lack its newline, are UTF-8 and that each line is one JSON value. Nothing is parsed: about
 * 1 GB/s where values are texts. Blank lines are left out. `firstLine` is the number of the first line, and `fix` what to do, for what is said of a
 * bad one. Throws MESSAGE_NOT_UTF8, MESSAGE_NOT_JSON and MESSAGE_TOO_DEEP, each with its line.
 */
export const checkJsonLines = (
  bytes: Uint8Array,
  options: { readonly source?: string; readonly firstLine?: number; readonly fix?: string } = {},
): CheckedLines => {
  const b = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const firstLine = options.firstLine ?? 1
  if (!isUtf8(b))
    throw new MillraceError('MESSAGE_NOT_UTF8', { source: options.source, line: firstLine + badUtf8Line(b) })
  const parts: Uint32Array[] = []
  let lines = 0
  let hasBlank = false
  for (let from = 0; from < b.length; ) {
    const to = blockEnd(b, from)
    const found = to - from > blockBytes ? parsed(b, from, to) : scanned(b, from, to)
    if (found.fault !== undefined)
      throw new MillraceError(found.fault.code, {
        source: options.source,
        line: firstLine + lines + found.fault.line,
        why: 'it is no JSON value',
        fix: found.fault.code === 'MESSAGE_NOT_JSON' ? options.fix : undefined,
        maxDepth,
      })
    hasBlank ||= found.hasBlank
    lines += found.ends.length
    parts.push(found.ends)
    from = to
  }
  const ends = parts.length === 1 ? (parts[0] as Uint32Array) : joined(parts, lines)
  return hasBlank ? withoutBlank(b, ends) : { bytes, ends, lines }
}

/** Behind the last newline that a block from `from` can hold; where a line is longer than a block, behind that line. */
const blockEnd = (b: Buffer, from: number): number => {
  if (b.length - from <= blockBytes) return b.length
  const newline = b.lastIndexOf(NEWLINE, from + blockBytes - 1)
  if (newline >= from) return newline + 1
  const next = b.indexOf(NEWLINE, from + blockBytes)
  return next < 0 ? b.length : next + 1
}

interface Found {
  readonly ends: Uint32Array
  readonly hasBlank: boolean
  readonly fault?: { readonly code: 'MESSAGE_NOT_JSON' | 'MESSAGE_TOO_DEEP'; readonly line: number }
}

const scanned = (b: Buffer, from: number, to: number): Found => {
  const { memory, check, ends, result } = machine()
  memory.set(b.subarray(from, to))
  let length = to - from
  // A last line without its newline gets one here.
  if (b[to - 1] !== NEWLINE) memory[length++] = NEWLINE
  memory.fill(SPACE, length, length + padding)
  const lines = check(length, maxDepth)
  if (lines < 0) {
    const [line = 0, isDeep = 0] = result
    return {
      ends: new Uint32Array(0),
      hasBlank: false,
      fault: { code: isDeep === 1 ? 'MESSAGE_TOO_DEEP' : 'MESSAGE_NOT_JSON', line },
    }
  }
  const own = ends.slice(0, lines)
  if (from > 0) for (let i = 0; i < own.length; i++) own[i] = (own[i] as number) + from
  return { ends: own, hasBlank: (result[2] as number) > 0 }
}

/** One long line. */
const parsed = (b: Buffer, from: number, to: number): Found => {
  const end = b[to - 1] === NEWLINE ? to - 1 : to
  try {
    JSON.parse(b.toString('utf8', from, end))
    return { ends: Uint32Array.of(end), hasBlank: false }
  } catch {
    return { ends: new Uint32Array(0), hasBlank: false, fault: { code: 'MESSAGE_NOT_JSON', line: 0 } }
  }
}

const joined = (parts: readonly Uint32Array[], count: number): Uint32Array => {
  const all = new Uint32Array(count)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

const withoutBlank = (b: Buffer, ends: Uint32Array): CheckedLines => {
  const bytes = Buffer.allocUnsafe(b.length + 1)
  const kept: number[] = []
  let from = 0
  let at = 0
  for (const end of ends) {
    let first = from
    while (first < end && (b[first] as number) <= SPACE) first++
    if (first < end) {
      b.copy(bytes, at, from, end)
      at += end - from
      kept.push(at)
      bytes[at++] = NEWLINE
    }
    from = end + 1
  }
  return { bytes: bytes.subarray(0, at), ends: Uint32Array.from(kept), lines: ends.length }
}

const badUtf8Line = (b: Buffer): number => {
  let line = 0
  for (let from = 0; ; line++) {
    const newline = b.indexOf(NEWLINE, from)
    if (newline < 0 || !isUtf8(b.subarray(from, newline))) return line
    from = newline + 1
  }
}
