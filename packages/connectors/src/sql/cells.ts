/** From values to cells: the slow and exact way, for whatever cannot be loaded as the bytes it came in. */
import { Decimal, encodeJson, type Json, MillraceError } from '@millrace/sdk'
import { integerType, scaleOf, wholeOf } from './column-types.ts'
import type { Cell, Column, ColumnType, Dialect } from './types.ts'

const PLAIN_TIMESTAMP =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(\.[0-9]{1,6}0*)?([Zz]|[-+](0[0-9]|1[0-4]):[0-5][0-9])?$/
const PLAIN_DATE = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/
const PLAIN_TIME = /^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6}0*)?([Zz]|\+00:00)?$/
const DIGITS = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const MAX_PLAIN_DIGITS = 400

const dayExists = (year: number, month: number, day: number): boolean => {
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > (DAYS[month - 1] as number)) return false
  return month !== 2 || day < 29 || (year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0))
}

/** Whether a text is a time that a database with types for times keeps without loss: to the microsecond, a real day. */
export const isPlainTemporal = (type: ColumnType, text: string): boolean => {
  if (type === 'time') return PLAIN_TIME.test(text)
  const m = (type === 'date' ? PLAIN_DATE : PLAIN_TIMESTAMP).exec(text)
  return m !== null && dayExists(Number(m[1]), Number(m[2]), Number(m[3]))
}

/**
 * The cell of a value in this column; undefined where the column must first become wider.
 * Throws VALUE_NOT_STORABLE where no column could hold it.
 */
export const cellOf = (value: Json, column: Column, dialect: Dialect): Cell | undefined => {
  if (value === null) return null
  const { type } = column
  switch (type) {
    case 'boolean':
      return typeof value === 'boolean' ? String(value) : undefined
    case 'integer':
    case 'bigint':
      return wholeCell(value, type)
    case 'float':
      return typeof value === 'number' ? numberText(value) : undefined
    case 'decimal':
      return decimalCell(value, column, dialect)
    case 'json':
      return jsonCell(value, column, dialect)
    case 'text':
      return textCell(value, column, dialect)
    case 'timestamp':
    case 'date':
    case 'time':
      if (typeof value !== 'string') return undefined
      if (!dialect.temporalTypes) return textCell(value, column, dialect)
      return isPlainTemporal(type, value) ? JSON.stringify(value) : undefined
    default:
      return isNumber(value) ? scaledCell(value, scaleOf(type) ?? 0) : undefined
  }
}

const isNumber = (v: Json): v is number | bigint | Decimal =>
  typeof v === 'number' || typeof v === 'bigint' || v instanceof Decimal

/** The digits of a number; a double's are the shortest that give it back. */
const numberText = (v: number | bigint | Decimal): string => (Object.is(v, -0) ? '-0' : String(v))

const decimalCell = (value: Json, column: Column, dialect: Dialect): Cell | undefined => {
  if (!isNumber(value) && !(typeof value === 'string' && DIGITS.test(value))) return undefined
  const text = isNumber(value) ? numberText(value) : value
  if (!hasRoom(text, dialect)) throw notStorable(column, TOO_MANY_DIGITS)
  return text
}

const TOO_MANY_DIGITS = 'a number has more digits than the database keeps'

/** Whether a number's digits, written without an exponent, are not too many. */
const hasRoom = (text: string, { maxDigits }: Dialect): boolean => {
  if (maxDigits === undefined || (text.length < 1000 && !/[eE]/.test(text))) return true
  const m = /^-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?$/.exec(text)
  if (m === null) return true
  const exponent = Number(m[3] ?? 0)
  return (
    (m[1] ?? '').length + Math.max(0, exponent) <= maxDigits.whole &&
    (m[2] ?? '').length + Math.max(0, -exponent) <= maxDigits.fraction
  )
}

const wholeCell = (value: Json, type: 'integer' | 'bigint'): Cell | undefined => {
  if (typeof value !== 'bigint' && !(typeof value === 'number' && Number.isInteger(value))) return undefined
  const whole = typeof value === 'bigint' ? value : wholeOf(value)
  const needs = integerType(whole)
  return needs === 'integer' || needs === type ? String(whole) : undefined
}

