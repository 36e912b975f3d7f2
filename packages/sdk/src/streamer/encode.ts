import type { Digest } from '../books/digest.ts'
import { MillraceError } from '../errors/error.ts'
import { NEWLINE, skimValue, startsWithAt } from '../message/bytes.ts'
import { encodeJson, isObject, type Json, type JsonObject, parseExact } from '../message/json.ts'
import { type Keep, pruneValue } from './catalog.ts'
import type { EncodedRecords } from './types.ts'

const RECORD_MEMBER = Buffer.from('"record":')

/** The account of what was written of one substream. */
export interface Emitted {
  records: number
  readonly digest: Digest
}

/** Writes the records of one substream as lines, and keeps their account where one is wanted. */
export class RecordEncoder {
  readonly #stream: string
  readonly #prefix: string
  readonly #prefixBytes: number
  #version = ''
  readonly #keep: Keep | undefined
  readonly #emitted: Emitted
  readonly #digests: boolean

  constructor(
    stream: string,
    options: {
      readonly version?: number | undefined
      readonly keep?: Keep | undefined
      readonly emitted: Emitted
      readonly digests: boolean
    },
  ) {
    this.#stream = stream
    this.#prefix = `{"type":"RECORD","stream":${JSON.stringify(stream)},"record":`
    this.#prefixBytes = Buffer.byteLength(this.#prefix)
    this.version = options.version
    this.#keep = options.keep
    this.#emitted = options.emitted
    this.#digests = options.digests
  }

  /** What the records from now on carry; undefined: none. */
  set version(version: number | undefined) {
    this.#version = version === undefined ? '' : `,"version":${version}`
  }

  /** The lines of an array of records, in one buffer. Throws MESSAGE_WRITE_NOT_FINITE. */
  encode(records: readonly JsonObject[], extractedAt: string): Buffer {
    const keep = this.#keep
    const prefix = this.#prefix
    const tail = `${this.#version},"time_extracted":"${extractedAt}"}`
    const suffix = `${tail}\n`
    let text = ''
    for (const whole of records) {
      const record = keep === undefined ? whole : (pruneValue(whole, keep) as JsonObject)
      const json = encodeJson(record)
      // NaN and Infinity become null: only then is the record looked through.
      if (json.includes('null')) this.#refuseNotFinite(record)
      text += prefix + json + suffix
    }
    const lines = Buffer.from(text)
    this.#emitted.records += records.length
    if (this.#digests) this.#digest(lines, { before: this.#prefixBytes, after: tail.length })
    return lines
  }

  /** Lines that the author wrote: as they are, unless fields are to be dropped. */
  pass(encoded: EncodedRecords, extractedAt: string): Uint8Array {
    const lines = Buffer.from(encoded.lines.buffer, encoded.lines.byteOffset, encoded.lines.byteLength)
    const { around, count } = encoded
    if (this.#keep !== undefined || (this.#version !== '' && around === undefined))
      return this.encode(this.#open(lines), extractedAt)
    this.#emitted.records += count
    if (this.#digests) this.#digest(lines, around)
    return this.#version === '' || around === undefined || around.versioned === true
      ? lines
      : this.#versioned(lines, count, around)
  }

  /** The same lines with the version behind each record. */
  #versioned(lines: Buffer, count: number, around: NonNullable<EncodedRecords['around']>): Buffer {
    const version = Buffer.from(this.#version)
    const out = Buffer.allocUnsafe(lines.length + count * version.length)
    let at = 0
    for (let from = 0; from < lines.length; ) {
      const newline = lines.indexOf(NEWLINE, from)
      const next = newline < 0 ? lines.length : newline + 1
      const recordEnd = (newline < 0 ? lines.length : newline) - around.after
      at += lines.copy(out, at, from, recordEnd)
      at += version.copy(out, at)
      at += lines.copy(out, at, recordEnd, next)
      from = next
    }
    return out.subarray(0, at)
  }

  #open(lines: Buffer): JsonObject[] {
    return lines
      .toString()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const message = parseExact(line)
        const record = isObject(message) ? message['record'] : undefined
        if (!isObject(record))
          throw new MillraceError('INTERNAL', { why: `an encoded line of ${this.#stream} holds no record` })
        return record
      })
  }

  /** Adds each record's bytes, exactly as they stand in the lines. */
  #digest(lines: Buffer, around: EncodedRecords['around']): void {
    const digest = this.#emitted.digest
    let from = 0
    if (around !== undefined) {
      while (from < lines.length) {
        const newline = lines.indexOf(NEWLINE, from)
        const end = newline < 0 ? lines.length : newline
        digest.add(lines, from + around.before, end - around.after)
        from = end + 1
      }
      return
    }
    let before = lines.subarray(0, 0)
    while (from < lines.length) {
      const newline = lines.indexOf(NEWLINE, from)
      const end = newline < 0 ? lines.length : newline
      // Line after line begins with the same bytes; where it does not, the member is looked for.
      if (before.length === 0 || !startsWithAt(lines, from, end, before)) {
        const member = lines.indexOf(RECORD_MEMBER, from)
        if (member < 0 || member >= end)
          throw new MillraceError('INTERNAL', { why: `an encoded line of ${this.#stream} holds no record` })
        before = lines.subarray(from, member + RECORD_MEMBER.length)
      }
      const start = from + before.length
      const stop = skimValue(lines, start, end)
      if (stop < 0)
        throw new MillraceError('INTERNAL', { why: `an encoded line of ${this.#stream} ends in the middle` })
      digest.add(lines, start, stop)
      from = end + 1
    }
  }

  #refuseNotFinite(record: JsonObject): void {
    if (isAllFinite(record)) return
    const found = notFinite(record, '')
    if (found !== undefined)
      throw new MillraceError('MESSAGE_WRITE_NOT_FINITE', {
        stream: this.#stream,
        field: found.path,
        value: String(found.value),
      })
  }
}

/** Whether every number in it is finite. Asked of each record with a null, so it makes no paths. */
const isAllFinite = (value: object): boolean => {
  for (const key in value) {
    const v = (value as Record<string, unknown>)[key]
    if (typeof v === 'number') {
      if (!Number.isFinite(v)) return false
    } else if (typeof v === 'object' && v !== null && !isAllFinite(v)) return false
  }
  return true
}

const notFinite = (value: Json, path: string): { readonly path: string; readonly value: number } | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : { path, value }
  if (typeof value !== 'object' || value === null) return undefined
  for (const key in value) {
    const found = notFinite((value as JsonObject)[key] as Json, path === '' ? key : `${path}.${key}`)
    if (found !== undefined) return found
  }
  return undefined
}
