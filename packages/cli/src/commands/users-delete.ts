import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Deletes a user with all that they were granted (administrators only). Their tokens stop at once. There is no way back.',
  arguments: [{ usage: '<user>', doc: 'their id' }],
  options: [{ flags: '-y, --yes', doc: 'do it' }],
  json: true,
  examples: [{ run: 'millrace users delete 0198c1e2-… --yes', does: 'they are gone' }],
  run: async ({ args, options, context }) => {
    const user = args[0] as string
    if (!options.flag('yes'))
      throw new MillraceError('COMMAND_USAGE', {
        why: `this would delete the user ${user} with all that they were granted`,
        fix: `Say so: millrace users delete ${user} --yes`,
      })
    await connect(context).call('deleteUser', { params: { user } })
    if (context.json) context.printJson({ deleted: user })
    context.say(`${user} is gone.\n`)
  },
}
