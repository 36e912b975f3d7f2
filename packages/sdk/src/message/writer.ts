/** Messages out, as bytes: Singer by default, or the 0.1 format in either of its content types. */
import { MillraceError } from '../errors/error.ts'
import { maxDepth } from './bytes.ts'
import { encodeJson, isObject, type Json, type JsonObject, parseExact } from './json.ts'
import type { RecordMessage } from './record.ts'
import { encodeTransit, fromJson, keptTransit } from './transit.ts'
import type { Message, SchemaMessage, Version } from './types.ts'

/** What a writer can write; the first is the default. */
export const wireFormats = ['singer', '0.1-jsonline', '0.1-transit'] as const
export type WireFormat = (typeof wireFormats)[number]

/** What is known of a substream: its schema, and how its RECORD lines begin. */
interface Substream {
  readonly keys: readonly string[]
  readonly schema: JsonObject | undefined
  readonly prefix: Buffer
}

const FIRST_BYTES = 64 * 1024
const timeSchema: JsonObject = { format: 'date-time' }

/**
 * Turns messages into lines. A record that has bytes is copied, not parsed and written again (except into transit).
 *
 * A 0.1 stream says keys in both ways of that time: `key_fields` on every RECORD, and SCHEMA lines whose key
 * properties have `"key": true`; a reader of either sort finds what it knows and passes over the rest.
 */
export class MessageWriter {
  readonly #to: WireFormat
  readonly #substreams = new Map<string, Substream>()
  #bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES)
  #length = 0
  #hasHeader: boolean
  /** What stands behind a record: mostly the same as behind the one before. */
  #version: Version | undefined
  #timeExtracted: string | undefined
  #tail: Buffer = Buffer.from('}\n')

  constructor(to: WireFormat = 'singer') {
    this.#to = to
    this.#hasHeader = to === 'singer'
  }

  /** Bytes that wait to be taken. */
  get pending(): number {
    return this.#length
  }

  /** The lines added since the last call, ready to be written; the caller may keep them. */
  take(): Buffer {
    const lines = this.#bytes.subarray(0, this.#length)
    this.#bytes = Buffer.allocUnsafe(Math.max(FIRST_BYTES, this.#bytes.length))
    this.#length = 0
    return lines
  }

  /**
   * Adds one message. An UNREADABLE one throws its error. A record that transit must open throws MESSAGE_NOT_JSON or
   * MESSAGE_TOO_DEEP. What was added before stays.
   */
  add(message: Message): void {
    if (message.type === 'UNREADABLE') throw message.error
    if (!this.#hasHeader) {
      this.#hasHeader = true
      this.#text(`stitchstream/0.1\nContent-Type: ${this.#to === '0.1-transit' ? 'transit' : 'jsonline'}\n--\n`)
    }
    if (message.type === 'SCHEMA') this.#substreams.set(message.stream, this.#substreamOf(message))
    if (this.#to === '0.1-transit') this.#addTransit(message)
    else this.#addJson(message)
  }

  #addJson(message: Exclude<Message, { type: 'UNREADABLE' }>): void {
    switch (message.type) {
      case 'RECORD':
        this.#addRecord(message)
        return
      case 'STATE':
        this.#text(`{"type":"${this.#to === 'singer' ? 'STATE' : 'BOOKMARK'}","value":${oneLine(message.text)}}\n`)
        return
      case 'OTHER':
        this.#text(`${oneLine(message.text)}\n`)
        return
      default: {
        const body = this.#bodyOf(message)
        if (body !== undefined) this.#text(`${encodeJson(body)}\n`)
      }
    }
  }

  #addRecord(message: RecordMessage): void {
    const { prefix } = this.#substream(message.stream)
    const size = message.size
    const { version, timeExtracted } = message
    if (version !== this.#version || timeExtracted !== this.#timeExtracted) this.#setTail(version, timeExtracted)
    this.#reserve(prefix.length + size + this.#tail.length)
    this.#length += prefix.copy(this.#bytes, this.#length)
    this.#length += message.buffer.copy(this.#bytes, this.#length, message.from, message.to)
    this.#length += this.#tail.copy(this.#bytes, this.#length)
  }

