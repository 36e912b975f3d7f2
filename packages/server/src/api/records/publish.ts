/** How a body becomes records: one, an array, JSON lines or lines of text of any length, raw bytes. */
import type { Readable } from 'node:stream'
import { type Appended, offset, RecordBatch, type WriterMark } from '@millrace/engine'
import { checkJsonLines, isMillraceError, MillraceError } from '@millrace/sdk'
import { appendLines } from '../../http/append-lines.ts'
import type { Limits } from '../../http/limits.ts'
import { oneLine, saysJson } from '../../http/record-text.ts'
import { noteJson } from '../../streams/json-check.ts'

const QUOTE = 34
const COMMA = 44
const BACKSLASH = 92
const OPEN = 91
const isSpace = (c: number): boolean => c === 32 || c === 10 || c === 13 || c === 9

/** Reads a body that is taken as a whole. Throws REQUEST_TOO_LARGE, REQUEST_TOO_SLOW. */
export const wholeBody = async (body: Readable, limits: Limits): Promise<Buffer> => {
  const chunks: Buffer[] = []
  let size = 0
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(
    () => reject(new MillraceError('REQUEST_TOO_SLOW', { seconds: limits.bodyMs / 1000 })),
    limits.bodyMs,
  )
  const take = (chunk: Buffer): void => {
    chunks.push(chunk)
    size += chunk.length
    if (size > limits.bodyBytes) reject(new MillraceError('REQUEST_TOO_LARGE', { maxBytes: limits.bodyBytes }))
  }
  let hasEnded = false
  const cut = (): void => {
    // It is closed after its end, too; and an error costs as much as the rest of this.
    if (!hasEnded) reject(new MillraceError('INTERRUPTED', { signal: 'the sender' }))
  }
  body.on('data', take)
  body.once('end', () => {
    hasEnded = true
    resolve()
  })
  body.once('error', reject)
  body.once('close', cut)
  try {
    await promise
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)
  } finally {
    clearTimeout(timer)
    body.off('data', take)
    body.off('close', cut)
    body.pause()
  }
}

/** The text of each element of a JSON array that was found to be sound. */
const elements = (b: Uint8Array): readonly Uint8Array[] => {
  const out: Uint8Array[] = []
  let depth = 0
  let from = -1
  let end = -1
  for (let i = 0; i < b.length; i++) {
    const c = b[i] as number
    if (c === QUOTE) {
      if (depth === 1 && from < 0) from = i
      for (i++; b[i] !== QUOTE; i++) if (b[i] === BACKSLASH) i++
      end = i + 1
      continue
    }
    if (isSpace(c)) continue
    if (depth === 1 && (c === COMMA || c === 93)) {
      if (from >= 0) out.push(b.subarray(from, end))
      from = -1
      if (c === 93) break
      continue
    }
    if (depth === 1 && from < 0) from = i
    if (c === OPEN || c === 123) depth++
    else if (c === 93 || c === 125) depth--
    end = i + 1
  }
  return out
}

/**
 * Records of a body of JSON: of an array each element is one, unless `single`. Their text is kept as it came. Throws REQUEST_INVALID.
 */
export const jsonRecords = (
  body: Uint8Array,
  options: { readonly single: boolean; readonly key?: string | undefined; readonly contentType?: string | undefined },
): RecordBatch => {
  const { single, key, contentType } = options
  let first = 0
  while (first < body.length && isSpace(body[first] as number)) first++
  const many = !single && body[first] === OPEN
  try {
    // As one line, so that it is one value and not several.
    if (checkJsonLines(oneLine(body)).ends.length !== 1)
      throw new MillraceError('REQUEST_INVALID', { problems: ['the body is empty'] })
  } catch (e) {
    if (!isMillraceError(e) || e.code === 'REQUEST_INVALID' || e.code === 'MESSAGE_TOO_DEEP') throw e
    throw new MillraceError(
      'REQUEST_INVALID',
      { problems: [e.code === 'MESSAGE_NOT_UTF8' ? 'the body is not UTF-8' : 'the body is no JSON'] },
      { cause: e },
    )
  }
  if (!many) return RecordBatch.of([{ body, key, contentType }])
  const bodies = elements(body)
  if (bodies.length === 0) throw new MillraceError('REQUEST_INVALID', { problems: ['the array has no records'] })
  if (key !== undefined && bodies.length > 1)
    throw new MillraceError('REQUEST_INVALID', { problems: ['one key is for one record'] })
  return RecordBatch.of(bodies.map((one) => ({ body: one, key, contentType })))
}

/** Where the records of a body of lines went. */
export interface Published {
  /** Offset of the first record; undefined where nothing was appended. */
  first: bigint | undefined
  /** Behind the last record. */
  next: bigint | undefined
  /** Records of this body that are in the stream. */
  records: number
  at: Date | undefined
}

export interface PublishLinesOptions {
  readonly limits: Limits
  /** What each line is; undefined: JSON. */
  readonly contentType: string | undefined
  /** Whether the records say what they are; else they are what the stream's are. */
  readonly isTyped: boolean
  readonly append: (batch: RecordBatch, writer: WriterMark | undefined) => Promise<Appended>
  /** A writer that resumes: how many records it had sent before this body, and how many of all the stream has. */
  readonly resume?: { readonly id: string; readonly sent: bigint; readonly stored: bigint } | undefined
  readonly onDurable: (appended: Appended, records: number) => Promise<void> | void
}

/**
 * Appends a body of lines. A writer's place is the number of records that it ever sent, so that what it sends again after a lost
 * connection is known, however it is cut into blocks.
 */
export const publishLines = async (body: Readable, options: PublishLinesOptions): Promise<void> => {
  const { limits, append, resume, contentType, isTyped } = options
  await appendLines(body, {
    blockBytes: limits.blockBytes,
    lineBytes: limits.lineBytes,
    idleMs: limits.bodyIdleMs,
    isJson: contentType === undefined || saysJson(contentType),
    append: async (lines, before) => {
      const batch = isTyped ? typed(lines, contentType ?? 'application/json') : lines
      if (contentType === undefined || saysJson(contentType)) noteJson(batch)
      if (resume === undefined) return await append(batch, undefined)
      const from = resume.sent + BigInt(before)
      const known = resume.stored - from
      if (known >= BigInt(batch.count)) return repeated
      const rest = known > 0n ? batch.slice(Number(known), batch.count) : batch
      return await append(rest, { id: resume.id, seq: from + BigInt(batch.count), countsRecords: true })
    },
    onDurable: options.onDurable,
  })
}

const nowhere = offset(0n)
/** All of a block was there already. */
const repeated: Appended = { first: nowhere, next: nowhere, at: new Date(0), isRepeated: true }

const typed = (batch: RecordBatch, contentType: string): RecordBatch =>
  new RecordBatch({
    bytes: batch.bytes,
    ends: batch.ends,
    gap: batch.gap,
    contentTypes: new Array<string>(batch.count).fill(contentType),
  })
