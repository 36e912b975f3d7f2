/**
 * The formats that are checked: those by which a destination chooses a column's type, and those that the reference
 * persister of 2017 checked. Every other format is a note to the reader. All run in one pass over the text.
 */

const digit = (text: string, at: number): number => {
  const c = text.charCodeAt(at) - 48
  return c >= 0 && c <= 9 ? c : Number.NaN
}
const two = (text: string, at: number): number => digit(text, at) * 10 + digit(text, at + 1)

const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** `2024-02-29`: four digits of year from 0001 on, and a day that the month has. */
const isDateAt = (text: string): boolean => {
  const year = two(text, 0) * 100 + two(text, 2)
  const month = two(text, 5)
  const day = two(text, 8)
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1) || text[4] !== '-' || text[7] !== '-') return false
  const isLeapYear = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return day <= (monthDays[month - 1] as number) + (month === 2 && isLeapYear ? 1 : 0)
}

/** Whether a zone stands from `at` to the end: nothing, `Z`, ` UTC`, `+02:00`, `+0200`, `+02`. */
const isZoneAt = (text: string, at: number): boolean => {
  const rest = text.length - at
  if (rest === 0) return true
  const c = text[at]
  if (rest === 1) return c === 'Z' || c === 'z'
  if (c === ' ') return /^ ?(UTC|Z|[+-]\d\d(:?\d\d)?)$/i.test(text.slice(at))
  if (c !== '+' && c !== '-') return false
  if (!(two(text, at + 1) <= 23)) return false
  if (rest === 3) return true
  const minutes = text[at + 3] === ':' ? at + 4 : at + 3
  return text.length === minutes + 2 && two(text, minutes) <= 59
}

/** `10:20:30`, with a fraction and a zone or without. A leap second and 24:00:00 are times. */
const isTimeAt = (text: string, at: number): boolean => {
  const hour = two(text, at)
  if (!(hour <= 24 && two(text, at + 3) <= 59) || text[at + 2] !== ':') return false
  if (hour === 24 && two(text, at + 3) !== 0) return false
  let i = at + 5
  if (text[i] === ':') {
    if (!(two(text, i + 1) <= 60)) return false
    i += 3
    if (text[i] === '.' || text[i] === ',') {
      const first = ++i
      while (digit(text, i) >= 0) i++
      if (i === first) return false
    }
  }
  return isZoneAt(text, i)
}

/**
 * What can be taken for one instant: RFC 3339, and what streamers write beside it: a space for the T, no zone (UTC, as
 * Singer's own transformer reads it), a zone without its colon, no seconds, a date alone. Never `0000-00-00`, a word, or
 * a day that the month has not.
 */
const isDateTime = (text: string): boolean => {
  if (text.length < 10 || !isDateAt(text)) return false
  if (text.length === 10) return true
  const separator = text[10]
  return (separator === 'T' || separator === ' ' || separator === 't') && isTimeAt(text, 11)
}

/** A date; a midnight behind it, as streamers of SQL sources write, is still that date. */
const isDate = (text: string): boolean =>
  text.length === 10 ? isDateAt(text) : isDateTime(text) && /^.00:00(:00(\.0+)?)?(Z|[+-]00:?00)?$/i.test(text.slice(10))

const isIpv4 = (text: string): boolean =>
  text.length <= 15 &&
  /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.test(text) &&
  text.split('.').every((n) => Number(n) <= 255)

const isIpv6 = (text: string): boolean =>
  text.length <= 60 && /^[0-9a-f:.]+(%\w+)?$/i.test(text) && text.split(':').length > 2

/** Decimal text as Singer's transformer takes it: `1E-13`, `100`, `-0.5`, `NaN`. */
export const isDecimalText = (text: string): boolean =>
  /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) || /^[+-]?(nan|inf|infinity)$/i.test(text)

/** Name of a format to its check and to what a violation calls it. */
export const formats: Readonly<Record<string, { readonly check: (text: string) => boolean; readonly say: string }>> = {
  'date-time': { check: isDateTime, say: 'a date and time' },
  date: { check: isDate, say: 'a date' },
  time: { check: (text) => text.length >= 5 && isTimeAt(text, 0), say: 'a time of day' },
  uuid: {
    check: (text) =>
      text.length <= 45 && /^(urn:uuid:)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text),
    say: 'a UUID',
  },
  email: { check: (text) => text.includes('@'), say: 'an e-mail address' },
  ipv4: { check: isIpv4, say: 'an IPv4 address' },
  ipv6: { check: isIpv6, say: 'an IPv6 address' },
  'singer.decimal': { check: isDecimalText, say: 'decimal text' },
}
