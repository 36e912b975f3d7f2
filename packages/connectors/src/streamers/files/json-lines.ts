import { isUtf8 } from 'node:buffer'
import { EncodedRecords, isMillraceError, isObject, MillraceError, RecordMessage } from '@millrace/sdk'
import type { Block } from './blocks.ts'

/** The records of a block: unopened for their schema, and as lines whose records are the bytes of the file. */
export interface JsonBlock {
  readonly records: readonly RecordMessage[]
  readonly encoded: EncodedRecords
}

const after = Buffer.from('}\n')
const isSpace = (c: number | undefined): boolean => c === 32 || c === 9 || c === 13 || c === 10

/** Reads a block of JSON lines. Throws SOURCE_MALFORMED with file and line where one is no object. */
export const jsonBlock = (block: Block, substream: string, source: string): JsonBlock => {
  const { bytes } = block
  const before = Buffer.from(`{"type":"RECORD","stream":${JSON.stringify(substream)},"record":`)
  const extents: number[] = []
  const isText = isUtf8(bytes)
  const records: RecordMessage[] = []
  let from = block.line === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
  for (let line = block.line; from < bytes.length; line++) {
    const newline = bytes.indexOf(10, from)
    let end = newline < 0 ? bytes.length : newline
    const next = end + 1
    while (from < end && isSpace(bytes[from])) from++
    while (end > from && isSpace(bytes[end - 1])) end--
    if (end > from) {
      records.push(recordOf(bytes, from, end, source, line, isText))
      extents.push(from, end)
    }
    from = next
  }
  const lines = Buffer.allocUnsafeSlow(bytes.length + records.length * (before.length + after.length))
  let at = 0
  for (let i = 0; i < extents.length; i += 2) {
    at += before.copy(lines, at)
    at += bytes.copy(lines, at, extents[i], extents[i + 1])
    at += after.copy(lines, at)
  }
  return {
    records,
    encoded: new EncodedRecords(lines.subarray(0, at), records.length, { before: before.length, after: 1 }),
  }
}

const recordOf = (
  buffer: Buffer,
  from: number,
  to: number,
  source: string,
  line: number,
  isText: boolean,
): RecordMessage => {
  if (!isText && !isUtf8(buffer.subarray(from, to))) throw new MillraceError('MESSAGE_NOT_UTF8', { source, line })
  try {
    const record = new RecordMessage('', line, { buffer, from, to })
    if (isObject(record.plain)) return record
  } catch (e) {
    if (!isMillraceError(e)) throw e
    throw new MillraceError(
      'SOURCE_MALFORMED',
      { source, line, why: `is not JSON (${String(e.details['why'] ?? e.message)})` },
      { cause: e },
    )
  }
  throw new MillraceError('SOURCE_MALFORMED', { source, line, why: 'is JSON, but no object' })
}
