/**
 * Regular expressions that come with data. A schema may be hostile or clumsy, and a pattern such as `(a+)+$` takes for
 * ever on thirty letters in an engine that backtracks. So a pattern that could is matched by a set of states
 * instead, in time that grows with the text only; where it needs what such a machine has not (a look-ahead, a back
 * reference), it is refused.
 */

import { matcher, type Node, PatternReader, Unsupported } from './pattern-states.ts'

const maxPatternLength = 10_000
/** Texts up to here may go to the engine that backtracks where a pattern has at most three open repetitions. */
const shortText = 100
const maxWays = 1_000

/** How often an engine that backtracks may have to choose, at worst. */
interface Risk {
  /** A repetition or a choice inside a repetition: its ways multiply with the length of the text. */
  nested: boolean
  /** Ways through the choices and the repetitions that have an end. */
  ways: number
  /** Repetitions without an end, or with a far one. */
  open: number
}

const isVaried = (node: Node): boolean => {
  switch (node.is) {
    case 'char':
    case 'assert':
      return false
    case 'either':
      return true
    case 'repeat':
      return node.min !== node.max || isVaried(node.of)
    case 'sequence':
      return node.of.some(isVaried)
    default:
      return node satisfies never
  }
}

const weigh = (node: Node, risk: Risk): void => {
  if (node.is === 'either') risk.ways *= node.of.length
  if (node.is === 'sequence' || node.is === 'either') for (const part of node.of) weigh(part, risk)
  if (node.is !== 'repeat') return
  if (node.max > 1 && isVaried(node.of)) risk.nested = true
  if (node.max - node.min > 16) risk.open++
  else risk.ways *= node.max - node.min + 1
  weigh(node.of, risk)
}

/** Looks for the same without reading: for patterns with parts that the reader does not know. */
const looksNested = (bare: string): boolean => /[*+}?|][^()]*\)[*+{]/.test(bare) || /\)[^()]*\)[*+{]/.test(bare)

/** What Ajv wants of a regular expression. */
export interface PatternTest {
  test: (text: string) => boolean
  toString: () => string
}

/**
 * A test for a pattern of a schema, whose time is bounded by the length of the text whatever the pattern is.
 * Throws an Error with the reason, in words, where the pattern is no regular expression or cannot be made safe.
 */
export const safePattern = (pattern: string): PatternTest => {
  if (pattern.length > maxPatternLength) throw new Error(`a pattern is longer than ${maxPatternLength} characters`)
  const quoted = JSON.stringify(pattern.length > 80 ? `${pattern.slice(0, 80)}…` : pattern)
  const { regExp, source } = nativePattern(pattern, quoted)
  const named = (test: (text: string) => boolean): PatternTest => ({ test, toString: () => `/${pattern}/` })
  const native = (text: string): boolean => regExp.test(text)
  try {
    if (source === undefined) throw new Unsupported('is written in an old syntax')
    const root = new PatternReader(source).read()
    const risk: Risk = { nested: false, ways: 1, open: 0 }
    weigh(root, risk)
    const isAnchored = root.is === 'sequence' && source.startsWith('^')
    if (!risk.nested && risk.ways <= maxWays && (risk.open === 0 || (risk.open === 1 && isAnchored)))
      return named(native)
    const byStates = matcher(root)
    if (risk.nested || risk.open > 3 || risk.ways > maxWays) return named(byStates)
    return named((text) => (text.length <= shortText ? native(text) : byStates(text)))
  } catch (e) {
    if (!(e instanceof Unsupported)) throw e
    const bare = pattern.replace(/\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]/g, 'x')
    if (looksNested(bare)) throw new Error(`the pattern ${quoted} can take for ever on some texts (it ${e.message})`)
    const open = (bare.match(/[*+?|]|,\d*\}/g) ?? []).length
    const maxLength = Math.floor(1e7 ** (1 / (open + 1)))
    return named((text) => text.length <= maxLength && native(text))
  }
}

/** Escapes that only other languages and older engines know, in the words of this one. */
const modern = (pattern: string): string =>
  pattern
    .replaceAll('(?P<', '(?<')
    .replace(/\\([\s\S])/g, (both, c: string) =>
      c === 'A' ? '^' : c === 'Z' || c === 'z' ? '$' : c === '-' ? '\\x2d' : /[_\s"'`~!@#%&=:;,<>]/.test(c) ? c : both,
    )

/** The pattern for the language's own engine; `source` where that is one with the `u` flag. */
const nativePattern = (
  pattern: string,
  quoted: string,
): { readonly regExp: RegExp; readonly source: string | undefined } => {
  for (const source of [pattern, modern(pattern)]) {
    try {
      return { regExp: new RegExp(source, 'u'), source }
    } catch {
      // The next spelling may be understood.
    }
  }
  try {
    return { regExp: new RegExp(pattern), source: undefined }
  } catch {
    throw new Error(`the pattern ${quoted} is not a regular expression`)
  }
}
