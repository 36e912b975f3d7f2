/**
 * Delivers one subscription. A piece of the stream is in one of these states:
 *
 * - *going out*: a request is under way. Answered 2xx: delivered, and the position moves behind it.
 * - *waiting*: a try failed for a reason that may pass; after a wait that grows it goes out again. After `maxTries` it is set aside.
 * - *too much*: the subscriber refused it. It goes out again in halves, until a single record is refused three times: that is set aside.
 * - *set aside*: it is in the stream of dead letters, durably, before the position moves. Where there is no such stream the subscription is
 *   paused instead, and nothing is lost.
 *
 * The position is noted after each piece, so that a manager that dies may deliver one piece again: subscribers tell it by its offsets.
 */
import { type Offset, RecordBatch, type StoredBatch } from '@millrace/engine'
import { isMillraceError, type Logger } from '@millrace/sdk'
import type { SubscriptionsPlane } from '../control/control-plane.ts'
import type { Subscription } from '../control/types.ts'
import { manager, type Principal } from '../domain/access.ts'
import { type Attempt, triesOfRefused, waitAfter } from '../domain/delivery.ts'
import { rangeOf, sliced } from '../streams/slices.ts'
import type { StreamService } from '../streams/stream-service.ts'
import type { StreamInfo } from '../streams/types.ts'
import { push } from './send.ts'
import { settingsIn } from './settings.ts'
import { signed } from './signature.ts'
import type { EncodeDeadLetter, EncodePush, SubscriptionSettings } from './types.ts'

/** Time and chance. */
export interface DeliveryClock {
  now(): Date
  /** Rejects with the signal's reason as soon as that is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** From 0 up to, but not including, 1. */
  random(): number
}

export interface DelivererOptions {
  readonly plane: SubscriptionsPlane
  readonly service: StreamService
  /** Who holds the subscription. */
  readonly holder: string
  readonly encode: EncodePush
  readonly encodeDeadLetter: EncodeDeadLetter
  readonly clock: DeliveryClock
  readonly mayBePrivate: boolean
  readonly log: Logger
}

/** Bytes of the records of one push, about; one record goes whatever its size. */
const pushBytes = 1024 * 1024

/** Another manager has the subscription, or it is gone: nothing more is to be done here. */
class HoldLost extends Error {}
/** It was paused, and why is noted. */
class Stopped extends Error {}

/** Delivers until the signal aborts, the hold is lost, or the subscription has to wait for somebody. Throws what may pass: the log, the control plane. */
export const deliver = async (
  subscription: Subscription,
  options: DelivererOptions,
  signal: AbortSignal,
): Promise<void> => {
  try {
    await new Deliverer(subscription, options, signal).run()
  } catch (e) {
    if (e instanceof HoldLost || e instanceof Stopped || signal.aborted) return
    throw e
  }
}

class Deliverer {
  readonly #o: DelivererOptions
  readonly #id: string
  readonly #streamId: string
  readonly #settings: SubscriptionSettings
  readonly #principal: Principal
  readonly #signal: AbortSignal
  #position: bigint
  #tries: number

  constructor(subscription: Subscription, options: DelivererOptions, signal: AbortSignal) {
    this.#o = options
    this.#id = subscription.id
    this.#streamId = subscription.streamId
    this.#settings = settingsIn(subscription)
    this.#signal = signal
    this.#position = subscription.position
    // One that was paused after its last try, and let go on, begins its tries anew.
    this.#tries = subscription.tries >= this.#settings.maxTries ? 0 : subscription.tries
    this.#principal = { ...this.#settings.createdBy, scopes: ['records:read', 'records:write'], isAdministrator: false }
  }

