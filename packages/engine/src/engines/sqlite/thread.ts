/**
 * A thread that owns one connection to the log file. The writing one gathers the appends that came while the last commit
 * was made and makes one commit of them: sixty writers that wait for the disk wait for it together. Asks and answers cross
 * between the threads many at a time: each crossing wakes a thread.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { isMillraceError, type MillraceError } from '@millrace/sdk'
import { type AppendDone, LogStore, type PendingAppend, type StoredContent } from './store.ts'

type Method = Exclude<keyof LogStore, 'append' | 'blocks' | 'purge'>

export type Ask =
  | { readonly id: number; readonly do: 'call'; readonly method: Method; readonly args: readonly unknown[] }
  | { readonly id: number; readonly do: 'blocks'; readonly args: Parameters<LogStore['blocks']> }
  | { readonly id: number; readonly do: 'append'; readonly pending: PendingAppend }

/** What went wrong: an error of ours with its details, or one of SQLite with its number. */
export type Fault =
  | { readonly code: MillraceError['code']; readonly details: MillraceError['details'] }
  | { readonly message: string; readonly errcode: number | undefined }

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly fault?: Fault
}

const faultOf = (e: unknown): Fault =>
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
class Answers {
  readonly #port: MessagePort
  #waiting: Answer[] = []
  readonly #memory = new Set<ArrayBuffer>()

  constructor(port: MessagePort) {
    this.#port = port
  }

  add(id: number, value: unknown): void {
    this.#waiting.push({ id, value })
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

/** Commits what has gathered, and answers each of them. */
class Commits {
  readonly #answers: Answers
  readonly #store: LogStore
  #waiting: { readonly id: number; readonly pending: PendingAppend }[] = []

  constructor(answers: Answers, store: LogStore) {
    this.#answers = answers
    this.#store = store
  }

  add(id: number, pending: PendingAppend): void {
    this.#waiting.push({ id, pending })
    // Behind the messages that are here already.
    if (this.#waiting.length === 1)
      setImmediate(() => {
        this.commit()
        this.#answers.send()
      })
  }

  commit(): void {
    const group = this.#waiting
    if (group.length === 0) return
    this.#waiting = []
    let done: readonly (AppendDone | MillraceError)[] | undefined
    let fault: Fault | undefined
    try {
      done = this.#store.append(group.map(({ pending }) => pending))
    } catch (e) {
      fault = faultOf(e)
    }
    group.forEach(({ id }, i) => {
      const result = done?.[i]
      if (fault !== undefined) this.#answers.addFault(id, fault)
      else if (isMillraceError(result)) this.#answers.addFault(id, faultOf(result))
      else this.#answers.add(id, result)
    })
  }
}

class Service {
  readonly #port: MessagePort
  readonly #store: LogStore
  readonly #writes: boolean
  readonly #answers: Answers
  readonly #commits: Commits
  #isClosed = false

  constructor(port: MessagePort, store: LogStore, writes: boolean) {
    this.#port = port
    this.#store = store
    this.#writes = writes
    this.#answers = new Answers(port)
    this.#commits = new Commits(this.#answers, store)
  }

  start(): void {
    this.#port.on('message', (asks: readonly Ask[]) => {
      for (const ask of asks) {
        try {
          this.#serve(ask)
        } catch (e) {
          this.#answers.addFault(ask.id, faultOf(e))
        }
      }
      this.#answers.send()
      if (this.#isClosed) this.#port.close()
    })
    if (this.#writes) setImmediate(() => this.#purge())
  }

  #serve(ask: Ask): void {
    switch (ask.do) {
      case 'append':
        this.#commits.add(ask.id, ask.pending)
        return
      case 'blocks':
        this.#answers.addBlocks(ask.id, this.#store.blocks(...ask.args))
        return
      case 'call': {
        // What is asked behind an append sees it.
        if (this.#writes) this.#commits.commit()
        const call = this.#store[ask.method] as (...args: readonly unknown[]) => unknown
        this.#answers.add(ask.id, call.apply(this.#store, [...ask.args]))
        if (ask.method === 'drop') setImmediate(() => this.#purge())
        if (ask.method === 'close') this.#isClosed = true
        return
      }
      default:
        ask satisfies never
    }
  }

  #purge(): void {
    if (this.#isClosed) return
    try {
      if (this.#store.purge()) setImmediate(() => this.#purge())
    } catch {
      // What is left of a dropped stream costs room only; it is tried again with the next drop and at the next start.
    }
  }
}

if (parentPort !== null) {
  const { path, access } = workerData as { readonly path: string; readonly access: 'write' | 'read' }
  try {
    new Service(parentPort, new LogStore(path, access), access === 'write').start()
    parentPort.postMessage([{ id: 0 }] satisfies Answer[])
  } catch (e) {
    // The thread stays until it is ended from outside, so that this answer is never overtaken by its end.
    parentPort.on('message', () => {})
    parentPort.postMessage([{ id: 0, fault: faultOf(e) }] satisfies Answer[])
  }
}
