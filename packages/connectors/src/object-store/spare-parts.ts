/** Parts but the last may not be smaller than 5 MiB. */
export const partBytes: number = 8 * 1024 * 1024
const mostKept = 3

/**
 * Buffers of parts that arrived, to be filled again by whichever object comes next: fresh memory costs more than what is done
 * with it. A few are kept.
 */
export class SpareParts {
  readonly #buffers: Buffer[] = []

  take(): Buffer | undefined {
    return this.#buffers.pop()
  }

  give(buffer: Buffer): void {
    if (buffer.length === partBytes && this.#buffers.length < mostKept) this.#buffers.push(buffer)
  }
}
