import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Has no secret and no token of a client work any more. With --delete the client is forgotten, with what it was granted.',
  arguments: [{ usage: '<client>', doc: 'its id' }],
  options: [{ flags: '--delete', doc: 'forget it' }],
  json: true,
  examples: [{ run: 'millrace clients revoke 0198c1e2-…', does: 'it is locked out at once' }],
  run: async ({ args, options, context }) => {
    const client = args[0] as string
    const isDeleted = options.flag('delete')
    await connect(context).call(isDeleted ? 'deleteClient' : 'revokeClient', { params: { client } })
    if (context.json) context.printJson({ client, revoked: true, deleted: isDeleted })
    context.say(`The client ${client} is ${isDeleted ? 'gone' : 'locked out'}.\n`)
  },
}
