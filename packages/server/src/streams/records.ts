import { createHash } from 'node:crypto'
import type { Offset, Position, RecordBatch, StoredBatch, StreamLog } from '@millrace/engine'
import { MillraceError } from '@millrace/sdk'
import type { Page, PageQuery, StreamEntry } from '../control/types.ts'
import { type Principal, readerOf } from '../domain/access.ts'
import { intersect, normalised, type OffsetRange, rangesOf, remove, size } from '../domain/ranges.ts'
import type { Context } from './context.ts'
import { checkRecords } from './record-check.ts'
import { readUnread } from './read-unread.ts'
import { locate } from './record-place.ts'
import { rangeOf } from './slices.ts'
import type { Records } from './stream-service.ts'
import type {
  FollowOptions,
  HistoryRequest,
  Marks,
  OneRecord,
  PublishOptions,
  PublishResult,
  ReadAs,
  ReaderReport,
  ReadPage,
  ReadRequest,
  RecordRequest,
  StreamInfo,
  StreamRef,
} from './types.ts'

const usualLimit = 100
const maxLimit = 10_000
const usualBytes = 8 * 1024 * 1024
const maxBytes = 64 * 1024 * 1024
const maxIds = 10_000
const maxRanges = 10_000
const maxHistory = 1_000
const dayMs = 24 * 3600_000
/** How often a follower's access is looked at again. */
const followCheckMs = 5_000

const argument = (why: string): MillraceError => new MillraceError('CONTROL_ARGUMENT', { why })
const within = (what: string, value: number, max: number): number => {
  if (!(Number.isSafeInteger(value) && value >= 1 && value <= max)) throw argument(`${what} is 1 to ${max}`)
  return value
}

export class RecordService implements Records {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async publish(
    p: Principal,
    ref: StreamRef,
    records: RecordBatch,
    options: PublishOptions = {},
  ): Promise<PublishResult> {
    const { stream } = await this.#context.allow(p, ref, 'write')
    const { writer, idempotencyKey } = options
    if (writer !== undefined && idempotencyKey !== undefined)
      throw argument('a writer counts its appends: it needs no idempotency key')
    await checkRecords(this.#context, stream, records)
    if (idempotencyKey !== undefined) return await this.#publishOnce(p, stream, records, idempotencyKey)
    const mark = writer === undefined ? undefined : { ...writer, id: writerId(p, writer.id) }
    return await this.#context.logs.use(stream, (log) => log.append(records, { writer: mark }))
  }

  /**
   * Appends under a writer made of the key, so that the log itself knows whether it has them: whoever dies between the append and the
   * note of its answer appends nothing twice.
   */
  async #publishOnce(p: Principal, stream: StreamEntry, records: RecordBatch, name: string): Promise<PublishResult> {
    if (name === '' || name.length > 200) throw argument('an idempotency key has 1 to 200 characters')
    const { control, logs } = this.#context
    const at = this.#context.now()
    const key = {
      actor: { type: p.type, id: p.id },
      key: `publish ${stream.id} ${name}`,
      fingerprint: fingerprintOf(records),
      expiresAt: new Date(at.getTime() + dayMs),
    }
    const verdict = await control.idempotency.begin(key, at)
    if (verdict.is === 'other-request') throw new MillraceError('IDEMPOTENCY_MISMATCH', { key: name })
    if (verdict.is === 'done') {
      const [first, next, ms] = JSON.parse(verdict.response) as [string, string, number]
      return { first: BigInt(first) as Offset, next: BigInt(next) as Offset, at: new Date(ms), isRepeated: true }
    }
    const id = `once:${createHash('sha256').update(`${key.actor.type}:${key.actor.id} ${key.key}`).digest('base64url')}`
    const done = await logs.use(stream, (log) => log.append(records, { writer: { id, seq: 0n } }))
    await control.idempotency.finish(key, JSON.stringify([String(done.first), String(done.next), done.at.getTime()]))
    return done
  }

  async writer(p: Principal, ref: StreamRef, id: string): Promise<{ readonly seq: bigint } | undefined> {
    const { stream } = await this.#context.allow(p, ref, 'write')
    const place = await this.#context.logs.use(stream, (log) => log.writer(writerId(p, id)))
    return place === undefined ? undefined : { seq: place.seq }
  }

