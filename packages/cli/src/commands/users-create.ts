import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Makes a user: a person who uses the manager (administrators only). The login works once, within a week, and is shown this once. Somebody who was granted something by e-mail, or lost the login before setting a password, gets another.',
  arguments: [{ usage: '<email>', doc: 'their e-mail address' }],
  options: [
    { flags: '--display-name <text>', doc: 'what people call them' },
    { flags: '--administrator', doc: 'they administer the manager, too' },
  ],
  json: true,
  examples: [{ run: 'millrace users create ann@example.com', does: 'a login for Ann, once' }],
  run: async ({ args, options, context }) => {
    const email = args[0] as string
    if (!/^[^@\s]+@[^@\s]+$/.test(email))
      throw new MillraceError('COMMAND_USAGE', { why: `"${email}" is no e-mail address` })
    const client = connect(context)
    const { user, oneTimeLogin } = await client.call('createUser', {
      body: {
        email,
        displayName: options.text('display-name'),
        isAdministrator: options.flag('administrator') ? true : undefined,
      },
    })
    if (context.json) return context.printJson({ ...user, oneTimeLogin })
    context.print(`${oneTimeLogin}\n`)
    return context.say(`They log in with: millrace login ${client.url} --one-time LOGIN\n`)
  },
}
