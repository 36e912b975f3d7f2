/** Lines that are read member by member: every first line of its shape, and everything that is not a RECORD. */
import { MillraceError } from '../errors/error.ts'
import { INCOMPLETE, maxDepth, OPEN_BRACE, skimMembers, skimValue, skipSpace, TOO_DEEP, textAt } from './bytes.ts'
import { encodeJson, isObject, type JsonObject, parseExact } from './json.ts'
import type { ParsedMessage } from './parse.ts'
import { jsonFault } from './record.ts'
import { decodeTransit, keepTransit, toJson } from './transit.ts'

/** A line without the space around it, its number, and what its input is called. */
export interface WholeLine {
  readonly b: Buffer
  readonly from: number
  readonly end: number
  readonly line: number
  readonly source?: string
}

/** The members of a line: their names in order, twice where they came twice, and where the last of each stands. */
export interface Members {
  readonly order: readonly string[]
  readonly members: ReadonlyMap<string, { readonly from: number; readonly to: number }>
}

type Code = ConstructorParameters<typeof MillraceError>[0]
type Details = ConstructorParameters<typeof MillraceError>[1]

const errorIn = ({ line, source }: WholeLine, code: Code, details: Details, cause?: unknown): MillraceError =>
  new MillraceError(
    code,
    source === undefined ? { line, ...details } : { source, line, ...details },
    cause === undefined ? undefined : { cause },
  )

/** Finds the members of a line that is one JSON object. Throws MESSAGE_NOT_JSON or MESSAGE_TOO_DEEP. */
export const membersOf = (line: WholeLine): Members => {
  const { b, from, end } = line
  const members = new Map<string, { from: number; to: number }>()
  const order: string[] = []
  const to = skimMembers(b, from, end, (m) => {
    members.set(m.key, m)
    order.push(m.key)
  })
  if (to === TOO_DEEP) throw errorIn(line, 'MESSAGE_TOO_DEEP', { maxDepth })
  if (to === INCOMPLETE || to !== end) throw notJson(line, textAt(b, from, end))
  // Of members that come twice only the last is looked at later; the others must be JSON too.
  if (order.length !== members.size) parsed(line, () => JSON.parse(textAt(b, from, end)))
  return { order, members }
}

/** Parses everything but the record, which stays bytes (and is opened where that is wanted). Throws MESSAGE_NOT_JSON. */
export const parseLine = (line: WholeLine, { members }: Members, open: boolean): ParsedMessage =>
  parsed(line, () => {
    const { b, from, end } = line
    const text = (): string => textAt(b, from, end)
    const type = members.get('type')
    const record = members.get('record')
    const isRecord = type !== undefined && /^"record"$/i.test(textAt(b, type.from, type.to))
    if (record === undefined || !isRecord || b[record.from] !== OPEN_BRACE) {
      const body = parseExact(text())
      const value = members.get('value')
      return {
        ...envelopeOf(body as JsonObject),
        line: line.line,
        text,
        valueText: value === undefined ? undefined : textAt(b, value.from, value.to),
      }
    }
    const body: Record<string, unknown> = Object.create(null)
    for (const [key, m] of members) if (key !== 'record') body[key] = parseExact(textAt(b, m.from, m.to))
    const plain: unknown = open ? JSON.parse(textAt(b, record.from, record.to)) : undefined
    return {
      ...envelopeOf(body as JsonObject),
      line: line.line,
      text,
      valueText: undefined,
      recordBytes: { buffer: b, from: record.from, to: record.to },
      ...(plain === undefined ? {} : { plain: plain as JsonObject }),
    }
  })

/** One line of a transit body: one element, or several without a newline between them. Throws as {@link membersOf} does. */
export function* parseTransit(line: WholeLine): Generator<ParsedMessage, void, undefined> {
  const { b, end } = line
  let at = line.from
  while (at < end) {
    const to = skimValue(b, at, end)
    if (to === TOO_DEEP) throw errorIn(line, 'MESSAGE_TOO_DEEP', { maxDepth })
    if (to === INCOMPLETE) throw notJson(line, textAt(b, at, end))
    let decoded: unknown
    let body: unknown
    try {
      decoded = decodeTransit(textAt(b, at, to))
      body = toJson(decoded)
    } catch (e) {
      throw errorIn(line, 'MESSAGE_NOT_JSON', { why: `not transit: ${(e as Error).message}` }, e)
    }
    if (!isObject(body)) throw errorIn(line, 'MESSAGE_NOT_JSON', { why: 'a message is a transit map' })
    const message = body
    if (isObject(message['record'])) keepTransit(message['record'], (decoded as JsonObject)['record'])
    yield { ...envelopeOf(message), line: line.line, text: () => encodeJson(message), valueText: undefined }
    at = skipSpace(b, to, end)
  }
}

const parsed = <T>(line: WholeLine, parse: () => T): T => {
  try {
    return parse()
  } catch (e) {
    if (e instanceof SyntaxError) throw errorIn(line, 'MESSAGE_NOT_JSON', { why: jsonFault(e) }, e)
    throw e
  }
}

const notJson = (line: WholeLine, text: string): MillraceError => {
  const value = parsed(line, (): unknown => JSON.parse(text))
  const what = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`
  return errorIn(line, 'MESSAGE_NOT_JSON', { why: `a message is a JSON object, this is ${what}` })
}

const envelopeOf = (body: JsonObject): { readonly type: string; readonly body: JsonObject } => {
  const type = body['type']
  return { type: typeof type === 'string' ? type.toUpperCase() : '', body }
}
