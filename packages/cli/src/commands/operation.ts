import { isMillraceError, MillraceError, type Operation, runOperation } from '@millrace/sdk'
import type { CommandDefinition, CommandInput, CommandSource, OptionDefinition } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { authorError } from '../connector/author-error.ts'
import { connectorCommand, describeConnector, takenFlags } from '../connector/command.ts'
import { messageInput } from '../connector/input.ts'
import { stdoutWriter } from '../connector/output.ts'
import { resolveSettings } from '../connector/settings.ts'

const options: readonly OptionDefinition[] = [
  {
    flags: '-c, --config <file>',
    doc: 'its settings as a JSON object; may be given again, later files win; ENV means the environment alone',
    repeatable: true,
  },
  { flags: '--set <key=value>', doc: 'one setting; may be given again', repeatable: true },
  { flags: '--input <file>', doc: 'read this file and not stdin' },
  { flags: '--max-line-bytes <size>', doc: 'the longest line taken (default: 64MiB)' },
  { flags: '--about', doc: 'describe the operation and its settings in JSON' },
  { flags: '--describe', doc: 'the same' },
]

const define = (operation: Operation | undefined, name: string): CommandDefinition => {
  const shown = operation === undefined ? './waffle.ts' : name
  return {
    doc:
      operation === undefined
        ? 'Runs an operation: what it reads on stdin, changed, to stdout.'
        : `${operation.doc}\nReads ${operation.lines === undefined ? 'messages' : 'lines'} on stdin and writes them to stdout, its log to stderr.`,
    options,
    logs: true,
    examples: [
      { run: `millrace operation ${shown} --help`, does: 'every setting' },
      ...(operation?.lines === undefined
        ? [
            {
              run: `millrace streamer hello | millrace operation ${shown} | millrace persister jsonl --path out >> state.json`,
              does: 'between a streamer and a persister',
            },
          ]
        : []),
      { run: `millrace operation ${shown} --input in.txt > out.txt`, does: 'from a file to a file' },
    ],
    run: async (input) => await run(operation as Operation, input),
  }
}

const run = async (operation: Operation, { options: given, context }: CommandInput): Promise<void> => {
  const { cwd, env, log } = context
  if (given.flag('about') || given.flag('describe')) return context.printJson(describeConnector(operation))
  using stop = listenForStop((signal) => log.info('stopping: what is begun is finished', { signal }))
  const { config } = resolveSettings(operation, { options: given, cwd, env, taken: takenFlags(options) }, log)
  const maxLineBytes = given.bytes('max-line-bytes')
  try {
    await runOperation(operation, {
      config,
      input: until(stop.stop, messageInput(given.text('input'), cwd)),
      write: stdoutWriter(),
      log,
      signal: stop.stop,
      ...(maxLineBytes === undefined ? {} : { maxLineBytes }),
    })
  } catch (e) {
    // The line that the stop cut in two is nobody's mistake.
    if (!(stop.stop.aborted && isMillraceError(e) && e.code === 'MESSAGE_INCOMPLETE')) throw authorError(e, operation)
  }
  if (stop.stop.aborted) throw new MillraceError('INTERRUPTED', { signal: stop.name() })
}

/** The input, ended by a stop also where nothing comes any more. */
async function* until(signal: AbortSignal, input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const stopped = new Promise<undefined>((done) => {
    if (signal.aborted) done(undefined)
    else signal.addEventListener('abort', () => done(undefined), { once: true })
  })
  const chunks = input[Symbol.asyncIterator]()
  for (;;) {
    const next = await Promise.race([chunks.next(), stopped])
    if (next === undefined || next.done === true) return
    yield next.value
  }
}

export const command: CommandSource = connectorCommand<Operation>({ kind: 'operation', define })
