import { type DeadLetter, isMillraceError } from '@millrace/sdk'
import type { RunRecord, Store } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'

/** Where a persister that stands alone in a pipe keeps what it set aside. */
export interface StandaloneLetters {
  /** The name they are kept under: `pipe-to-jsonl`. */
  readonly pipeline: string
  readonly keep: (letters: readonly DeadLetter[]) => Promise<void>
  readonly kept: () => number
  readonly close: () => void
}

const pipeName = 'pipe-to-'

/** Whether a run of the store is no run of a pipeline, but what a persister in a pipe set aside. */
export const isOfPipe = (run: Pick<RunRecord, 'pipeline' | 'place'>): boolean =>
  run.place === undefined && run.pipeline.startsWith(pipeName)

/** Loaded with the first dead letter: a persister in a pipe starts without the runner and what reads projects. */
const openHere = async (cwd: string): Promise<Store> => {
  const [{ openStore }, { storeFolder }] = await Promise.all([
    import('@millrace/server'),
    import('../project/store.ts'),
  ])
  return openStore(storeFolder(cwd))
}

/** Keeps dead letters in the store of the project, or of the working folder. The store is opened at the first of them. */
export const standaloneLetters = (persister: string, context: CommandContext): StandaloneLetters => {
  let opening: Promise<Store> | undefined
  let store: Store | undefined
  let run: string | undefined
  let kept = 0
  let pipeline = `${pipeName}${persister.replaceAll(/[^A-Za-z0-9_.-]+/g, '-')}`
  const begin = async (): Promise<{ readonly store: Store; readonly run: string }> => {
    opening ??= openHere(context.cwd)
    store = await opening
    if (run === undefined) {
      const at = (name: string): string =>
        (store as Store).beginRun({ pipeline: name, destination: name, mode: 'override' }).run.id
      try {
        run = at(pipeline)
      } catch (e) {
        if (!isMillraceError(e) || e.code !== 'RUN_LOCKED') throw e
        // Another pipe into the same kind of destination sets letters aside at this moment.
        pipeline = `${pipeline}-${process.pid}`
        run = at(pipeline)
      }
    }
    return { store, run }
  }
  return {
    get pipeline() {
      return pipeline
    },
    keep: async (letters) => {
      const open = await begin()
      open.store.commit({ run: open.run, books: {}, deadLetters: letters })
      kept += letters.length
    },
    kept: () => kept,
    close: () => {
      if (store !== undefined && run !== undefined)
        store.endRun({ run, why: 'finished', exitCode: 0, books: {}, evidence: [] })
      store?.[Symbol.dispose]()
    },
  }
}
