/** Output is handed over in pieces of at least so many bytes. */
const writeBytes = 64 * 1024
/** How long a source that never waits may keep the event loop, in milliseconds. */
const turnMs = 50

/** Gathers output into pieces and hands them over one at a time. */
export class PieceOutput {
  readonly #write: (chunk: Uint8Array) => void | Promise<void>
  #parts: Uint8Array[] = []
  #bytes = 0
  #added = 0
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #turnAt = performance.now()

  constructor(write: (chunk: Uint8Array) => void | Promise<void>) {
    this.#write = write
  }

  add(part: Uint8Array): void {
    if (part.length === 0) return
    this.#parts.push(part)
    this.#bytes += part.length
    this.#added++
  }

  /** How often something was added. */
  get added(): number {
    return this.#added
  }

  fail(error: unknown): void {
    this.#failure ??= { error }
  }

  /** What has to be waited for before more may be added: nothing, until a piece is full. */
  wait(): void | Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#bytes >= writeBytes) return this.#full()
    if (performance.now() - this.#turnAt > turnMs) return this.#turn()
  }

  /** Hands over everything and waits until it was taken. */
  async flush(): Promise<void> {
    while (this.#bytes > 0 || this.#writing !== undefined) {
      if (this.#writing === undefined) this.#begin()
      await this.#writing
      if (this.#failure !== undefined) throw this.#failure.error
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Begins to hand over what there is, unless something is on its way. */
  lingering(): void {
    if (this.#failure === undefined && this.#bytes > 0 && this.#writing === undefined) this.#begin()
  }

  /** Waits for the piece before, then begins this one: encoding and writing overlap, and two pieces are held at most. */
  async #full(): Promise<void> {
    if (this.#writing !== undefined) await this.#writing
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#bytes > 0 && this.#writing === undefined) this.#begin()
    if (performance.now() - this.#turnAt > turnMs) await this.#turn()
  }

  /** Lets timers and signals have their turn. */
  async #turn(): Promise<void> {
    await new Promise<void>((done) => setImmediate(done))
    this.#turnAt = performance.now()
  }

  #begin(): void {
    const parts = this.#parts
    this.#parts = []
    this.#bytes = 0
    const piece = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
    this.#writing = (async () => {
      try {
        await this.#write(piece)
      } catch (error) {
        this.fail(error)
      } finally {
        this.#writing = undefined
      }
    })()
  }
}
