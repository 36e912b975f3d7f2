import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Makes a client: a program that uses streams. Its secret is shown this once.',
  arguments: [{ usage: '<name>', doc: 'what it is called' }],
  options: [{ flags: '--description <text>', doc: 'what it does' }],
  json: true,
  examples: [{ run: 'millrace clients create "shop backend"', does: 'an id and a secret' }],
  run: async ({ args, options, context }) => {
    const { client, secret } = await connect(context).call('createClient', {
      body: { displayName: args[0] as string, description: options.text('description') },
    })
    if (context.json) return context.printJson({ ...client, secret })
    context.print(`MILLRACE_CLIENT_ID=${client.id}\nMILLRACE_CLIENT_SECRET=${secret}\n`)
    return context.say(
      `The secret is not shown again. It may use nothing yet: \`millrace grant STREAM client:${client.id} consumer\`.\n`,
    )
  },
}
