/** The limits of the API, in one place. A test or an embedder may change them. */
export interface Limits {
  /** Bytes of a body that is taken as a whole: a record, an array of them, settings. */
  readonly bodyBytes: number
  /** Bytes of one line of a body of JSON lines. */
  readonly lineBytes: number
  /** Bytes of records that are appended at once. */
  readonly blockBytes: number
  /** Without a byte of a body that was begun, milliseconds. */
  readonly bodyIdleMs: number
  /** For a body that is taken as a whole, milliseconds. */
  readonly bodyMs: number
  /** For the head of a request, milliseconds. */
  readonly headMs: number
  /** Bytes of the head of a request. */
  readonly headBytes: number
  /** Records of one page. */
  readonly pageRecords: number
  /** Bytes of one page; one record comes whatever its size. */
  readonly pageBytes: number
  /** Bytes that wait for one follower; beyond, it reads for itself when it has taken them. */
  readonly followerBytes: number
  /** Between two signs of life to a follower, milliseconds; its rights are looked at again as often. */
  readonly heartbeatMs: number
  /** Requests that one actor may begin in a second, and how many it may have saved up. */
  readonly requestsPerSecond: number
  readonly requestBurst: number
  /** Wrong secrets from one address in a minute. */
  readonly failedLoginsPerMinute: number
  /** Followers of one actor. */
  readonly followersPerActor: number
}

export const limits: Limits = {
  bodyBytes: 16 * 1024 * 1024,
  lineBytes: 16 * 1024 * 1024,
  blockBytes: 2 * 1024 * 1024,
  bodyIdleMs: 60_000,
  bodyMs: 30_000,
  headMs: 15_000,
  headBytes: 16 * 1024,
  pageRecords: 10_000,
  pageBytes: 8 * 1024 * 1024,
  followerBytes: 1024 * 1024,
  heartbeatMs: 10_000,
  requestsPerSecond: 20_000,
  requestBurst: 40_000,
  failedLoginsPerMinute: 20,
  followersPerActor: 5_000,
}
