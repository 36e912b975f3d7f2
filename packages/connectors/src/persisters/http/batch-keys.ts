import { createHash, randomUUID } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { isObject, type Json, MillraceError, systemCode } from '@millrace/sdk'

/**
 * The idempotency keys of batches: what a server knows a batch by, when it comes again.
 *
 * A key is made of a seed, the number of the flush that the batch belongs to, its place in it, and its bytes. So a batch that is
 * tried again has the same key, and a batch that only looks like an earlier one has another: rows that are legitimately equal
 * are never taken for a repetition. With a file, seed and number outlive the process: a run after a crash that comes to
 * the same batches sends them under the same keys.
 */
export class BatchKeys {
  readonly #file: string | undefined
  readonly #seed: string
  #flush: number
  readonly #places = new Map<string, number>()

  private constructor(file: string | undefined, seed: string, flush: number) {
    this.#file = file
    this.#seed = seed
    this.#flush = flush
  }

  /** Throws CONFIG_INVALID where the file cannot be read or is not one of ours. */
  static async open(file: string | undefined): Promise<BatchKeys> {
    if (file === undefined) return new BatchKeys(undefined, randomUUID(), 0)
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (e) {
      if (systemCode(e) !== 'ENOENT') throw unusable(file, systemCode(e) ?? 'it cannot be read', e)
      const keys = new BatchKeys(file, randomUUID(), 0)
      // Before the first batch: its key must be found again.
      await keys.#save()
      return keys
    }
    let kept: Json = null
    try {
      kept = JSON.parse(text) as Json
    } catch {}
    const seed = isObject(kept) ? kept['seed'] : undefined
    const flush = isObject(kept) ? kept['flush'] : undefined
    if (typeof seed !== 'string' || typeof flush !== 'number') throw unusable(file, 'it holds no keys of batches')
    return new BatchKeys(file, seed, flush)
  }

  /** The place of the next batch of a substream: asked for once a batch, in their order. */
  place(substream: string): number {
    const place = this.#places.get(substream) ?? 0
    this.#places.set(substream, place + 1)
    return place
  }

  /** The key of a batch, or of a part of one that had to be sent in parts. */
  key(substream: string, place: number, body: Uint8Array): string {
    return createHash('sha256')
      .update(JSON.stringify([this.#seed, this.#flush, substream, place]))
      .update(body)
      .digest('hex')
      .slice(0, 32)
  }

  /** All batches so far were taken: what comes next is new, whatever it looks like. Resolves when that is durable. */
  async flushed(): Promise<void> {
    if (this.#places.size === 0) return
    this.#flush++
    this.#places.clear()
    await this.#save()
  }

  async #save(): Promise<void> {
    const path = this.#file
    if (path === undefined) return
    try {
      const file = await open(`${path}.new`, 'w')
      try {
        await file.writeFile(`${JSON.stringify({ seed: this.#seed, flush: this.#flush })}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(`${path}.new`, path)
    } catch (e) {
      throw unusable(path, systemCode(e) ?? 'it cannot be written', e)
    }
  }
}

const unusable = (file: string, why: string, cause?: unknown): MillraceError =>
  new MillraceError(
    'CONFIG_INVALID',
    {
      what: `key file ${file}`,
      problems: [why],
      fix: 'It must be writable, in a folder that exists. Without it, batches of a killed run may come under other keys.',
    },
    { cause },
  )
