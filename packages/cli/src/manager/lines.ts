/** What is read from stdin or a file, as blocks of whole lines that may be published. */
import { checkJsonLines, isMillraceError, MillraceError } from '@millrace/sdk'

const NEWLINE = 10
const maxLineBytes = 16 * 1024 * 1024

export interface LinesOptions {
  /** Each line has to be JSON; blank ones are left out. Else each is a text, blank ones too. */
  readonly isJson: boolean
  /** What is read, for what is said of a bad line. */
  readonly source: string
  /** Ends the reading; what was read is handed out, but not half a line. */
  readonly stop: AbortSignal
}

/**
 * Blocks of lines, each with its newline, as soon as they are there. Throws what the input fails with, and for a bad line
 * MESSAGE_NOT_JSON or MESSAGE_NOT_UTF8 with its number, after the lines before it.
 */
export const blocksOf = async function* (
  input: AsyncIterable<Uint8Array>,
  options: LinesOptions,
): AsyncGenerator<Uint8Array> {
  let rest: Buffer = Buffer.alloc(0)
  let line = 1
  try {
    for await (const chunk of input) {
      const all =
        rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk])
      const end = all.lastIndexOf(NEWLINE) + 1
      rest = all.subarray(end)
      if (rest.length > maxLineBytes)
        throw new MillraceError('MESSAGE_TOO_LONG', {
          source: options.source,
          line,
          maxBytes: maxLineBytes,
          fix: 'A stream takes no longer record: split it, or have it name where the large part is kept.',
        })
      if (end === 0) continue
      for (const block of checked(all.subarray(0, end), options, line)) {
        if ('fault' in block) throw block.fault
        line += block.lines
        if (block.bytes.length > 0) yield block.bytes
      }
    }
  } catch (e) {
    // A stop ends the input in its middle.
    if (!options.stop.aborted || isMillraceError(e)) throw e
    return
  }
  if (rest.length === 0 || options.stop.aborted) return
  for (const block of checked(Buffer.concat([rest, Buffer.of(NEWLINE)]), options, line)) {
    if ('fault' in block) throw block.fault
    if (block.bytes.length > 0) yield block.bytes
  }
}

type Checked = { readonly bytes: Uint8Array; readonly lines: number } | { readonly fault: unknown }

/** Lines that end as those of Windows do, ending as all others. In JSON the two bytes stand nowhere else. */
const withoutReturns = (block: Buffer): Buffer => {
  let at = block.indexOf('\r\n')
  if (at < 0) return block
  const parts: Buffer[] = []
  let from = 0
  for (; at >= 0; at = block.indexOf('\r\n', from)) {
    parts.push(block.subarray(from, at))
    from = at + 1
  }
  parts.push(block.subarray(from))
  return Buffer.concat(parts)
}

const checked = function* (given: Buffer, { isJson, source }: LinesOptions, firstLine: number): Generator<Checked> {
  if (!isJson) {
    yield { bytes: given, lines: 0 }
    return
  }
  const block = withoutReturns(given)
  try {
    const { bytes, lines } = checkJsonLines(block, { source, firstLine, fix: 'Give one JSON value a line.' })
    yield { bytes, lines }
  } catch (fault) {
    if (!isMillraceError(fault)) throw fault
    let end = 0
    for (let n = Number(fault.details['line']) - firstLine; n > 0; n--) end = block.indexOf(NEWLINE, end) + 1
    yield { bytes: checkJsonLines(block.subarray(0, end)).bytes, lines: 0 }
    yield { fault }
  }
}
