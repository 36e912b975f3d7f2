/** The thread that writes: it alone waits for the disk, and what comes meanwhile shares the next commit. */
import { parentPort, workerData } from 'node:worker_threads'
import { isMillraceError } from '@millrace/sdk/errors'
import { SqlControlPlane } from '../../sql/plane.ts'
import type { Area } from './calls.ts'
import { SqliteSql } from './sqlite-sql.ts'

/** What the thread is asked; `close` is the last. */
export type Ask =
  | { readonly id: number; readonly area: Area; readonly method: string; readonly args: readonly unknown[] }
  | { readonly id: number; readonly sweep: Date }
  | { readonly id: number; readonly close: true }

/** An error as it goes between threads. */
export interface Fault {
  /** One of ours; else undefined. */
  readonly code: string | undefined
  readonly details: Readonly<Record<string, unknown>>
  readonly message: string
  readonly stack: string | undefined
}

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly fault?: Fault
}

const faultOf = (e: unknown): Fault => ({
  code: isMillraceError(e) ? e.code : undefined,
  details: isMillraceError(e) ? e.details : {},
  message: e instanceof Error ? e.message : String(e),
  stack: e instanceof Error ? e.stack : undefined,
})

const serve = (port: NonNullable<typeof parentPort>, path: string): void => {
  const answer = (given: Answer): void => port.postMessage(given)
  let plane: SqlControlPlane
  try {
    plane = new SqlControlPlane(new SqliteSql(path, 'write'))
  } catch (e) {
    answer({ id: 0, fault: faultOf(e) })
    return
  }
  const run = async (ask: Ask): Promise<unknown> => {
    if ('close' in ask) return await plane[Symbol.asyncDispose]()
    if ('sweep' in ask) return await plane.sweep(ask.sweep)
    const area = plane[ask.area] as unknown as Record<string, (...args: readonly unknown[]) => Promise<unknown>>
    return await area[ask.method]?.(...ask.args)
  }
  port.on('message', (ask: Ask) => {
    run(ask)
      .then(
        (value) => answer({ id: ask.id, value }),
        (e: unknown) => answer({ id: ask.id, fault: faultOf(e) }),
      )
      .finally(() => {
        if ('close' in ask) port.close()
      })
  })
  answer({ id: 0 })
}

if (parentPort !== null) serve(parentPort, (workerData as { readonly path: string }).path)
