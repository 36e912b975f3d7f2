import { MillraceError } from '../errors/error.ts'
import { isObject, type Json, type JsonObject, parseExact } from '../message/json.ts'

/**
 * The state in the text of a state file. Empty text is the beginning: undefined.
 *
 * A file is one JSON value, or a log of states as `>> state.json` makes it: then the last complete line counts. A last
 * line without a newline that cannot be read was torn by a crash and does not count; the line before it does. Anything
 * else is refused with STATE_UNREADABLE and never taken for the beginning.
 */
export const parseStateFile = (text: string, source: string): Json | undefined => {
  const value = lastValue(text, source)
  return value === undefined ? undefined : stateIn(value, source)
}

/**
 * The state in what a file of states holds: a whole STATE or BOOKMARK (`tail -1` of what a streamer wrote) says it in `value`, Meltano
 * keeps it as `singer_state`. Throws STATE_UNREADABLE where it is another message, or null, which is no state and not the beginning.
 */
export const stateIn = (value: Json, source: string): Json => {
  const unreadable = (why: string): never => {
    throw new MillraceError('STATE_UNREADABLE', { source, why })
  }
  const inside = isObject(value) ? insideOf(value) : undefined
  const state = inside === undefined ? value : inside
  if (state === null) return unreadable('it says null, which is no state and not the beginning')
  const type = isObject(state) ? state['type'] : undefined
  return otherMessages.has(type ?? null) ? unreadable(`it is a ${String(type)} message and no state`) : state
}

const otherMessages: ReadonlySet<Json> = new Set(['RECORD', 'SCHEMA', 'ACTIVATE_VERSION', 'BATCH'])

const insideOf = (value: JsonObject): Json | undefined => {
  if (value['type'] === 'STATE' || value['type'] === 'BOOKMARK') return value['value']
  return Object.hasOwn(value, 'bookmarks') ? undefined : value['singer_state']
}

const lastValue = (text: string, source: string): Json | undefined => {
  const content = text.startsWith('\uFEFF') ? text.slice(1) : text
  if (content.trim() === '') return undefined
  const whole = parse(content)
  if (whole !== undefined) return whole.value
  const lines = content.split('\n')
  // What stands behind the last newline may be half a line; the lines before it are complete.
  const tail = lines.pop() ?? ''
  const last = tail.trim() === '' ? undefined : parse(tail)
  if (last !== undefined) return last.value
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i] ?? ''
    if (line.trim() === '') continue
    const parsed = parse(line)
    if (parsed === undefined) throw new MillraceError('STATE_UNREADABLE', { source, why: `line ${i + 1} is not JSON` })
    return parsed.value
  }
  throw new MillraceError('STATE_UNREADABLE', { source, why: 'its only line ends in the middle' })
}

/** A moment without quotes is what the first streamers kept: the bookmark itself. Half of one has no zone. */
const moment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

const parse = (text: string): { readonly value: Json } | undefined => {
  if (moment.test(text.trim())) return { value: text.trim() }
  try {
    return { value: parseExact(text) }
  } catch {
    return undefined
  }
}
