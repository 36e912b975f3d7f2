/**
 * How values become JSON: the one place of the rule. It is that of the server's own `row_to_json`, in a session as `read.ts` sets it
 * (UTC, ISO dates, all digits), with times without a zone taken as UTC.
 *
 * What is common is spelt here from the text that the server writes for a value; `copy-rows.wat` has the same for whole
 * rows of COPY. What is rare (arrays, composite types, types of extensions) is left to the server, by `to_json`.
 */
import type { Column } from './types.ts'

/**
 * `number`: as it is; what is none in JSON (NaN, Infinity) as a string. `local` is a time without a zone, `instant` one with it. `json` is JSON
 * already: only its line ends and tabs become spaces. `server`: the server is to be asked for the JSON text, its text alone does not do.
 */
export type Spelling = 'boolean' | 'number' | 'text' | 'local' | 'instant' | 'json' | 'server'

/** How the values of a column are spelt. */
export const spellingOf = ({ type, kind, isArray, isText }: Column): Spelling => {
  if (isArray || !isText || kind === 'c') return 'server'
  if (kind !== 'b') return 'text'
  switch (type) {
    case 'bool':
      return 'boolean'
    case 'int2':
    case 'int4':
    case 'int8':
    case 'numeric':
    case 'float4':
    case 'float8':
      return 'number'
    case 'timestamp':
      return 'local'
    case 'timestamptz':
      return 'instant'
    case 'json':
    case 'jsonb':
      return 'json'
    default:
      return 'text'
  }
}

/** The JSON text of a value that is not null, by the server's text of it. Text of the spelling `server` is JSON that the server made. */
export const jsonOf = (spelling: Spelling, text: string): string => {
  switch (spelling) {
    case 'boolean':
      return text === 't' ? 'true' : 'false'
    case 'number':
      return /[0-9]$/.test(text) ? text : `"${text}"`
    case 'text':
      return JSON.stringify(text)
    case 'local':
    case 'instant':
      return `"${timeOf(text)}"`
    case 'json':
    case 'server':
      // Between values only: inside of a string none of these can be.
      return text.replaceAll(/[\b\f\n\r\t\v]/g, ' ')
    default:
      return spelling satisfies never
  }
}

/** `2024-03-01 12:00:00.5+00` as `2024-03-01T12:00:00.5+00:00`. An infinite one has no day and stays as it is. */
const timeOf = (text: string): string => {
  const m = /^(\S+) ([0-9:.]+)([-+][0-9:]+)?( BC)?$/.exec(text)
  if (m === null) return text
  const [, day, time, zone = '+00', era = ''] = m
  return `${day}T${time}${zone.length === 3 ? `${zone}:00` : zone}${era}`
}
