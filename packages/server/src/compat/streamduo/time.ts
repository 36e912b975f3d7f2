/**
 * Time stamps as StreamDuo writes and reads them: `2026-11-28T15:16:23.716004321Z[UTC]`. A stream takes records by the millisecond,
 * many in one; so that each has a stamp of its own, later than that of the record before it, the six digits behind the milliseconds are
 * the last six of its offset. A stamp that comes back therefore names one record, and "since" it is exact.
 */
const placesInMs = 1_000_000n

/** The stamp of the record at an offset that came at a time. UTC, as all of ours are. */
export const stampOf = (at: Date, offset: bigint): string =>
  `${at.toISOString().slice(0, -1)}${String(offset % placesInMs).padStart(6, '0')}Z[UTC]`

/** A time as it was given. */
export interface GivenTime {
  /** Milliseconds since 1970. */
  readonly ms: number
  /**
   * The digits behind the milliseconds, where so many were given that they name a record: the last six digits of its offset, or, cut to
   * microseconds, the upper three of them.
   */
  readonly place: string | undefined
}

const pattern =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2})(?::(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?)?(Z|[+-]\d{2}(?::?\d{2})?)?(?:\[([\w+\-/]{1,64})\])?$/i

/**
 * Reads a time: ISO 8601 from the day to the nanosecond, whatever is left out at its end being zero; with an offset, with the
 * name of a zone in brackets, or without either, which means UTC. Undefined for what is none.
 */
export const parseTime = (text: string): GivenTime | undefined => {
  const m = pattern.exec(text.trim())
  if (m === null) return undefined
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', offset, zone] = m
  const utc = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, '0')}Z`)
  // The 30th of February is told by its day: Date.parse makes it the 1st or 2nd of March.
  if (Number.isNaN(utc) || new Date(utc).getUTCDate() !== Number(day)) return undefined
  const ms = offset === undefined ? inZone(utc, zone) : utc - offsetMs(offset)
  return ms === undefined ? undefined : { ms, place: fraction.length >= 6 ? fraction.slice(3) : undefined }
}

const offsetMs = (offset: string): number => {
  if (/^z$/i.test(offset)) return 0
  const digits = offset.slice(1).replace(':', '').padEnd(4, '0')
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))
  return (offset.startsWith('-') ? -minutes : minutes) * 60_000
}

/** The moment at which clocks of a zone show a time; undefined where nobody knows the zone. */
const inZone = (shown: number, zone: string | undefined): number | undefined => {
  if (zone === undefined) return shown
  let clock: Intl.DateTimeFormat
  try {
    clock = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch {
    return undefined
  }
  const ahead = (moment: number): number => {
    const parts = Object.fromEntries(clock.formatToParts(moment).map(({ type, value }) => [type, Number(value)]))
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(moment / 1000) * 1000
  }
  // Twice, as the first guess may lie on the other side of a change of the clocks.
  const guess = shown - ahead(shown)
  return shown - ahead(guess)
}

/**
 * The offset that a given place names, not below `first`, the first offset of its millisecond: the smallest that ends in its digits.
 */
export const offsetOfPlace = (place: string, first: bigint): bigint => {
  const unit = 10n ** BigInt(6 - place.length)
  const wanted = BigInt(place) * unit
  const from = first % placesInMs
  if (from >= wanted && from < wanted + unit) return first
  return first + ((wanted - from + placesInMs) % placesInMs)
}
