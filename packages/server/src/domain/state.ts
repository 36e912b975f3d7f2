/**
 * States as Millrace compares them. A state is kept as the text it had on the wire; here it is only looked at. It is
 * free-form JSON; by Singer's convention `bookmarks` has one entry a substream.
 */
import { encodeJson, isObject, type Json, MillraceError, parseExact, stateIn } from '@millrace/sdk'

/**
 * The state in a text: a whole JSON value, or the last complete line of a log of states (`>> state.json`), where a torn
 * last line does not count. Empty text is the beginning: undefined. Out of a message STATE its value is taken. Throws
 * STATE_UNREADABLE, naming `source`; also for null, which says neither where something was nor that it is to begin anew.
 */
export const readStateText = (text: string, source: string): string | undefined => {
  const found = lastState(text, source)
  if (found === undefined) return undefined
  const value = parseExact(found)
  const state = stateIn(value, source)
  return state === value ? found : encodeJson(state)
}

const lastState = (text: string, source: string): string | undefined => {
  const whole = text.replace(/^\uFEFF/, '').trim()
  if (whole === '') return undefined
  if (isJson(whole)) return whole
  const lines = text.replace(/^\uFEFF/, '').split('\n')
  const torn = lines.pop() ?? ''
  const complete = lines.map((l) => l.trim()).filter((l) => l !== '')
  // A last line without its newline counts only where its own end shows: `12` may be the beginning of `123`.
  if (/[}\]"]\s*$/.test(torn) && isJson(torn.trim())) return torn.trim()
  const last = complete.at(-1)
  if (last !== undefined && isJson(last)) return last
  throw new MillraceError('STATE_UNREADABLE', {
    source,
    why: last === undefined ? 'it is not JSON' : 'its last complete line is not JSON',
  })
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Whether a state says nothing: null, `{}`, `[]` or an empty text. */
const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  (Array.isArray(value) && value.length === 0) ||
  (isObject(value) && Object.values(value).every(isEmpty))

/** What a state says of places: what is being read now (Singer's `currently_syncing`) is none, and is gone at the end. */
const placesIn = (state: string | undefined): unknown => {
  const value: unknown = state === undefined ? undefined : JSON.parse(state)
  if (!isObject(value)) return value
  const { currently_syncing: _, ...places } = value
  return places
}

/**
 * Why `after` is emptier than `before`, in words, or undefined where it is not. Emptier is: null, `{}` or the like
 * after something that said more; `bookmarks` gone; an entry of `bookmarks` gone that was not empty. An entry that is
 * there and became `{}` is not: taps clear the position of a finished substream so; nor is one gone of a substream that
 * `isLeftOut` says is not read any more; nor is `currently_syncing`. Both are JSON texts.
 */
export const isEmptier = (
  before: string | undefined,
  after: string | undefined,
  isLeftOut: (substream: string) => boolean = () => false,
): string | undefined => {
  const was = placesIn(before)
  const is = placesIn(after)
  if (isEmpty(was)) return undefined
  const marked = isObject(was) && isObject(was['bookmarks']) ? was['bookmarks'] : undefined
  const gone =
    marked === undefined || isEmpty(marked)
      ? undefined
      : Object.keys(marked).filter((k) => !isEmpty(marked[k]) && !isLeftOut(k))
  const marks = isObject(is) && isObject(is['bookmarks']) ? is['bookmarks'] : undefined
  if (gone !== undefined && marks !== undefined) {
    const lost = gone.filter((k) => !Object.hasOwn(marks, k))
    return lost.length === 0
      ? undefined
      : `the bookmark${lost.length > 1 ? 's' : ''} of ${lost.join(', ')} would be gone`
  }
  if (gone !== undefined && gone.length > 0)
    return isObject(is) && !isEmpty(is) ? 'it has no bookmarks' : `it is ${after ?? 'empty'}`
  return isEmpty(is) ? `it is ${after ?? 'empty'}` : undefined
}

/** One place where two states differ. Values are JSON texts, digits as they were; `path` is like `bookmarks.orders.id`. */
export interface StateChange {
  readonly path: string
  readonly kind: 'added' | 'removed' | 'changed'
  readonly before?: string
  readonly after?: string
}

/** What differs between two states, in the order of their keys. Undefined stands for no state. */
export const diffStates = (before: string | undefined, after: string | undefined): readonly StateChange[] => {
  const changes: StateChange[] = []
  compare(
    '',
    before === undefined ? undefined : parseExact(before),
    after === undefined ? undefined : parseExact(after),
    changes,
  )
  return changes
}

const compare = (path: string, before: Json | undefined, after: Json | undefined, changes: StateChange[]): void => {
  const children =
    entriesOf(before) !== undefined && entriesOf(after) !== undefined && Array.isArray(before) === Array.isArray(after)
  if (children) {
    const was = entriesOf(before) as ReadonlyMap<string, Json>
    const is = entriesOf(after) as ReadonlyMap<string, Json>
    for (const key of new Set([...was.keys(), ...is.keys()]))
      compare(step(path, key, Array.isArray(after)), was.get(key), is.get(key), changes)
    return
  }
  const from = before === undefined ? undefined : encodeJson(before)
  const to = after === undefined ? undefined : encodeJson(after)
  if (from === to) return
  changes.push({
    path: path === '' ? '(whole state)' : path,
    kind: from === undefined ? 'added' : to === undefined ? 'removed' : 'changed',
    ...(from === undefined ? {} : { before: from }),
    ...(to === undefined ? {} : { after: to }),
  })
}

const entriesOf = (value: Json | undefined): ReadonlyMap<string, Json> | undefined =>
  Array.isArray(value)
    ? new Map(value.map((v, i): [string, Json] => [String(i), v as Json]))
    : isObject(value)
      ? new Map(Object.entries(value))
      : undefined

const step = (path: string, key: string, inArray: boolean): string =>
  inArray
    ? `${path}[${key}]`
    : /^[A-Za-z_][\w-]*$/.test(key)
      ? path === ''
        ? key
        : `${path}.${key}`
      : `${path}[${JSON.stringify(key)}]`
