import type { Offset, StoredBatch, StreamLog } from '@millrace/engine'
import { MillraceError } from '@millrace/sdk'
import type { GroupOf } from '../control/control-plane.ts'
import type { DeadLetter, Group, GroupSettings, Lease, Page, PageQuery } from '../control/types.ts'
import type { Principal } from '../domain/access.ts'
import type { OffsetRange } from '../domain/ranges.ts'
import type { Context } from './context.ts'
import { bytesOf, rangeOf } from './slices.ts'
import type { Groups } from './stream-service.ts'
import type { ClaimRequest, Claimed, CreateGroup, StreamRef } from './types.ts'

const usual: GroupSettings = { ackTimeoutMs: 30_000, maxTries: 5 }
const maxTimeoutMs = 12 * 3600_000
const maxTries = 1_000
const maxClaim = 10_000
const maxClaimBytes = 64 * 1024 * 1024
/** Leases of one claim: what came back lies in pieces. */
const maxLeases = 16
const maxReason = 1_000
const maxOffsets = 10_000

const argument = (why: string): MillraceError => new MillraceError('CONTROL_ARGUMENT', { why })
const isWithin = (value: number, max: number): boolean => Number.isSafeInteger(value) && value >= 1 && value <= max

const checked = (settings: GroupSettings): GroupSettings => {
  if (!isWithin(settings.ackTimeoutMs, maxTimeoutMs)) throw argument(`ackTimeoutMs is 1 to ${maxTimeoutMs}`)
  if (!isWithin(settings.maxTries, maxTries)) throw argument(`maxTries is 1 to ${maxTries}`)
  return settings
}

const merged = (old: GroupSettings, change: Partial<GroupSettings> = {}): GroupSettings =>
  checked({ ackTimeoutMs: change.ackTimeoutMs ?? old.ackTimeoutMs, maxTries: change.maxTries ?? old.maxTries })

