/** What COPY … TO STDOUT sends, as the lines that it means. */
const NEWLINE = 10
const BACKSLASH = 92
const SPACE = 32

/** Whole lines, and how many. */
export interface Lines {
  readonly bytes: Buffer
  readonly count: number
}

/**
 * Cuts the text format of COPY, of one column that is never null, into whole lines and takes its escapes away. A line end
 * inside of a value becomes a space: in JSON it can only stand between values.
 * (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format")
 */
export class CopyLines {
  #rest: Buffer[] = []

  /** The lines that this chunk completes; undefined where it completes none. */
  push(chunk: Buffer): Lines | undefined {
    const last = chunk.lastIndexOf(NEWLINE)
    if (last < 0) {
      this.#rest.push(chunk)
      return undefined
    }
    const whole =
      this.#rest.length === 0
        ? chunk.subarray(0, last + 1)
        : Buffer.concat([...this.#rest, chunk.subarray(0, last + 1)])
    this.#rest = last + 1 < chunk.length ? [chunk.subarray(last + 1)] : []
    const bytes = unescaped(whole)
    return { bytes, count: countLines(bytes) }
  }
}

const countLines = (b: Buffer): number => {
  let count = 0
  for (let at = b.indexOf(NEWLINE); at >= 0; at = b.indexOf(NEWLINE, at + 1)) count++
  return count
}

const letters: Readonly<Record<number, number>> = {
  98: SPACE,
  102: SPACE,
  110: SPACE,
  114: SPACE,
  116: SPACE,
  118: SPACE,
}

const unescaped = (b: Buffer): Buffer => {
  let from = b.indexOf(BACKSLASH)
  if (from < 0) return b
  const out = Buffer.allocUnsafe(b.length)
  let at = b.copy(out, 0, 0, from)
  while (from >= 0) {
    const letter = b[from + 1] as number
    out[at++] = letters[letter] ?? letter
    const next = b.indexOf(BACKSLASH, from + 2)
    at += b.copy(out, at, from + 2, next < 0 ? b.length : next)
    from = next
  }
  return out.subarray(0, at)
}
