/**
 * File names for substreams. `orders` is `orders.jsonl`; a name that no file system, or not every one, would take is
 * written with percent signs, so that different substreams never share a file (docs/reference/files.md).
 */
import { createHash } from 'node:crypto'

/** Longest base of a file name, in bytes: leaves room for part, extension and prefix within 255. */
const maxBaseBytes = 180

const percent = (text: string): string =>
  [...Buffer.from(text)].map((b) => `%${b.toString(16).toUpperCase().padStart(2, '0')}`).join('')

/** Characters that some file system refuses, `%` and `~`, which are ours, and what cannot be seen. */
const unsafe = /[/\\:*?"<>|%~\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

/** Sixteen hexadecimal digits that belong to a name. */
const markOf = (name: string): string => createHash('sha256').update(name, 'utf16le').digest('hex').slice(0, 16)

/** The base of a substream's file name: the name itself where that is possible, never the same for two names. */
export const safeBase = (substream: string): string => {
  let base = substream.replace(/[\uD800-\uDFFF]/gu, (c) => `%u${c.charCodeAt(0).toString(16).toUpperCase()}`)
  const isMarked = base !== substream
  base = base.replace(unsafe, (c) => (isMarked && c === '%' ? c : percent(c)))
  if (isMarked) base = `${base}~${markOf(substream)}`
  // macOS takes é and é for one name: only the composed form is kept as it is.
  if (base !== base.normalize('NFC')) base = base.replace(/[^\x20-\x7e]/gu, percent)
  if (base === '') base = '%'
  if (/^[. -]/.test(base) || reserved.test(base)) base = `${percent(base[0] as string)}${base.slice(1)}`
  if (/[. ]$/.test(base)) base = `${base.slice(0, -1)}${percent(base.at(-1) as string)}`
  return Buffer.byteLength(base) <= maxBaseBytes ? base : `${cut(base)}~${markOf(substream)}`
}

/** The longest beginning that fits and does not end within a percent sign's digits. */
const cut = (base: string): string => {
  let to = ''
  let bytes = 0
  for (const c of base) {
    bytes += Buffer.byteLength(c)
    if (bytes > maxBaseBytes - 20) break
    to += c
  }
  return to.replace(/%[^%]{0,4}$/, '')
}

/**
 * The name of a substream's file. Part 1 has no number. Where another substream's file has the same name but for
 * upper and lower case, which some file systems do not tell apart, the newcomer's name gets a mark.
 */
export const fileNameFor = (
  substream: string,
  part: number,
  extension: string,
  taken: (foldedName: string) => string | undefined,
): string => {
  const tail = `${part === 1 ? '' : `~${part}`}.${extension}`
  const plain = `${safeBase(substream)}${tail}`
  const owner = taken(plain.toLowerCase())
  return owner === undefined || owner === substream ? plain : `${safeBase(substream)}~${markOf(substream)}${tail}`
}
