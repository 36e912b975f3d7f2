import {
  isMillraceError,
  isObject,
  type Json,
  MillraceError,
  resolveConfig,
  silentLogger,
  toMillraceError,
} from '@millrace/sdk'
import {
  destinationPlace,
  discoverCatalog,
  endName,
  hasStore,
  openStore,
  type Pipeline,
  projectEnvironment,
  resolveEnd,
  type StateEntry,
} from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { catalogSchemas, isSelected, substreamOf } from '../connector/catalog-schemas.ts'
import { findPersister } from '../connector/find.ts'
import { choosePipeline, pipelineCommand } from '../project/chosen-pipeline.ts'
import { programsOf } from '../project/programs.ts'
import { stateLine } from '../project/show-state.ts'
import { moment } from '../terminal/format.ts'

export const command: CommandSource = pipelineCommand('both', (flags) => ({
  doc: 'What a run would do: from which state and why, which substreams, and what the destination would be made to look like. Executes nothing.',
  options: [{ flags: '--full-refresh', doc: 'plan a run from the beginning' }],
  json: true,
  examples: [
    { run: 'millrace plan history', does: 'a pipeline of millrace.yaml' },
    { run: 'millrace plan --from git --from.path . --to duckdb --to.path out.duckdb', does: 'one put together here' },
  ],
  run: async ({ args, options, context }) => {
    const { pipeline, dir } = await choosePipeline(args, options, { flags, context, sides: 'both' })
    using stop = listenForStop()
    const start = startOf(pipeline, dir, options.flag('full-refresh'))
    const programs = await programsOf(pipeline, dir)
    const catalog = await discoverCatalog({
      ...programs,
      pipeline,
      signal: stop.stop,
      onLog: (line) => context.log.debug(line),
    }).catch(unknownCatalog(pipeline))
    const substreams =
      catalog === undefined
        ? undefined
        : (catalog['streams'] as readonly Json[]).filter(isObject).filter(isSelected).map(substreamOf)
    const destination: DestinationPlan =
      catalog === undefined ? { steps: [] } : await destinationPlan(pipeline, dir, catalog, stop.stop)
    if (context.json)
      return context.printJson({
        pipeline: pipeline.name,
        from: endName(pipeline.from),
        to: endName(pipeline.to),
        ...start,
        substreams: substreams ?? null,
        destination: substreams === undefined ? null : destination,
      })
    const { print, style } = context
    print(`${style.bold(pipeline.name)}: ${endName(pipeline.from)} → ${endName(pipeline.to)}\n`)
    print(`${start.mode}: ${start.why}\n`)
    if (start.state !== null) print(`  ${stateLine(start.state)}\n`)
    if (substreams === undefined) {
      print(`what ${endName(pipeline.from)} will write is not known: it does not answer --discover with a catalog\n`)
      context.say('Nothing was executed.\n')
      return
    }
    print(`reads ${substreams.join(', ') || 'nothing: no substream is selected'}\n`)
    if (destination.unmatchedMaps !== undefined)
      context.say(
        `${style.yellow('the maps name what is not read')}: ${destination.unmatchedMaps.join(', ')}. Nothing would be mapped by them.\n`,
      )
    if (destination.note !== undefined) print(`${destination.note}\n`)
    else if (destination.steps.length === 0) print('the destination has everything it needs\n')
    else print(`the destination would be changed:\n${destination.steps.map((s) => `  ${s}\n`).join('')}`)
    context.say('Nothing was executed.\n')
  },
}))

/** A foreign program need not know what it will write; one of ours does. */
const unknownCatalog =
  ({ from, select }: Pipeline) =>
  (e: unknown): undefined => {
    if (
      from.kind === 'exec' &&
      select === undefined &&
      isMillraceError(e) &&
      (e.code === 'CATALOG_INVALID' || e.code === 'PROCESS_FAILED')
    )
      return undefined
    throw e
  }

interface Start {
  readonly mode: 'full' | 'incremental'
  readonly why: string
  readonly state: string | null
}

/** Where a run would begin. Looks only: a store that is not there is not made. Throws what a run would refuse for. */
const startOf = (pipeline: Pipeline, dir: string, isFull: boolean): Start => {
  if (isFull) return { mode: 'full', why: 'from the beginning, as --full-refresh says', state: null }
  const entry = hasStore(dir) ? storedState(pipeline, dir) : undefined
  if (entry?.text === undefined) return { mode: 'full', why: 'from the beginning: no state is stored', state: null }
  const by = entry.origin === 'run' ? `run ${entry.run}` : `a ${entry.origin} of the state`
  return {
    mode: 'incremental',
    why: `from state ${entry.id}, which ${by} left at ${moment(entry.at)}`,
    state: entry.text,
  }
}

const storedState = (pipeline: Pipeline, dir: string): StateEntry | undefined => {
  using store = openStore(dir)
  const entry = store.stateOf(pipeline.name)
  const made = entry?.run === undefined ? undefined : store.getRun(entry.run).place
  const now = destinationPlace(pipeline)
  if (made !== undefined && now !== undefined && made !== now)
    throw new MillraceError('STATE_OF_OTHER_DESTINATION', { pipeline: pipeline.name, made, now })
  return entry
}

interface DestinationPlan {
  readonly steps: readonly string[]
  /** Substreams that the maps name and the source does not have: a mask with a slip in its name would mask nothing. */
  readonly unmatchedMaps?: readonly string[]
  /** Why there is no plan. */
  readonly note?: string
}

const destinationPlan = async (
  pipeline: Pipeline,
  dir: string,
  catalog: Parameters<typeof catalogSchemas>[0],
  signal: AbortSignal,
): Promise<DestinationPlan> => {
  const { to } = pipeline
  if (to.kind === 'exec')
    return { steps: [], note: `what ${endName(to)} would do is not known: it is a program of somebody else` }
  const persister = await findPersister(to.name, pipeline.cwd)
  if (persister.plan === undefined) return { steps: [], note: `persister ${to.name} makes no plan` }
  const env = projectEnvironment(dir, process.env)
  const resolved = resolveEnd(to, env, { what: `pipeline ${pipeline.name}, to`, places: 'the environment and .env' })
  const { config } = resolveConfig(persister.config, {
    kind: 'persister',
    name: persister.name,
    env: { ...env, ...resolved.env },
    file: resolved.config ?? {},
    fileName: 'millrace.yaml',
  })
  process.chdir(pipeline.cwd)
  const { schemas, unmatched } = await mapped(pipeline, catalogSchemas(catalog))
  try {
    return {
      steps: await persister.plan({ config, log: silentLogger, signal }, schemas),
      ...(unmatched.length === 0 ? {} : { unmatchedMaps: unmatched }),
    }
  } catch (e) {
    throw toMillraceError(e)
  }
}

/** The schemas as the persister would get them, behind the pipeline's maps, and the substreams whose maps would find nothing. */
const mapped = async (
  pipeline: Pipeline,
  schemas: ReturnType<typeof catalogSchemas>,
): Promise<{ readonly schemas: ReturnType<typeof catalogSchemas>; readonly unmatched: readonly string[] }> => {
  if (pipeline.maps === undefined) return { schemas, unmatched: [] }
  const { loadGate } = await import('@millrace/connectors')
  const compile = (await loadGate()).compileMaps(pipeline.maps)
  const out = schemas.map((s) => ({ ...s, ...compile(s)?.schema }))
  return { schemas: out, unmatched: compile.unmatched?.() ?? [] }
}
