import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { MillraceError } from '@millrace/sdk'
import { openStore, type Pipeline, runPipeline, type RunOptions, type RunOutcome } from '@millrace/server'
import type { CommandContext } from '../command/context.ts'
import type { CommandSource } from '../command/definition.ts'
import { fileTrouble } from '../command/failure.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { choosePipeline, pipelineCommand } from '../project/chosen-pipeline.ts'
import { programsOf } from '../project/programs.ts'
import { refuseWrongSettings } from '../project/settings.ts'
import { tellOutcome } from '../project/run-end.ts'
import { createRunView } from '../project/run-view.ts'

export const command: CommandSource = pipelineCommand('both', (flags) => ({
  doc: 'Runs a pipeline: of millrace.yaml by its name, or put together here. It goes on from the stored state, and closes its books.',
  options: [
    { flags: '--full-refresh', doc: 'from the beginning, whatever state is stored' },
    { flags: '--state <file>', doc: 'from this state and not from the stored one' },
    { flags: '--allow-emptier-state', doc: 'accept a state that says less than the stored one' },
    {
      flags: '--on-invalid <what>',
      doc: 'what to do with a record that cannot be stored',
      choices: ['stop', 'dead-letter'],
    },
    { flags: '--no-validate', doc: 'do not check records against their schema' },
    { flags: '--idle-timeout <seconds>', doc: 'end the run when nothing came for so long (default: never)' },
  ],
  json: true,
  logs: true,
  examples: [
    { run: 'millrace run history', does: 'a pipeline of millrace.yaml' },
    {
      run: 'millrace run --from git --from.path . --to duckdb --to.path out.duckdb',
      does: 'put together here; its state is kept all the same',
    },
    {
      run: `millrace run --from-exec 'tap-github --config tap.json \${MILLRACE_STATE:+--state "$MILLRACE_STATE"}' --to jsonl --to.path out`,
      does: 'any Singer tap, given the state that is stored where there is one',
    },
  ],
  more: 'Exit codes: 0 done, 64 wrong usage, 65 bad data, 69 and 75 try again later, 70 our mistake or open books, 78 settings, 130 stopped.',
  run: async ({ args, options, context }) => {
    const { pipeline, dir, writtenIn } = await choosePipeline(args, options, { flags, context, sides: 'both' })
    await refuseWrongSettings(pipeline, dir, writtenIn)
    const onInvalid = options.text('on-invalid')
    const stateFile = options.text('state')
    const seconds = options.whole('idle-timeout', 1)
    const outcome = await runHere(
      {
        ...pipeline,
        ...(onInvalid === 'stop' || onInvalid === 'dead-letter' ? { onInvalid } : {}),
        ...(options.flag('validate') ? {} : { validate: false }),
      },
      { dir, context },
      {
        fullRefresh: options.flag('full-refresh'),
        allowEmptierState: options.flag('allow-emptier-state'),
        ...(stateFile === undefined
          ? {}
          : { stateOverride: { text: stateText(stateFile, context.cwd), source: stateFile } }),
        ...(seconds === undefined ? {} : { idleTimeoutMs: seconds * 1000 }),
      },
    )
    tellOutcome(outcome, context)
    return outcome.exitCode
  },
}))

/** Runs a pipeline with the store of a folder, showing how it goes. */
export const runHere = async (
  pipeline: Pipeline,
  { dir, context }: { readonly dir: string; readonly context: CommandContext },
  extra: Partial<RunOptions> = {},
): Promise<RunOutcome> => {
  const programs = await programsOf(pipeline, dir)
  using store = openStore(dir)
  const view = createRunView(pipeline, context)
  using stop = listenForStop()
  try {
    return await runPipeline({
      pipeline,
      store,
      ...programs,
      env: { ...programs.env, MILLRACE_LOG_LEVEL: context.logLevel },
      signal: stop.stop,
      kill: stop.kill,
      onEvent: view.onEvent,
      ...extra,
    })
  } finally {
    view.end()
  }
}

const stateText = (file: string, cwd: string): string => {
  try {
    return readFileSync(resolve(cwd, file), 'utf8')
  } catch (e) {
    throw new MillraceError('STATE_UNREADABLE', { source: file, why: fileTrouble(e) }, { cause: e })
  }
}
