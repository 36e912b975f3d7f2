import type { CommandSource } from '../command/definition.ts'
import { runDuration, runEnding } from '../project/show-run.ts'
import { knownPipeline, withStore } from '../project/store.ts'
import { count, moment } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'The last runs, newest first.',
  options: [
    { flags: '--pipeline <name>', doc: 'only those of one pipeline' },
    { flags: '--limit <n>', doc: 'how many (default: 20)' },
  ],
  json: true,
  examples: [
    { run: 'millrace runs', does: 'the last 20' },
    { run: 'millrace runs list --pipeline history --json', does: 'those of one pipeline, for a program' },
  ],
  run: async ({ options, context }) =>
    await withStore(context, (store) => {
      const name = options.text('pipeline')
      const runs = store.listRuns({
        limit: options.whole('limit', 1) ?? 20,
        ...(name === undefined ? {} : { pipeline: knownPipeline(store, name) }),
      })
      if (context.json) return context.printJson(runs)
      const right = (title: string): { readonly title: string; readonly align: 'right' } => ({ title, align: 'right' })
      return context.print(
        renderTable({
          columns: ['run', 'pipeline', 'began', 'took', 'mode', 'ended', right('stored'), right('set aside')],
          rows: runs.map((r) => [
            r.id,
            r.pipeline,
            moment(r.startedAt),
            runDuration(r),
            r.mode,
            runEnding(r),
            count(r.counts.stored),
            count(r.counts.deadLettered),
          ]),
          width: context.width,
          heading: context.style.dim,
        }),
      )
    }),
}
