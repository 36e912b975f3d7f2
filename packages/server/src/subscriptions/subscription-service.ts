/**
 * What somebody who proved who they are may do with subscriptions. To make one the right of a consumer is needed; it is then seen and changed by
 * who made it, and by who may manage the stream.
 */
import type { Position } from '@millrace/engine'
import { MillraceError } from '@millrace/sdk'
import type { SubscriptionsPlane } from '../control/control-plane.ts'
import type { Page, PageQuery, Subscription } from '../control/types.ts'
import { isAdministering, type Principal } from '../domain/access.ts'
import { type Random, uuidv7 } from '../domain/ids.ts'
import type { StreamService } from '../streams/stream-service.ts'
import type { StreamInfo, StreamRef } from '../streams/types.ts'
import { settingsIn, settingsToJson } from './settings.ts'
import { newSecret } from './signature.ts'
import type { SubscriptionSettings, SubscriptionView } from './types.ts'

export interface SubscriptionChange {
  /** https; with private addresses allowed also http. */
  readonly url?: string | undefined
  /** Records of one push, 1 to 1,000; left out 100. */
  readonly maxRecords?: number | undefined
  /** 1 to 50; left out 12, which take about an hour. */
  readonly maxTries?: number | undefined
  /** For one push, 1 to 60 seconds; left out 10. */
  readonly timeoutMs?: number | undefined
  /** A stream that the one who asks may write to; null: none. */
  readonly deadLetters?: string | null | undefined
  readonly isPaused?: boolean | undefined
}

export interface CreateSubscription extends SubscriptionChange {
  readonly url: string
  /** Left out: what comes from now on. */
  readonly from?: Position | undefined
}

export interface SubscriptionServiceOptions {
  readonly plane: SubscriptionsPlane
  readonly service: StreamService
  readonly now: () => Date
  readonly random: Random
  /** Whether pushes may go to addresses that are not of the public internet, and without TLS. */
  readonly mayBePrivate: boolean
  /** Something changed. */
  readonly changed: () => void
}

/** Of one stream. */
const maxSubscriptions = 100
const secretBytes = 32

export class SubscriptionService {
  readonly #o: SubscriptionServiceOptions

  constructor(options: SubscriptionServiceOptions) {
    this.#o = options
  }

