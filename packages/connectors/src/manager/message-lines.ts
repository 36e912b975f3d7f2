/** Lines of a stream on their way to a persister: what of them is passed on, and in which form. */
import { isObject, type Json } from '@millrace/sdk'

const NEWLINE = 10
const BRACE = 123

const records: readonly Buffer[] = ['{"type":"RECORD",', '{"type": "RECORD",'].map((s) => Buffer.from(s))

/** What a second name "type" needs in the rest of a line: of two the last counts, and a state must not come in as a RECORD. */
const typeAgain: readonly Buffer[] = ['"type"', '\\u'].map((s) => Buffer.from(s))

/** Whether its first bytes say for certain that it is a RECORD. */
const isRecord = (line: Buffer): boolean => {
  const prefix = records.find((p) => startsWith(line, p))
  return prefix !== undefined && typeAgain.every((text) => line.indexOf(text, prefix.length) < 0)
}

const startsWith = (line: Buffer, prefix: Buffer): boolean =>
  line.length >= prefix.length && line.compare(prefix, 0, prefix.length, 0, prefix.length) === 0

/** Calls back with each line, without its newline, and where it begins and ends. */
export const eachLine = (bytes: Buffer, take: (line: Buffer, from: number, end: number) => void): void => {
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from)
    const to = newline < 0 ? bytes.length : newline
    const end = newline < 0 ? to : to + 1
    take(bytes.subarray(from, to), from, end)
    from = end
  }
}

/** The type of a message, and its substream, where it is one. */
const messageOf = (line: Buffer): { readonly type: string; readonly stream: string | undefined } | undefined => {
  try {
    const value = JSON.parse(line.toString()) as Json
    if (!isObject(value) || typeof value['type'] !== 'string') return undefined
    const { stream } = value
    return { type: value['type'], stream: typeof stream === 'string' ? stream : undefined }
  } catch {
    return undefined
  }
}

/** What was found in a block of messages. */
export interface PassedMessages {
  /** The block without states: those of whoever filled the stream are not states of whoever reads it. */
  readonly parts: readonly Buffer[]
  /** The place in the block of the last SCHEMA of each substream. */
  readonly schemas: ReadonlyMap<string, number>
  /** Lines that are no message at all, by their place in the block. */
  readonly strangers: readonly number[]
}

/** Messages as they are. A line is parsed only where it is not certainly a RECORD. */
export const passMessages = (bytes: Buffer): PassedMessages => {
  const parts: Buffer[] = []
  const schemas = new Map<string, number>()
  const strangers: number[] = []
  let kept = 0
  let place = 0
  eachLine(bytes, (line, from, end) => {
    const at = place++
    if (isRecord(line)) return
    const message = messageOf(line)
    if (message?.type === 'SCHEMA' && message.stream !== undefined) schemas.set(message.stream, at)
    if (message !== undefined && message.type !== 'STATE' && message.type !== 'BOOKMARK') return
    if (message === undefined) strangers.push(at)
    if (from > kept) parts.push(bytes.subarray(kept, from))
    kept = end
  })
  if (kept < bytes.length) parts.push(bytes.subarray(kept))
  return { parts, schemas, strangers }
}

/** Bodies as RECORD lines of one substream. A body that is no object becomes the field `value`. */
export const wrapBodies = (bytes: Buffer, substream: string): Buffer => {
  const before = Buffer.from(`{"type":"RECORD","stream":${JSON.stringify(substream)},"record":`)
  const object = Buffer.from('}\n')
  const [open, close] = [Buffer.from('{"value":'), Buffer.from('}}\n')]
  const parts: Buffer[] = []
  eachLine(bytes, (line) => {
    if (isObjectText(line)) parts.push(before, line, object)
    else parts.push(before, open, line, close)
  })
  return Buffer.concat(parts)
}

const isObjectText = (line: Buffer): boolean => {
  for (const byte of line) if (byte !== 32 && byte !== 9 && byte !== 13) return byte === BRACE
  return false
}
