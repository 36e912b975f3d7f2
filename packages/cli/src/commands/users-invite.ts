import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Makes another login for a user who is there (administrators only), as for a forgotten password. It works once, within a week, and is shown this once; one made before no longer works. A password that is set with it ends every token of before.',
  arguments: [{ usage: '<email>', doc: 'their e-mail address' }],
  json: true,
  examples: [{ run: 'millrace users invite ann@example.com', does: 'Ann sets a new password with it' }],
  run: async ({ args, context }) => {
    const email = args[0] as string
    if (!/^[^@\s]+@[^@\s]+$/.test(email))
      throw new MillraceError('COMMAND_USAGE', { why: `"${email}" is no e-mail address` })
    const client = connect(context)
    const { user, oneTimeLogin } = await client.call('inviteUser', { body: { email } })
    if (context.json) return context.printJson({ ...user, oneTimeLogin })
    context.print(`${oneTimeLogin}\n`)
    return context.say(`They log in with: millrace login ${client.url} --one-time LOGIN --secret-file PASSWORD\n`)
  },
}