  async read(p: Principal, ref: StreamRef, request: ReadRequest = {}): Promise<ReadPage> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    const limit = {
      records: within('the limit of records', request.limit ?? usualLimit, maxLimit),
      bytes: within('the limit of bytes', request.maxBytes ?? usualBytes, maxBytes),
    }
    await this.#context.noteReading(p, stream)
    const of = { streamId: stream.id, reader: this.#context.reader(p, request.as) }
    return await this.#context.logs.use(stream, async (log) => {
      const from = await log.place(request.from ?? { from: 'first' })
      if (request.unread === true) {
        const claim = request.markRead === true
        return await readUnread({ log, control: this.#context.control, of, from, limit, claim })
      }
      const { next } = await log.bounds()
      const batches = await log.read({ from: 'offset', offset: from }, limit)
      const ranges = normalised(batches.map(rangeOf))
      const end = ranges.at(-1)?.next ?? from
      const known = request.withStatus === true ? await this.#readBefore(of, ranges) : undefined
      if (request.markRead === true) await this.#context.control.readStatus.mark(of, ranges)
      return { batches, next: end as Offset, isAtEnd: end >= next, readBefore: known }
    })
  }

  async #readBefore(of: Parameters<Context['control']['readStatus']['read']>[0], ranges: readonly OffsetRange[]) {
    const out: OffsetRange[] = []
    for (const range of ranges)
      for (let from: bigint | undefined = range.first; from !== undefined; ) {
        const page = await this.#context.control.readStatus.read(of, { first: from, next: range.next }, 1_000)
        out.push(...page.ranges)
        from = page.next
      }
    return normalised(out)
  }

  async *follow(
    p: Principal,
    ref: StreamRef,
    from: Position,
    options: FollowOptions,
  ): AsyncGenerator<readonly StoredBatch[], void, undefined> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    const limit = {
      records: within('the limit of records', options.limit ?? maxLimit, maxLimit),
      bytes: within('the limit of bytes', options.maxBytes ?? usualBytes, maxBytes),
    }
    await this.#context.noteReading(p, stream)
    const begun = this.#context.now()
    // The token is not at hand here; it was good a moment ago, so this key or one older signed it.
    const keyId = (await this.#context.control.tokens.signingKeys())[0]?.id
    let checked = begun.getTime()
    const batches = this.#context.logs.follow(stream, (log) => log.follow(from, { signal: options.signal, limit }))
    for await (const some of batches) {
      const now = this.#context.now().getTime()
      if (now - checked >= followCheckMs) {
        checked = now
        // By its id: a name may have come again.
        await this.#context.allow(p, stream.id, 'read')
        const token = { id: '', actor: { type: p.type, id: p.id }, issuedAt: begun, keyId }
        if ((await this.#context.control.tokens.check(token)).is !== 'good')
          throw new MillraceError('ACCESS_DENIED', { stream: ref, needs: 'a token that was not revoked' })
        await this.#context.noteReading(p, stream)
      }
      yield some
    }
  }

  async get(p: Principal, ref: StreamRef, id: string, request: RecordRequest = {}): Promise<OneRecord> {
    const [found] = await this.history(p, ref, id, { ...request, limit: 1 })
    if (found === undefined) throw new MillraceError('RECORD_UNKNOWN', { record: id })
    return found
  }

  async history(p: Principal, ref: StreamRef, id: string, request: HistoryRequest): Promise<readonly OneRecord[]> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    const limit = within('the limit of versions', request.limit, maxHistory)
    await this.#context.noteReading(p, stream)
    const of = { streamId: stream.id, reader: this.#context.reader(p, request.as) }
    return await this.#context.logs.use(stream, async (log) => {
      const offsets = await locate(log, this.#context.recordIds(stream.id), id, limit)
      const records = (await log.get(offsets)).filter((r) => r !== undefined)
      const ranges = rangesOf(records.map((r) => r.offset))
      const readBefore =
        request.markRead === true
          ? remove(ranges, await this.#context.control.readStatus.mark(of, ranges))
          : await this.#readBefore(of, ranges)
      const read = new Set(readBefore.flatMap((r) => offsetsIn(r)))
      return records.map((r) => ({
        id,
        offset: r.offset,
        at: r.at,
        key: r.key,
        contentType: r.contentType ?? stream.contentType,
        body: r.body,
        wasRead: read.has(r.offset),
      }))
    })
  }

  ids(stream: StreamInfo, batch: StoredBatch): readonly string[] {
    const ids = this.#context.recordIds(stream.id)
    const ms = batch.at.getTime()
    return Array.from(
      { length: batch.records.count },
      (_, i) => batch.records.keys?.[i] ?? ids.encode(batch.first + BigInt(i), ms),
    )
  }

  async place(p: Principal, ref: StreamRef, id: string): Promise<bigint | undefined> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    return await this.#context.logs.use(
      stream,
      async (log) => (await locate(log, this.#context.recordIds(stream.id), id, 1))[0],
    )
  }

  async markRead(p: Principal, ref: StreamRef, marks: Marks): Promise<bigint> {
    return await this.#mark(p, ref, marks, 'mark')
  }

  async markUnread(p: Principal, ref: StreamRef, marks: Marks): Promise<bigint> {
    return await this.#mark(p, ref, marks, 'unmark')
  }

  async #mark(p: Principal, ref: StreamRef, marks: Marks, how: 'mark' | 'unmark'): Promise<bigint> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    const { ids = [], ranges = [], before } = marks
    if (ids.length > maxIds || ranges.length > maxRanges)
      throw argument(`at most ${maxIds} ids and ${maxRanges} ranges at once`)
    return await this.#context.logs.use(stream, async (log) => {
      const { first, next } = await log.bounds()
      const wanted = [...ranges, ...(await this.#offsetsOf(log, stream, ids))]
      if (before !== undefined) wanted.push({ first, next: before })
      const inBounds = intersect(normalised(wanted), [{ first, next }])
      const of = { streamId: stream.id, reader: this.#context.reader(p, marks.as) }
      return size(await this.#context.control.readStatus[how](of, inBounds))
    })
  }

  async #offsetsOf(log: StreamLog, stream: StreamEntry, ids: readonly string[]): Promise<readonly OffsetRange[]> {
    const offsets: bigint[] = []
    for (const id of ids) {
      const [offset] = await locate(log, this.#context.recordIds(stream.id), id, 1)
      if (offset === undefined) throw new MillraceError('RECORD_UNKNOWN', { record: id })
      offsets.push(offset)
    }
    return rangesOf(offsets)
  }

  async countUnread(p: Principal, ref: StreamRef, as?: ReadAs): Promise<bigint> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    const bounds = await this.#context.logs.use(stream, (log) => log.bounds())
    return await this.#context.control.readStatus.countUnread(
      { streamId: stream.id, reader: this.#context.reader(p, as) },
      bounds,
    )
  }

  async readers(p: Principal, ref: StreamRef, id: string, query: PageQuery = {}): Promise<Page<ReaderReport>> {
    const { control } = this.#context
    const { stream } = await this.#context.allow(p, ref, 'manage')
    const limit = within('the limit of a page', query.limit ?? usualLimit, 1_000)
    const offset = await this.#context.logs.use(stream, async (log) => {
      const [found] = await locate(log, this.#context.recordIds(stream.id), id, 1)
      if (found === undefined) throw new MillraceError('RECORD_UNKNOWN', { record: id })
      return found
    })
    const may = (await control.permissions.list(stream.id))
      .filter((granted) => granted.isOwner || granted.isConsumer)
      .map((granted) => ({ ...granted, reader: readerOf(granted.actor) }))
      .filter(({ reader }) => query.after === undefined || reader > query.after)
      .sort((a, b) => (a.reader < b.reader ? -1 : 1))
    const page = may.slice(0, limit)
    const haveRead = new Set<string>()
    for (let after: string | undefined, more = page.length > 0; more; ) {
      const some = await control.readStatus.readersOf(stream.id, offset, { after, limit: 1_000 })
      for (const { reader, hasRead } of some.items) if (hasRead) haveRead.add(reader)
      after = some.next
      more = after !== undefined && after < (page.at(-1)?.reader ?? '')
    }
    return {
      items: page.map(({ actor, displayName, reader }) => ({ actor, displayName, hasRead: haveRead.has(reader) })),
      next: may.length > limit ? page.at(-1)?.reader : undefined,
    }
  }
}

/** Writers of two actors are two, whatever they call themselves. */
const writerId = ({ type, id }: Principal, writer: string): string => {
  if (writer === '' || writer.length > 150) throw argument('a writer has an id of 1 to 150 characters')
  return `${type}:${id}:${writer}`
}

const fingerprintOf = (records: RecordBatch): string => {
  const hash = createHash('sha256')
  hash.update(new Uint8Array(records.ends.buffer, records.ends.byteOffset, records.ends.byteLength))
  hash.update(records.bytes.subarray(0, records.contentEnd))
  hash.update(JSON.stringify([records.gap, records.keys ?? [], records.contentTypes ?? []]))
  return hash.digest('base64url')
}

const offsetsIn = ({ first, next }: OffsetRange): readonly bigint[] =>
  Array.from({ length: Number(next - first) }, (_, i) => first + BigInt(i))