  async run(): Promise<void> {
    for (;;) {
      try {
        const stream = await this.#o.service.streams.get(this.#principal, this.#streamId)
        for await (const batches of this.#o.service.records.follow(
          this.#principal,
          this.#streamId,
          { from: 'offset', offset: this.#position as Offset },
          { signal: this.#signal, limit: this.#settings.maxRecords, maxBytes: pushBytes },
        ))
          await this.#settle(stream, batches)
        return
      } catch (e) {
        await this.#afterFailure(e)
      }
    }
  }

  /** What can be gone on from is gone on from; the rest is thrown. */
  async #afterFailure(e: unknown): Promise<void> {
    if (!isMillraceError(e)) throw e
    switch (e.code) {
      case 'LOG_OFFSET_TRIMMED': {
        const { first } = await this.#o.service.streams.stat(this.#principal, this.#streamId)
        this.#o.log.warn('records went by retention before they were delivered', {
          subscription: this.#id,
          from: String(this.#position),
          to: String(first),
        })
        await this.#note(
          first,
          0,
          `records ${this.#position} to ${first - 1n} went by retention before they were delivered`,
        )
        return
      }
      case 'LOG_OFFSET_AHEAD':
      case 'ACCESS_DENIED':
      case 'STREAM_UNKNOWN':
        return await this.#stop(e.message)
      default:
        throw e
    }
  }

  /** Delivers batches, or sets them aside. */
  async #settle(stream: StreamInfo, batches: readonly StoredBatch[]): Promise<void> {
    const first = batches[0]?.first
    const last = batches.at(-1)
    if (first === undefined || last === undefined) return
    const { next } = rangeOf(last)
    const body = this.#o.encode(stream, batches, { subscription: this.#id, next })
    for (;;) {
      const attempt = await this.#push(body, `${this.#id}_${first}_${next - first}`)
      if (attempt.is === 'taken') return await this.#note(next, 0, 'delivered')
      if (attempt.is === 'gone') return await this.#stop(attempt.why)
      const tries = this.#tries + 1
      if (attempt.is === 'refused' && next - first > 1n) {
        await this.#note(this.#position, 0, `${attempt.why}: delivering fewer at once`)
        const middle = first + (next - first) / 2n
        await this.#settle(stream, sliced(batches, [{ first, next: middle }]))
        return await this.#settle(stream, sliced(batches, [{ first: middle, next }]))
      }
      await this.#note(this.#position, tries, attempt.why)
      if (
        tries >=
        (attempt.is === 'refused' ? Math.min(triesOfRefused, this.#settings.maxTries) : this.#settings.maxTries)
      )
        return await this.#setAside(stream, batches, attempt.why)
      const { clock } = this.#o
      const asked = attempt.is === 'unavailable' ? attempt.waitMs : undefined
      await clock.sleep(waitAfter(tries, clock.random(), asked), this.#signal)
    }
  }

  async #push(body: Uint8Array, id: string): Promise<Attempt> {
    const { clock, mayBePrivate } = this.#o
    return await push({
      url: new URL(this.#settings.url),
      body,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'user-agent': 'Millrace',
        ...signed(this.#settings.secrets, { id, at: clock.now(), body }),
      },
      timeoutMs: this.#settings.timeoutMs,
      mayBePrivate,
      signal: this.#signal,
    })
  }

  async #setAside(stream: StreamInfo, batches: readonly StoredBatch[], why: string): Promise<void> {
    const { deadLetters } = this.#settings
    if (deadLetters === undefined) return await this.#stop(why)
    const letters: { readonly key: string | undefined; readonly body: Uint8Array; readonly contentType: string }[] = []
    for (const batch of batches)
      for (let i = 0; i < batch.records.count; i++) {
        const one = { first: (batch.first + BigInt(i)) as Offset, at: batch.at, records: batch.records.slice(i, i + 1) }
        letters.push({
          key: batch.records.keys?.[i],
          body: this.#o.encodeDeadLetter(stream, one, { subscription: this.#id, tries: this.#tries, why }),
          contentType: 'application/json',
        })
      }
    const { next } = rangeOf(batches.at(-1) as StoredBatch)
    try {
      // The writer's number is the position behind them: a manager that dies here does not set them aside twice.
      await this.#o.service.records.publish(this.#principal, deadLetters, RecordBatch.of(letters), {
        writer: { id: `subscription ${this.#id}`, seq: next },
      })
    } catch (e) {
      if (!isMillraceError(e) || e.retry === 'later') throw e
      return await this.#stop(`${why}; and it could not be set aside in ${deadLetters}: ${e.message}`)
    }
    await this.#note(next, 0, `set aside ${letters.length}: ${why}`)
  }

  async #note(position: bigint, tries: number, state: string): Promise<void> {
    this.#position = position
    this.#tries = tries
    if (!(await this.#o.plane.note(this.#id, this.#o.holder, { position, tries, state }))) throw new HoldLost()
  }

  /** Pauses the subscription: somebody has to look at it. */
  async #stop(why: string): Promise<never> {
    await this.#note(this.#position, this.#tries, `paused: ${why}`)
    const now = await this.#o.plane.find(this.#streamId, this.#id)
    if (now === undefined) throw new HoldLost()
    const act = { by: manager, at: this.#o.clock.now() }
    await this.#o.plane.update(act, this.#streamId, this.#id, { ...now.settings, isPaused: true })
    this.#o.log.warn('a subscription was paused', { subscription: this.#id, stream: this.#streamId, why })
    throw new Stopped()
  }
}
