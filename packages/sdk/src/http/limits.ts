/** What the headers of an answer say about how many requests are allowed, and when the next is. */

export interface StatedLimit {
  /** How long to wait before the next request, in milliseconds; undefined where nothing says so. */
  readonly waitMs: number | undefined
  /** The server asked for the wait by Retry-After, or says that no request is left. */
  readonly isReached: boolean
}

type Headers = Readonly<Record<string, string>>

/** No reset is believed that is further away: a clock or a unit is wrong then. */
const believableMs = 7 * 24 * 3600_000

/**
 * Reads Retry-After (RFC 9110 §10.2.3: seconds or a date), X-RateLimit-Remaining/-Reset and X-Rate-Limit-*, and
 * RateLimit-* and RateLimit of the IETF drafts (draft-ietf-httpapi-ratelimit-headers, 03 to 10). A reset may be seconds from now,
 * seconds or milliseconds since 1970, or a date. Moments are measured against the server's own Date where it sends one.
 */
export const statedLimit = (headers: Headers, nowMs: number): StatedLimit => {
  const date = Date.parse(headers['date'] ?? '')
  const now = Number.isNaN(date) ? nowMs : date
  const retryAfter = untilMs(headers['retry-after'], now)
  if (retryAfter !== undefined) return { waitMs: retryAfter, isReached: true }
  const draft = draftLimit(headers['ratelimit'])
  const remaining = draft.remaining ?? firstOf(headers, 'remaining')
  const reset = untilMs(draft.reset ?? firstOf(headers, 'reset'), now)
  const isReached = remaining !== undefined && remaining.trim() !== '' && Number(remaining) <= 0
  return { waitMs: isReached ? reset : undefined, isReached }
}

const prefixes = ['x-ratelimit-', 'ratelimit-', 'x-rate-limit-']
const firstOf = (headers: Headers, what: string): string | undefined => {
  for (const prefix of prefixes) {
    const value = headers[prefix + what]
    if (value !== undefined) return value
  }
  return undefined
}

/** `limit=100, remaining=0, reset=30`, and `"default";r=0;t=30`. */
const draftLimit = (value: string | undefined): { readonly remaining?: string; readonly reset?: string } => {
  if (value === undefined) return {}
  const member = (name: string): string | undefined => new RegExp(`(?:^|[;,\\s])${name}=([0-9]+)`).exec(value)?.[1]
  const remaining = member('remaining') ?? member('r')
  const reset = member('reset') ?? member('t')
  return { ...(remaining === undefined ? {} : { remaining }), ...(reset === undefined ? {} : { reset }) }
}

const untilMs = (text: string | undefined, now: number): number | undefined => {
  if (text === undefined || text.trim() === '') return undefined
  const n = Number(text)
  let until: number
  if (Number.isNaN(n)) until = Date.parse(text) - now
  else if (n > 1e11) until = n - now
  else if (n > 1e9) until = n * 1000 - now
  else until = n * 1000
  if (Number.isNaN(until) || until > believableMs) return undefined
  return Math.max(0, Math.ceil(until))
}
