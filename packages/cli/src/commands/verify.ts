import { findProject, projectEnvironment, readProject, type RunRecord, type Store, verifyRun } from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { isOfPipe } from '../connector/dead-letters.ts'
import { connectorCommands } from '../project/programs.ts'
import { noRun, runId, storeFolder, withStore } from '../project/store.ts'
import { count } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'Asks the destination of a run again whether it holds what the run stored. Changes nothing.',
  arguments: [{ usage: '[run]', doc: 'its id, the beginning or end of it, or last (default)' }],
  json: true,
  examples: [
    { run: 'millrace verify last', does: 'the newest run' },
    { run: 'millrace verify last --json', does: 'the same, for a program' },
  ],
  run: async ({ args, context }) =>
    await withStore(
      context,
      async (store) => {
        using stop = listenForStop()
        const run = runToVerify(store, args[0], context.say)
        const file = findProject(context.cwd)
        const pipeline = file === undefined ? undefined : (await readProject(file)).pipelines.get(run.pipeline)
        const report = await verifyRun({
          store,
          run: run.id,
          commands: connectorCommands,
          env: projectEnvironment(storeFolder(context.cwd), process.env),
          signal: stop.stop,
          onLog: (line) => context.log.debug(line),
          ...(pipeline === undefined ? {} : { pipeline }),
        })
        if (context.json) return context.printJson(report)
        context.print(
          renderTable({
            columns: ['substream', { title: 'rows', align: 'right' }, { title: 'expected', align: 'right' }, 'found'],
            rows: report.substreams.map((s) => [
              s.substream,
              count(s.rows),
              count(s.expected),
              s.evidenceOf === run.id ? 'as this run left it' : `as run ${s.evidenceOf} left it`,
            ]),
            width: context.width,
            heading: context.style.dim,
          }),
        )
        context.say(
          `${context.wordStyle.green('The destination holds')} what run ${run.id} of ${run.pipeline} stored.\n`,
        )
      },
      noRun(args[0], context),
    ),
}

/**
 * The run that was named. For `last` it is the newest of a pipeline: what a pipe set aside is not a run of one. A run that found
 * nothing new leaves no evidence; then it is the newest of the same pipeline that left some, which is said.
 */
const runToVerify = (store: Store, typed: string | undefined, say: (text: string) => void): RunRecord => {
  if (runId(typed) !== 'latest') return store.getRun(runId(typed))
  const runs = store.listRuns({ limit: 100 })
  const named = runs.find((r) => !isOfPipe(r)) ?? store.getRun('latest')
  if (store.evidence(named.id).length > 0 || named.why !== 'finished') return named
  const found = runs.find((r) => r.pipeline === named.pipeline && store.evidence(r.id).length > 0)
  if (found === undefined) return named
  say(`Run ${named.id} of ${named.pipeline} left no evidence; what run ${found.id} left is looked for.\n`)
  return found
}
