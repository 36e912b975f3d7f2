import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Deletes a stream with all its records, marks, groups and grants. There is no way back.',
  arguments: [{ usage: '<name>', doc: 'its name or id' }],
  options: [{ flags: '-y, --yes', doc: 'do it' }],
  json: true,
  examples: [{ run: 'millrace streams delete orders --yes', does: 'the stream is gone' }],
  run: async ({ args, options, context }) => {
    const stream = args[0] as string
    if (!options.flag('yes'))
      throw new MillraceError('COMMAND_USAGE', {
        why: `this would delete ${stream} with all its records`,
        fix: `Say so: millrace streams delete ${stream} --yes`,
      })
    await connect(context).call('deleteStream', { params: { stream } })
    if (context.json) context.printJson({ deleted: stream })
    context.say(`${stream} is gone.\n`)
  },
}
