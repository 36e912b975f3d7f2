/** The store that a command works on: that of the project the folder is in, else that of the folder itself. */
import { dirname } from 'node:path'
import { MillraceError, nearest } from '@millrace/sdk'
import { findProject, hasStore, openStore, type Store, surveyProject } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'

/** The folder whose `.millrace` counts for a working folder. */
export const storeFolder = (cwd: string): string => {
  const file = findProject(cwd)
  return file === undefined ? cwd : dirname(file)
}

/** Opens it, making it where there is none. The caller disposes it. */
export const openProjectStore = (cwd: string): Store => openStore(storeFolder(cwd))

/** Runs `use` on the store that is there; where nothing ever ran, says so and answers undefined. */
export const withStore = async <T>(
  context: CommandContext,
  use: (store: Store) => T | Promise<T>,
  /** What is wrong with asking for one thing where there is nothing at all. */
  absent?: () => MillraceError,
): Promise<T | undefined> => {
  const folder = storeFolder(context.cwd)
  if (!hasStore(folder)) {
    if (absent !== undefined) throw absent()
    if (context.json) context.printJson([])
    context.say(`Nothing has run in ${folder} yet. \`millrace run\` makes its store.\n`)
    return undefined
  }
  using store = openStore(folder)
  return await use(store)
}

/** A run that was asked for where nothing ever ran. */
export const noRun = (typed: string | undefined, context: CommandContext) => (): MillraceError =>
  new MillraceError('RUN_UNKNOWN', {
    run: typed ?? 'last',
    fix: `Nothing has run in ${storeFolder(context.cwd)} yet.`,
  })

/** The name of a pipeline that the store knows: as given, or its only beginning. Throws PIPELINE_UNKNOWN. */
export const knownPipeline = (store: Store, typed: string | undefined): string => {
  const known = store.pipelines()
  if (typed === undefined) {
    const [only] = known
    if (known.length === 1 && only !== undefined) return only
    throw new MillraceError('COMMAND_USAGE', {
      why: 'say which pipeline',
      fix: `Known are: ${known.join(', ') || 'none yet'}.`,
    })
  }
  if (known.includes(typed)) return typed
  const begun = known.filter((k) => k.startsWith(typed))
  if (begun.length === 1) return begun[0] as string
  throw new MillraceError('PIPELINE_UNKNOWN', { name: typed, near: nearest(typed, known), known })
}

/** As `knownPipeline`; also one of millrace.yaml that did not run yet. */
export const pipelineHere = async (store: Store, typed: string | undefined, cwd: string): Promise<string> => {
  try {
    return knownPipeline(store, typed)
  } catch (e) {
    if (typed === undefined || findProject(cwd) === undefined) throw e
    const { project } = await surveyProject(cwd)
    if (project.pipelines.has(typed)) return typed
    throw e
  }
}

/** What was typed for a run: `last` and nothing are the newest. */
export const runId = (typed: string | undefined): string => (typed === undefined || typed === 'last' ? 'latest' : typed)
