import { MillraceError } from '@millrace/sdk'
import { findProject, type Pipeline, readProject, type Store } from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { stdoutWriter } from '../connector/output.ts'
import { keptPipeline, lettersOf, replayLetters, replayLines } from '../project/replay.ts'
import { knownPipeline, openProjectStore, storeFolder } from '../project/store.ts'
import { counted } from '../terminal/format.ts'

export const command: CommandSource = {
  doc: 'Sends the dead letters of a pipeline to its destination again, after a fix. They are checked against the schema that the source has today. Those that are stored are marked; the others stay.',
  arguments: [{ usage: '[name]', doc: 'the pipeline; may be left out where there is only one' }],
  options: [
    { flags: '--substream <name>', doc: 'only those of one substream' },
    { flags: '--no-validate', doc: 'do not check them against their schema' },
    { flags: '--print', doc: 'write them to stdout as messages, for a persister behind a pipe' },
    { flags: '--mark', doc: 'with --print: mark them as replayed' },
  ],
  json: true,
  logs: true,
  examples: [
    { run: 'millrace dead-letters replay history', does: 'to the destination of the pipeline' },
    {
      run: 'millrace dead-letters replay pipe-to-jsonl --print --mark | millrace persister jsonl --path out --no-validate',
      does: 'those of a pipe',
    },
  ],
  run: async ({ args, options, context }) => {
    using store = openProjectStore(context.cwd)
    const name = knownPipeline(store, args[0])
    const substream = options.text('substream')
    if (options.flag('print')) return await print(store, name, substream, options.flag('mark'))
    const pipeline = await pipelineOf(store, name, context.cwd)
    using stop = listenForStop()
    const result = await replayLetters(
      { pipeline, dir: storeFolder(context.cwd), store, context },
      { substream, validate: options.flag('validate'), stop },
    )
    if (context.json) context.printJson(result)
    else
      context.say(
        `${counted(result.replayed, 'dead letter')} of ${name} replayed, ${result.refused} refused again (run ${result.run}).\n`,
      )
    return result.refused > 0 ? 65 : 0
  },
}

const pipelineOf = async (store: Store, name: string, cwd: string): Promise<Pipeline> => {
  const file = findProject(cwd)
  const found =
    (file === undefined ? undefined : (await readProject(file)).pipelines.get(name)) ?? keptPipeline(store, name)
  if (found === undefined)
    throw new MillraceError('COMMAND_USAGE', {
      why: `where ${name} wrote to is not known`,
      fix: `Pipe them: millrace dead-letters replay ${name} --print --mark | millrace persister …`,
    })
  return found
}

const print = async (store: Store, name: string, substream: string | undefined, marks: boolean): Promise<void> => {
  const write = stdoutWriter()
  const printed: number[] = []
  for (const { text, letter } of replayLines(lettersOf(store, name, substream), new Map())) {
    const wait = write(`${text}\n`)
    if (wait !== undefined) await wait
    if (letter !== undefined) printed.push(letter)
  }
  if (marks) store.markReplayed(printed)
}
