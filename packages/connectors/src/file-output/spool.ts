import type { OutputFolder } from './folder.ts'
import type { OutputFile } from './output-file.ts'

const spoolBytes = 1024 * 1024

/**
 * Two buffers for all files of a folder: one is filled while the other is written. So memory does not grow with the
 * number of substreams, and a record costs a copy.
 */
export class Spool {
  readonly #folder: OutputFolder
  /** To be filled from `at` on, by whoever holds the spool. */
  buffer: Buffer = Buffer.allocUnsafeSlow(spoolBytes)
  at = 0
  #other: Buffer = Buffer.allocUnsafeSlow(spoolBytes)
  #writing: Promise<void> | undefined

  constructor(folder: OutputFolder) {
    this.#folder = folder
  }

  /** Begins to write what was filled in; resolves when there is an empty buffer again. */
  async spill(file: OutputFile, lines: number): Promise<void> {
    if (this.at === 0) return
    const filled = this.buffer.subarray(0, this.at)
    await this.settle()
    this.#writing = this.#folder.write(file, filled, lines)
    // Told at the next settle; until then it is not unheard of.
    this.#writing.catch(() => {})
    ;[this.buffer, this.#other] = [this.#other, this.buffer]
    this.at = 0
  }

  /** Makes room for so many bytes; a piece longer than the buffer gets one of its own. Only when nothing is filled in. */
  async makeRoom(bytes: number): Promise<void> {
    if (bytes <= this.buffer.length) return
    await this.settle()
    this.buffer = Buffer.allocUnsafeSlow(bytes)
  }

  /** Goes back to buffers of the usual size. */
  async shrink(): Promise<void> {
    if (this.buffer.length === spoolBytes && this.#other.length === spoolBytes) return
    await this.settle()
    if (this.buffer.length !== spoolBytes) this.buffer = Buffer.allocUnsafeSlow(spoolBytes)
    if (this.#other.length !== spoolBytes) this.#other = Buffer.allocUnsafeSlow(spoolBytes)
  }

  /** Resolves when everything spilled is written. Throws what went wrong with it. */
  async settle(): Promise<void> {
    const writing = this.#writing
    this.#writing = undefined
    await writing
  }
}
