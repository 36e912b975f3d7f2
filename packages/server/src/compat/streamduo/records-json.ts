/** Records as StreamDuo shows them. What was published stands in the answer as it is kept: no digit is read and written again. */
import { isUtf8 } from 'node:buffer'
import { type Offset, RecordBatch, type StoredBatch } from '@millrace/engine'
import { encodeJson } from '@millrace/sdk'
import type { OffsetRange } from '../../domain/ranges.ts'
import { has } from '../../domain/ranges.ts'
import { type OutRecord, oneLine, outRecords } from '../../http/record-text.ts'
import type { StreamService } from '../../streams/stream-service.ts'
import type { OneRecord, StreamInfo } from '../../streams/types.ts'
import { stampOf } from './time.ts'

export const jsonType = 'application/json; charset=utf-8'

/** One record: the payload is what was published, as a text where that is no JSON, in Base64 where it is no text either. */
const recordJson = (r: OutRecord, streamId: string, bare = false): readonly Uint8Array[] => {
  const head =
    `{"recordId":${encodeJson(r.id)},"streamId":${encodeJson(streamId)},"recordTimeStampISO":"${stampOf(new Date(r.atMs), r.offset)}"` +
    `,"readStatus":"${r.wasRead === true}","dataPayload":`
  if (bare) return [Buffer.from(`${head}null}`)]
  if (r.isJson) return [Buffer.from(head), oneLine(r.body), Buffer.from('}')]
  const body = Buffer.from(r.body.buffer, r.body.byteOffset, r.body.length)
  return [Buffer.from(`${head}${encodeJson(isUtf8(body) ? body.toString() : body.toString('base64'))}}`)]
}

/** Records of a page, and which of them had been read before. */
export interface Page {
  readonly batches: readonly StoredBatch[]
  readonly readBefore: readonly OffsetRange[]
}

const comma = Buffer.from(',')

/** `[record, …]`; `bare`: without their payloads. */
export const listJson = (
  page: Page,
  stream: StreamInfo,
  { service, bare = false }: { readonly service: StreamService; readonly bare?: boolean },
): Buffer => {
  const parts: Uint8Array[] = []
  for (const batch of page.batches)
    for (const record of outRecords(batch, {
      contentType: stream.contentType,
      ids: service.records.ids(stream, batch),
    })) {
      if (parts.length > 0) parts.push(comma)
      parts.push(...recordJson({ ...record, wasRead: has(page.readBefore, record.offset) }, stream.id, bare))
    }
  return Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']')])
}

/** `[record, …]` of records that were asked for one by one. */
export const onesJson = (records: readonly OneRecord[], stream: StreamInfo): Buffer => {
  const parts = records.flatMap((one, i) => [...(i === 0 ? [] : [comma]), ...oneJson(one, stream)])
  return Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']')])
}

/** One record. */
export const oneJson = (one: OneRecord, stream: StreamInfo): readonly Uint8Array[] => {
  const records = RecordBatch.of([{ body: one.body, contentType: one.contentType }])
  const batch: StoredBatch = { first: one.offset as Offset, at: one.at, records }
  const [record] = outRecords(batch, { contentType: stream.contentType, ids: [one.id] })
  return record === undefined ? [] : recordJson({ ...record, wasRead: one.wasRead }, stream.id)
}
