/** What a thread of the log answers: values and faults, many at a time. */
import type { MessagePort } from 'node:worker_threads'
import { isMillraceError, type MillraceError } from '@millrace/sdk/errors'
import type { StoredContent } from './store.ts'

/** What went wrong: an error of ours with its details, or one of SQLite with its number. */
export type Fault =
  | { readonly code: MillraceError['code']; readonly details: MillraceError['details'] }
  | { readonly message: string; readonly errcode: number | undefined }

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly fault?: Fault
  /** Memory that came with what was asked, and is given back. */
  readonly spare?: ArrayBuffer
}

export const faultOf = (e: unknown): Fault =>
  isMillraceError(e)
    ? { code: e.code, details: e.details }
    : { message: e instanceof Error ? e.message : String(e), errcode: (e as { errcode?: number }).errcode }

/** Contents below this travel in one piece of memory together. */
const smallBytes = 16 * 1024

/** Blocks in memory that can be handed over, which is listed in `memory`. */
const handedOver = (blocks: readonly StoredContent[], memory: Set<ArrayBuffer>): readonly StoredContent[] => {
  const isSmall = ({ content }: StoredContent): boolean => content.length < smallBytes
  let room = 0
  for (const block of blocks) if (isSmall(block)) room += align(block.content.length)
  const shared = new Uint8Array(new ArrayBuffer(room))
  if (room > 0) memory.add(shared.buffer)
  let at = 0
  return blocks.map((block) => {
    if (isSmall(block)) {
      shared.set(block.content, at)
      const content = shared.subarray(at, at + block.content.length)
      at += align(block.content.length)
      return { ...block, content }
    }
    const { content } = block
    const isOwn = content.buffer.byteLength <= content.length + 1
    const own = (isOwn ? content : new Uint8Array(content)) as Uint8Array<ArrayBuffer>
    memory.add(own.buffer)
    return { ...block, content: own }
  })
}
const align = (n: number): number => (n + 7) & ~7

/** Gathers answers and sends them together. */
export class Answers {
  readonly #port: MessagePort
  #waiting: Answer[] = []
  readonly #memory = new Set<ArrayBuffer>()

  constructor(port: MessagePort) {
    this.#port = port
  }

  add(id: number, value: unknown): void {
    this.#waiting.push({ id, value })
  }

  /** The same, and hands back the memory that came with the question: nobody may look at it any more. */
  addWithSpare(id: number, value: unknown, spare: ArrayBuffer): void {
    this.#waiting.push({ id, value, spare })
    this.#memory.add(spare)
  }

  addBlocks(id: number, blocks: readonly StoredContent[]): void {
    this.add(id, handedOver(blocks, this.#memory))
  }

  addFault(id: number, fault: Fault): void {
    this.#waiting.push({ id, fault })
  }

  send(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    this.#port.postMessage(waiting, [...this.#memory])
    this.#memory.clear()
  }
}
