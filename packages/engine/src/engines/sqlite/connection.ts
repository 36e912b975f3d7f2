import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { MillraceError } from '@millrace/sdk/errors'
import type { Answer, Fault } from './answers.ts'
import { SpareMemory } from './spare-memory.ts'
import type { Access, Ask } from './thread.ts'

type AskBody = Ask extends infer A ? (A extends Ask ? Omit<A, 'id'> : never) : never

const SQLITE_FULL = 13
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

/** When what is asked leaves for the thread. */
export type Leaves = 'soon' | 'now'

/** A thread of an engine that is asked. */
export interface Asked {
  /**
   * It leaves `soon`, together with what else is asked in this turn of the event loop, or `now`, with what was asked before it. A body
   * may be made when it leaves. The memory of what is appended is handed over: it is gone here.
   */
  ask(body: AskBody | (() => AskBody), leaves?: Leaves): Promise<unknown>
  close(): Promise<void>
}

/** A thread that starts when it is first asked: one that nobody needs yet costs no memory. */
export class LateConnection implements Asked {
  readonly #path: string
  readonly #access: Access
  #opening: Promise<Connection> | undefined
  #opened: Connection | undefined
  #isClosed = false

  constructor(path: string, access: Access) {
    this.#path = path
    this.#access = access
  }

  async ask(body: AskBody | (() => AskBody), leaves: Leaves = 'soon'): Promise<unknown> {
    if (this.#isClosed) throw new MillraceError('LOG_UNAVAILABLE', { what: this.#path, why: 'the log was closed' })
    if (this.#opened !== undefined) return await this.#opened.ask(body, leaves)
    this.#opening ??= Connection.open(this.#path, this.#access)
    const opening = this.#opening
    try {
      this.#opened = await opening
      return await this.#opened.ask(body, leaves)
    } catch (e) {
      // One that did not come up is tried again by the next who asks.
      await opening.catch(() => {
        if (this.#opening === opening) this.#opening = undefined
      })
      throw e
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await (await this.#opening?.catch(() => undefined))?.close()
  }
}

/** One of the threads of an engine, and what waits for its answers. */
export class Connection implements Asked {
  /** Memory for what is appended next. */
  readonly spare: SpareMemory = new SpareMemory()
  readonly #path: string
  readonly #worker: Worker
  readonly #exited: Promise<unknown>
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(e: unknown): void }>()
  #asks: { readonly id: number; readonly body: AskBody | (() => AskBody) }[] = []
  #next = 1
  #ended: Error | undefined

  private constructor(path: string, access: Access) {
    this.#path = path
    const file = new URL(import.meta.resolve('@millrace/engine/sqlite-thread'))
    this.#worker = new Worker(file, { workerData: { path, access } })
    this.#exited = once(this.#worker, 'exit')
    this.#worker.on('message', (answers: readonly Answer[]) => {
      for (const answer of answers) this.#take(answer)
    })
    this.#worker.on('error', (e) => this.#end(e))
    this.#worker.on('exit', () => this.#end(new Error('the thread of the log ended')))
  }

  /** Throws LOG_UNAVAILABLE (no such folder, not allowed) and LOG_DAMAGED. */
  static async open(path: string, access: Access): Promise<Connection> {
    const connection = new Connection(path, access)
    try {
      await new Promise((resolve, reject) => connection.#waiting.set(0, { resolve, reject }))
    } catch (e) {
      await connection.#worker.terminate()
      throw e
    }
    return connection
  }

  ask(body: AskBody | (() => AskBody), leaves: Leaves = 'soon'): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#unavailable(this.#ended))
        return
      }
      const id = this.#next++
      this.#waiting.set(id, { resolve, reject })
      this.#asks.push({ id, body })
      // What is asked in the same turn of the event loop, by many requests say, crosses together.
      if (leaves === 'now') this.#send()
      else if (this.#asks.length === 1) setImmediate(() => this.#send())
    })
  }

  #send(): void {
    // It left with something that was in haste.
    if (this.#asks.length === 0) return
    const asks = this.#asks.map(({ id, body }): Ask => ({ ...(typeof body === 'function' ? body() : body), id }))
    const memory = asks.flatMap((ask) => (ask.do === 'append' ? [ask.pending.content.buffer] : []))
    this.#asks = []
    this.#worker.postMessage(asks, memory)
  }

  async close(): Promise<void> {
    if (this.#ended === undefined) await this.ask({ do: 'call', method: 'close', args: [] }).catch(() => {})
    await this.#exited
  }

  #take({ id, value, fault, spare }: Answer): void {
    if (spare !== undefined) this.spare.give(spare)
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (fault === undefined) waiting?.resolve(value)
    else waiting?.reject(this.#translate(fault))
  }

  #end(e: Error): void {
    this.#ended ??= e
    for (const { reject } of this.#waiting.values()) reject(this.#unavailable(this.#ended))
    this.#waiting.clear()
  }

  #translate(fault: Fault): MillraceError {
    if ('code' in fault) return new MillraceError(fault.code, fault.details)
    const details = { what: this.#path, why: fault.message }
    switch ((fault.errcode ?? 0) & 0xff) {
      case SQLITE_FULL:
        return new MillraceError('LOG_FULL', details)
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return new MillraceError('LOG_DAMAGED', details)
      default:
        return new MillraceError('LOG_UNAVAILABLE', details)
    }
  }

  #unavailable(e: Error): MillraceError {
    return new MillraceError('LOG_UNAVAILABLE', { what: this.#path, why: e.message }, { cause: e })
  }
}
