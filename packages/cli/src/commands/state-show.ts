import type { CommandSource } from '../command/definition.ts'
import { stateJson, stateLine } from '../project/show-state.ts'
import { pipelineHere, withStore } from '../project/store.ts'
import { moment } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'Prints the state of a pipeline, exactly; without a name, one line for each pipeline.',
  arguments: [{ usage: '[name]', doc: 'the pipeline' }],
  json: true,
  examples: [
    { run: 'millrace state show', does: 'every pipeline' },
    { run: 'millrace state show history > state.json', does: 'as a Singer state file' },
  ],
  run: async ({ args, context }) =>
    await withStore(context, async (store) => {
      if (args[0] === undefined) {
        const entries = store.pipelines().map((pipeline) => ({ pipeline, state: store.stateOf(pipeline) }))
        if (context.json)
          return context.printJson(
            entries.map(({ pipeline, state }) => ({
              pipeline,
              ...(state === undefined ? { text: null } : (stateJson(state) as object)),
            })),
          )
        return context.print(
          renderTable({
            columns: ['pipeline', 'since', 'run', 'state'],
            rows: entries.map(({ pipeline, state }) => [
              pipeline,
              moment(state?.at),
              state?.run ?? '',
              stateLine(state?.text),
            ]),
            width: context.width,
            heading: context.style.dim,
          }),
        )
      }
      const entry = store.stateOf(await pipelineHere(store, args[0], context.cwd))
      if (context.json) return context.printJson(entry === undefined ? { text: null } : stateJson(entry))
      if (entry?.text === undefined) return context.say('It has no state: its next run reads from the beginning.\n')
      return context.print(`${entry.text}\n`)
    }),
}
