/**
 * Says of a record's bytes that they are JSON and fit the schema, without making a value of them. It only ever says a
 * certain yes: whatever is out of the ordinary (an escape in a name, a 1.0 where an integer is wanted, a bound on a number
 * of twenty digits) is a "do not know", and the record is parsed and checked by Ajv, which also finds the words.
 *
 * That is three times as fast as parsing and checking (docs/decisions/0003), and a record that only moves on as bytes is
 * never opened at all.
 */
import type { JsonObject } from '@millrace/sdk'
import {
  ARRAY,
  anyNode,
  BOOLEAN,
  byteNodeOf,
  type ByteNode,
  INTEGER,
  NULL,
  NUMBER,
  OBJECT,
  type PropertyNode,
  STRING,
} from './byte-nodes.ts'

/** Not certain. */
const NO = -1
const maxDepth = 60
const maxOrder = 1024

/** The bytes at hand: one record at a time, so that no call carries them. */
let b: Uint8Array = new Uint8Array(0)

/** Bytes that may follow a backslash, but for u. */
const escapes = new Uint8Array(256)
for (const c of '"\\/bfnrt') escapes[c.charCodeAt(0)] = 1

const isHex = (c: number | undefined): boolean =>
  c !== undefined && ((c >= 48 && c <= 57) || (c >= 65 && c <= 70) || (c >= 97 && c <= 102))

const skipSpace = (from: number): number => {
  let i = from
  for (;;) {
    const c = b[i]
    if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return i
    i++
  }
}

const value = (node: ByteNode, i: number, depth: number): number => {
  switch (b[i]) {
    case 34:
      return (node.types & STRING) === 0 ? NO : text(node, i)
    case 123:
      return (node.types & OBJECT) === 0 || depth > maxDepth ? NO : object(node, i, depth)
    case 91:
      return (node.types & ARRAY) === 0 || depth > maxDepth ? NO : array(node, i, depth)
    case 110: // null
      return (node.types & NULL) !== 0 && b[i + 1] === 117 && b[i + 2] === 108 && b[i + 3] === 108 ? i + 4 : NO
    case 116: // true
      return (node.types & BOOLEAN) !== 0 && b[i + 1] === 114 && b[i + 2] === 117 && b[i + 3] === 101 ? i + 4 : NO
    case 102: // false
      return (node.types & BOOLEAN) !== 0 && b[i + 1] === 97 && b[i + 2] === 108 && b[i + 3] === 115 && b[i + 4] === 101
        ? i + 5
        : NO
    default:
      return (node.types & (NUMBER | INTEGER)) === 0 ? NO : number(node, i)
  }
}

/** The string that begins at `from`. Beyond the end of the bytes nothing is a character, so a string that does not end is a no. */
const text = (node: ByteNode, from: number): number => {
  let i = from + 1
  let escaped = false
  for (;;) {
    const c = b[i] as number
    if (c === 34) break
    if (c === 92) {
      escaped = true
      const next = b[i + 1] as number
      if (next === 117) {
        if (!(isHex(b[i + 2]) && isHex(b[i + 3]) && isHex(b[i + 4]) && isHex(b[i + 5]))) return NO
        i += 6
      } else if (escapes[next] === 1) i += 2
      else return NO
    } else if (c >= 32) i++
    else return NO
  }
  if (i - from - 1 > node.maxLength) return NO
  if (node.format !== undefined) {
    if (escaped) return NO
    if (!(node.isTime && isPlainTime(from + 1, i)) && !node.format(utf8(from + 1, i))) return NO
  }
  return i + 1
}

const utf8 = (from: number, to: number): string => (b as Buffer).toString('utf8', from, to)

const digit = (i: number): boolean => {
  const c = b[i] as number
  return c >= 48 && c <= 57
}
const two = (i: number): number =>
  digit(i) && digit(i + 1) ? ((b[i] as number) - 48) * 10 + (b[i + 1] as number) - 48 : 99

