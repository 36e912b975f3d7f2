/** The reads of StreamDuo, in the words of the stream service. The read status is the stream's: what one consumer marked is read for all. */
import { randomInt } from 'node:crypto'
import type { Offset, Position, StoredBatch } from '@millrace/engine'
import { isMillraceError } from '@millrace/sdk'
import type { Principal } from '../../domain/access.ts'
import type { OffsetRange } from '../../domain/ranges.ts'
import type { StreamService } from '../../streams/stream-service.ts'
import type { StreamInfo } from '../../streams/types.ts'
import type { ReadAsked } from './read-request.ts'
import { listJson, onesJson, type Page } from './records-json.ts'
import { type GivenTime, offsetOfPlace } from './time.ts'

/** Bytes of records in one answer, after which it ends, though more were asked for. */
const maxAnswerBytes = 32 * 1024 * 1024
/** Versions of one record, and records of a sample, at most. */
const maxSingle = 1000

export interface Reading {
  readonly service: StreamService
  readonly principal: Principal
  readonly stream: StreamInfo
  /** The payloads are left out. */
  readonly bare?: boolean
}

/** The answer to a read request: `[record, …]`. */
export const readJson = async (reading: Reading, asked: ReadAsked): Promise<Buffer> => {
  const { service, stream } = reading
  const list = (page: Page): Buffer => listJson(page, stream, reading)
  switch (asked.is) {
    case 'versions':
      return await versions(reading, asked)
    case 'unread':
      return list(await collect(reading, { from: 'first' }, asked, true))
    case 'last':
      return list(await collect(reading, { from: 'last', count: asked.count }, asked))
    case 'since':
      return list(await collect(reading, await positionSince(reading, asked.time), asked))
    case 'since-record': {
      const place = await service.records.place(reading.principal, stream.id, asked.id)
      if (place === undefined) return Buffer.from('[]')
      const from: Position = { from: 'offset', offset: (place + 1n) as Offset }
      return list(await collect(reading, from, asked))
    }
    case 'sample':
      return list(await sample(reading, asked))
    default:
      return asked satisfies never
  }
}

interface HowMany {
  readonly count: number
  readonly markRead: boolean
}

const versions = async (
  { service, principal, stream }: Reading,
  { id, count, markRead }: HowMany & { readonly id: string },
): Promise<Buffer> => {
  const request = { limit: Math.min(count, maxSingle), markRead, as: 'shared' } as const
  return onesJson(await service.records.history(principal, stream.id, id, request), stream)
}

/** As many records as are asked for, in as many reads as that takes. */
const collect = async (
  { service, principal, stream }: Reading,
  from: Position,
  { count, markRead }: HowMany,
  unread = false,
): Promise<Page> => {
  const batches: StoredBatch[] = []
  const readBefore: OffsetRange[] = []
  let left = count
  let bytes = 0
  for (let position = from; left > 0 && bytes < maxAnswerBytes; ) {
    const page = await service.records.read(principal, stream.id, {
      from: position,
      limit: left,
      maxBytes: maxAnswerBytes - bytes,
      unread,
      markRead,
      as: 'shared',
      withStatus: true,
    })
    for (const batch of page.batches) {
      batches.push(batch)
      left -= batch.records.count
      bytes += batch.records.size
    }
    readBefore.push(...(page.readBefore ?? []))
    if (page.isAtEnd || page.batches.length === 0) break
    position = { from: 'offset', offset: page.next }
  }
  return { batches, readBefore }
}

/** Behind a time, or behind the record that its digits name. */
const positionSince = async ({ service, principal, stream }: Reading, time: GivenTime): Promise<Position> => {
  const at: Position = { from: 'time', at: new Date(time.ms) }
  if (time.place === undefined) return at
  const [head] = (await service.records.read(principal, stream.id, { from: at, limit: 1 })).batches
  if (head === undefined || head.at.getTime() !== time.ms) return at
  const named = offsetOfPlace(time.place, head.first) as Offset
  try {
    const from: Position = { from: 'offset', offset: named }
    const [found] = (await service.records.read(principal, stream.id, { from, limit: 1 })).batches
    return found?.at.getTime() === time.ms ? { from: 'offset', offset: (named + 1n) as Offset } : at
  } catch (e) {
    // No record has that offset: the digits were not ours.
    if (isMillraceError(e) && (e.code === 'LOG_OFFSET_AHEAD' || e.code === 'LOG_OFFSET_TRIMMED')) return at
    throw e
  }
}

/** Records by chance, each once, oldest first. */
const sample = async (reading: Reading, { count, markRead }: HowMany): Promise<Page> => {
  const { service, principal, stream } = reading
  const { first, next } = await service.streams.stat(principal, stream.id)
  const there = Number(next - first)
  const wanted = Math.min(count, maxSingle, there)
  const picked = new Set<number>()
  // Of more than half of them it is quicker to pick those that are left out.
  const isFew = wanted <= there / 2
  while (picked.size < (isFew ? wanted : there - wanted)) picked.add(randomInt(there))
  const places = isFew
    ? [...picked].sort((a, b) => a - b)
    : Array.from({ length: there }, (_, i) => i).filter((i) => !picked.has(i))
  const batches: StoredBatch[] = []
  const readBefore: OffsetRange[] = []
  for (const place of places) {
    const from: Position = { from: 'offset', offset: (first + BigInt(place)) as Offset }
    const page = await collect(reading, from, { count: 1, markRead })
    batches.push(...page.batches)
    readBefore.push(...page.readBefore)
  }
  return { batches, readBefore }
}
