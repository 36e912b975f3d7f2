/**
 * Somebody who follows a stream over some connection.
 *
 *     reading: reads pages for itself and waits until each has left; at the end of the stream → live
 *     live:    gets what all get; when more waits on its connection than may → slow
 *     slow:    gets nothing until the connection has taken what waits → reading, from where it was
 *
 * So no record is left out or comes twice, and what waits in memory for one follower has a limit.
 */
import type { Offset, Position, StoredBatch } from '@millrace/engine'
import type { Principal } from '../../domain/access.ts'
import type { StreamService } from '../../streams/stream-service.ts'
import type { ReadPage, ReadRequest } from '../../streams/types.ts'
import { batchesFrom, type Tails } from './tails.ts'

/** Where records go. */
export interface Outlet {
  /** Aborted when the connection is gone. */
  readonly signal: AbortSignal
  /** Bytes that wait to leave. */
  readonly waiting: () => number
  readonly write: (bytes: Buffer) => void
  /** Resolves when nothing waits any more, or the connection is gone. */
  readonly drained: () => Promise<void>
}

/** How records are written. Followers with the same name of a form share the bytes. */
export interface Form {
  readonly name: string
  readonly make: (batches: readonly StoredBatch[]) => Buffer
}

export interface FollowerOptions {
  readonly service: StreamService
  readonly tails: Tails
  readonly streamId: string
  readonly principal: () => Principal
  readonly outlet: Outlet
  readonly form: Form
  /** Bytes that may wait for it. */
  readonly maxWaiting: number
}

/** What one page of a follower asks for. */
export const followPage = (from: Position, maxBytes: number): ReadRequest => ({ from, limit: 10_000, maxBytes })

/** Sends the page that was read already, and all that comes behind it, until the connection is gone. Throws what reading throws. */
export const sendFollowed = async (page: ReadPage, options: FollowerOptions): Promise<void> => {
  const { service, streamId, outlet, form, maxWaiting, principal } = options
  for (;;) {
    if (page.batches.length > 0) outlet.write(form.make(page.batches))
    if (outlet.waiting() > maxWaiting) await outlet.drained()
    let at: bigint = page.next
    if (page.isAtEnd && !outlet.signal.aborted) at = await live(at, options)
    if (outlet.signal.aborted) return
    page = await service.records.read(
      principal(),
      streamId,
      followPage({ from: 'offset', offset: at as Offset }, maxWaiting),
    )
  }
}

const againMs = 20

/** Gets what all get, until it is too slow or gone; answers the next record that it needs. */
const live = async (from: bigint, options: FollowerOptions): Promise<bigint> => {
  const { tails, streamId, outlet, form, maxWaiting, principal } = options
  const { promise, resolve, reject } = Promise.withResolvers<bigint>()
  let at = from
  const leave = tails.join(streamId, from, {
    principal,
    fail: reject,
    // Not at once, so that a log that is being closed costs little until it is.
    again: () => void setTimeout(() => resolve(at), againMs),
    offer: (chunk) => {
      if (chunk.next <= at) return
      outlet.write(chunk.first === at ? chunk.text(form.name, form.make) : form.make(batchesFrom(chunk.batches, at)))
      at = chunk.next
      if (outlet.waiting() > maxWaiting) end()
    },
  })
  if (leave === undefined) return from
  const end = (): void => {
    leave()
    resolve(at)
  }
  outlet.signal.addEventListener('abort', end, { once: true })
  try {
    return await promise
  } finally {
    outlet.signal.removeEventListener('abort', end)
    leave()
    if (outlet.waiting() > maxWaiting) await outlet.drained()
  }
}
