/**
 * Which pipeline a command means: one of the project by its name, or one put together on the command line.
 *
 *     millrace run history
 *     millrace run --from git --from.path . --to duckdb --to.path out.duckdb
 */
import { resolve } from 'node:path'
import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import { type ConfigSpec, flagName, type JsonObject, MillraceError, nearest } from '@millrace/sdk'
import { adHocPipeline, getPipeline, loadProject, type Pipeline, type PipelineEnd } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import type { CommandDefinition, CommandSource, DefinedFor, OptionDefinition } from '../command/definition.ts'
import type { OptionValues } from '../command/option-values.ts'
import { findPersister, findStreamer } from '../connector/find.ts'
import { readJsonObject } from '../connector/settings.ts'

type Side = 'from' | 'to'

/** Settings given as `--from.page-size 5`, by side and by the flag's name. */
export type EndFlags = Readonly<Record<Side, Readonly<Record<string, string | readonly string[]>>>>

const fromOptions: readonly OptionDefinition[] = [
  { flags: '--from <streamer>', doc: 'the streamer: its name, or the file of one of your own' },
  { flags: '--from.<setting> <value>', doc: 'one of its settings, such as --from.path' },
  { flags: '--from-config <file>', doc: 'its settings as a JSON object' },
  {
    flags: '--from-exec <command>',
    doc: 'any Singer tap: a command for the shell, which finds its state in $MILLRACE_STATE',
  },
]
const toOptions: readonly OptionDefinition[] = [
  { flags: '--to <persister>', doc: 'the persister: its name, or the file of one of your own' },
  { flags: '--to.<setting> <value>', doc: 'one of its settings' },
  { flags: '--to-config <file>', doc: 'its settings as a JSON object' },
  { flags: '--to-exec <command>', doc: 'any Singer target' },
]
const selectOption: OptionDefinition = {
  flags: '--select <list>',
  doc: 'what to read: substreams, or substream.field, with commas; * and ! work',
  repeatable: true,
}

/** The definition of a command on a pipeline, with the options that put one together. */
export const pipelineCommand =
  (sides: 'both' | 'from', define: (flags: EndFlags) => CommandDefinition): CommandSource =>
  async (argv): Promise<DefinedFor> => {
    const { flags, rest } = takeEndFlags(argv)
    const definition = define(flags)
    return {
      argv: rest,
      definition: {
        ...definition,
        arguments: [{ usage: '[name]', doc: 'a pipeline of millrace.yaml' }],
        // The dotted options are taken before; they are here to be seen in the help.
        options: [...fromOptions, ...(sides === 'both' ? toOptions : []), selectOption, ...(definition.options ?? [])],
      },
    }
  }

/** A setting that was given without a value. */
const switchedOn = '\u0000on'

const takeEndFlags = (argv: readonly string[]): { readonly flags: EndFlags; readonly rest: readonly string[] } => {
  const flags: Record<Side, Record<string, string | readonly string[]>> = { from: {}, to: {} }
  const rest: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string
    const match = /^--(from|to)\.([A-Za-z][\w.-]*)(?:=([\s\S]*))?$/.exec(word)
    if (match === null) {
      rest.push(word)
      continue
    }
    const side = match[1] as Side
    const name = match[2] as string
    const next = argv[i + 1]
    const takesNext = match[3] === undefined && next !== undefined && !next.startsWith('--')
    if (takesNext) i++
    const value = match[3] ?? (takesNext ? next : switchedOn)
    const before = flags[side][name]
    flags[side][name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before as string]), value]
  }
  return { flags, rest }
}

export interface ChosenPipeline {
  readonly pipeline: Pipeline
  /** The folder whose store it uses. */
  readonly dir: string
  /** Where its settings stand, in words. */
  readonly writtenIn: string
}

/** Throws COMMAND_USAGE where nothing, or two things, are named; PROJECT_*, PIPELINE_UNKNOWN, REGISTRY_UNKNOWN. */
export const choosePipeline = async (
  args: readonly string[],
  options: OptionValues,
  {
    flags,
    context,
    sides,
  }: { readonly flags: EndFlags; readonly context: CommandContext; readonly sides: 'both' | 'from' },
): Promise<ChosenPipeline> => {
  const name = args[0]
  const isAdHoc = ['from', 'from-exec', 'to', 'to-exec'].some((o) => options.text(o) !== undefined)
  if (name !== undefined && isAdHoc)
    throw new MillraceError('COMMAND_USAGE', { why: `give either the pipeline "${name}" or --from and --to, not both` })
  if (!isAdHoc) return await named(name, options, flags, context)
  const from = await endOf('from', options, flags, context)
  const to =
    sides === 'both'
      ? await endOf('to', options, flags, context)
      : { kind: 'connector' as const, name: 'jsonl', config: {}, env: {} }
  const select = selectionFrom(options)
  const { storeFolder } = await import('./store.ts')
  return {
    pipeline: adHocPipeline({ from, to, cwd: context.cwd, ...(select === undefined ? {} : { select }) }),
    dir: storeFolder(context.cwd),
    writtenIn: 'the command line',
  }
}