/** The number written without exponent, where it has at most `scale` digits behind the point and 38 in all. */
const scaledCell = (value: number | bigint | Decimal, scale: number): Cell | undefined => {
  const plain = plainDigits(numberText(value))
  if (plain === undefined) return undefined
  const [whole = '', fraction = ''] = plain.replace('-', '').split('.')
  return fraction.replace(/0+$/, '').length <= scale && whole.length <= 38 - scale ? plain : undefined
}

/** A number's text without exponent; undefined where that would be absurdly long. */
export const plainDigits = (text: string): string | undefined => {
  const m = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?$/.exec(text)
  if (m === null) return undefined
  const exponent = Number(m[4] ?? 0)
  if (exponent === 0) return text.replace(/[eE].*$/, '')
  if (Math.abs(exponent) > MAX_PLAIN_DIGITS) return undefined
  const digits = (m[2] ?? '') + (m[3] ?? '')
  const point = (m[2] ?? '').length + exponent
  const padded = digits.padStart(digits.length + Math.max(0, 1 - point), '0').padEnd(Math.max(point, 1), '0')
  const at = Math.max(point, 1)
  const whole = padded.slice(0, at).replace(/^0+(?=[0-9])/, '')
  return (m[1] ?? '') + whole + (padded.length > at ? `.${padded.slice(at)}` : '')
}

/** A text column takes what is not text too: as its JSON text. */
const textCell = (value: Json, column: Column, dialect: Dialect): Cell => {
  if (typeof value === 'string') {
    if (!value.isWellFormed())
      throw notStorable(column, 'half of a surrogate pair is no character and cannot be stored as text')
    if (!dialect.nulCharacters && value.includes('\0'))
      throw notStorable(column, 'the character NUL (\\u0000) cannot be stored as text here')
    return JSON.stringify(value)
  }
  return JSON.stringify(isNumber(value) ? numberText(value) : jsonCell(value, column, dialect))
}

const jsonCell = (value: Json, column: Column, dialect: Dialect): string => {
  const text = encodeJson(value)
  if (!dialect.loneSurrogatesInJson && /\\u[dD][89a-fA-F]/.test(text) && hasLoneSurrogate(value))
    throw notStorable(column, 'half of a surrogate pair is no character and cannot be stored in JSON')
  if (
    !dialect.nulCharacters &&
    text.includes('\\u0000') &&
    holds(value, (v) => typeof v === 'string' && v.includes('\0'))
  )
    throw notStorable(column, 'the character NUL (\\u0000) cannot be stored in JSON here')
  if (
    dialect.maxDigits !== undefined &&
    /[0-9]{1000}|[0-9][eE]/.test(text) &&
    holds(value, (v) => isNumber(v) && !hasRoom(numberText(v), dialect))
  )
    throw notStorable(column, TOO_MANY_DIGITS)
  return text
}

const hasLoneSurrogate = (value: Json): boolean => holds(value, (v) => typeof v === 'string' && !v.isWellFormed())

/** Whether a value, a key of an object in it, or what is inside is such. */
const holds = (value: Json, such: (v: Json) => boolean): boolean => {
  if (typeof value !== 'object' || value === null || value instanceof Decimal) return such(value)
  return Object.entries(value).some(([k, v]) => such(k) || holds(v as Json, such))
}

/** The error of a value that no column can hold; the stream and line are added where they are known. */
const notStorable = (column: Column, why: string): UnstorableValue => new UnstorableValue(column.path.join('.'), why)

/** Thrown by {@link cellOf}; becomes VALUE_NOT_STORABLE. */
export class UnstorableValue extends Error {
  override readonly name: string = 'UnstorableValue'
  readonly field: string
  readonly why: string
  constructor(field: string, why: string) {
    super(why)
    this.field = field
    this.why = why
  }
  /** As users see it. */
  at(stream: string, line: number): MillraceError {
    return new MillraceError('VALUE_NOT_STORABLE', {
      stream,
      field: this.field,
      why: this.why,
      ...(line > 0 ? { line } : {}),
    })
  }
}
