import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { loadGate } from '@millrace/connectors'
import {
  type ConfigSpec,
  type Evidence,
  encodeJson,
  type JsonObject,
  MillraceError,
  moreComesVariable,
  type Persister,
  type PersisterRunOptions,
  type PersisterRunResult,
  parseExact,
  type Report,
  type Resolved,
  reportVariable,
  runPersister,
  startsOverVariable,
} from '@millrace/sdk'
import type { CommandDefinition, CommandInput, CommandSource, OptionDefinition } from '../command/definition.ts'
import { listenForStop, type StopSignals } from '../command/stop-signals.ts'
import { authorError } from '../connector/author-error.ts'
import { catalogSchemas } from '../connector/catalog-schemas.ts'
import { connectorCommand, describeConnector, takenFlags } from '../connector/command.ts'
import { standaloneLetters } from '../connector/dead-letters.ts'
import { dryRun } from '../connector/dry-run.ts'
import { messageInput } from '../connector/input.ts'
import { stdoutWriter } from '../connector/output.ts'
import { relayLines } from '../connector/relay.ts'
import { reportFailure, reportWriter } from '../connector/report.ts'
import { readJsonObject, resolveSettings } from '../connector/settings.ts'
import { count, counted } from '../terminal/format.ts'

const verbs = ['sync', 'check', 'verify', 'plan'] as const

const options: readonly OptionDefinition[] = [
  {
    flags: '-c, --config <file>',
    doc: 'its settings as a JSON object; may be given again, later files win; ENV means the environment alone',
    repeatable: true,
  },
  { flags: '--set <key=value>', doc: 'one setting; may be given again', repeatable: true },
  { flags: '--input <file>', doc: 'read messages from this file and not from stdin' },
  {
    flags: '--on-invalid <what>',
    doc: 'what to do with a record that cannot be stored (default: stop)',
    choices: ['stop', 'dead-letter'],
  },
  { flags: '--no-validate', doc: 'do not check records against their schema' },
  { flags: '--require-schema', doc: 'refuse records that no SCHEMA came before' },
  {
    flags: '--unselected <file>',
    doc: 'what is left out, as a JSON object: a list of fields by substream, or false for all of it',
  },
  { flags: '--maps <file>', doc: 'maps as a JSON object: rename, drop, mask, filter' },
  { flags: '--max-line-bytes <size>', doc: 'the longest message taken (default: 64MiB)' },
  { flags: '--batch-records <n>', doc: 'records handed over at once' },
  { flags: '--flush-records <n>', doc: 'records between two flushes' },
  { flags: '--flush-ms <n>', doc: 'milliseconds between two flushes' },
  { flags: '-n, --dry-run', doc: 'read and check everything, write nothing' },
  { flags: '--evidence <file>', doc: 'for verify: what it is to hold, as JSON' },
  { flags: '--catalog <file>', doc: 'for plan: the substreams to come' },
  { flags: '--about', doc: 'describe the persister and its settings in JSON' },
  { flags: '--describe', doc: 'the same' },
]

const define = (persister: Persister | undefined, name: string): CommandDefinition => {
  const shown = persister === undefined ? 'jsonl' : name
  const path = persister?.name === 'duckdb' || persister?.name === 'sqlite' ? `out.${persister.name}` : 'out'
  return {
    doc:
      persister === undefined
        ? 'Runs a persister: messages on stdin, to a destination.'
        : `${persister.doc}\nReads messages on stdin. Prints a state on stdout when everything before it is durable.`,
    arguments: [
      {
        usage: '[command]',
        doc: 'sync (default): store; check: try the settings; verify and plan: ask the destination',
        choices: verbs,
      },
    ],
    options,
    logs: true,
    json: true,
    examples: [
      { run: `millrace persister ${shown} --help`, does: 'every setting' },
      {
        run: `millrace streamer git --path . | millrace persister ${shown} --path ${path} >> state.json`,
        does: 'store, and keep the state',
      },
      {
        run: `millrace persister ${shown} --config config.json --on-invalid dead-letter < messages.jsonl`,
        does: 'set aside what cannot be stored',
      },
    ],
    run: async (input) => await run(persister as Persister, input),
  }
}

const run = async (persister: Persister, input: CommandInput): Promise<void> => {
  const { args, options: given, context } = input
  const { cwd, env, log } = context
  if (given.flag('about') || given.flag('describe')) return context.printJson(describeConnector(persister))
  const verb = verbs.find((v) => v === args[0]) ?? 'sync'
  const report = reportWriter(env)
  using stop = listenForStop((signal) => log.info('stopping: what was read is stored', { signal }))
  try {
    const resolved = resolveSettings(persister, { options: given, cwd, env, taken: takenFlags(options) }, log)
    if (verb === 'sync') await sync(persister, input, resolved, stop, report)
    else await ask(verb, persister, input, resolved, stop)
  } catch (e) {
    const told = authorError(e, persister)
    reportFailure(report, told)
    throw told
  }
}