const named = async (
  name: string | undefined,
  options: OptionValues,
  flags: EndFlags,
  context: CommandContext,
): Promise<ChosenPipeline> => {
  const stray = (['from', 'to'] as const).flatMap((side) => Object.keys(flags[side]).map((k) => `--${side}.${k}`))[0]
  if (stray !== undefined)
    throw new MillraceError('COMMAND_USAGE', {
      why: `${stray} needs --${stray.startsWith('--from') ? 'from' : 'to'} to say whose setting it is`,
    })
  const project = await loadProject(context.cwd)
  const only = project.pipelines.size === 1 ? [...project.pipelines.keys()][0] : undefined
  const chosen = name ?? only
  if (chosen === undefined)
    throw new MillraceError('COMMAND_USAGE', {
      why: 'say which pipeline',
      fix: `Known are: ${[...project.pipelines.keys()].join(', ') || 'none yet'}. Or use --from and --to.`,
    })
  const pipeline = getPipeline(project, chosen)
  const select = selectionFrom(options)
  return {
    pipeline: select === undefined ? pipeline : { ...pipeline, select },
    dir: project.dir,
    writtenIn: 'millrace.yaml',
  }
}

const endOf = async (
  side: Side,
  options: OptionValues,
  flags: EndFlags,
  context: CommandContext,
): Promise<PipelineEnd> => {
  const name = options.text(side)
  const exec = options.text(`${side}-exec`)
  const file = options.text(`${side}-config`)
  if ((name === undefined) === (exec === undefined)) {
    const kind = side === 'from' ? 'streamer' : 'persister'
    const known = (side === 'from' ? builtInStreamers() : builtInPersisters()).names()
    throw new MillraceError('COMMAND_USAGE', {
      why: name === undefined ? `--${side} is missing: which ${kind}?` : `give either --${side} or --${side}-exec`,
      fix: `Known are: ${known.join(', ')}; or a file of your own, or --${side}-exec for any program.`,
    })
  }
  const base = file === undefined ? undefined : readJsonObject(resolve(context.cwd, file), file)
  if (exec !== undefined) {
    const config = {
      ...base,
      ...Object.fromEntries(Object.entries(flags[side]).map(([k, v]) => [k, v === switchedOn ? true : v])),
    }
    return {
      kind: 'exec',
      exec,
      config: base === undefined && Object.keys(config).length === 0 ? undefined : config,
      env: {},
    }
  }
  const connector =
    side === 'from' ? await findStreamer(name as string, context.cwd) : await findPersister(name as string, context.cwd)
  return {
    kind: 'connector',
    name: name as string,
    config: { ...base, ...keyed(side, connector.config, flags[side]) },
    env: {},
  }
}

/** Flags by the keys of the settings they mean. Throws COMMAND_USAGE, so that no typing error is passed over. */
const keyed = (side: Side, spec: ConfigSpec, given: EndFlags[Side]): JsonObject => {
  const keys = Object.keys(spec)
  const config: Record<string, string | readonly string[]> = {}
  for (const [typed, value] of Object.entries(given)) {
    const key = keys.find((k) => k === typed || flagName(k) === flagName(typed))
    if (key === undefined) {
      const near = nearest(typed, keys.map(flagName))
      throw new MillraceError('COMMAND_USAGE', {
        why: `unknown setting --${side}.${typed}${near.length > 0 ? ` — did you mean ${near.map((n) => `--${side}.${n}`).join(' or ')}?` : ''}`,
        fix: `Its settings are: ${keys.map(flagName).join(', ')}.`,
      })
    }
    if (value === switchedOn && spec[key]?.kind !== 'flag')
      throw new MillraceError('COMMAND_USAGE', {
        why: `--${side}.${typed} needs a value`,
        fix: `Write --${side}.${typed}=VALUE.`,
      })
    config[key] = value === switchedOn ? 'true' : value
  }
  return config
}

/** `commits,files.path,!refs` as a selection; undefined where nothing was said. */
const selectionFrom = (options: OptionValues): Pipeline['select'] => {
  const words = options
    .all('select')
    .flatMap((s) => s.split(','))
    .map((s) => s.trim())
    .filter((s) => s !== '')
  if (words.length === 0) return undefined
  const selection: Record<string, boolean | string[]> = {}
  for (const word of words) {
    const isNot = word.startsWith('!')
    const [substream, field] = word.replace(/^!/, '').split(/\.(.*)/s) as [string, string | undefined]
    if (field === undefined) selection[substream] = !isNot
    else {
      const fields = selection[substream]
      selection[substream] = [...(Array.isArray(fields) ? fields : []), isNot ? `!${field}` : field]
    }
  }
  return selection
}
