/** The contracts of the HTTP kit: what a connector that speaks HTTP gives, and what it gets back. */
import type { Logger } from '../log/logger.ts'
import type { Json } from '../message/json.ts'

/** Time and chance, so that tests need neither. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Resolves after `ms`, or rejects with the signal's reason as soon as that is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** From 0 up to, but not including, 1. */
  random(): number
}

/** Keeps a rotated refresh token, so that the next run has it. See fileTokenStore. */
export interface TokenStore {
  /** The token kept last in place of the `configured` one; undefined where there is none. */
  load(configured: string): Promise<string | undefined>
  /** Resolves when the token is durable. It is called before the access token that came with it is used. */
  save(configured: string, token: string): Promise<void>
}

/** What the two OAuth 2 styles share (RFC 6749). `sendAs`: where the client's id and secret go; default `basic`. */
interface OAuthClient {
  /** Absolute, or relative to the base URL. */
  readonly tokenUrl: string
  readonly clientId: string
  readonly scope?: string | undefined
  readonly sendAs?: 'basic' | 'body' | undefined
  /** More fields of the form, such as `audience`. */
  readonly fields?: Readonly<Record<string, string>> | undefined
}

/** How requests say who asks. Goes to the origin of the base URL and nowhere else. */
export type HttpAuth =
  | { readonly style: 'none' }
  | { readonly style: 'header'; readonly name: string; readonly value: string }
  | { readonly style: 'query'; readonly name: string; readonly value: string }
  | { readonly style: 'basic'; readonly user: string; readonly password: string }
  | { readonly style: 'bearer'; readonly token: string }
  | ({ readonly style: 'client-credentials'; readonly clientSecret: string } & OAuthClient)
  | ({
      readonly style: 'refresh-token'
      readonly clientSecret?: string | undefined
      readonly refreshToken: string
      readonly store?: TokenStore | undefined
    } & OAuthClient)

/** When a request is tried again. Waits double from `baseMs` to `maxMs`, each shortened by up to half at random. */
export interface RetryPolicy {
  /** Tries of one request in all, those not counted that were told how long to wait. Default 6. */
  readonly attempts: number
  /** Default 500. */
  readonly baseMs: number
  /** Default 30,000. */
  readonly maxMs: number
  /** How long one request may wait in all because a limit of requests is reached. Default 900,000 (15 minutes). */
  readonly maxWaitMs: number
}

export interface HttpClientOptions {
  /** http or https, without user and password. Its path is kept: paths of requests are appended to it. */
  readonly baseUrl: string
  /** Whose faults are told: SOURCE_* or DESTINATION_* errors. Default `source`. */
  readonly side?: 'source' | 'destination'
  /** What the other side is called in errors: "GitHub". Default: the host. */
  readonly what?: string
  readonly auth?: HttpAuth
  /** What the other side shows, PEM: this is checked then, and neither its name nor who signed it. */
  readonly certificate?: string | undefined
  /** Sent with every request to the origin of the base URL. */
  readonly headers?: Readonly<Record<string, string>>
  readonly retry?: Partial<RetryPolicy>
  readonly timeouts?: Partial<Timeouts>
  /** Requests at once. Default 4. */
  readonly maxConcurrent?: number
  /** Bytes of one body, unpacked. Default 64 MiB. */
  readonly maxResponseBytes?: number
  readonly signal?: AbortSignal
  readonly log?: Logger
  readonly clock?: Clock
  /** Whether an answer says that there were too many requests, beside 429 and a 403 whose headers say it. */
  readonly isLimited?: (answer: HttpAnswer) => boolean
}

export interface Timeouts {
  /** From the beginning of a request (connecting included) to the headers of its answer. Default 60,000. */
  readonly headersMs: number
  /** Without a byte of the body. Default 60,000. */
  readonly idleMs: number
  /** For the whole of an answer. Default 600,000. */
  readonly totalMs: number
}

export type QueryValue = string | number | bigint | boolean | undefined | readonly (string | number | bigint)[]

/** What may be said of a single request. */
export interface RequestOptions {
  /** Added to those that stand in the path already; undefined ones are left out, lists repeat the name. */
  readonly query?: Readonly<Record<string, QueryValue>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The tag of the answer already known: If-None-Match. An answer of 304 has `notModified`. */
  readonly etag?: string | undefined
  /** Statuses that are answers and not failures, beside 2xx and 304: 404 where gone things are no news. */
  readonly accept?: readonly number[] | undefined
  /** Statuses that may be another one the next time, beside 408, 425 and 5xx: the request is tried again. */
  readonly passing?: readonly number[] | undefined
  readonly signal?: AbortSignal | undefined
}

export interface HttpRequest extends RequestOptions {
  readonly method: string
  /** Appended to the base URL. An absolute URL must be of the base URL's origin. */
  readonly path: string
  readonly body?: Uint8Array | string | undefined
  /** The request may be sent twice without harm. Default: GET, HEAD, PUT, DELETE, OPTIONS. */
  readonly idempotent?: boolean | undefined
}

/** An answer, its body read to the end and unpacked. */
export interface HttpAnswer {
  readonly status: number
  /** Names in lower case; several of one name are joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  /** Where the answer came from, redirects followed. May hold secrets in its query: not for logs. */
  readonly url: URL
  readonly bytes: Buffer
  readonly etag: string | undefined
  readonly notModified: boolean
  /** What was asked, for errors: `GET https://host/path`, without query. */
  readonly asked: string
  /** The body as JSON with exact numbers. Throws SOURCE_MALFORMED (or DESTINATION_REFUSED) where it is not. */
  json(): Json
}

/**
 * Asks one server. Several requests may be under way at once; those beyond `maxConcurrent` wait their turn.
 *
 * A failure that may pass (no connection, connection cut, timeout, 408, 425, 429, 5xx) is tried again by the policy.
 * What stays is thrown: *_UNAVAILABLE (no answer, 5xx), *_LIMITED (too many requests, for longer than we may wait),
 * *_REFUSED (401, 403, other 4xx, a certificate that is not good), SOURCE_MALFORMED (too large, not JSON). `details.status`
 * has the status. An error or log line never holds a query, a body or a header.
 */
export interface HttpClient extends AsyncDisposable {
  readonly baseUrl: URL
  get(path: string, options?: RequestOptions): Promise<HttpAnswer>
  request(request: HttpRequest): Promise<HttpAnswer>
  /** Closes idle connections. */
  close(): void
}
