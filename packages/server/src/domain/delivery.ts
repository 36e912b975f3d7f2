/**
 * The rules by which records are pushed to a subscriber. They go strictly in the order of the stream, so that those of one key are in order
 * too: nothing goes out before what stands before it was taken, or was set aside.
 */

/** First wait after a try that failed, milliseconds; each is double the one before. */
const firstWaitMs = 1_000
const longestWaitMs = 15 * 60_000

/**
 * How long to wait after the n-th failed try (from 1), milliseconds. `random` is from 0 up to 1: a wait is shortened by up to a fifth, so that
 * the subscribers of a server that comes back do not come at once. A wait that the server asked for is kept, up to an hour.
 */
export const waitAfter = (tries: number, random: number, askedMs: number | undefined): number => {
  const own = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(tries - 1, 20))
  return Math.max(Math.round(own * (1 - random / 5)), Math.min(askedMs ?? 0, 60 * 60_000))
}

/** What a try came to. */
export type Attempt =
  | { readonly is: 'taken' }
  /** The subscriber does not want these records: another time will be no better, fewer records at once may be. */
  | { readonly is: 'refused'; readonly why: string }
  /** It could not be reached, or has no time. */
  | { readonly is: 'unavailable'; readonly why: string; readonly waitMs: number | undefined }
  /** It wants nothing any more. */
  | { readonly is: 'gone'; readonly why: string }

/** The answer of a subscriber, by its status (RFC 9110; 410 as webhooks use it: stop). */
export const attemptOf = (status: number, waitMs: number | undefined): Attempt => {
  const why = `answered ${status}`
  if (status >= 200 && status < 300) return { is: 'taken' }
  if (status === 410) return { is: 'gone', why }
  // Of a body it says that it is bad, too large, or cannot be processed. All else is about the place, the time or the credentials.
  if (status === 400 || status === 413 || status === 415 || status === 422) return { is: 'refused', why }
  return { is: 'unavailable', why, waitMs }
}

/** Tries of a single record that is refused: one more than once, since a subscriber may have a bad moment, too. */
export const triesOfRefused = 3
