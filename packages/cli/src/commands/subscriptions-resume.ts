import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Lets a paused subscription go on from where it was.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '<subscription>', doc: 'its id' },
  ],
  json: true,
  examples: [{ run: 'millrace subscriptions resume orders 0198c1e2-…', does: 'it goes on from where it was' }],
  run: async ({ args, context }) => {
    const [stream, subscription] = args as [string, string]
    const changed = await connect(context).call('updateSubscription', {
      params: { stream, subscription },
      body: { isPaused: false },
    })
    if (context.json) return context.printJson(changed)
    return context.say(`It goes on with record ${changed.position}.\n`)
  },
}
