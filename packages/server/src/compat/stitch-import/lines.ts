/**
 * What the Import API took, as messages of a stream: each a Singer message as `millrace consume` prints it, which any persister or target
 * takes. A RECORD keeps its sequence, the version of its table and the time it was taken.
 */
import { type NewRecord, RecordBatch } from '@millrace/engine'
import { encodeJson, type JsonObject } from '@millrace/sdk'
import type { StitchMessage, Taken } from '@millrace/sdk/stitch'

/**
 * The records of a request. The schema of a batch comes first, in every request: whoever reads from any place on finds it close before
 * its records. A push has no schema; its records name their keys by themselves, as the first generation of messages did. `encode` writes
 * the data of a record.
 */
export const recordsOf = (
  { messages, schema }: Taken,
  encode: (data: JsonObject) => string = encodeJson,
): RecordBatch => {
  const records: NewRecord[] = []
  const add = (text: string): void => {
    records.push({ body: Buffer.from(text) })
  }
  const [head] = messages
  if (schema !== undefined && head !== undefined)
    add(
      `{"type":"SCHEMA","stream":${encodeJson(head.table)},"schema":${encodeJson(schema)},"key_properties":${encodeJson(head.keys)}}`,
    )
  for (const message of messages) add(lineOf(message, schema === undefined, encode))
  return RecordBatch.of(records)
}

const lineOf = (
  { table, keys, sequence, version, data, extracted }: StitchMessage,
  namesKeys: boolean,
  encode: (data: JsonObject) => string,
): string => {
  const stream = `"stream":${encodeJson(table)}`
  const versioned = version === undefined ? '' : `,"version":${version}`
  if (data === undefined) return `{"type":"ACTIVATE_VERSION",${stream}${versioned},"sequence":${sequence}}`
  const keyed = namesKeys ? `,"key_fields":${encodeJson(keys)}` : ''
  const time = extracted === undefined ? '' : `,"time_extracted":${encodeJson(extracted)}`
  return `{"type":"RECORD",${stream},"record":${encode(data)}${keyed}${versioned}${time},"sequence":${sequence}}`
}
