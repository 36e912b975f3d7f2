import { RecordBatch } from '../../record-batch.ts'
import { encodeContent } from './block.ts'
import type { AppendDone } from './store.ts'

const maxBytes = 1024 * 1024

/**
 * Small appends to one stream that came in one turn of the event loop: to the thread they are one, as they will lie in one block, and
 * each of them knows its place in it. A hand-over costs more than such an append, and so does a block.
 */
export class Gathering {
  /** Of all of them together. */
  readonly done: Promise<AppendDone>
  readonly #batches: RecordBatch[]
  #records: number
  #bytes: number
  #hasLeft = false

  /** `append` is given what makes the content; it is called when it leaves, and nothing is added after that. `memory`: what the content is made in. */
  constructor(
    first: RecordBatch,
    append: (content: () => Uint8Array<ArrayBuffer>) => Promise<AppendDone>,
    memory?: (bytes: number) => ArrayBuffer,
  ) {
    this.#batches = [copyOf(first)]
    this.#records = first.count
    this.#bytes = first.contentEnd
    this.done = append(() => {
      this.#hasLeft = true
      return encodeContent(RecordBatch.join(this.#batches), memory)
    })
  }

  /** How many records lie before those of the batch; undefined where it has to go another way. */
  add(batch: RecordBatch): number | undefined {
    if (this.#hasLeft || this.#bytes + batch.contentEnd > maxBytes || batch.gap !== this.#batches[0]?.gap)
      return undefined
    const at = this.#records
    this.#batches.push(copyOf(batch))
    this.#records += batch.count
    this.#bytes += batch.contentEnd
    return at
  }
}

/** The caller may use its memory again. */
const copyOf = ({ bytes, contentEnd, ends, gap, keys, contentTypes }: RecordBatch): RecordBatch =>
  new RecordBatch({ bytes: bytes.slice(0, contentEnd), ends, gap, keys, contentTypes })
