/** `persist-stitch`: the Stitch persister as its first users call it, in each of the ways that there were. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { loadGate, loadStitchPersister } from '@millrace/connectors'
import {
  createLogger,
  type JsonObject,
  type Logger,
  type LogLevel,
  MillraceError,
  resolveConfig,
  runPersister,
  toMillraceError,
} from '@millrace/sdk'
import type { CommandDefinition, CommandInput, CommandSource, OptionDefinition } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { messageInput } from '../connector/input.ts'
import { stdoutWriter } from '../connector/output.ts'
import { readJsonObject } from '../connector/settings.ts'
import { StreamerChild } from './child.ts'

const options: readonly OptionDefinition[] = [
  { flags: '-c, --config <file>', doc: 'client_id, token and more, as a JSON object' },
  { flags: '-T, --token <token>', doc: 'the access token (env: STITCH_TOKEN)' },
  { flags: '-C, --cid <id>', doc: 'the client id (env: STITCH_CLIENT_ID)' },
  { flags: '--url <url>', doc: 'where the Import API is (env: STITCH_URL)' },
  { flags: '-n, --dry-run', doc: 'read and check everything, send nothing' },
  { flags: '-o, --output-file <file>', doc: 'append each request body to this file, one a line' },
  { flags: '--max-batch-records <n>', doc: 'records in one request (default: 20000)' },
  { flags: '--max-batch-bytes <n>', doc: 'bytes of one request (default: 4000000)' },
  { flags: '--batch-delay-seconds <n>', doc: 'seconds between two states at most, while states come (default: 60)' },
  { flags: '-v, --verbose', doc: 'tell more' },
]
/** Those that take a word behind them; what follows the first other word is the streamer's. */
const takesWord = new Set(
  [...options, { flags: '--log-format <f>' }, { flags: '--log-level <l>' }, { flags: '--cwd <f>' }]
    .filter(({ flags }) => flags.includes('<'))
    .flatMap(({ flags }) => flags.replace(/ <.*/, '').split(', ')),
)

/** Our own words, and the command of a streamer with its arguments where there is one. */
const split = (argv: readonly string[]): { readonly own: readonly string[]; readonly child: readonly string[] } => {
  const own: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string
    if (word === '--') return { own, child: argv.slice(i + 1) }
    if (word === 'sync' && own.every((w) => w.startsWith('-'))) continue
    if (!word.startsWith('-')) return { own, child: argv.slice(i) }
    own.push(word)
    if (takesWord.has(word) && i + 1 < argv.length) own.push(argv[++i] as string)
  }
  return { own, child: [] }
}

const define = (child: readonly string[]): CommandDefinition => ({
  doc: 'Loads messages into Stitch, through its Import API.\nReads them on stdin, or from the streamer whose command stands behind the options. Prints a state on stdout when everything before it was taken.',
  options,
  logs: true,
  examples: [
    { run: 'stream-github | persist-stitch -C 7723 -T TOKEN | tail -1 > bookmark', does: 'in a pipe' },
    { run: 'persist-stitch sync --config persist.json < messages', does: 'with a file of settings' },
    {
      run: 'STITCH_TOKEN=… STITCH_CLIENT_ID=7723 persist-stitch stream-github bookmark',
      does: 'as the parent of the streamer',
    },
  ],
  run: async (input) => await run(input, child),
})

const run = async ({ options: given, context }: CommandInput, child: readonly string[]): Promise<number> => {
  const { env, cwd } = context
  const log = loggerOf(given.flag('verbose') ? 'debug' : (given.text('log-level') as LogLevel | undefined), {
    isJson: given.text('log-format') === 'json',
    isQuiet: given.flag('quiet'),
  })
  using stop = listenForStop()
  try {
    const file = given.text('config')
    const flags: JsonObject = present({
      token: given.text('token'),
      clientId: given.text('cid'),
      url: given.text('url'),
      batchRecords: given.text('max-batch-records'),
      batchBytes: given.text('max-batch-bytes'),
    })
    const out = given.text('output-file')
    using bodies = out === undefined ? undefined : new BodyFile(resolve(cwd, out))
    const isDry = given.flag('dry-run')
    const persister = (await loadStitchPersister())({
      dryRun: isDry,
      ...(bodies === undefined ? {} : { onBody: (body) => bodies.add(body) }),
    })
    const { config } = resolveConfig(persister.config, {
      kind: 'persister',
      name: 'stitch',
      // Nothing is sent, so nobody need say who sends it.
      flags: isDry ? { token: 'none', ...flags } : flags,
      env,
      ...(file === undefined ? {} : { file: readJsonObject(resolve(cwd, file), file), fileName: file }),
    })
    await using streamer = child.length === 0 ? undefined : new StreamerChild(child, cwd)
    stop.stop.addEventListener('abort', () => streamer?.stop())
    const write = stdoutWriter()
    const delay = given.whole('batch-delay-seconds', 1)
    const { compileSchema } = await loadGate()
    await runPersister(persister, {
      config,
      input: streamer?.output ?? messageInput(undefined, cwd),
      writeState: isDry ? () => {} : (line) => write(line),
      log,
      signal: stop.stop,
      kill: stop.kill,
      compileSchema,
      ...(delay === undefined ? {} : { flushMs: delay * 1000 }),
    })
    if (stop.stop.aborted) throw new MillraceError('INTERRUPTED', { signal: stop.name() })
    await streamer?.mustEndWell()
    return 0
  } catch (e) {
    const told = toMillraceError(e)
    if (told.code === 'COMMAND_USAGE') throw told
    log.error(`${told.message}   [${told.code}]`)
    log.error(told.fix)
    return told.exitCode
  }
}

/** A line a message, as callers of old look for: `INFO …`, and `CRITICAL …` with the reason of a failure. */
const loggerOf = (
  level: LogLevel | undefined,
  { isJson, isQuiet }: { readonly isJson: boolean; readonly isQuiet: boolean },
): Logger =>
  createLogger({
    format: isJson ? 'json' : 'text',
    level: isQuiet ? 'error' : (level ?? 'info'),
    write: (line) => {
      process.stderr.write(line)
    },
  })

const present = (values: Readonly<Record<string, string | undefined>>): JsonObject =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as JsonObject

class BodyFile implements Disposable {
  readonly #fd: number

  constructor(path: string) {
    this.#fd = openSync(path, 'a')
  }

  add(body: Buffer): void {
    writeSync(this.#fd, Buffer.concat([body, Buffer.from('\n')]))
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

export const command: CommandSource = async (argv) => {
  const { own, child } = split(argv)
  return { definition: define(child), argv: own }
}
