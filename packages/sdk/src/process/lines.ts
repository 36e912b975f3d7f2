/** Cuts what another program writes into lines, whatever the chunks. No line is longer than the limit it is given. */

export interface LinesOptions {
  readonly maxBytes: number
  /** `cut`: the rest of a longer line is dropped. `refuse`: `onTooLong` is called once and nothing more comes. */
  readonly tooLong: 'cut' | 'refuse'
  readonly onTooLong?: () => void
}

/** Feed it chunks; it calls back with each line, without its newline. */
export class Lines {
  readonly #options: LinesOptions
  readonly #onLine: (line: string) => void
  #parts: Buffer[] = []
  #bytes = 0
  #refused = false

  constructor(options: LinesOptions, onLine: (line: string) => void) {
    this.#options = options
    this.#onLine = onLine
  }

  push(chunk: Buffer): void {
    let from = 0
    while (!this.#refused) {
      const at = chunk.indexOf(10, from)
      if (at < 0) break
      this.#take(chunk.subarray(from, at))
      this.#emit()
      from = at + 1
    }
    if (from < chunk.length) this.#take(chunk.subarray(from))
  }

  #take(part: Buffer): void {
    const { maxBytes, tooLong, onTooLong } = this.#options
    const room = maxBytes - this.#bytes
    if (part.length > room && tooLong === 'refuse' && !this.#refused) {
      this.#refused = true
      this.#parts = []
      onTooLong?.()
    }
    if (this.#refused || room <= 0) return
    const kept = part.length > room ? part.subarray(0, room) : part
    this.#parts.push(kept)
    this.#bytes += kept.length
  }

  #emit(): void {
    if (this.#refused) return
    const line = (this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)).toString('utf8')
    this.#parts = []
    this.#bytes = 0
    this.#onLine(line.endsWith('\r') ? line.slice(0, -1) : line)
  }

  /** What stands after the last newline; undefined where there is nothing. */
  rest(): string | undefined {
    if (this.#bytes === 0) return undefined
    return Buffer.concat(this.#parts).toString('utf8')
  }
}

/** The last lines of a log, bounded in lines and bytes. */
export class Tail {
  readonly #lines: string[] = []
  #bytes = 0

  add(line: string): void {
    this.#lines.push(line)
    this.#bytes += line.length
    while (this.#lines.length > maxTailLines || (this.#bytes > maxTailBytes && this.#lines.length > 1))
      this.#bytes -= (this.#lines.shift() ?? '').length
  }

  toString(): string {
    return this.#lines.join('\n')
  }
}
const maxTailLines = 50
const maxTailBytes = 16 * 1024
