import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isObject, type Json, MillraceError, parseStateFile, runStreamer, type Streamer } from '@millrace/sdk'
import type { CommandDefinition, CommandInput, CommandSource, OptionDefinition } from '../command/definition.ts'
import { fileTrouble } from '../command/failure.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { authorError } from '../connector/author-error.ts'
import { connectorCommand, describeConnector, takenFlags } from '../connector/command.ts'
import { stdoutWriter } from '../connector/output.ts'
import { converted, outputFormat, outputFormats } from '../connector/output-format.ts'
import { relayLines } from '../connector/relay.ts'
import { reportFailure, reportWriter } from '../connector/report.ts'
import { readJsonObject, resolveSettings } from '../connector/settings.ts'

const stdoutDescriptor = 1

const verbs = ['sync', 'check', 'discover'] as const

const options: readonly OptionDefinition[] = [
  {
    flags: '-c, --config <file>',
    doc: 'its settings as a JSON object; may be given again, later files win; ENV means the environment alone',
    repeatable: true,
  },
  { flags: '--set <key=value>', doc: 'one setting; may be given again', repeatable: true },
  { flags: '-s, --state <file>', doc: 'where to go on from: a state, or a file that states were appended to' },
  { flags: '--catalog <file>', doc: 'what to read: a Singer catalog' },
  { flags: '-p, --properties <file>', doc: 'the same, as older taps call it' },
  { flags: '-d, --discover', doc: 'print the catalog and end (as the word discover)' },
  { flags: '--about', doc: 'describe the streamer and its settings in JSON' },
  { flags: '--describe', doc: 'the same' },
  { flags: '--to-format <format>', doc: 'what to write (default: singer)', choices: outputFormats },
]

const define = (streamer: Streamer | undefined, name: string): CommandDefinition => {
  const shown = streamer === undefined ? 'git' : name
  return {
    doc:
      streamer === undefined
        ? 'Runs a streamer: messages of a source, to stdout.'
        : `${streamer.doc}\nWrites messages to stdout, its log to stderr.`,
    arguments: [
      {
        usage: '[command]',
        doc: 'sync (default): read; check: try the settings; discover: print the catalog',
        choices: verbs,
      },
    ],
    options,
    logs: true,
    examples: [
      { run: `millrace streamer ${shown} --help`, does: 'every setting' },
      { run: `millrace streamer ${shown} discover > catalog.json`, does: 'what it offers' },
      {
        run: `millrace streamer ${shown} --config config.json --state state.json | millrace persister jsonl --path out >> state.json`,
        does: 'go on from the last state, and keep the next',
      },
    ],
    run: async (input) => await run(streamer as Streamer, input),
  }
}

const run = async (streamer: Streamer, { args, options: given, context }: CommandInput): Promise<void> => {
  const { cwd, env, log } = context
  if (given.flag('about') || given.flag('describe')) return context.printJson(describeConnector(streamer))
  const command = given.flag('discover') ? 'discover' : (verbs.find((v) => v === args[0]) ?? 'sync')
  const report = reportWriter(env)
  using stop = listenForStop((signal) => log.info('stopping: what is begun is finished', { signal }))
  try {
    const taken = takenFlags(options)
    const { config } = resolveSettings(streamer, { options: given, cwd, env, taken }, log)
    const catalogFile = given.text('catalog') ?? given.text('properties')
    const stateFile = given.text('state')
    const format = command === 'sync' ? outputFormat(given.text('to-format')) : 'singer'
    const output = converted(format, stdoutWriter())
    await runStreamer(streamer, {
      command,
      config,
      catalog: catalogFile === undefined ? undefined : readJsonObject(resolve(cwd, catalogFile), catalogFile),
      state: stateFile === undefined ? undefined : readState(streamer, resolve(cwd, stateFile), stateFile),
      write: output.write,
      log,
      signal: stop.stop,
      direct: format === 'singer' ? stdoutDescriptor : undefined,
      relay: relayLines(context),
      ...(report === undefined ? {} : { report }),
    }).finally(output.end)
  } catch (e) {
    const told = authorError(e, streamer)
    reportFailure(report, told)
    throw told
  }
  if (stop.stop.aborted) throw new MillraceError('INTERRUPTED', { signal: stop.name() })
  if (command === 'check') context.say(`${streamer.name}: the settings are good and the source answers.\n`)
}

/** A state file that is not there is a mistake; one that is empty is the beginning (`>> state.json` makes it so). */
const readState = (streamer: Streamer, path: string, shownAs: string): Json | undefined => {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (e) {
    throw new MillraceError('STATE_UNREADABLE', { source: shownAs, why: fileTrouble(e) }, { cause: e })
  }
  const state = parseStateFile(content, shownAs)
  if (state !== undefined && !isObject(state) && streamer.olderState === undefined)
    throw new MillraceError('STATE_UNREADABLE', { source: shownAs, why: 'it is not a JSON object' })
  return state
}

export const command: CommandSource = connectorCommand<Streamer>({ kind: 'streamer', define })
