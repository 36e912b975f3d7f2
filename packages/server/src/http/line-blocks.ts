import type { Readable } from 'node:stream'
import { MillraceError } from '@millrace/sdk'

const NEWLINE = 10

export interface LineBlocksOptions {
  /** What is gathered at most before the sender has to wait, bytes; a longer line is taken all the same. */
  readonly blockBytes: number
  /** Bytes of one line. */
  readonly lineBytes: number
  /** Without a byte, milliseconds. */
  readonly idleMs: number
}

/**
 * A body as blocks of whole lines, as large as what came meanwhile, within the limit. Reading stops while a block is full, so that the sender
 * waits for whoever takes the blocks.
 */
export class LineBlocks {
  readonly #body: Readable
  readonly #options: LineBlocksOptions
  #chunks: Buffer[] = []
  #size = 0
  /** Bytes up to and including the last newline. */
  #whole = 0
  #state: 'open' | 'ended' | 'failed' = 'open'
  #error: unknown
  #wake: () => void = () => {}
  readonly #timer: NodeJS.Timeout

  constructor(body: Readable, options: LineBlocksOptions) {
    this.#body = body
    this.#options = options
    this.#timer = setTimeout(
      () => this.#fail(new MillraceError('REQUEST_TOO_SLOW', { seconds: options.idleMs / 1000 })),
      options.idleMs,
    )
    body.on('data', this.#take)
    body.on('end', this.#end)
    body.on('error', this.#fail)
    body.on('close', this.#closed)
  }

  readonly #take = (chunk: Buffer): void => {
    this.#timer.refresh()
    const newline = chunk.lastIndexOf(NEWLINE)
    if (newline >= 0) this.#whole = this.#size + newline + 1
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#size - this.#whole > this.#options.lineBytes)
      this.#fail(new MillraceError('REQUEST_TOO_LARGE', { what: 'a line', maxBytes: this.#options.lineBytes }))
    if (this.#isFull()) this.#body.pause()
    this.#wake()
  }

  readonly #end = (): void => {
    if (this.#state === 'open') this.#state = 'ended'
    this.#whole = this.#size
    clearTimeout(this.#timer)
    this.#wake()
  }

  readonly #fail = (e: unknown): void => {
    if (this.#state !== 'open') return
    this.#state = 'failed'
    this.#error = e
    this.#body.pause()
    clearTimeout(this.#timer)
    this.#wake()
  }

  readonly #closed = (): void => this.#fail(new MillraceError('INTERRUPTED', { signal: 'the sender' }))

  // A chunk more must fit, so that blocks are not cut in two behind.
  #isFull(): boolean {
    return this.#whole > 0 && this.#size + 65_536 > this.#options.blockBytes
  }

  /**
   * Whole lines, or undefined where there are no more. Waits for the first line, and after it until the block is full or
   * `soon` settles: what comes while the block before is written comes together. The last line may lack its newline. Throws what
   * the body failed with, REQUEST_TOO_LARGE, REQUEST_TOO_SLOW, and INTERRUPTED where it was cut off.
   */
  async next(soon: Promise<unknown> = Promise.resolve()): Promise<Buffer | undefined> {
    let isSoon = false
    const settled = (): void => {
      isSoon = true
      this.#wake()
    }
    soon.then(settled, settled)
    for (;;) {
      if (this.#state === 'failed') throw this.#error
      if (this.#whole > 0 && (isSoon || this.#state === 'ended' || this.#isFull())) return this.#cut()
      if (this.#state === 'ended') return undefined
      if (this.#body.isPaused() && !this.#isFull()) this.#body.resume()
      // While the reader waits for itself, a silent sender is not to blame.
      await new Promise<void>((wake) => {
        this.#wake = wake
      })
    }
  }

  #cut(): Buffer {
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks, this.#size)
    const rest = all.subarray(this.#whole)
    const block = all.subarray(0, this.#whole)
    this.#chunks = rest.length > 0 ? [rest] : []
    this.#size = rest.length
    this.#whole = 0
    if (this.#state === 'open') {
      this.#timer.refresh()
      this.#body.resume()
    }
    return block
  }

  /** Lets go of the body. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#body.off('data', this.#take)
    this.#body.off('end', this.#end)
    this.#body.off('close', this.#closed)
    // An error of a body that nobody reads any more is nobody's.
    this.#body.pause()
    this.#chunks = []
  }
}
