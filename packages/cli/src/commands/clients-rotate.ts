import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Gives a client a new secret. The one before works on until you say --finish, so that nothing stops meanwhile.',
  arguments: [{ usage: '<client>', doc: 'its id' }],
  options: [{ flags: '--finish', doc: 'make no new one: have only the newest work from now on' }],
  json: true,
  examples: [
    { run: 'millrace clients rotate 0198c1e2-…', does: 'a second secret' },
    { run: 'millrace clients rotate 0198c1e2-… --finish', does: 'the first one no longer works' },
  ],
  run: async ({ args, options, context }) => {
    const params = { client: args[0] as string }
    const manager = connect(context)
    if (options.flag('finish')) {
      const client = await manager.call('endRotation', { params })
      if (context.json) return context.printJson(client)
      return context.say('Only the newest secret works now.\n')
    }
    const { client, secret } = await manager.call('rotateSecret', { params })
    if (context.json) return context.printJson({ ...client, secret })
    context.print(`MILLRACE_CLIENT_ID=${client.id}\nMILLRACE_CLIENT_SECRET=${secret}\n`)
    return context.say(
      `The secret is not shown again. When it is in use everywhere: millrace clients rotate ${client.id} --finish\n`,
    )
  },
}
