/** The thread that owns the SQLite file: takes calls in their order, answers each. A failed one fails all after it. */
import { parentPort, workerData } from 'node:worker_threads'
import { SqliteEngine } from './engine.ts'

/** What the thread is asked: a method of the engine and its arguments. */
export interface Call {
  readonly id: number
  readonly method: Exclude<keyof SqliteEngine, 'close'> | 'close'
  readonly args: readonly unknown[]
}

/** What it answers. An error of SQLite comes with its number. */
export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: { readonly message: string; readonly errcode: number | undefined; readonly method: string }
}

const port = parentPort
if (port !== null) {
  const { path, access } = workerData as { readonly path: string; readonly access: 'write' | 'read' }
  const answer = (a: Answer): void => port.postMessage(a)
  const failure = (e: unknown, method: string): NonNullable<Answer['error']> => ({
    message: e instanceof Error ? e.message : String(e),
    errcode: (e as { errcode?: number }).errcode,
    method,
  })
  let engine: SqliteEngine | undefined
  let failed: Answer['error']
  try {
    engine = new SqliteEngine(path, access)
    answer({ id: 0 })
  } catch (e) {
    answer({ id: 0, error: failure(e, 'open') })
    port.close()
  }
  port.on('message', ({ id, method, args }: Call) => {
    if (engine === undefined) return
    if (method === 'close') {
      try {
        engine.close()
      } finally {
        answer({ id })
        port.close()
      }
      return
    }
    if (failed !== undefined) {
      answer({ id, error: failed })
      return
    }
    try {
      const value = (engine[method] as (...a: unknown[]) => unknown).apply(engine, [...args])
      answer({ id, value })
    } catch (e) {
      failed = failure(e, method)
      answer({ id, error: failed })
    }
  })
}
