/**
 * The gate: what stands between the reader and the persister. It checks records against the schema of their substream
 * and applies the maps of the pipeline. The sdk has no JSON Schema library and no expression language of its own: both
 * come in as functions.
 */
import type { JsonObject } from '../message/json.ts'
import type { RecordMessage } from '../message/record.ts'
import type { SchemaMessage } from '../message/types.ts'

/** What is wrong with a record: the field by its path (`address.zip`), and the rule in words (`must be string`). */
export interface Violation {
  readonly field: string
  readonly rule: string
}

/** Checks one record's values; undefined where it is valid. Gets `RecordMessage.plain`. */
export interface RecordCheck {
  (record: JsonObject): Violation | undefined
  /**
   * Says of the bytes [from, to) that they are a valid record for certain, without parsing them. False says nothing: then
   * the values are checked. May be left out.
   */
  readonly accepts?: ((bytes: Buffer, from: number, to: number) => boolean) | undefined
  /** The same of many records, a newline behind each: true says that all of them are valid. */
  readonly acceptsLines?: ((lines: Buffer) => boolean) | undefined
}

/** Makes the check of a schema, once for each SCHEMA message. Throws SCHEMA_INVALID. */
export type CompileSchema = (schema: SchemaMessage) => RecordCheck

/** The maps of one substream, made once for each SCHEMA message. */
export interface SubstreamMap {
  /** The schema as the persister gets it: fields renamed and dropped, perhaps another substream name and other keys. */
  readonly schema: SchemaMessage
  /** The record as the persister gets it; undefined where the filter holds it back. May answer its argument. */
  readonly apply: (record: RecordMessage) => RecordMessage | undefined
  /** Fields, by the streamer's names, whose values are hidden: no error tells them. */
  readonly hidden?: ReadonlySet<string>
  /** The whole substream is not selected: its records are counted as filtered, and the destination hears nothing of it. */
  readonly unselected?: true
}

/** Makes the maps for a substream, or undefined where it has none. Throws CONFIG_INVALID. */
export interface CompileMap {
  (schema: SchemaMessage): SubstreamMap | undefined
  /** Substreams that have maps and did not come, where others did. May be left out. */
  readonly unmatched?: () => readonly string[]
}
