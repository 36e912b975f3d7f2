import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { type ErrorCode, type ErrorDetails, MillraceError } from '@millrace/sdk/errors'
import type { ControlPlane } from '../../control-plane.ts'
import { SqlControlPlane } from '../../sql/plane.ts'
import { type Area, type Areas, writes } from './calls.ts'
import { KnownAccess } from './known-access.ts'
import { SqliteSql } from './sqlite-sql.ts'
import type { Answer, Ask, Fault } from './thread.ts'

type AskBody = Ask extends infer A ? (A extends Ask ? Omit<A, 'id'> : never) : never

/** The thread that writes, and what waits for its answers. */
class Writer {
  /** Called when something was changed, before whoever asked for it is told. */
  changed: () => void = () => {}
  readonly #path: string
  readonly #worker: Worker
  readonly #exited: Promise<unknown>
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(e: unknown): void }>()
  #next = 1
  #ended: string | undefined

  constructor(path: string) {
    this.#path = path
    const file = new URL(import.meta.resolve('@millrace/server/control-thread'))
    this.#worker = new Worker(file, { workerData: { path } })
    this.#exited = once(this.#worker, 'exit')
    this.#worker.on('message', (answer: Answer) => this.#take(answer))
    this.#worker.on('error', (e) => this.#end(e.message))
    this.#worker.on('exit', () => this.#end('its thread ended'))
  }

  /** Resolves when the file is open and its tables are up to date. */
  async open(): Promise<void> {
    try {
      await new Promise((resolve, reject) => this.#waiting.set(0, { resolve, reject }))
    } catch (e) {
      await this.#worker.terminate()
      throw e
    }
  }

  async ask(body: AskBody): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#unavailable(this.#ended)
    const id = this.#next++
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ ...body, id })
    })
  }

  /** Does what was begun, and then nothing more. */
  async close(): Promise<void> {
    const closing = this.ask({ close: true })
    this.#ended = 'it was closed'
    await closing.catch(() => {})
    await this.#exited
  }

  #take({ id, value, fault }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    this.changed()
    if (fault === undefined) waiting?.resolve(value)
    else waiting?.reject(errorOf(fault))
  }

  #end(why: string): void {
    this.#ended ??= why
    for (const { reject } of this.#waiting.values()) reject(this.#unavailable(why))
    this.#waiting.clear()
  }

  #unavailable(why: string): MillraceError {
    return new MillraceError('CONTROL_UNAVAILABLE', { what: this.#path, why })
  }
}

const errorOf = ({ code, details, message, stack }: Fault): Error =>
  code === undefined
    ? Object.assign(new Error(message), { stack })
    : new MillraceError(code as ErrorCode, details as ErrorDetails)

/** A part whose methods that write go to the thread, and whose others are those of `reading`. */
const split = <A extends Area>(area: A, reading: Areas[A], writer: Writer): Areas[A] => {
  const changes = new Set<PropertyKey>(writes[area])
  const entries = Object.getOwnPropertyNames(Object.getPrototypeOf(reading))
    .filter((method) => method !== 'constructor')
    .map((method): [string, unknown] => {
      if (changes.has(method)) return [method, (...args: readonly unknown[]) => writer.ask({ area, method, args })]
      const read = reading[method as keyof Areas[A]] as (...args: readonly unknown[]) => unknown
      return [method, read.bind(reading)]
    })
  return Object.fromEntries(entries) as unknown as Areas[A]
}

/** Opens the file with one thread that writes; what only reads does so here, and waits for no disk. */
export const openThreaded = async (path: string): Promise<ControlPlane> => {
  const writer = new Writer(path)
  await writer.open()
  const sql = new SqliteSql(path, 'read')
  const reading = new SqlControlPlane(sql)
  const access = new KnownAccess(() => sql.version(), reading.streams)
  writer.changed = () => access.forget()
  let isClosed = false
  return {
    streams: {
      ...split('streams', reading.streams, writer),
      access: async (idOrName, actor) => await access.get(idOrName, actor),
    },
    permissions: split('permissions', reading.permissions, writer),
    clients: split('clients', reading.clients, writer),
    users: split('users', reading.users, writer),
    readStatus: split('readStatus', reading.readStatus, writer),
    groups: split('groups', reading.groups, writer),
    parts: split('parts', reading.parts, writer),
    batches: split('batches', reading.batches, writer),
    subscriptions: split('subscriptions', reading.subscriptions, writer),
    tokens: split('tokens', reading.tokens, writer),
    idempotency: split('idempotency', reading.idempotency, writer),
    audit: split('audit', reading.audit, writer),
    sweep: async (at) => {
      await writer.ask({ sweep: at })
    },
    [Symbol.asyncDispose]: async () => {
      if (isClosed) return
      isClosed = true
      await writer.close()
      await reading[Symbol.asyncDispose]()
    },
  }
}
