import type { DeadLetterQuery } from '@millrace/server'
import type { CommandSource } from '../command/definition.ts'
import { knownPipeline, runId, withStore } from '../project/store.ts'
import { counted, moment } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'Records and lines that were set aside, with their reasons. Their content is shown by `dead-letters show` and --json.',
  arguments: [{ usage: '[name]', doc: 'only those of one pipeline' }],
  options: [
    { flags: '--run <run>', doc: 'only those of one run (its id, or last)' },
    { flags: '--substream <name>', doc: 'only those of one substream' },
    { flags: '--code <code>', doc: 'only those with this error code' },
    { flags: '--all', doc: 'also those that were replayed' },
    { flags: '--limit <n>', doc: 'how many (default: 50)' },
    { flags: '--after <id>', doc: 'only those behind this one: the next page' },
  ],
  json: true,
  examples: [
    { run: 'millrace dead-letters list history', does: 'those of one pipeline' },
    { run: 'millrace dead-letters list --run last --json', does: 'those of the last run, whole, for a program' },
  ],
  run: async ({ args, options, context }) =>
    await withStore(context, (store) => {
      const run = options.text('run')
      const substream = options.text('substream')
      const code = options.text('code')
      const after = options.whole('after')
      const query: DeadLetterQuery = {
        limit: options.whole('limit', 1) ?? 50,
        ...(args[0] === undefined ? {} : { pipeline: knownPipeline(store, args[0]) }),
        ...(run === undefined ? {} : { run: store.getRun(runId(run)).id }),
        ...(substream === undefined ? {} : { substream }),
        ...(code === undefined ? {} : { code }),
        ...(after === undefined ? {} : { after }),
        ...(options.flag('all') ? { replayed: 'any' as const } : {}),
      }
      const letters = store.deadLetters(query)
      if (context.json) return context.printJson(letters)
      if (letters.length === 0) return context.say('None.\n')
      context.print(
        renderTable({
          columns: [
            { title: 'id', align: 'right' },
            'pipeline',
            'substream',
            { title: 'line', align: 'right' },
            'code',
            'reason',
            'at',
          ],
          rows: letters.map((l) => [
            String(l.id),
            l.pipeline,
            l.substream,
            String(l.line),
            l.code,
            l.reason,
            l.replayedAt === undefined ? moment(l.at) : `replayed ${moment(l.replayedAt)}`,
          ]),
          width: context.width,
          heading: context.style.dim,
        }),
      )
      const all = store.countDeadLetters({ ...query, limit: Number.MAX_SAFE_INTEGER })
      if (all > letters.length)
        context.say(`${counted(all, 'dead letter')} in all; --after ${letters.at(-1)?.id} shows the next.\n`)
    }),
}
