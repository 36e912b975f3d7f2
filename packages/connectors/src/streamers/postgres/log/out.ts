/** Bytes that are written one after the other, and grow. */

const START_BYTES = 16 * 1024
const QUOTE = 34
const BACKSLASH = 92
const SPACE = 32

/** JSON's short escapes, by the byte that they stand for. */
const short: Readonly<Record<number, string>> = { 8: 'b', 9: 't', 10: 'n', 12: 'f', 13: 'r', 34: '"', 92: '\\' }

/** The escape of each byte that cannot stand in a JSON string as it is: as PostgreSQL writes it, and JSON.stringify. */
const escapes: readonly (Buffer | undefined)[] = Array.from({ length: 256 }, (_, byte) => {
  if (short[byte] !== undefined) return Buffer.from(`\\${short[byte]}`)
  return byte < SPACE ? Buffer.from(`\\u${byte.toString(16).padStart(4, '0')}`) : undefined
})

/** Below this length a loop is faster than a call of copy. */
const SHORT_COPY = 24

export class Out {
  #bytes = Buffer.allocUnsafe(START_BYTES)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** What was written so far; it is the caller's from now on. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length)
    this.#bytes = Buffer.allocUnsafe(Math.max(START_BYTES, Math.min(this.#bytes.length, 4 * START_BYTES)))
    this.#length = 0
    return taken
  }

  /** Writes over what was written. */
  set(at: number, byte: number): void {
    this.#bytes[at] = byte
  }

  byte(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = byte
  }

  copy(from: Buffer, start: number, end: number): void {
    const length = end - start
    this.#reserve(length)
    if (length < SHORT_COPY) {
      const bytes = this.#bytes
      let at = this.#length
      for (let i = start; i < end; i++) bytes[at++] = from[i] as number
      this.#length = at
    } else {
      from.copy(this.#bytes, this.#length, start, end)
      this.#length += length
    }
  }

  all(from: Buffer): void {
    this.copy(from, 0, from.length)
  }

  text(text: string): void {
    this.#reserve(text.length * 3)
    this.#length += this.#bytes.write(text, this.#length, 'utf8')
  }

  /** Text in UTF-8 as a JSON string. */
  string(from: Buffer, start: number, end: number): void {
    this.#reserve((end - start) * 6 + 2)
    const bytes = this.#bytes
    let at = this.#length
    bytes[at++] = QUOTE
    for (let i = start; i < end; i++) {
      const byte = from[i] as number
      if (byte >= SPACE && byte !== QUOTE && byte !== BACKSLASH) {
        bytes[at++] = byte
        continue
      }
      const escaped = escapes[byte] as Buffer
      for (let k = 0; k < escaped.length; k++) bytes[at++] = escaped[k] as number
    }
    bytes[at++] = QUOTE
    this.#length = at
  }

  /** JSON as it stands; a control character between its values becomes a space, as everywhere in the lines of a table. */
  json(from: Buffer, start: number, end: number): void {
    this.#reserve(end - start)
    const bytes = this.#bytes
    let at = this.#length
    for (let i = start; i < end; i++) {
      const byte = from[i] as number
      bytes[at++] = Math.max(byte, SPACE)
    }
    this.#length = at
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}