/** `2024-01-28T10:20:30.123Z`, with or without a fraction: the form that nearly all have. Days beyond the 28th are left to the careful check. */
const isPlainTime = (from: number, to: number): boolean => {
  if (to - from < 20 || b[to - 1] !== 90 || two(from) === 99 || two(from + 2) === 99) return false
  if (two(from) === 0 && two(from + 2) === 0) return false
  const month = two(from + 5)
  const day = two(from + 8)
  if (b[from + 4] !== 45 || b[from + 7] !== 45 || b[from + 10] !== 84 || b[from + 13] !== 58 || b[from + 16] !== 58)
    return false
  if (month < 1 || month > 12 || day < 1 || day > 28) return false
  if (two(from + 11) > 23 || two(from + 14) > 59 || two(from + 17) > 59) return false
  if (to - from === 20) return true
  if (b[from + 19] !== 46 || to - from === 21) return false
  for (let i = from + 20; i < to - 1; i++) if (!digit(i)) return false
  return true
}

const number = (node: ByteNode, from: number): number => {
  let i = b[from] === 45 ? from + 1 : from
  if (!digit(i)) return NO
  if (b[i] === 48) i++
  else while (digit(i)) i++
  const wholeEnd = i
  if (b[i] === 46) {
    i++
    if (!digit(i)) return NO
    while (digit(i)) i++
  }
  if (b[i] === 101 || b[i] === 69) {
    i++
    if (b[i] === 43 || b[i] === 45) i++
    if (!digit(i)) return NO
    while (digit(i)) i++
  }
  if (i !== wholeEnd && (node.types & NUMBER) === 0) return NO
  if (node.hasBounds) {
    if (i - from > 15) return NO
    const n = Number((b as Buffer).toString('latin1', from, i))
    if (!(n >= node.minimum && n <= node.maximum)) return NO
  }
  return i
}

const array = (node: ByteNode, from: number, depth: number): number => {
  const items = node.items ?? anyNode
  let i = skipSpace(from + 1)
  if (b[i] === 93) return i + 1
  for (;;) {
    i = value(items, i, depth + 1)
    if (i < 0) return NO
    i = skipSpace(i)
    if (b[i] === 93) return i + 1
    if (b[i] !== 44) return NO
    i = skipSpace(i + 1)
  }
}

const object = (node: ByteNode, from: number, depth: number): number => {
  let seen = 0
  let i = skipSpace(from + 1)
  if (b[i] === 125) return node.required === 0 ? i + 1 : NO
  for (let n = 0; ; n++) {
    const property = propertyAt(node, n, i)
    if (property === undefined) return NO
    i = skipSpace(i + property.bytes.length)
    if (b[i] !== 58) return NO
    i = skipSpace(i + 1)
    if (property.isKey && b[i] === 110) return NO
    i = value(property.node, i, depth + 1)
    if (i < 0) return NO
    seen |= property.bit
    i = skipSpace(i)
    if (b[i] === 125) break
    if (b[i] !== 44) return NO
    i = skipSpace(i + 1)
  }
  return (seen & node.required) === node.required ? i + 1 : NO
}

/** The property whose name stands at `i`: the one that stood there last time, or looked up. */
const propertyAt = (node: ByteNode, n: number, i: number): PropertyNode | undefined => {
  const expected = node.order[n]
  if (expected !== undefined) {
    const { bytes } = expected
    let k = 0
    while (k < bytes.length && b[i + k] === bytes[k]) k++
    if (k === bytes.length) return expected
  }
  if (b[i] !== 34) return undefined
  let end = i + 1
  for (;;) {
    const c = b[end] as number
    if (c === 34) break
    // An escaped name may be any name; let the parser say which.
    if (c === 92 || !(c >= 32)) return undefined
    end++
  }
  const name = utf8(i + 1, end)
  const known = node.properties.get(name)
  const found = known ?? unnamed(node, i, end + 1)
  if (found !== undefined && n < maxOrder) node.order[n] = found
  return found
}

/** A property that the schema does not name. */
const unnamed = (node: ByteNode, from: number, to: number): PropertyNode | undefined =>
  node.others === undefined
    ? undefined
    : { bytes: Uint8Array.from(b.subarray(from, to)), node: node.others, bit: 0, isKey: false }

/**
 * The byte check of a schema, or undefined where it has something that bytes do not decide.
 * It answers true for [from, to) of `bytes` only where that is one JSON object and valid.
 */
export const compileByteCheck = (
  schema: JsonObject,
  keys: readonly string[],
): ((bytes: Buffer, from: number, to: number) => boolean) | undefined => {
  const root = byteNodeOf(schema, keys)
  if (root === undefined) return undefined
  return (bytes, from, to) => {
    b = bytes
    return b[from] === 123 && object(root, from, 0) === to
  }
}