export class GroupService implements Groups {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  /** The group, for one who may read the stream. */
  async #of(p: Principal, ref: StreamRef, name: string): Promise<GroupOf> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    return { streamId: stream.id, name }
  }

  /** The group, for an owner of the stream and for whoever made it: what is done then is done for all who share it. */
  async #ownOf(p: Principal, ref: StreamRef, name: string): Promise<Group> {
    const { rights } = await this.#context.allow(p, ref, 'read')
    const group = await this.get(p, ref, name)
    if (rights?.isOwner !== true && group.madeBy !== `${p.type}:${p.id}`)
      throw new MillraceError('ACCESS_DENIED', {
        stream: ref,
        needs: 'the right of an owner, or to have made the group',
      })
    return group
  }

  async create(p: Principal, ref: StreamRef, { name, from, settings }: CreateGroup): Promise<Group> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(name))
      throw argument('a group has a name of 1 to 200 letters, digits and . _ -')
    const cursor = await this.#context.logs.use(stream, (log) => log.place(from ?? { from: 'first' }))
    const of = { streamId: stream.id, name }
    return await this.#context.control.groups.create(this.#context.act(p), of, merged(usual, settings), cursor)
  }

  async get(p: Principal, ref: StreamRef, name: string): Promise<Group> {
    const found = await this.#context.control.groups.find(await this.#of(p, ref, name))
    if (found === undefined) throw new MillraceError('GROUP_UNKNOWN', { group: name })
    return found
  }

  async list(p: Principal, ref: StreamRef, query: PageQuery = {}): Promise<Page<Group>> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    return await this.#context.control.groups.list(stream.id, query)
  }

  async update(p: Principal, ref: StreamRef, name: string, settings: Partial<GroupSettings>): Promise<Group> {
    const old = await this.#ownOf(p, ref, name)
    const of = { streamId: old.streamId, name }
    return await this.#context.control.groups.update(this.#context.act(p), of, merged(old.settings, settings))
  }

  async delete(p: Principal, ref: StreamRef, name: string): Promise<void> {
    const { streamId } = await this.#ownOf(p, ref, name)
    await this.#context.control.groups.remove(this.#context.act(p), { streamId, name })
  }

  async claim(p: Principal, ref: StreamRef, name: string, request: ClaimRequest = {}): Promise<readonly Claimed[]> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    const { limit = 100, consumer = `${p.type}:${p.id}` } = request
    if (!isWithin(limit, maxClaim)) throw argument(`a claim is for 1 to ${maxClaim} records`)
    if (consumer === '' || consumer.length > 200) throw argument('a consumer has a name of 1 to 200 characters')
    await this.#context.noteReading(p, stream)
    const of = { streamId: stream.id, name }
    return await this.#context.logs.use(stream, async (log) => {
      const leases = await this.#context.control.groups.claim(of, {
        consumer,
        at: this.#context.now(),
        count: BigInt(limit),
        within: await log.bounds(),
        ids: Array.from({ length: maxLeases }, () => this.#context.newId()),
      })
      const out: Claimed[] = []
      let left = maxClaimBytes
      for (const lease of leases) {
        const [range] = lease.ranges as readonly [OffsetRange]
        const batches = left > 0 ? await readAll(log, range, left, out.length === 0) : []
        left -= bytesOf(batches)
        const reached = batches.map(rangeOf).at(-1)?.next ?? range.first
        // What does not fit in one answer goes back, and does not count as tried.
        const rest = [{ first: reached, next: range.next }]
        if (reached < range.next)
          await this.#context.control.groups.release(of, { lease: lease.id, at: this.#context.now(), ranges: rest })
        if (batches.length > 0)
          out.push({ lease: { ...lease, ranges: [{ first: range.first, next: reached }] }, batches })
      }
      return out
    })
  }

  async ack(p: Principal, ref: StreamRef, name: string, lease: string, ranges?: readonly OffsetRange[]): Promise<void> {
    const of = await this.#of(p, ref, name)
    await this.#context.control.groups.ack(of, { lease, ranges, at: this.#context.now() })
  }

  async nack(
    p: Principal,
    ref: StreamRef,
    name: string,
    settle: { readonly lease: string; readonly ranges?: readonly OffsetRange[] | undefined; readonly reason: string },
  ): Promise<void> {
    const of = await this.#of(p, ref, name)
    const reason = settle.reason.slice(0, maxReason)
    await this.#context.control.groups.nack(of, { ...settle, reason, at: this.#context.now() })
  }

  async extend(p: Principal, ref: StreamRef, name: string, lease: string): Promise<Lease> {
    const { streamId, settings } = await this.get(p, ref, name)
    const until = new Date(this.#context.now().getTime() + settings.ackTimeoutMs)
    return await this.#context.control.groups.extend({ streamId, name }, lease, until)
  }

  async deadLetters(p: Principal, ref: StreamRef, name: string, query: PageQuery = {}): Promise<Page<DeadLetter>> {
    return await this.#context.control.groups.deadLetters(await this.#of(p, ref, name), query)
  }

  async dropDeadLetters(p: Principal, ref: StreamRef, name: string, offsets: readonly bigint[]): Promise<number> {
    if (offsets.length > maxOffsets) throw argument(`at most ${maxOffsets} dead letters at once`)
    const { streamId } = await this.#ownOf(p, ref, name)
    return await this.#context.control.groups.dropDeadLetters(this.#context.act(p), { streamId, name }, offsets)
  }

  async retryDeadLetters(p: Principal, ref: StreamRef, name: string, offsets: readonly bigint[]): Promise<number> {
    if (offsets.length > maxOffsets) throw argument(`at most ${maxOffsets} dead letters at once`)
    return await this.#context.control.groups.retryDeadLetters(
      this.#context.act(p),
      await this.#of(p, ref, name),
      offsets,
    )
  }
}

/** All records of a range, or as many as have room. The first of an answer comes whatever its size. */
const readAll = async (
  log: StreamLog,
  { first, next }: OffsetRange,
  bytes: number,
  isFirst: boolean,
): Promise<readonly StoredBatch[]> => {
  const out: StoredBatch[] = []
  let left = bytes
  for (let at = first; at < next && left > 0; ) {
    const batches = await log.read(
      { from: 'offset', offset: at as Offset },
      { records: Number(next - at), bytes: left },
    )
    const reached = batches.map(rangeOf).at(-1)?.next
    if (reached === undefined || (bytesOf(batches) > left && !(isFirst && out.length === 0))) break
    out.push(...batches)
    left -= bytesOf(batches)
    at = reached
  }
  return out
}
