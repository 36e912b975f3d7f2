import type { CommandSource } from '../command/definition.ts'
import { stateJson, stateLine } from '../project/show-state.ts'
import { knownPipeline, withStore } from '../project/store.ts'
import { count, moment } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'Every state a pipeline had, newest first, with its run and the records stored up to it.',
  arguments: [{ usage: '[name]', doc: 'the pipeline; may be left out where there is only one' }],
  options: [{ flags: '--limit <n>', doc: 'how many (default: 20)' }],
  json: true,
  examples: [
    { run: 'millrace state log history', does: 'the last 20' },
    { run: 'millrace state log history --limit 1000 --json', does: 'for a program' },
  ],
  run: async ({ args, options, context }) =>
    await withStore(context, (store) => {
      const entries = store.stateLog(knownPipeline(store, args[0]), options.whole('limit', 1) ?? 20)
      if (context.json) return context.printJson(entries.map(stateJson))
      return context.print(
        renderTable({
          columns: [{ title: 'id', align: 'right' }, 'at', 'by', { title: 'records', align: 'right' }, 'state'],
          rows: entries.map((e) => [
            String(e.id),
            moment(e.at),
            e.run ?? e.origin,
            count(e.records),
            stateLine(e.text),
          ]),
          width: context.width,
          heading: context.style.dim,
        }),
      )
    }),
}
