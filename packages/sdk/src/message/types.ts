/**
 * The vocabulary of the wire. A *message* is one line. Discriminants are the wire's own words; its snake_case names end
 * in the codec. A *substream* is the `stream` field of a message: a table or collection of one streamer. The word
 * "stream" alone means the durable thing that one appends to and follows.
 */
import type { Json, JsonObject } from './json.ts'
import type { RecordMessage } from './record.ts'

/** The definition of a substream. Keys come from `key_properties` (Singer), `key_fields` (0.1) or `"key": true`. */
export interface SchemaMessage {
  readonly type: 'SCHEMA'
  readonly stream: string
  readonly schema: JsonObject
  readonly keyProperties: readonly string[]
  readonly bookmarkProperties?: readonly string[]
  /** True where the streamer gave no schema and Millrace made this one from the records. */
  readonly inferred?: boolean
  readonly line: number
}

/** How far the whole streamer got; a 0.1 BOOKMARK is read as this. `text` is its value as it stood on the wire. */
export interface StateMessage {
  readonly type: 'STATE'
  readonly text: string
  readonly line: number
}

/** The version of a table: a bigint where a number would lose digits, never more than 64 bits. */
export type Version = number | bigint

/** Rows of the substream with another version are no longer current. */
export interface ActivateVersionMessage {
  readonly type: 'ACTIVATE_VERSION'
  readonly stream: string
  readonly version: Version
  readonly line: number
}

/** Records by reference: files of bare records (Singer SDK). */
export interface BatchMessage {
  readonly type: 'BATCH'
  readonly stream: string
  readonly format: string
  readonly compression: string | undefined
  readonly manifest: readonly string[]
  readonly version: Version | undefined
  readonly line: number
}

/** A message of a type we do not know: kept, so that newer peers are not broken. `text` is its whole line. */
export interface OtherMessage {
  readonly type: 'OTHER'
  readonly wireType: string
  readonly body: JsonObject
  readonly text: string
  readonly line: number
}

/** A line that could not be read, where the reader was told to hand such lines over and not to stop. */
export interface UnreadableMessage {
  readonly type: 'UNREADABLE'
  readonly text: string
  readonly error: Error
  readonly line: number
}

export type Message =
  | RecordMessage
  | SchemaMessage
  | StateMessage
  | ActivateVersionMessage
  | BatchMessage
  | OtherMessage
  | UnreadableMessage

export type MessageOf<T extends Message['type']> = Extract<Message, { readonly type: T }>

/** What a streamer's author yields for one record. */
export type RecordValue = JsonObject

export type { Json, JsonObject }
