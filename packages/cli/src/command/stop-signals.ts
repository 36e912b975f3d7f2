/**
 * What Ctrl-C means: once, finish what was begun and give up the state; twice, stop at once.
 *
 * The same stop may arrive more than once: a terminal signals the whole process group, and so does `timeout`, which
 * signals its child as well; an old Node that handed over to a newer one passes on what it gets. So signals within a
 * moment of the first count as one.
 */
import { exitCodes } from '@millrace/sdk'
import { wasHandedOver } from './handed-over.ts'

const SAME_STOP_MS = 60
const SAME_STOP_HANDED_OVER_MS = 500

export interface StopSignals extends Disposable {
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly stop: AbortSignal
  /** Aborted by the second; the process ends by itself a moment later, whatever it is doing. */
  readonly kill: AbortSignal
  /** The name of the signal that came first. */
  readonly name: () => string | undefined
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** An AbortError, as whoever takes a signal expects one, that says which signal it was. */
const reasonOf = (name: string): DOMException => new DOMException(name, 'AbortError')

/** Listens until disposed. `onStop` is told of the first signal, to say something. */
export const listenForStop = (onStop: (signal: string) => void = () => {}): StopSignals => {
  const stop = new AbortController()
  const kill = new AbortController()
  const within = wasHandedOver ? SAME_STOP_HANDED_OVER_MS : SAME_STOP_MS
  let first: { readonly name: string; readonly atMs: number } | undefined
  const heard = (name: string): void => {
    if (first === undefined) {
      first = { name, atMs: performance.now() }
      onStop(name)
      stop.abort(reasonOf(name))
      return
    }
    if (performance.now() - first.atMs < within || kill.signal.aborted) return
    kill.abort(reasonOf(name))
    // Whoever listens to `kill` ends its children in this turn; nothing is waited for.
    setTimeout(() => process.exit(exitCodes.interrupted), 50)
  }
  for (const signal of signals) process.on(signal, heard)
  return {
    stop: stop.signal,
    kill: kill.signal,
    name: () => first?.name,
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, heard)
    },
  }
}
