/** Keeps the subscriptions of this manager going: those that no other manager holds. */
import { isDeepStrictEqual } from 'node:util'
import { type Logger, toMillraceError } from '@millrace/sdk'
import type { Subscription } from '../control/types.ts'
import { deliver, type DelivererOptions } from './deliverer.ts'
import { settingsIn } from './settings.ts'

/** A manager that died is taken over from after this; one that lives takes its hold anew long before. */
export const holdMs = 30_000
/** How often is looked for subscriptions that are new, changed, or free. */
export const scanMs = 5_000
/** After a fault of the log or the control plane. */
const faultMs = 5_000

interface Running {
  readonly subscription: Subscription
  readonly end: AbortController
  readonly ended: Promise<void>
}

export class SubscriptionSupervisor implements AsyncDisposable {
  readonly #o: DelivererOptions
  readonly #log: Logger
  readonly #running = new Map<string, Running>()
  readonly #closing = new AbortController()
  #wake: () => void = () => {}
  #isAsked = false
  readonly #loop: Promise<void>

  constructor(options: DelivererOptions) {
    this.#o = options
    this.#log = options.log
    this.#loop = this.#run()
  }

  /** Looks again at once: a subscription was made or changed. */
  nudge(): void {
    this.#isAsked = true
    this.#wake()
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      this.#isAsked = false
      try {
        await this.#scan()
      } catch (e) {
        if (!signal.aborted) this.#log.warn('subscriptions could not be looked at', { why: toMillraceError(e).message })
      }
      if (!this.#isAsked && !signal.aborted) await this.#pause(signal)
    }
  }

  async #pause(closing: AbortSignal): Promise<void> {
    const early = new AbortController()
    this.#wake = () => early.abort()
    // It is ended early by a nudge or by the end of the manager; either is no fault.
    await this.#o.clock.sleep(scanMs, AbortSignal.any([closing, early.signal])).catch(() => {})
    this.#wake = () => {}
  }

  async #scan(): Promise<void> {
    const { plane, clock, holder } = this.#o
    const seen = new Set<string>()
    let after: string | undefined
    do {
      const page = await plane.list({ after, limit: 1000 })
      for (const subscription of page.items) {
        seen.add(subscription.id)
        await this.#look(subscription)
        if (this.#closing.signal.aborted) return
      }
      after = page.next
    } while (after !== undefined)
    for (const [id, running] of this.#running) if (!seen.has(id)) await this.#end(running)
    const at = clock.now()
    for (const id of this.#running.keys()) await plane.hold(id, { holder, at, until: new Date(at.getTime() + holdMs) })
  }

  async #look(subscription: Subscription): Promise<void> {
    const { plane, clock, holder } = this.#o
    const running = this.#running.get(subscription.id)
    if (running !== undefined) {
      if (isDeepStrictEqual(running.subscription.settings, subscription.settings)) return
      await this.#end(running)
    }
    if (settingsIn(subscription).isPaused) return
    const at = clock.now()
    if (!(await plane.hold(subscription.id, { holder, at, until: new Date(at.getTime() + holdMs) }))) return
    // Where it stands may have moved since it was listed.
    const now = await plane.find(subscription.streamId, subscription.id)
    if (now !== undefined) this.#start(now)
  }

  #start(subscription: Subscription): void {
    const end = new AbortController()
    const signal = AbortSignal.any([end.signal, this.#closing.signal])
    const ended = this.#deliver(subscription, signal).finally(() => this.#running.delete(subscription.id))
    this.#running.set(subscription.id, { subscription, end, ended })
  }

  async #deliver(subscription: Subscription, signal: AbortSignal): Promise<void> {
    try {
      await deliver(subscription, this.#o, signal)
    } catch (e) {
      this.#log.warn('a subscription waits', { subscription: subscription.id, why: toMillraceError(e).message })
      // The next look starts it again.
      await this.#o.clock.sleep(faultMs, signal).catch(() => {})
    }
  }

  async #end({ end, ended }: Running): Promise<void> {
    end.abort()
    await ended
  }

  /** Ends what is under way, and lets other managers have the subscriptions at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    const held = [...this.#running.keys()]
    await Promise.all([...this.#running.values()].map(async ({ ended }) => await ended))
    await this.#loop
    const { plane, clock, holder } = this.#o
    const at = clock.now()
    for (const id of held) await plane.hold(id, { holder, at, until: at }).catch(() => false)
  }
}
