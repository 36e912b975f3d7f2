/** Records in answers. */
import type { StoredBatch } from '@millrace/engine'
import { bodyLine, envelope, event, type OutRecord, outRecords } from '../../http/record-text.ts'
import { anything, flag, listOf, object, type Schema, text } from '../../http/schema.ts'
import type { StreamService } from '../../streams/stream-service.ts'
import type { OneRecord, StreamInfo } from '../../streams/types.ts'
import { moment, offsetNumber } from '../api.ts'
import type { Form } from '../follow/follower.ts'
import type { OffsetRange } from '../../domain/ranges.ts'
import { jsonOf } from '../../http/record-text.ts'
import type { Offset } from '@millrace/engine'
import { RecordBatch } from '@millrace/engine'

export const recordSchema: Schema<unknown> = object(
  {
    offset: offsetNumber,
    id: text({ description: 'of its publisher, or made by the manager' }),
    at: moment,
    contentType: text(),
  },
  {
    key: text({ description: 'what its publisher called it' }),
    value: anything({ description: 'the body, where it is JSON, as it was published' }),
    text: text({ description: 'the body, where it is other text' }),
    base64: text({ description: 'the body, where it is neither' }),
    wasRead: flag({ description: 'whether it had been read before this call' }),
  },
)
export const pageSchema: Schema<unknown> = object({
  records: listOf(recordSchema),
  next: { ...offsetNumber, description: 'where to go on' } as Schema<number>,
  isAtEnd: flag({ description: 'there was nothing more when it was read' }),
})

const comma = Buffer.from(',')
const newline = Buffer.from('\n')

const allOf = function* (
  batches: readonly StoredBatch[],
  stream: StreamInfo,
  service: StreamService,
): Generator<OutRecord> {
  for (const batch of batches)
    yield* outRecords(batch, { contentType: stream.contentType, ids: service.records.ids(stream, batch) })
}

const list = (records: Iterable<OutRecord>): readonly Uint8Array[] => {
  const parts: Uint8Array[] = []
  for (const record of records) {
    if (parts.length > 0) parts.push(comma)
    parts.push(...envelope(record))
  }
  return parts
}

const has = (ranges: readonly OffsetRange[], offset: bigint): boolean =>
  ranges.some(({ first, next }) => first <= offset && offset < next)

/** `[record, …]` of batches, with whether each was read before, where that is known. */
export const recordsJson = (
  batches: readonly StoredBatch[],
  stream: StreamInfo,
  options: { readonly service: StreamService; readonly readBefore?: readonly OffsetRange[] | undefined },
): Buffer => {
  const { service, readBefore } = options
  const all = allOf(batches, stream, service)
  const told =
    readBefore === undefined ? all : all.map((record) => ({ ...record, wasRead: has(readBefore, record.offset) }))
  return Buffer.concat([Buffer.from('['), ...list(told), Buffer.from(']')])
}

/** Bodies as lines. */
export const linesOf = (
  batches: readonly StoredBatch[],
  stream: StreamInfo,
  options: { readonly service: StreamService; readonly as: 'json' | 'text' },
): Buffer => {
  const parts: Uint8Array[] = []
  for (const record of allOf(batches, stream, options.service)) parts.push(bodyLine(record, options.as), newline)
  return Buffer.concat(parts)
}

/** One record. */
export const recordJson = (one: OneRecord): Buffer => {
  const records = RecordBatch.of([{ body: one.body, contentType: one.contentType }])
  const batch: StoredBatch = { first: one.offset as Offset, at: one.at, records }
  return Buffer.concat(
    envelope({
      offset: one.offset,
      id: one.id,
      atMs: one.at.getTime(),
      key: one.key,
      contentType: one.contentType,
      body: one.body,
      isJson: jsonOf(batch, one.contentType)(0),
      wasRead: one.wasRead,
    }),
  )
}

/** Server-sent events. */
export const eventsForm = (stream: StreamInfo, service: StreamService, form: 'record' | 'body'): Form => ({
  name: `events ${form}`,
  make: (batches) => {
    const parts: Uint8Array[] = []
    for (const record of allOf(batches, stream, service)) parts.push(...event(record, form))
    return Buffer.concat(parts)
  },
})

/** Messages of a WebSocket: `{"records":[…],"next":N}`. */
export const messagesForm = (stream: StreamInfo, service: StreamService): Form => ({
  name: 'messages',
  make: (batches) => {
    const last = batches.at(-1)
    const next = last === undefined ? 0n : last.first + BigInt(last.records.count)
    return Buffer.concat([
      Buffer.from('{"records":'),
      recordsJson(batches, stream, { service }),
      Buffer.from(`,"next":${next}}`),
    ])
  },
})