  /** The secret is shown this once. Throws SUBSCRIPTION_INVALID, ACCESS_DENIED, STREAM_UNKNOWN. */
  async create(
    p: Principal,
    ref: StreamRef,
    given: CreateSubscription,
  ): Promise<{ readonly subscription: SubscriptionView; readonly secret: string }> {
    const { plane, service, now, random } = this.#o
    // Says whether the principal may read, and where the position is.
    const page = await service.records.read(p, ref, { from: given.from ?? { from: 'next' }, limit: 1 })
    const stream = await service.streams.get(p, ref)
    const secret = newSecret(random.bytes(secretBytes))
    const settings = await this.#checked(p, given, {
      url: given.url,
      secrets: [secret],
      maxRecords: 100,
      maxTries: 12,
      timeoutMs: 10_000,
      deadLetters: undefined,
      isPaused: false,
      createdBy: { type: p.type, id: p.id },
    })
    if ((await plane.list({ streamId: stream.id, limit: maxSubscriptions })).items.length >= maxSubscriptions)
      throw invalid([`a stream has at most ${maxSubscriptions} subscriptions`])
    const at = now()
    const subscription: Subscription = {
      id: uuidv7(at, random),
      streamId: stream.id,
      settings: settingsToJson(settings),
      position: page.batches[0]?.first ?? page.next,
      tries: 0,
      state: 'new',
      createdAt: at,
    }
    await plane.create({ by: settings.createdBy, at }, subscription)
    this.#o.changed()
    return { subscription: viewOf(subscription), secret }
  }

  /** Throws SUBSCRIPTION_UNKNOWN, also for one that the principal may not see. */
  async get(p: Principal, ref: StreamRef, id: string): Promise<SubscriptionView> {
    return viewOf((await this.#find(p, ref, id)).subscription)
  }

  /** The principal's own; all for who may manage the stream. */
  async list(p: Principal, ref: StreamRef, query: PageQuery = {}): Promise<Page<SubscriptionView>> {
    const stream = await this.#o.service.streams.get(p, ref)
    const page = await this.#o.plane.list({ ...query, streamId: stream.id })
    return { ...page, items: page.items.filter((s) => maySee(p, stream, s)).map(viewOf) }
  }

  /** Throws as `create` does. `isPaused: false` lets one that was paused go on. */
  async update(p: Principal, ref: StreamRef, id: string, change: SubscriptionChange): Promise<SubscriptionView> {
    const { subscription } = await this.#find(p, ref, id)
    return await this.#keep(p, subscription, await this.#checked(p, change, settingsIn(subscription)))
  }

  /** A new secret, shown this once. Pushes are signed with it and with the one before. */
  async rotate(
    p: Principal,
    ref: StreamRef,
    id: string,
  ): Promise<{ readonly subscription: SubscriptionView; readonly secret: string }> {
    const { subscription } = await this.#find(p, ref, id)
    const settings = settingsIn(subscription)
    const secret = newSecret(this.#o.random.bytes(secretBytes))
    const secrets = [secret, ...settings.secrets.slice(0, 1)]
    return { subscription: await this.#keep(p, subscription, { ...settings, secrets }), secret }
  }

  async delete(p: Principal, ref: StreamRef, id: string): Promise<void> {
    const { subscription } = await this.#find(p, ref, id)
    await this.#o.plane.remove({ by: { type: p.type, id: p.id }, at: this.#o.now() }, subscription.streamId, id)
    this.#o.changed()
  }

  async #keep(p: Principal, subscription: Subscription, settings: SubscriptionSettings): Promise<SubscriptionView> {
    const { id, streamId } = subscription
    const json = settingsToJson(settings)
    await this.#o.plane.update({ by: { type: p.type, id: p.id }, at: this.#o.now() }, streamId, id, json)
    this.#o.changed()
    return viewOf({ ...subscription, settings: json })
  }

  async #find(
    p: Principal,
    ref: StreamRef,
    id: string,
  ): Promise<{ readonly stream: StreamInfo; readonly subscription: Subscription }> {
    const stream = await this.#o.service.streams.get(p, ref)
    const subscription = await this.#o.plane.find(stream.id, id)
    if (subscription === undefined || !maySee(p, stream, subscription))
      throw new MillraceError('SUBSCRIPTION_UNKNOWN', { subscription: id })
    return { stream, subscription }
  }

  /** The settings with the change, all of its faults told at once. */
  async #checked(
    p: Principal,
    change: SubscriptionChange,
    before: SubscriptionSettings,
  ): Promise<SubscriptionSettings> {
    const after: SubscriptionSettings = {
      ...before,
      url: change.url ?? before.url,
      maxRecords: change.maxRecords ?? before.maxRecords,
      maxTries: change.maxTries ?? before.maxTries,
      timeoutMs: change.timeoutMs ?? before.timeoutMs,
      deadLetters: change.deadLetters === undefined ? before.deadLetters : (change.deadLetters ?? undefined),
      isPaused: change.isPaused ?? before.isPaused,
    }
    const problems = [
      ...urlProblems(after.url, this.#o.mayBePrivate),
      ...rangeProblems('maxRecords', after.maxRecords, 1, 1000),
      ...rangeProblems('maxTries', after.maxTries, 1, 50),
      ...rangeProblems('timeoutMs', after.timeoutMs, 1000, 60_000),
    ]
    if (typeof change.deadLetters === 'string') {
      const { rights } = await this.#o.service.streams.get(p, change.deadLetters)
      if (rights?.isProducer !== true && rights?.isOwner !== true)
        problems.push('deadLetters: you may not write to that stream')
    }
    if (problems.length > 0) throw invalid(problems)
    return after
  }
}

const invalid = (problems: readonly string[]): MillraceError => new MillraceError('SUBSCRIPTION_INVALID', { problems })

const urlProblems = (text: string, mayBePrivate: boolean): readonly string[] => {
  const url = URL.parse(text)
  if (url === null || text.length > 2000) return ['url is no URL']
  return [
    ...(url.protocol === 'https:' || (mayBePrivate && url.protocol === 'http:')
      ? []
      : [mayBePrivate ? 'url is neither https nor http' : 'url must be https']),
    ...(url.username === '' && url.password === '' ? [] : ['url has a user or a password; pushes are signed instead']),
  ]
}

const rangeProblems = (name: string, value: number, min: number, max: number): readonly string[] =>
  Number.isInteger(value) && value >= min && value <= max ? [] : [`${name} is a whole number from ${min} to ${max}`]

const maySee = (p: Principal, stream: StreamInfo, s: Subscription): boolean => {
  const { createdBy } = settingsIn(s)
  return isAdministering(p) || stream.rights?.isOwner === true || (createdBy.type === p.type && createdBy.id === p.id)
}

const viewOf = (s: Subscription): SubscriptionView => {
  const { secrets: _, ...settings } = settingsIn(s)
  const { id, streamId, createdAt, position, tries, state } = s
  return { ...settings, id, streamId, createdAt, position, tries, state }
}
