import type { CommandSource } from '../command/definition.ts'
import { booksTable, runDuration, runEnding } from '../project/show-run.ts'
import { noRun, runId, withStore } from '../project/store.ts'
import { count, moment } from '../terminal/format.ts'

export const command: CommandSource = {
  doc: 'One run: when, how it ended, its books, and what the destination held after it.',
  arguments: [{ usage: '[run]', doc: 'its id, the beginning or end of it, or last (default)' }],
  json: true,
  examples: [
    { run: 'millrace runs show last', does: 'the newest' },
    { run: 'millrace runs show last --json', does: 'with digests and evidence, for a program' },
  ],
  run: async ({ args, context }) =>
    await withStore(
      context,
      (store) => {
        const run = store.getRun(runId(args[0]))
        const books = store.books(run.id)
        const evidence = store.evidence(run.id)
        if (context.json) return context.printJson({ ...run, books, evidence })
        const { style, print } = context
        print(`${style.bold(`run ${run.id}`)} of ${run.pipeline}, ${run.mode}\n`)
        print(
          `began ${moment(run.startedAt)}${run.endedAt === undefined ? '' : `, took ${runDuration(run)}`}; ${runEnding(run)}${run.exitCode === undefined ? '' : ` (exit ${run.exitCode})`}\n`,
        )
        if (run.error !== undefined) print(`${style.red(run.error.message)}   [${run.error.code}]\n`)
        print(`\n${booksTable(books, { style, width: context.width, complete: run.why === 'finished' })}`)
        for (const e of evidence)
          print(`\n${e.substream}: ${count(e.rows)} rows at the destination; ${JSON.stringify(e.marks)}`)
        return print(evidence.length > 0 ? '\n' : '')
      },
      noRun(args[0], context),
    ),
}
