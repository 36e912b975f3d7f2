/**
 * A thread that owns one connection to the log file. The writing one gathers the appends that came while the last commit
 * was made and makes one commit of them: sixty writers that wait for the disk wait for it together.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { isMillraceError, type MillraceError } from '@millrace/sdk'
import { RecordBatch } from '../../record-batch.ts'
import type { StoredBatch } from '../../types.ts'
import { type AppendDone, LogStore, type PendingAppend } from './store.ts'

type Method = Exclude<keyof LogStore, 'append' | 'read' | 'purge'>

/** A batch as it crosses between threads: a class would arrive without its methods. */
export interface PlainBatch {
  readonly bytes: Uint8Array
  readonly ends: Uint32Array
  readonly gap: 0 | 1
  readonly keys: readonly (string | undefined)[] | undefined
  readonly contentTypes: readonly (string | undefined)[] | undefined
}

export type Ask =
  | { readonly id: number; readonly do: 'call'; readonly method: Method; readonly args: readonly unknown[] }
  | { readonly id: number; readonly do: 'read'; readonly args: Parameters<LogStore['read']> }
  | {
      readonly id: number
      readonly do: 'append'
      readonly pending: Omit<PendingAppend, 'records'> & { readonly records: PlainBatch }
    }

/** What went wrong: an error of ours with its details, or one of SQLite with its number. */
export type Fault =
  | { readonly code: MillraceError['code']; readonly details: MillraceError['details'] }
  | { readonly message: string; readonly errcode: number | undefined }

export interface PlainStored {
  readonly first: bigint
  readonly at: number
  readonly records: PlainBatch
}

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly fault?: Fault
}

const faultOf = (e: unknown): Fault =>
  isMillraceError(e)
    ? { code: e.code, details: e.details }
    : { message: e instanceof Error ? e.message : String(e), errcode: (e as { errcode?: number }).errcode }

/** Memory that is nobody else's, so that it can be handed over. */
const own = (view: Uint8Array): Uint8Array => (view.buffer.byteLength === view.byteLength ? view : new Uint8Array(view))

const plain = ({ first, at, records }: StoredBatch): PlainStored => {
  const { ends, gap, keys, contentTypes } = records
  return { first, at: at.getTime(), records: { bytes: own(records.bytes), ends, gap, keys, contentTypes } }
}

/** Commits what has gathered, and answers each of them. */
class Commits {
  readonly #port: MessagePort
  readonly #store: LogStore
  #waiting: { readonly id: number; readonly pending: PendingAppend }[] = []

  constructor(port: MessagePort, store: LogStore) {
    this.#port = port
    this.#store = store
  }

  add(id: number, pending: PendingAppend): void {
    this.#waiting.push({ id, pending })
    // Behind the messages that are here already.
    if (this.#waiting.length === 1) setImmediate(() => this.commit())
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
      if (result === undefined) this.#answer(id, undefined, fault)
      else if (isMillraceError(result)) this.#answer(id, undefined, faultOf(result))
      else this.#answer(id, result)
    })
  }

  #answer(id: number, value: unknown, fault?: Fault): void {
    this.#port.postMessage({ id, value, ...(fault === undefined ? {} : { fault }) } satisfies Answer)
  }
}

const serve = (port: MessagePort, store: LogStore, writes: boolean): void => {
  const commits = new Commits(port, store)
  let isClosed = false
  const purge = (): void => {
    if (isClosed) return
    try {
      if (store.purge()) setImmediate(purge)
    } catch {
      // What is left of a dropped stream costs room only; it is tried again with the next drop and at the next start.
    }
  }
  port.on('message', (ask: Ask) => {
    try {
      if (ask.do === 'append') {
        commits.add(ask.id, { ...ask.pending, records: new RecordBatch(ask.pending.records) })
        return
      }
      if (ask.do === 'read') {
        const value = store.read(...ask.args).map(plain)
        const memory = new Set(value.flatMap(({ records }) => [records.bytes.buffer, records.ends.buffer]))
        port.postMessage({ id: ask.id, value } satisfies Answer, [...memory] as ArrayBuffer[])
        return
      }
      // What is asked behind an append sees it.
      if (writes) commits.commit()
      const value = (store[ask.method] as (...args: readonly unknown[]) => unknown).apply(store, [...ask.args])
      port.postMessage({ id: ask.id, value } satisfies Answer)
      if (ask.method === 'drop') setImmediate(purge)
      if (ask.method === 'close') {
        isClosed = true
        port.close()
      }
    } catch (e) {
      port.postMessage({ id: ask.id, fault: faultOf(e) } satisfies Answer)
    }
  })
  if (writes) setImmediate(purge)
}

if (parentPort !== null) {
  const { path, access } = workerData as { readonly path: string; readonly access: 'write' | 'read' }
  try {
    const store = new LogStore(path, access)
    serve(parentPort, store, access === 'write')
    parentPort.postMessage({ id: 0 } satisfies Answer)
  } catch (e) {
    // The thread stays until it is ended from outside, so that this answer is never overtaken by its end.
    parentPort.on('message', () => {})
    parentPort.postMessage({ id: 0, fault: faultOf(e) } satisfies Answer)
  }
}
