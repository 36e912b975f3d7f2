import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { stateLine } from '../project/show-state.ts'
import { knownPipeline, withStore } from '../project/store.ts'

export const command: CommandSource = {
  doc: 'Makes an earlier state of a pipeline its state again: the one before its last run, or one of the log. Rows with keys that come again replace each other.',
  arguments: [
    { usage: '[name]', doc: 'the pipeline; may be left out where there is only one' },
    { usage: '[id]', doc: 'the state, from `millrace state log`' },
  ],
  json: true,
  examples: [
    { run: 'millrace state revert history', does: 'as it was before the last run' },
    { run: 'millrace state revert history 3', does: 'as entry 3 of the log' },
  ],
  run: async ({ args, context }) =>
    await withStore(context, (store) => {
      const id = args[1]
      if (id !== undefined && !/^\d+$/.test(id))
        throw new MillraceError('COMMAND_USAGE', {
          why: `"${id}" is not the id of a state`,
          fix: '`millrace state log` lists them.',
        })
      const pipeline = knownPipeline(store, args[0])
      const entry = store.revertState(pipeline, id === undefined ? undefined : Number(id))
      if (context.json) return context.printJson(entry)
      return context.say(`${pipeline} goes on from ${stateLine(entry.text)} (state ${entry.id}).\n`)
    }),
}