  #setTail(version: Version | undefined, timeExtracted: string | undefined): void {
    this.#version = version
    this.#timeExtracted = timeExtracted
    const versionText = version === undefined ? '' : `,"version":${version}`
    const timeText = timeExtracted === undefined ? '' : `,"time_extracted":${JSON.stringify(timeExtracted)}`
    this.#tail = Buffer.from(`${versionText}${timeText}}\n`)
  }

  #addTransit(message: Exclude<Message, { type: 'UNREADABLE' }>): void {
    const body = message.type === 'RECORD' ? this.#transitRecord(message) : this.#bodyOf(message)
    if (body === undefined) return
    try {
      this.#text(`${encodeTransit(body)}\n`)
    } catch (e) {
      if (!(e instanceof RangeError)) throw e
      throw new MillraceError('MESSAGE_TOO_DEEP', { line: message.line, maxDepth }, { cause: e })
    }
  }

  #transitRecord(message: RecordMessage): unknown {
    const { keys, schema } = this.#substream(message.stream)
    return {
      type: 'RECORD',
      stream: message.stream,
      key_fields: keys,
      record: keptTransit(message.record) ?? fromJson(message.record, schema),
      version: message.version,
      time_extracted: message.timeExtracted === undefined ? undefined : fromJson(message.timeExtracted, timeSchema),
    }
  }

  /** A message other than RECORD as its members; nothing for a schema that only says which keys the records have. */
  #bodyOf(message: Exclude<Message, { type: 'UNREADABLE' | 'RECORD' }>): JsonObject | undefined {
    switch (message.type) {
      case 'SCHEMA':
        return this.#schemaBody(message)
      case 'STATE':
        return { type: this.#to === 'singer' ? 'STATE' : 'BOOKMARK', value: parseExact(message.text) }
      case 'ACTIVATE_VERSION':
        return { type: 'ACTIVATE_VERSION', stream: message.stream, version: message.version }
      case 'BATCH':
        return {
          type: 'BATCH',
          stream: message.stream,
          encoding: {
            format: message.format,
            ...(message.compression === undefined ? {} : { compression: message.compression }),
          },
          manifest: message.manifest,
          ...(message.version === undefined ? {} : { version: message.version }),
        }
      case 'OTHER':
        return message.body
    }
  }

  #schemaBody(message: SchemaMessage): JsonObject | undefined {
    const { stream, schema, keyProperties, bookmarkProperties } = message
    if (this.#to !== 'singer' && message.inferred === true) return undefined
    return {
      type: 'SCHEMA',
      stream,
      schema: this.#to === 'singer' ? schema : flagKeys(schema, keyProperties),
      key_properties: keyProperties,
      ...(bookmarkProperties === undefined ? {} : { bookmark_properties: bookmarkProperties }),
    }
  }

  #substream(stream: string): Substream {
    let known = this.#substreams.get(stream)
    if (known === undefined) {
      known = this.#substreamOf({ stream, keyProperties: [] })
      this.#substreams.set(stream, known)
    }
    return known
  }

  #substreamOf(message: {
    readonly stream: string
    readonly keyProperties: readonly string[]
    readonly schema?: JsonObject
  }): Substream {
    const keys = message.keyProperties
    const keyFields = this.#to === 'singer' ? '' : `"key_fields":${JSON.stringify(keys)},`
    const prefix = Buffer.from(`{"type":"RECORD","stream":${JSON.stringify(message.stream)},${keyFields}"record":`)
    return { keys, schema: message.schema, prefix }
  }

  #text(text: string): void {
    this.#reserve(text.length * 3)
    this.#length += this.#bytes.write(text, this.#length)
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

/** A schema whose key properties are flagged as 0.1 did it. */
const flagKeys = (schema: JsonObject, keys: readonly string[]): JsonObject => {
  if (keys.length === 0) return schema
  const properties = new Map<string, Json>(isObject(schema['properties']) ? Object.entries(schema['properties']) : [])
  for (const key of keys) {
    const property = properties.get(key)
    properties.set(key, { ...(isObject(property) ? property : {}), key: true })
  }
  return { ...schema, properties: Object.fromEntries(properties) }
}

/** The text of a message read from another mode may be transit or hold a newline: then it is written again. */
const oneLine = (text: string): string =>
  text.includes('\n') || text.includes('\r') ? encodeJson(parseExact(text)) : text
