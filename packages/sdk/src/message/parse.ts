/** From the parsed envelope of a line to messages; one line of 0.1 can be two: its schema, then its record. */
import { MillraceError } from '../errors/error.ts'
import { encodeJson, isObject, type Json, type JsonObject } from './json.ts'
import { RecordMessage } from './record.ts'
import type { Message, SchemaMessage, Version } from './types.ts'

/** The stated limit of a BOOKMARK, and of a STATE after it. */
export const maxStateBytes = 1_000_000

/** An envelope: its members parsed, its record perhaps left as bytes. */
export interface ParsedMessage {
  /** In upper case: every specification says that types are read without regard to case. */
  readonly type: string
  readonly body: JsonObject
  readonly line: number
  readonly text: () => string
  /** The text of the `value` member as it stood on the wire. */
  readonly valueText: string | undefined
  readonly recordBytes?: { readonly buffer: Buffer; readonly from: number; readonly to: number }
  readonly plain?: JsonObject
}

/** The latest schema of a substream; `mark` is what it was made from where it came with a record. */
export interface KnownSchema {
  readonly message: SchemaMessage
  readonly mark: string
}

/**
 * Adds the messages of a line to `out`. `schemas` remembers the latest schema of each substream, so that where keys or
 * schemas come with the records (0.1) a SCHEMA is handed out only when it changes.
 * Throws MESSAGE_MALFORMED where a member that must be there is missing or of the wrong type.
 */
export const messagesOf = (m: ParsedMessage, schemas: Map<string, KnownSchema>, out: Message[]): void => {
  const { body, line } = m
  switch (m.type) {
    case 'RECORD':
      record(m, schemas, out)
      return
    case 'SCHEMA': {
      const message = schemaOf(m)
      schemas.set(message.stream, { message, mark: '' })
      out.push(message)
      return
    }
    case 'STATE':
    case 'BOOKMARK': {
      if (!('value' in body)) malformed(m, 'has no "value"')
      const text = m.valueText ?? encodeJson(body['value'])
      if (Buffer.byteLength(text) > maxStateBytes)
        throw new MillraceError('STATE_TOO_LARGE', { line, bytes: Buffer.byteLength(text), maxBytes: maxStateBytes })
      out.push({ type: 'STATE', text, line })
      return
    }
    case 'ACTIVATE_VERSION': {
      const version = versionOf(body)
      if (version === undefined) malformed(m, 'needs an integer "version"')
      refuseLong(m, version)
      out.push({ type: 'ACTIVATE_VERSION', stream: streamOf(m), version: version as Version, line })
      return
    }
    case 'BATCH':
      out.push(batchOf(m))
      return
    case '':
      malformed(m, 'has no "type"')
      return
    default:
      out.push({ type: 'OTHER', wireType: m.type, body, text: m.text(), line })
  }
}

const malformed = (m: ParsedMessage, why: string): never => {
  throw new MillraceError('MESSAGE_MALFORMED', { line: m.line, type: m.type === '' ? 'a' : m.type, why })
}

const streamOf = (m: ParsedMessage): string => {
  const stream = m.body['stream']
  if (typeof stream !== 'string' || stream === '') return malformed(m, 'needs a "stream" with a name in it')
  return stream
}

const stringsOf = (value: Json | undefined): readonly string[] | undefined =>
  Array.isArray(value) && value.every((v) => typeof v === 'string') ? (value as string[]) : undefined

const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((v, i) => v === b[i])

/** The version of a RECORD; anything but an integer says nothing. */
export const versionOf = (body: JsonObject): Version | undefined => {
  const version = body['version']
  return typeof version === 'bigint' || Number.isSafeInteger(version) ? (version as Version) : undefined
}

/** No destination has room for more than 64 bits, and a version that is lost would retire the wrong rows. */
const refuseLong = (m: ParsedMessage, version: Version | undefined): void => {
  if (typeof version === 'bigint' && BigInt.asIntN(64, version) !== version)
    malformed(m, 'has a "version" of more than 64 bits')
}

