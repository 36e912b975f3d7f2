import { MillraceError } from '../errors/error.ts'
import { NEWLINE } from '../message/bytes.ts'

/**
 * Splits chunks into lines without their newline (a CR before it goes too): one array for each chunk that completed
 * any. A last line without a newline counts. Throws MESSAGE_TOO_LONG.
 */
export async function* splitLines(
  input: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<Buffer[], void, undefined> {
  let rest: Buffer[] = []
  let restBytes = 0
  let line = 0
  const trimmed = (b: Buffer): Buffer => (b.length > 0 && b[b.length - 1] === 13 ? b.subarray(0, -1) : b)
  for await (const chunk of input) {
    const b = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const lines: Buffer[] = []
    let at = 0
    for (let newline = b.indexOf(NEWLINE); newline >= 0; newline = b.indexOf(NEWLINE, at)) {
      const end = b.subarray(at, newline)
      lines.push(trimmed(restBytes === 0 ? end : Buffer.concat([...rest, end])))
      rest = []
      restBytes = 0
      at = newline + 1
    }
    if (at < b.length) {
      rest.push(b.subarray(at))
      restBytes += b.length - at
    }
    if (restBytes > maxLineBytes || lines.some((l) => l.length > maxLineBytes))
      throw new MillraceError('MESSAGE_TOO_LONG', { line: line + lines.length + 1, maxBytes: maxLineBytes })
    line += lines.length
    if (lines.length > 0) yield lines
  }
  if (restBytes > 0) yield [trimmed(Buffer.concat(rest))]
}
