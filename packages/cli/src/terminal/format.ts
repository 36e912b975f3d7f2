/** Numbers, sizes, times and ages as people read them. */

/** 1234567 is 1,234,567: the same in every locale, so that output can be compared. */
export const count = (n: number | bigint): string => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',')

/** "1 record", "2 records". */
export const counted = (n: number, one: string, many: string = `${one}s`): string =>
  `${count(n)} ${n === 1 ? one : many}`

const sizeUnits = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** A size with one decimal from a kilobyte on: 12.3 MB. */
export const size = (bytes: number): string => {
  let n = bytes
  let unit = 0
  while (n >= 1000 && unit < sizeUnits.length - 1) {
    n /= 1000
    unit++
  }
  return `${unit === 0 ? n : n.toFixed(1)} ${sizeUnits[unit]}`
}

/** A duration: 340 ms, 12.3 s, 4 min 5 s, 3 h 12 min. */
export const duration = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
}

/** A time to the second in UTC: 2026-05-04 10:11:12Z. */
export const moment = (iso: string | Date | undefined): string => {
  if (iso === undefined) return ''
  const date = iso instanceof Date ? iso : new Date(iso)
  return Number.isNaN(date.getTime()) ? String(iso) : `${date.toISOString().slice(0, 19).replace('T', ' ')}Z`
}
