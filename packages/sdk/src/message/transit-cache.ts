/** The rolling cache of Transit's JSON mode: what is kept in it, and how its codes look. */

export const CACHE_SIZE = 1936
export const DIGITS = 44
export const FIRST_DIGIT = 48
const MIN_CACHED_LENGTH = 4

/** Whether a string, as it is written, goes into the cache: keys, tags, keywords and symbols of some length. */
export const isCacheable = (s: string, isKey: boolean): boolean => {
  if (s.length < MIN_CACHED_LENGTH) return false
  if (isKey) return true
  if (s[0] !== '~') return false
  const c = s[1]
  return c === '#' || c === ':' || c === '$'
}
