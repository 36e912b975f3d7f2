/** What all routes are handed, and the words that they share. */
import type { Logger } from '@millrace/sdk'
import type { Http } from '../http/server.ts'
import type { Limits } from '../http/limits.ts'
import type { Metrics } from '../http/metrics.ts'
import { listOf, object, orNull, type Schema, text, whole } from '../http/schema.ts'
import type { Tokens } from '../http/tokens.ts'
import type { Page } from '../control/types.ts'
import type { Logins } from '../streams/logins.ts'
import type { StreamService } from '../streams/stream-service.ts'
import type { SubscriptionService } from '../subscriptions/subscription-service.ts'
import type { Followers } from './follow/followers.ts'
import type { Tails } from './follow/tails.ts'

export interface Api {
  readonly service: StreamService
  readonly subscriptions: SubscriptionService
  readonly logins: Logins
  readonly tokens: Tokens
  readonly tails: Tails
  readonly followers: Followers
  readonly limits: Limits
  readonly metrics: Metrics
  readonly log: Logger
  /** Milliseconds that only rise. */
  readonly ticks: () => number
  /** Aborted when the manager stops: what would go on for ever ends. */
  readonly closing: AbortSignal
}

/** Adds the routes of one resource. */
export type AddRoutes = (app: Http, api: Api) => void

export const base = '/api/v1'

export const problem: Schema<unknown> = object(
  {
    type: text(),
    title: text(),
    status: whole(),
    detail: text({ description: 'what happened' }),
    code: text({ description: 'the code of the error: see the table of errors' }),
    fix: text({ description: 'what to do' }),
    retry: text({ description: 'whether trying again helps: never, later, after-fix' }),
  },
  { instance: text() },
  { description: 'A problem (RFC 9457).' },
)

const problems = { description: 'A problem (RFC 9457).', content: { 'application/problem+json': { schema: problem } } }

/** The answers of a route, for its types and the document. */
export const answers = <const S extends number, T>(
  status: S,
  schema: Schema<T>,
): { readonly [K in S]: Schema<T> } & { readonly '4xx': object; readonly '5xx': object } =>
  ({ [status]: schema, '4xx': problems, '5xx': problems }) as {
    readonly [K in S]: Schema<T>
  } & { readonly '4xx': object; readonly '5xx': object }

/** An answer that is written as bytes: its shape is for the document only. */
export const written = <T>(schema: Schema<T>): Schema<unknown> => schema

/** An answer without a body. */
export const nothing: Schema<undefined> = { type: 'null', description: 'Done.' }

/** The name, the group and one line about a route. */
export const doc = (
  operationId: string,
  tag: string,
  summary: string,
): { readonly operationId: string; readonly tags: readonly [string]; readonly summary: string } => ({
  operationId,
  tags: [tag],
  summary,
})

export const streamRef: Schema<string> = text({
  minLength: 1,
  maxLength: 200,
  description: 'the name or the id of a stream',
})
export const streamParams: Schema<{ readonly stream: string }> = object({ stream: streamRef })
const idText = (what: string): Schema<string> => text({ minLength: 1, maxLength: 400, description: what })
/** The stream, and one thing of it. */
export const paramsOf = <const N extends string>(
  name: N,
  what: string,
): Schema<{ readonly stream: string } & { readonly [K in N]: string }> =>
  object({ stream: streamRef, [name]: idText(what) }) as Schema<
    { readonly stream: string } & { readonly [K in N]: string }
  >

export const pageQuery: { readonly after: Schema<string>; readonly limit: Schema<number> } = {
  after: text({ maxLength: 1000, description: 'the `next` of the page before' }),
  limit: whole({ minimum: 1, maximum: 1000, description: 'how many at most; 100 where it is left out' }),
}

export const pageOf = <T>(items: Schema<T>): Schema<{ readonly items: readonly T[]; readonly next: string | null }> =>
  object({
    items: listOf(items),
    next: { ...orNull(text()), description: 'asks for the next page as `after`; null at the end' } as Schema<
      string | null
    >,
  })

export const answerPage = <A, B>(
  page: Page<A>,
  show: (one: A) => B,
): { readonly items: readonly B[]; readonly next: string | null } => ({
  items: page.items.map(show),
  next: page.next ?? null,
})

export const moment: Schema<string> = text({ format: 'date-time' })
export const maybeMoment: Schema<string | null> = orNull(moment)
export const iso = (at: Date): string => at.toISOString()
export const offsetNumber: Schema<number> = whole({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

export const actor: Schema<{ readonly type: 'client' | 'user'; readonly id: string }> = object({
  type: { type: 'string', enum: ['client', 'user'] } as Schema<'client' | 'user'>,
  id: text({ minLength: 1, maxLength: 100 }),
})
