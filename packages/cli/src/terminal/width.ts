/** How many columns a terminal gives to text: two for wide characters and emoji, none for marks and escapes. */
import { stripVTControlCharacters } from 'node:util'

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const plainAscii = /^[\x20-\x7e]*$/
const emoji = /\p{Emoji_Presentation}|\ufe0f/u
const invisible = /^[\p{Mark}\p{Cf}\p{Cc}]+$/u

/** First and last code point of the ranges that Unicode's East Asian Width calls wide or full width. */
const wideRanges: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1b000, 0x1b2ff],
  [0x1f200, 0x1f2ff],
  [0x20000, 0x3fffd],
]

const clusterWidth = (cluster: string): number => {
  if (invisible.test(cluster)) return 0
  const code = cluster.codePointAt(0) ?? 0
  return emoji.test(cluster) || wideRanges.some(([from, to]) => code >= from && code <= to) ? 2 : 1
}

/** Columns of a text that has no line break. */
export const widthOf = (text: string): number => {
  if (plainAscii.test(text)) return text.length
  let columns = 0
  for (const { segment } of segmenter.segment(stripVTControlCharacters(text))) columns += clusterWidth(segment)
  return columns
}

/** The text, cut to at most `columns` with an ellipsis as its last where something was cut. Without escapes. */
export const cut = (text: string, columns: number): string => {
  if (widthOf(text) <= columns) return text
  let kept = ''
  let used = 0
  for (const { segment } of segmenter.segment(stripVTControlCharacters(text))) {
    const width = clusterWidth(segment)
    if (used + width > columns - 1) break
    kept += segment
    used += width
  }
  return `${kept}…`
}

/** The text with spaces up to `columns`, on its right or on its left. */
export const pad = (text: string, columns: number, side: 'right' | 'left' = 'right'): string => {
  const space = ' '.repeat(Math.max(0, columns - widthOf(text)))
  return side === 'right' ? text + space : space + text
}

/** A value's text on one line: control characters, which could move the cursor or end the line, are shown as escapes. */
export const oneLine = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (c) =>
    c === '\n'
      ? '\\n'
      : c === '\t'
        ? '\\t'
        : c === '\r'
          ? '\\r'
          : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
