/** Memory is made in steps of this, so that what comes back fits the next append, which is of about the same size. */
const step = 64 * 1024
/** What is kept for the next appends, at most: some of them are under way at a time. */
const defaultMaxBytes = 8 * 1024 * 1024

/** Memory that holds anything. */
export const newMemory = (bytes: number): ArrayBuffer => Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer

/**
 * Memory that appends crossed to the thread in, and that came back. Where memory is new to the process each page of it costs
 * the system some work, on virtual machines as much as all else that is done for a record: it is filled again instead.
 */
export class SpareMemory {
  readonly #maxBytes: number
  #spare: ArrayBuffer[] = []
  #bytes = 0

  constructor(maxBytes: number = defaultMaxBytes) {
    this.#maxBytes = maxBytes
  }

  /** Memory of at least `bytes`, which holds anything. What is far too large stays for others. */
  take(bytes: number): ArrayBuffer {
    if (bytes < step) return newMemory(bytes)
    const i = this.#spare.findIndex(({ byteLength }) => byteLength >= bytes && byteLength <= 2 * bytes)
    const [found] = i < 0 ? [] : this.#spare.splice(i, 1)
    if (found === undefined) return newMemory(Math.ceil(bytes / step) * step)
    this.#bytes -= found.byteLength
    return found
  }

  /** Takes memory back that nobody looks at any more; the oldest goes where there is too much. */
  give(memory: ArrayBuffer): void {
    if (memory.byteLength > this.#maxBytes) return
    this.#spare.push(memory)
    this.#bytes += memory.byteLength
    while (this.#bytes > this.#maxBytes) this.#bytes -= (this.#spare.shift() as ArrayBuffer).byteLength
  }

  /** Whether it is worth sending back. */
  static isWorth(memory: ArrayBuffer): boolean {
    return memory.byteLength >= step
  }
}
