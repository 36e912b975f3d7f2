/** Files that come in parts, as StreamDuo shows them. A client takes these members and breaks over any other. */
import { encodeJson, isObject, type Json, type JsonObject } from '@millrace/sdk'
import type { Batch } from '../../control/types.ts'
import type { BeginBatch } from '../../streams/types.ts'
import { invalid, optionalText } from './context.ts'

/** What a record is that a file became: its payload is the batch, its id the batch's. */
export const batchType = 'application/vnd.streamduo.batch+json'

/** Parts of one file, at most: 5 MiB each as StreamDuo cuts them, that is a file of 50 GB. */
const maxParts = 10_000
const fileTypes = ['JSON', 'AVRO', 'CSV']

/** What was active on the stream when the batch began: its file is checked against it, and sealed with it. */
export interface Active {
  readonly schemaId: string | null
  readonly keyId: string | null
}

/** The same with what they are; null where there was none, or it was deleted since. */
export interface BatchContext {
  readonly streamSchema: JsonObject | null
  readonly streamPublicKey: JsonObject | null
}

/** What a body of `batch/init` begins. Its `totalParts` counts one too many; the hashes say what parts there are. Throws REQUEST_INVALID. */
export const beginOf = (body: JsonObject, active: Active): BeginBatch => {
  const hashes = body['hashes']
  if (hashes === undefined || !isObject(hashes)) throw invalid('hashes is no object')
  const entries = Object.entries(hashes)
  if (entries.length > maxParts) throw invalid(`a file has at most ${maxParts} parts`)
  for (const [part, hash] of entries) {
    if (!/^[1-9]\d{0,8}$/.test(part)) throw invalid(`hashes: "${part.slice(0, 50)}" is no number of a part`)
    if (typeof hash !== 'string' || !/^[A-Za-z0-9+/]{22}==$/.test(hash))
      throw invalid(`hashes: part ${part} has no MD5 in Base64`)
  }
  const fileType = optionalText(body, 'fileType')
  if (fileType !== undefined && !fileTypes.includes(fileType))
    throw invalid(`fileType must be one of ${fileTypes.join(', ')}`)
  return {
    hashes: hashes as Readonly<Record<string, string>>,
    attributes: {
      fileName: optionalText(body, 'fileName', 1000) ?? null,
      hashValue: optionalText(body, 'hashValue') ?? null,
      fileType: fileType ?? null,
      serverSideValidation: body['serverSideValidation'] === true,
      totalParts: typeof body['totalParts'] === 'number' ? body['totalParts'] : entries.length,
      ...active,
    },
  }
}

const orNull = (value: Json | undefined): Json => value ?? null

/** What was active when a batch began. */
export const activeOf = ({ attributes }: Batch): Active => {
  const { schemaId, keyId } = attributes
  return {
    schemaId: typeof schemaId === 'string' ? schemaId : null,
    keyId: typeof keyId === 'string' ? keyId : null,
  }
}

/** What is known of the file. */
const fileJson = (b: Batch): Record<string, Json> => ({
  batchId: b.id,
  streamId: b.streamId,
  fileName: orNull(b.attributes['fileName']),
  hashes: Object.fromEntries(b.parts.map(({ number, hash }) => [number, hash ?? ''])),
  hashValue: orNull(b.attributes['hashValue']),
  serverSideValidation: orNull(b.attributes['serverSideValidation']),
  totalParts: orNull(b.attributes['totalParts']),
  fileType: orNull(b.attributes['fileType']),
})

/** A batch. The parts that are to come are the names of a map, in their order. */
export const batchJson = (b: Batch, context: BatchContext): JsonObject => {
  const missing = new Set(b.outstanding)
  const parts = b.parts.filter(({ number }) => missing.has(number))
  return {
    ...fileJson(b),
    outstandingParts: Object.fromEntries(parts.map(({ number, hash }) => [number, hash ?? ''])),
    ...context,
  }
}

/** The record that a finished batch becomes. */
export const batchRecord = (b: Batch): { readonly body: Uint8Array; readonly contentType: string } => ({
  body: Buffer.from(encodeJson(fileJson(b))),
  contentType: batchType,
})
