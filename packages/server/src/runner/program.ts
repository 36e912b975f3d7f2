/** The command line, files and environment of each program of a pipeline. Secrets go into files only, never into arguments. */
import { encodeJson, type JsonObject, parseExact, reportVariable, startsOverVariable } from '@millrace/sdk'
import { endName, type Pipeline } from '../domain/pipeline.ts'
import { unselectedOf } from '../domain/selection.ts'
import { type ResolvedEnd, resolveEnd, resolveMaps } from '../project/references.ts'
import { concealer } from './conceal.ts'
import { childEnvironment } from './environment.ts'
import type { PrivateFolder } from './private-folder.ts'
import type { ProgramOptions, Side } from './types.ts'

export interface Program {
  /** What it is called in messages: "streamer git". */
  readonly what: string
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Takes its secrets out of what it says. */
  readonly conceal: (text: string) => string
}

/** What a pipeline's programs are given, with the references in it resolved. */
export interface ResolvedEnds {
  readonly from: ResolvedEnd
  readonly to: ResolvedEnd
  readonly maps: JsonObject | undefined
}

const placesOf = (options: ProgramOptions): string => options.envPlaces ?? 'the environment and .env'

/** One end with its references resolved: who asks one end alone need not have the secrets of the other. Throws CONFIG_INVALID. */
export const resolveSide = (options: ProgramOptions, side: 'from' | 'to'): ResolvedEnd =>
  resolveEnd(options.pipeline[side], options.env, {
    what: `pipeline ${options.pipeline.name}, ${side}`,
    places: placesOf(options),
  })

/** The ends of a pipeline and its maps with their references resolved. Throws CONFIG_INVALID. */
export const resolveEnds = (options: ProgramOptions): ResolvedEnds => {
  const places = placesOf(options)
  const { maps, name } = options.pipeline
  return {
    from: resolveSide(options, 'from'),
    to: resolveSide(options, 'to'),
    maps: maps === undefined ? undefined : resolveMaps(maps, options.env, { what: `pipeline ${name}, maps`, places }),
  }
}

/**
 * What of a catalog with its selection the persister leaves out; undefined where there is nothing, or where the streamer
 * does it by itself, as ours do. A tap may write what its catalog tells it not to.
 */
export const unselectedFor = ({ from }: Pipeline, catalog: JsonObject): JsonObject | undefined => {
  if (from.kind === 'connector' && from.name !== 'singer') return undefined
  const unselected = unselectedOf(catalog)
  return Object.keys(unselected).length === 0 ? undefined : unselected
}

/** The same as the text of a file. */
export const unselectedText = (pipeline: Pipeline, catalog: string | undefined): string | undefined => {
  const unselected = catalog === undefined ? undefined : unselectedFor(pipeline, parseExact(catalog) as JsonObject)
  return unselected === undefined ? undefined : encodeJson(unselected)
}

/** How a program is called: our connectors have commands, a foreign one has flags only. */
interface Call {
  readonly side: Side
  /** Comes after our own command: `sync`, `discover`, `verify`. A foreign streamer gets `--discover` for it. */
  readonly command: 'sync' | 'discover' | 'verify' | 'write'
  readonly files: {
    readonly state?: string | undefined
    readonly catalog?: string | undefined
    readonly evidence?: string
    readonly maps?: string | undefined
    readonly unselected?: string | undefined
  }
  readonly flags?: readonly string[]
  readonly run?: string
  /** For a persister: the run begins at the beginning, and no state is kept from before. */
  readonly startsOver?: boolean
}

const words: Readonly<Record<Call['command'], readonly string[]>> = {
  sync: ['sync'],
  discover: ['discover'],
  verify: ['verify'],
  write: [],
}

/** The program of one end. `folder` gets its configuration file. */
export const programOf = (
  options: ProgramOptions,
  resolved: ResolvedEnd,
  folder: PrivateFolder,
  call: Call,
): Program => {
  const { pipeline } = options
  const end = call.side === 'streamer' ? pipeline.from : pipeline.to
  const config = resolved.config === undefined ? undefined : configFile(folder, call, resolved.config)
  const { state, catalog, evidence, maps, unselected } = call.files
  const flags = [
    ...flag('--config', config),
    ...flag('--state', state),
    ...flag('--catalog', catalog),
    ...flag('--evidence', evidence),
    ...flag('--maps', maps),
    ...flag('--unselected', unselected),
    ...(call.flags ?? []),
  ]
  const argv =
    end.kind === 'connector'
      ? [...options.commands[call.side](end.name), ...words[call.command], ...flags]
      : typeof end.exec === 'string'
        ? ['/bin/sh', '-c', end.exec]
        : [...end.exec, ...flags, ...(call.command === 'discover' ? ['--discover'] : [])]
  const context: Record<string, string> = {
    MILLRACE_PIPELINE: pipeline.name,
    [reportVariable]: '3',
    // What a connector writes there is gone with the run, also where it is killed.
    MILLRACE_PRIVATE_FOLDER: folder.path,
    ...(call.run === undefined ? {} : { MILLRACE_RUN: call.run }),
    ...(call.startsOver === true ? { [startsOverVariable]: '1' } : {}),
    ...(end.kind === 'exec' && typeof end.exec === 'string'
      ? {
          MILLRACE_COMMAND: call.command,
          ...named('CONFIG', config),
          ...named('STATE', state),
          ...named('CATALOG', catalog),
        }
      : {}),
  }
  return {
    what: `${call.side} ${endName(end)}`,
    argv,
    env: childEnvironment(options.env, { ...resolved.env, ...context }, options.passOn),
    cwd: pipeline.cwd,
    conceal: concealer(end, resolved),
  }
}

const configFile = (folder: PrivateFolder, call: Call, config: JsonObject): string =>
  folder.write(`${call.side}-${call.command}.json`, encodeJson(config))

const flag = (name: string, file: string | undefined): readonly string[] => (file === undefined ? [] : [name, file])
const named = (name: string, file: string | undefined): Record<string, string> =>
  file === undefined ? {} : { [`MILLRACE_${name}`]: file }