/** The time of a RECORD, as text; anything but text says nothing. */
export const timeOf = (body: JsonObject): string | undefined => {
  const time = body['time_extracted']
  return typeof time === 'string' ? time : undefined
}

const record = (m: ParsedMessage, schemas: Map<string, KnownSchema>, out: Message[]): void => {
  const stream = streamOf(m)
  const { body, line } = m
  const keyFields = stringsOf(body['key_fields'])
  const inline = isObject(body['schema']) ? body['schema'] : undefined
  if (keyFields !== undefined || inline !== undefined) {
    const known = schemas.get(stream)
    const keyProperties = keyFields ?? flaggedKeys(inline)
    const mark = inline === undefined ? '' : encodeJson([keyProperties, inline])
    const isKnown =
      known !== undefined &&
      (inline === undefined ? isSameList(known.message.keyProperties, keyProperties) : known.mark === mark)
    if (!isKnown) {
      const schema = inline ?? known?.message.schema
      const message: SchemaMessage = {
        type: 'SCHEMA',
        stream,
        schema: schema ?? {},
        keyProperties,
        ...(schema === undefined || (inline === undefined && known?.message.inferred === true)
          ? { inferred: true }
          : {}),
        line,
      }
      schemas.set(stream, { message, mark })
      out.push(message)
    }
  }
  const meta = {
    version: versionOf(body),
    timeExtracted: timeOf(body),
  }
  refuseLong(m, meta.version)
  if (m.recordBytes !== undefined) {
    const message = new RecordMessage(stream, line, m.recordBytes, meta)
    if (m.plain !== undefined) message.adopt(m.plain)
    out.push(message)
    return
  }
  const value = body['record']
  if (!isObject(value)) malformed(m, 'needs a "record" that is an object')
  out.push(RecordMessage.of(stream, value as JsonObject, { line, ...meta }))
}

const schemaOf = (m: ParsedMessage): SchemaMessage => {
  const { body, line } = m
  const schema = body['schema']
  if (!isObject(schema)) return malformed(m, 'needs a "schema" that is an object')
  const given = body['key_properties']
  const keyProperties = given === undefined || given === null ? flaggedKeys(schema) : stringsOf(given)
  if (keyProperties === undefined) return malformed(m, 'needs "key_properties" to be a list of names')
  const bookmarks =
    typeof body['bookmark_properties'] === 'string'
      ? [body['bookmark_properties']]
      : stringsOf(body['bookmark_properties'])
  return {
    type: 'SCHEMA',
    stream: streamOf(m),
    schema,
    keyProperties,
    ...(bookmarks === undefined ? {} : { bookmarkProperties: bookmarks }),
    line,
  }
}

/** Keys as 0.1 flagged them: every top-level property whose schema has `"key": true`. */
const flaggedKeys = (schema: JsonObject | undefined): readonly string[] => {
  const properties = schema?.['properties']
  if (!isObject(properties)) return []
  return Object.keys(properties).filter((name) => {
    const property = properties[name]
    return isObject(property) && property['key'] === true
  })
}

const batchOf = (m: ParsedMessage): Message => {
  const encoding = m.body['encoding']
  const manifest = stringsOf(m.body['manifest'])
  if (!isObject(encoding) || typeof encoding['format'] !== 'string')
    return malformed(m, 'needs "encoding" with a "format"')
  if (manifest === undefined) return malformed(m, 'needs a "manifest", a list of file URLs')
  const version = versionOf(m.body)
  refuseLong(m, version)
  const compression = encoding['compression']
  return {
    type: 'BATCH',
    stream: streamOf(m),
    format: encoding['format'],
    compression: typeof compression === 'string' && compression !== 'none' ? compression : undefined,
    manifest,
    version,
    line: m.line,
  }
}
