import { Decimal, isJsonNumber, type Json } from '../message/json.ts'

/**
 * Compares two values of a replication key: below zero where `a` comes first, zero where they are equal, undefined where
 * they cannot be compared (other types). Numbers are compared digit for digit, dates of RFC 3339 by their instant with
 * all digits of the second, other text by code point.
 */
export const compareKeys = (a: Json, b: Json): number | undefined => {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (isNumeric(a) && isNumeric(b)) return compareNumbers(String(a), String(b))
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  return undefined
}

const isNumeric = (v: Json): v is number | bigint | Decimal =>
  typeof v === 'number' || typeof v === 'bigint' || (v instanceof Decimal && isJsonNumber(v.text))

/** Digits without a leading zero, and where the decimal point stands in them. */
interface Parts {
  readonly sign: number
  readonly digits: string
  readonly point: number
}

const partsOf = (text: string): Parts => {
  const m = /^(-?)([0-9]+)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]+))?$/.exec(text)
  const whole = m?.[2] ?? '0'
  const all = whole + (m?.[3] ?? '')
  const digits = all.replace(/^0+/, '')
  const point = whole.length - (all.length - digits.length) + Number(m?.[4] ?? 0)
  const trimmed = digits.replace(/0+$/, '')
  return trimmed === '' ? { sign: 0, digits: '', point: 0 } : { sign: m?.[1] === '-' ? -1 : 1, digits: trimmed, point }
}

const compareNumbers = (a: string, b: string): number => {
  const x = partsOf(a)
  const y = partsOf(b)
  if (x.sign !== y.sign) return x.sign - y.sign
  if (x.point !== y.point) return (x.point - y.point) * x.sign
  return (x.digits < y.digits ? -1 : x.digits > y.digits ? 1 : 0) * x.sign
}

const date = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?\s*([Zz]|[-+]\d\d:?\d\d)?)?$/

const compareText = (a: string, b: string): number => {
  if (a === b) return 0
  const x = date.exec(a)
  const y = x === null ? null : date.exec(b)
  if (x !== null && y !== null) {
    const difference = secondsOf(x) - secondsOf(y)
    if (Number.isNaN(difference)) return byText(a, b)
    if (difference !== 0) return difference
    return byText((x[3] ?? '').replace(/0+$/, ''), (y[3] ?? '').replace(/0+$/, ''))
  }
  return byText(a, b)
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Milliseconds of the whole second; without a zone it is taken as UTC. */
const secondsOf = (m: RegExpExecArray): number => {
  const time = m[2] === undefined ? '00:00:00' : m[2].length === 5 ? `${m[2]}:00` : m[2]
  const zone = m[4] === undefined ? 'Z' : m[4].toUpperCase().replace(/^([-+]\d\d)(\d\d)$/, '$1:$2')
  return Date.parse(`${m[1]}T${time}${zone}`)
}
