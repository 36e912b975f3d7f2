import { Worker } from 'node:worker_threads'
import { RecordBatch } from '@millrace/engine'
import { type ErrorCode, type ErrorDetails, MillraceError } from '@millrace/sdk'
import type { ImportHead, Refusal } from '@millrace/sdk/stitch'
import type { ReadBody } from './read-body.ts'

/** What the thread is asked. */
export interface Ask {
  readonly id: number
  readonly body: Uint8Array<ArrayBuffer>
  readonly head: ImportHead
}

/** What was read, with the records as the two parts of a batch; or what went wrong. */
export type Answer = { readonly id: number } & (
  | { readonly is: 'refused'; readonly refusal: Refusal }
  | { readonly is: 'empty' }
  | {
      readonly is: 'taken'
      readonly bytes: Uint8Array
      readonly ends: Uint32Array
      readonly isJson: boolean
      readonly digest: string
    }
  | { readonly is: 'failed'; readonly code: string | undefined; readonly details: object; readonly message: string }
)

interface Waiting {
  resolve(read: ReadBody): void
  reject(e: unknown): void
}

/** The thread that reads large bodies, as it is asked. It starts with the first body, and anew where it ended. */
export class BodyThread implements AsyncDisposable {
  readonly #program: URL
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #next = 0
  #isClosed = false

  /** `program` is what runs on it: it answers an {@link Ask} with an {@link Answer}. */
  constructor(program: URL) {
    this.#program = program
  }

  /** The body is handed over: its memory is gone here where it is not shared with others. Throws what reading throws, and MANAGER_UNAVAILABLE. */
  async read(body: Buffer<ArrayBuffer>, head: ImportHead): Promise<ReadBody> {
    if (this.#isClosed) throw unavailable('it stops')
    const worker = this.#started()
    const id = this.#next++
    // Small ones lie in memory that Node shares out.
    const own = body.buffer.byteLength === body.byteLength ? new Uint8Array(body.buffer) : new Uint8Array(body)
    return await new Promise<ReadBody>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.postMessage({ id, body: own, head } satisfies Ask, [own.buffer])
    })
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const worker = new Worker(this.#program)
    this.#worker = worker
    const end = (why: string): void => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      for (const { reject } of this.#waiting.values()) reject(unavailable(why))
      this.#waiting.clear()
    }
    worker.on('message', (answer: Answer) => this.#take(answer))
    worker.on('error', (e) => end(e.message))
    worker.on('exit', () => end('the thread that reads bodies ended'))
    return worker
  }

  #take(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (answer.is === 'failed') waiting?.reject(errorOf(answer))
    else if (answer.is !== 'taken') waiting?.resolve(answer)
    else {
      const { bytes, ends, isJson, digest } = answer
      waiting?.resolve({ is: 'taken', records: new RecordBatch({ bytes, ends }), isJson, digest })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#worker?.terminate()
  }
}

const unavailable = (why: string): MillraceError =>
  new MillraceError('MANAGER_UNAVAILABLE', { url: 'this address', why })

const errorOf = ({ code, details, message }: Extract<Answer, { is: 'failed' }>): Error =>
  code === undefined ? new Error(message) : new MillraceError(code as ErrorCode, details as ErrorDetails)
