/** The thread that owns the SQLite file: takes calls in their order, answers each. A failed one fails all after it. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { SqliteEngine } from './engine.ts'

/** What the thread is asked: a method of the engine and its arguments. */
export interface Call {
  readonly id: number
  readonly method: keyof SqliteEngine
  readonly args: readonly unknown[]
}

/** What it answers. An error of SQLite comes with its number. */
export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?:
    | undefined
    | { readonly message: string; readonly errcode: number | undefined; readonly method: string }
}

const failure = (e: unknown, method: string): NonNullable<Answer['error']> => ({
  message: e instanceof Error ? e.message : String(e),
  errcode: (e as { errcode?: number }).errcode,
  method,
})

const serve = (port: MessagePort, engine: SqliteEngine): void => {
  let failed: Answer['error']
  port.on('message', ({ id, method, args }: Call) => {
    if (method === 'close') {
      try {
        engine.close()
      } finally {
        port.postMessage({ id } satisfies Answer)
        port.close()
      }
      return
    }
    try {
      if (failed === undefined) {
        const value = (engine[method] as (...a: unknown[]) => unknown).apply(engine, [...args])
        port.postMessage({ id, value } satisfies Answer)
        return
      }
    } catch (e) {
      failed = failure(e, method)
    }
    port.postMessage({ id, error: failed } satisfies Answer)
  })
}

if (parentPort !== null) {
  const { path, access } = workerData as { readonly path: string; readonly access: 'write' | 'read' }
  try {
    const engine = new SqliteEngine(path, access)
    serve(parentPort, engine)
    parentPort.postMessage({ id: 0 } satisfies Answer)
  } catch (e) {
    // The thread stays until it is ended from outside, so that this answer is never overtaken by its end.
    parentPort.on('message', () => {})
    parentPort.postMessage({ id: 0, error: failure(e, 'open') } satisfies Answer)
  }
}
