import { MillraceError } from '../errors/error.ts'
import { textAt } from './bytes.ts'

/** How the body of the input is encoded. */
export type ContentType = 'jsonline' | 'transit'

/**
 * Tells the generations apart by the first lines (docs/reference/messages.md):
 * `stitchstream/0.1`, `Key: value` lines and `--` is the 0.1 header, whose content type decides the body;
 * `==RECORDS` and `==BOOKMARK` are the block format from before it, refused;
 * `[` is transit without a header; anything else is JSON lines.
 */
export class HeaderReader {
  contentType: ContentType = 'jsonline'
  #state: 'first-line' | 'in-header' | 'body' = 'first-line'
  #typed = false

  /** Whether a header has begun and not ended. */
  get isOpen(): boolean {
    return this.#state === 'in-header'
  }

  /** Takes a line that is not blank; answers whether it belonged to the header. */
  take(b: Buffer, from: number, end: number, line: number): boolean {
    if (this.#state === 'body') return false
    if (this.#state === 'first-line') {
      if (b[from] === 123) {
        this.#state = 'body'
        return false
      }
      return this.#first(textAt(b, from, Math.min(end, from + 200)), line)
    }
    return this.#inside(textAt(b, from, end), line)
  }

  #first(text: string, line: number): boolean {
    if (/^stitchstream\/0\./i.test(text)) {
      this.#state = 'in-header'
      return true
    }
    if (/^stitchstream\//i.test(text))
      throw new MillraceError('MESSAGE_UNSUPPORTED_FORMAT', {
        line,
        why: `version ${text.trim()} of the format is not known`,
      })
    if (/^==(RECORDS|BOOKMAR)/.test(text))
      throw new MillraceError('MESSAGE_UNSUPPORTED_FORMAT', {
        line,
        why: 'this is the block format of October 2016 (==RECORDS==for==…), which names no keys and is not read',
        fix: 'Update the streamer: any version from November 2016 on writes stitchstream/0.1 or Singer.',
      })
    this.#state = 'body'
    if (text.startsWith('[')) this.contentType = 'transit'
    return false
  }

  #inside(text: string, line: number): boolean {
    if (text.trim() === '--') {
      if (!this.#typed)
        throw new MillraceError('MESSAGE_UNSUPPORTED_FORMAT', {
          line,
          why: 'the stitchstream header names no Content-Type',
        })
      this.#state = 'body'
      return true
    }
    const colon = text.indexOf(':')
    if (colon < 0 || /^[[{]/.test(text))
      throw new MillraceError('MESSAGE_UNSUPPORTED_FORMAT', {
        line,
        why: 'the stitchstream header has no closing -- line',
      })
    if (text.slice(0, colon).trim().toLowerCase() !== 'content-type') return true
    const type = text
      .slice(colon + 1)
      .trim()
      .toLowerCase()
    if (type !== 'jsonline' && type !== 'transit')
      throw new MillraceError('MESSAGE_UNSUPPORTED_FORMAT', {
        line,
        why: `Unsupported content-type: ${type.slice(0, 60)}`,
      })
    this.contentType = type
    this.#typed = true
    return true
  }
}
