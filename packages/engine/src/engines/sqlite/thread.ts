/**
 * A thread that owns one connection to the log file. The writing one gathers the appends that came while the last commit
 * was made and makes one commit of them: sixty writers that wait for the disk wait for it together. Asks and answers cross
 * between the threads many at a time: each crossing wakes a thread.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { isMillraceError, type MillraceError } from '@millrace/sdk/errors'
import { type Answer, Answers, type Fault, faultOf } from './answers.ts'
import type { Question } from './key-index/key-index.ts'
import { FindService } from './key-index/service.ts'
import { SpareMemory } from './spare-memory.ts'
import { type AppendDone, LogStore, type PendingAppend } from './store.ts'

type Method = Exclude<keyof LogStore, 'append' | 'blocks' | 'purge'>

export type Ask =
  | { readonly id: number; readonly do: 'call'; readonly method: Method; readonly args: readonly unknown[] }
  | { readonly id: number; readonly do: 'blocks'; readonly args: Parameters<LogStore['blocks']> }
  | { readonly id: number; readonly do: 'append'; readonly pending: PendingAppend }
  | { readonly id: number; readonly do: 'find'; readonly question: Question }

/** What a thread is for: the one that writes, one that reads blocks, one that finds keys. */
export type Access = 'write' | 'read' | 'find'

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
    group.forEach(({ id, pending }, i) => {
      const result = done?.[i]
      const { buffer } = pending.content
      if (fault !== undefined) this.#answers.addFault(id, fault)
      else if (isMillraceError(result)) this.#answers.addFault(id, faultOf(result))
      else if (SpareMemory.isWorth(buffer)) this.#answers.addWithSpare(id, result, buffer)
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
      case 'find':
        throw new Error('this thread finds no keys')
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
  const { path, access } = workerData as { readonly path: string; readonly access: Access }
  try {
    const service =
      access === 'find'
        ? new FindService(parentPort, path)
        : new Service(parentPort, new LogStore(path, access), access === 'write')
    service.start()
    parentPort.postMessage([{ id: 0 }] satisfies Answer[])
  } catch (e) {
    // The thread stays until it is ended from outside, so that this answer is never overtaken by its end.
    parentPort.on('message', () => {})
    parentPort.postMessage([{ id: 0, fault: faultOf(e) }] satisfies Answer[])
  }
}
