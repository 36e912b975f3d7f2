/** Byte work on lines of JSON. Nothing here allocates per byte or parses; offsets are into the given buffer, end exclusive. */

export const NEWLINE = 10
const CARRIAGE_RETURN = 13
const SPACE = 32
const TAB = 9
const QUOTE = 34
const BACKSLASH = 92
const COMMA = 44
const COLON = 58
export const OPEN_BRACE = 123
const CLOSE_BRACE = 125
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93

/** The text of [from, end), which must be UTF-8. */
export const textAt = (b: Buffer, from: number, end: number): string => b.toString('utf8', from, end)

export const isSpace = (c: number | undefined): boolean =>
  c === SPACE || c === TAB || c === CARRIAGE_RETURN || c === NEWLINE

export const skipSpace = (b: Buffer, from: number, end: number): number => {
  let i = from
  while (i < end && isSpace(b[i])) i++
  return i
}

/** Where the text ends once the white space behind it is dropped. */
export const trimEnd = (b: Buffer, from: number, end: number): number => {
  let i = end
  while (i > from && isSpace(b[i - 1])) i--
  return i
}

/** Nothing may be nested deeper; a hostile line would otherwise end the process by its stack. */
export const maxDepth = 1000

/** Outcome of {@link skimValue}: no end in sight, or nested too deep. */
export const INCOMPLETE = -1
export const TOO_DEEP = -2

/** Structural bytes outside strings: 1 quote, 2 opener, 3 closer. Everything else is 0. */
const structure = new Uint8Array(256)
structure[QUOTE] = 1
structure[OPEN_BRACE] = 2
structure[OPEN_BRACKET] = 2
structure[CLOSE_BRACE] = 3
structure[CLOSE_BRACKET] = 3

/**
 * Where the string that begins (with its quote) at `from` ends: the offset behind its closing quote, or INCOMPLETE.
 */
export const skimString = (b: Buffer, from: number, end: number): number => {
  let i = from + 1
  while (i < end) {
    const c = b[i] as number
    if (c === QUOTE) return i + 1
    i += c === BACKSLASH ? 2 : 1
  }
  return INCOMPLETE
}

/**
 * Where the JSON value that begins at `from` ends, by matching brackets outside strings: the offset behind it, or
 * INCOMPLETE or TOO_DEEP. It checks that strings close and that brackets balance by count; it does not check tokens.
 */
export const skimValue = (b: Buffer, from: number, end: number): number => {
  const first = b[from] as number
  if (first === QUOTE) return skimString(b, from, end)
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    let i = from
    while (i < end) {
      const c = b[i] as number
      if (c === COMMA || c === CLOSE_BRACE || c === CLOSE_BRACKET || isSpace(c)) break
      i++
    }
    return i === from ? INCOMPLETE : i
  }
  let depth = 1
  let i = from + 1
  while (i < end) {
    switch (structure[b[i] as number]) {
      case 0:
        i++
        break
      case 1: {
        i++
        // The inner loop of everything that is passed on: keep it this small.
        for (;;) {
          const c = b[i]
          if (c === QUOTE) break
          if (i >= end) return INCOMPLETE
          i += c === BACKSLASH ? 2 : 1
        }
        i++
        break
      }
      case 2:
        if (++depth > maxDepth) return TOO_DEEP
        i++
        break
      default:
        i++
        if (--depth === 0) return i
    }
  }
  return INCOMPLETE
}

/** Whether brackets in [from, end) are nested deeper than {@link maxDepth}. Only called for text long enough for it. */
export const isTooDeep = (b: Buffer, from: number, end: number): boolean => {
  if (end - from < maxDepth) return false
  let depth = 0
  let i = from
  while (i < end) {
    const kind = structure[b[i] as number]
    if (kind === 1) {
      const next = skimString(b, i, end)
      if (next < 0) return false
      i = next
      continue
    }
    if (kind === 2 && ++depth > maxDepth) return true
    if (kind === 3) depth--
    i++
  }
  return false
}

/** One member of an object, as places in the buffer. */
export interface Member {
  readonly key: string
  readonly from: number
  readonly to: number
}

/**
 * The members of the object that begins at `from`, in their order, values not parsed. Calls `visit` for each; answers
 * the offset behind the object, or INCOMPLETE or TOO_DEEP.
 */
export const skimMembers = (b: Buffer, from: number, end: number, visit: (m: Member) => void): number => {
  let i = skipSpace(b, from, end)
  if (b[i] !== OPEN_BRACE) return INCOMPLETE
  i = skipSpace(b, i + 1, end)
  if (b[i] === CLOSE_BRACE) return i + 1
  while (i < end) {
    if (b[i] !== QUOTE) return INCOMPLETE
    const keyEnd = skimString(b, i, end)
    if (keyEnd < 0) return keyEnd
    const key = decodeKey(b, i, keyEnd)
    if (key === undefined) return INCOMPLETE
    i = skipSpace(b, keyEnd, end)
    if (b[i] !== COLON) return INCOMPLETE
    i = skipSpace(b, i + 1, end)
    const to = i < end ? skimValue(b, i, end) : INCOMPLETE
    if (to < 0) return to
    visit({ key, from: i, to })
    i = skipSpace(b, to, end)
    if (b[i] === CLOSE_BRACE) return i + 1
    if (b[i] !== COMMA) return INCOMPLETE
    i = skipSpace(b, i + 1, end)
  }
  return INCOMPLETE
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const escapeOrControl = /[\\\u0000-\u001f]/

const decodeKey = (b: Buffer, from: number, to: number): string | undefined => {
  const text = textAt(b, from + 1, to - 1)
  // A control character is refused by JSON, so that JSON.parse refuses it here.
  if (!escapeOrControl.test(text)) return text
  try {
    return JSON.parse(`"${text}"`) as string
  } catch {
    return undefined
  }
}

const isNumberByte = (c: number | undefined): boolean =>
  c !== undefined && ((c >= 48 && c <= 57) || c === 46 || c === 45 || c === 43 || c === 101 || c === 69)

/**
 * Whether [from, end) may hold a number that a double would round. Looks at every 16th byte only: a number of sixteen
 * or more characters cannot hide between two of them, and a shorter one has at most fifteen digits. (Numbers whose
 * exponent is beyond a double's are found by value instead, see record.ts.) `isKnown` may say of a number's place that it is
 * exact all the same, as most of seventeen digits are: a program wrote a double out.
 */
export const mayHaveLongNumber = (
  b: Buffer,
  from: number,
  end: number,
  isKnown?: (from: number, to: number) => boolean,
): boolean => {
  for (let i = from + 15; i < end; i += 16) {
    const c = b[i] as number
    if (c > 57 || c < 43 || !isNumberByte(c)) continue
    let left = i
    while (left > from && isNumberByte(b[left - 1])) left--
    let right = i + 1
    while (right < end && isNumberByte(b[right])) right++
    if (right - left < 16) continue
    const before = b[left - 1]
    const after = b[right]
    const opens = before === COLON || before === COMMA || before === OPEN_BRACKET || isSpace(before)
    const closes = after === COMMA || after === CLOSE_BRACE || after === CLOSE_BRACKET || isSpace(after)
    if (opens && closes && isKnown?.(left, right) !== true) return true
  }
  return false
}

/** Whether the bytes of `pattern` stand at `at`. */
export const startsWithAt = (b: Buffer, at: number, end: number, pattern: Uint8Array): boolean => {
  const n = pattern.length
  if (at + n > end) return false
  for (let i = 0; i < n; i++) if (b[at + i] !== pattern[i]) return false
  return true
}