const sync = async (
  persister: Persister,
  input: CommandInput,
  { config }: Resolved<ConfigSpec>,
  stop: StopSignals,
  report: ((report: Report) => void) | undefined,
): Promise<void> => {
  const { options: given, context } = input
  const { cwd, log } = context
  const isDry = given.flag('dry-run')
  const write = stdoutWriter()
  const onInvalid = given.text('on-invalid') === 'dead-letter' ? 'dead-letter' : 'stop'
  const letters =
    onInvalid === 'dead-letter' && report === undefined && !isDry
      ? standaloneLetters(persister.name, context)
      : undefined
  try {
    const result = await runPersister(isDry ? dryRun(persister) : persister, {
      config,
      input: messageInput(given.text('input'), cwd),
      writeState: isDry ? () => {} : (line) => write(line),
      log,
      signal: stop.stop,
      kill: stop.kill,
      relay: relayLines(context),
      onInvalid,
      requireSchema: given.flag('require-schema'),
      startsOver: context.env[startsOverVariable] === '1',
      moreComes: context.env[moreComesVariable] === '1',
      ...(await gate(input)),
      ...(letters === undefined
        ? isDry
          ? { keepDeadLetters: async () => {} }
          : {}
        : { keepDeadLetters: letters.keep }),
      ...(report === undefined ? {} : { report }),
      ...present('maxLineBytes', given.bytes('max-line-bytes')),
      ...present('batchRecords', given.whole('batch-records', 1)),
      ...present('flushRecords', given.whole('flush-records', 1)),
      ...present('flushMs', given.whole('flush-ms', 1)),
      ...present('source', given.text('input')),
    })
    if (isDry) summary(result, input)
    if (letters !== undefined && letters.kept() > 0)
      log.warn('records were set aside', {
        count: letters.kept(),
        see: `millrace dead-letters list ${letters.pipeline}`,
      })
  } finally {
    letters?.close()
  }
  if (stop.stop.aborted) throw new MillraceError('INTERRUPTED', { signal: stop.name() })
}

const present = <K extends keyof PersisterRunOptions>(
  key: K,
  value: PersisterRunOptions[K] | undefined,
): Partial<PersisterRunOptions> => (value === undefined ? {} : ({ [key]: value } as Partial<PersisterRunOptions>))

/** The gate's functions: loaded only where something is checked or mapped. */
const gate = async ({ options: given, context }: CommandInput): Promise<Partial<PersisterRunOptions>> => {
  const maps = given.text('maps')
  const validates = given.flag('validate')
  const unselected = given.text('unselected')
  if (maps === undefined && unselected === undefined && !validates) return {}
  const { compileMaps, compileSchema, withoutUnselected } = await loadGate()
  const object = (file: string): JsonObject => readJsonObject(resolve(context.cwd, file), file)
  const mapped = maps === undefined ? undefined : compileMaps(object(maps))
  const compileMap = unselected === undefined ? mapped : withoutUnselected(object(unselected), mapped)
  return {
    ...(validates ? { compileSchema } : {}),
    ...(compileMap === undefined ? {} : { compileMap }),
  }
}

const summary = ({ books }: PersisterRunResult, { context }: CommandInput): void => {
  const rows = Object.entries(books)
  if (context.json) {
    context.printJson({ dryRun: true, books })
    return
  }
  context.say('Nothing was written (--dry-run).\n')
  for (const [substream, b] of rows)
    context.say(
      `  ${substream}: ${counted(b.received.records, 'record')}, ${count(b.stored.records)} would be stored, ${count(b.filtered.records)} filtered, ${count(b.deadLettered.records)} set aside\n`,
    )
}

/** The verbs that ask and change nothing. */
const ask = async (
  verb: 'check' | 'verify' | 'plan',
  persister: Persister,
  { options: given, context }: CommandInput,
  { config }: Resolved<ConfigSpec>,
  stop: StopSignals,
): Promise<void> => {
  const ctx = { config, log: context.log, signal: stop.stop, relay: relayLines(context) }
  const cannot = (): never => {
    throw new MillraceError('COMMAND_USAGE', {
      why: `persister ${persister.name} cannot ${verb}`,
      fix: 'Its --about tells what it can.',
    })
  }
  const needed = (option: string): string => {
    const file = given.text(option)
    if (file === undefined) throw new MillraceError('COMMAND_USAGE', { why: `${verb} needs --${option} FILE` })
    return file
  }
  switch (verb) {
    case 'check':
      await persister.check?.(ctx)
      context.say(`${persister.name}: the settings are good and the destination answers.\n`)
      return
    case 'plan': {
      if (persister.plan === undefined) return cannot()
      const file = needed('catalog')
      const lines = await persister.plan(ctx, catalogSchemas(readJsonObject(resolve(context.cwd, file), file)))
      if (context.json) context.printJson(lines)
      else context.print(lines.map((l) => `${l}\n`).join(''))
      return
    }
    case 'verify': {
      if (persister.verify === undefined) return cannot()
      const file = needed('evidence')
      const evidence = parseExact(readFileSync(resolve(context.cwd, file), 'utf8')) as unknown as readonly Evidence[]
      const findings = await persister.verify(ctx, evidence)
      if (context.json || process.stdout.isTTY !== true) context.print(`${encodeJson(findings as never)}\n`)
      else
        for (const f of findings)
          context.print(
            `${f.substream}: ${counted(f.rows, 'row')}, ${f.problems.length === 0 ? 'as it was left' : f.problems.join('; ')}\n`,
          )
      const problems = findings.flatMap((f) => f.problems.map((p) => `${f.substream}: ${p}`))
      // Whoever runs this for its answer judges it by itself.
      if (problems.length > 0 && context.env[reportVariable] === undefined)
        throw new MillraceError('VERIFY_FAILED', { run: file, problems })
      return
    }
    default:
      verb satisfies never
  }
}

export const command: CommandSource = connectorCommand<Persister>({ kind: 'persister', define })
