/**
 * One block of lines at the bottom of a terminal that is painted again and again, while ordinary lines scroll above it.
 *
 * `show` keeps the newest lines and paints them at most ten times a second; `above` prints a line over the block;
 * `end` takes the block away (or leaves its last picture) and gives the cursor back. On a stream that cannot be
 * repainted, `show` does nothing and `above` is an ordinary line.
 */
import { cut } from './width.ts'

export interface PaintTarget {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

const EVERY_MS = 100
const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const CLEAR_BELOW = '\u001b[0J'

export class ProgressBlock {
  readonly #target: PaintTarget
  readonly #repaints: boolean
  #lines: readonly string[] = []
  #painted = 0
  #timer: NodeJS.Timeout | undefined
  #lastMs = 0
  #begun = false

  constructor(target: PaintTarget, repaints: boolean) {
    this.#target = target
    this.#repaints = repaints
  }

  /** What the block is to show from now on. */
  show(lines: readonly string[]): void {
    if (!this.#repaints) return
    this.#lines = lines
    if (this.#timer !== undefined) return
    const wait = Math.max(0, EVERY_MS - (Date.now() - this.#lastMs))
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#paint()
    }, wait)
    this.#timer.unref()
  }

  /** Prints text, which ends in a newline, above the block. */
  above(text: string): void {
    if (this.#painted === 0) {
      this.#target.write(text)
      return
    }
    this.#target.write(this.#back() + CLEAR_BELOW + text)
    this.#painted = 0
    this.#paint()
  }

  /** Ends the block. May be called again. */
  end(how: 'erase' | 'keep' = 'erase'): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (how === 'keep' && this.#repaints && this.#lines.length > 0) this.#paint()
    const erase = how === 'erase' && this.#painted > 0 ? this.#back() + CLEAR_BELOW : ''
    if (this.#begun) this.#target.write(erase + SHOW_CURSOR)
    this.#painted = 0
    this.#lines = []
    this.#begun = false
  }

  #paint(): void {
    const columns = Math.max(20, this.#target.columns || 80)
    const room = Math.max(1, (this.#target.rows || 24) - 1)
    const lines = this.#lines.slice(0, room).map((l) => cut(l, columns - 1))
    this.#target.write(
      `${this.#begun ? '' : HIDE_CURSOR}${this.#back()}${CLEAR_BELOW}${lines.map((l) => `${l}\n`).join('')}`,
    )
    this.#begun = true
    this.#painted = lines.length
    this.#lastMs = Date.now()
  }

  #back(): string {
    return this.#painted === 0 ? '' : `\u001b[${this.#painted}A\r`
  }
}
