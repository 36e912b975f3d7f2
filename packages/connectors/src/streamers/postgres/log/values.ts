/**
 * Values as the text that PostgreSQL makes of them, written as the JSON that its `row_to_json` would make: what comes out of the log of
 * changes is spelt as what comes out of a table. The session must have the settings of `sessionSql`.
 */
import type { Out } from './out.ts'

/** A type as the server's catalog describes it, with the types below it. */
export interface ValueType {
  readonly name: string
  /** pg_type.typtype: b base, c composite, e enum, r range, m multirange; a domain is the type below it. */
  readonly kind: string
  /** Below a domain, what the domain gives its type in brackets. */
  readonly modifier?: number
  /** Of an array, the type of its elements. */
  readonly element?: ValueType
  /** What stands between the elements of an array. */
  readonly delimiter?: string
  /** Of a composite type, its fields in their order. */
  readonly fields?: readonly { readonly name: string; readonly type: ValueType }[]
}

/** Writes the value that stands as text in these bytes. */
export type ValueWriter = (from: Buffer, start: number, end: number, out: Out) => void

const MINUS = 45
const SPACE = 32
const QUOTE = 34
const LETTER_T = 84
const SMALL_T = 116
const DIGIT_0 = 48
const DIGIT_9 = 57
const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const ZONE = Buffer.from('+00:00')

const asIs: ValueWriter = (from, start, end, out) => out.copy(from, start, end)
const asText: ValueWriter = (from, start, end, out) => out.string(from, start, end)
const asJson: ValueWriter = (from, start, end, out) => out.json(from, start, end)
const asBoolean: ValueWriter = (from, start, _end, out) => out.all(from[start] === SMALL_T ? TRUE : FALSE)

/** NaN and the infinities are no numbers of JSON: they become text. */
const asNumber: ValueWriter = (from, start, end, out) => {
  const first = from[start] === MINUS ? from[start + 1] : from[start]
  if (first !== undefined && first >= DIGIT_0 && first <= DIGIT_9) out.copy(from, start, end)
  else out.string(from, start, end)
}

/** `2024-03-01 12:00:00.5+00` becomes `2024-03-01T12:00:00.5+00:00`; ` BC` stays behind it. `zone`: whether one is written. */
const asMoment =
  (zone: boolean): ValueWriter =>
  (from, start, end, out) => {
    const space = from.indexOf(SPACE, start)
    if (space < 0 || space >= end) {
      out.string(from, start, end)
      return
    }
    const era = from.indexOf(SPACE, space + 1)
    const last = era < 0 || era >= end ? end : era
    // Times are of 8 letters and their fraction; behind them stands +00.
    const time = last - 3 > space + 8 && from[last - 3] === 43 ? last - 3 : last
    out.byte(QUOTE)
    out.copy(from, start, space)
    out.byte(LETTER_T)
    out.copy(from, space + 1, time)
    if (zone) out.all(ZONE)
    out.copy(from, last, end)
    out.byte(QUOTE)
  }

/**
 * The writer of a type. `inside`: within an array or a composite value, where a time without a zone stays without one; as a column it
 * is taken as UTC.
 */
export const writerOf = (type: ValueType, inside = false): ValueWriter => {
  if (type.element !== undefined || type.fields !== undefined)
    return (from, start, end, out) => out.text(jsonOf(type, from.toString('utf8', start, end)))
  if (type.kind !== 'b') return asText
  switch (type.name) {
    case 'int2':
    case 'int4':
    case 'int8':
      return asIs
    case 'numeric':
    case 'float4':
    case 'float8':
      return asNumber
    case 'bool':
      return asBoolean
    case 'json':
    case 'jsonb':
      return asJson
    case 'timestamptz':
      return asMoment(true)
    case 'timestamp':
      return asMoment(!inside)
    default:
      return asText
  }
}

/** The JSON of a value inside of an array or a composite value. */
const jsonOf = (type: ValueType, text: string): string => {
  if (type.element !== undefined) return arrayOf(type, type.element, text)
  if (type.fields !== undefined) return objectOf(type.fields, text)
  if (type.kind !== 'b') return JSON.stringify(text)
  switch (type.name) {
    case 'int2':
    case 'int4':
    case 'int8':
      return text
    case 'numeric':
    case 'float4':
    case 'float8':
      return /^-?[0-9]/.test(text) ? text : JSON.stringify(text)
    case 'bool':
      return text === 't' ? 'true' : 'false'
    case 'json':
    case 'jsonb':
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are looked for
      return text.replaceAll(/[\u0000-\u001f]/g, ' ')
    case 'timestamptz':
      return JSON.stringify(text.replace(' ', 'T').replace(/\+00( BC)?$/, '+00:00$1'))
    case 'timestamp':
      return JSON.stringify(text.replace(/^([-0-9]+) /, '$1T'))
    default:
      return JSON.stringify(text)
  }
}

/** https://www.postgresql.org/docs/current/arrays.html, "Array Input and Output Syntax". */
const arrayOf = (type: ValueType, element: ValueType, text: string): string => {
  // These two are written without braces.
  if (type.name === 'int2vector' || type.name === 'oidvector')
    return `[${
      text === ''
        ? ''
        : text
            .split(' ')
            .map((t) => jsonOf(element, t))
            .join(',')
    }]`
  const delimiter = type.delimiter ?? ','
  // Bounds other than from 1 stand before it: [0:1]={…}.
  let at = text.indexOf('{')
  const value = (): string => {
    at++
    const parts: string[] = []
    while (text[at] !== '}') {
      if (text[at] === delimiter) at++
      if (text[at] === '{') parts.push(value())
      else parts.push(item())
    }
    at++
    return `[${parts.join(',')}]`
  }
  const item = (): string => {
    if (text[at] === '"') {
      let unquoted = ''
      for (at++; text[at] !== '"'; at++) {
        if (text[at] === '\\') at++
        unquoted += text[at]
      }
      at++
      return jsonOf(element, unquoted)
    }
    const from = at
    while (text[at] !== delimiter && text[at] !== '}') at++
    const plain = text.slice(from, at)
    return plain === 'NULL' ? 'null' : jsonOf(element, plain)
  }
  return value()
}

/** https://www.postgresql.org/docs/current/rowtypes.html, "Composite Type Input and Output Syntax". */
const objectOf = (fields: readonly { readonly name: string; readonly type: ValueType }[], text: string): string => {
  const values: (string | undefined)[] = []
  for (let at = 1; at < text.length; at++) {
    if (text[at] === ',' || text[at] === ')') {
      values.push(undefined)
      continue
    }
    let value = ''
    let isQuoted = false
    for (; at < text.length; at++) {
      const c = text[at] as string
      if (c === '"') {
        // Inside of quotes they are doubled.
        if (isQuoted && text[at + 1] === '"') value += text[++at]
        else isQuoted = !isQuoted
      } else if (c === '\\') value += text[++at]
      else if (!isQuoted && (c === ',' || c === ')')) break
      else value += c
    }
    values.push(value)
  }
  // The type was changed since that row was written: what it was cannot be known any more.
  if (values.length !== fields.length) return JSON.stringify(text)
  const members = fields.map(({ name, type }, i) => {
    const value = values[i]
    return `${JSON.stringify(name)}:${value === undefined ? 'null' : jsonOf(type, value)}`
  })
  return `{${members.join(',')}}`
}
