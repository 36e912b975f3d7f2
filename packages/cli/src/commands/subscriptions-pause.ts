import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Holds a subscription: nothing is pushed until it goes on. Nothing is lost meanwhile, as long as the stream keeps it.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '<subscription>', doc: 'its id' },
  ],
  json: true,
  examples: [{ run: 'millrace subscriptions pause orders 0198c1e2-…', does: 'nothing more is pushed' }],
  run: async ({ args, context }) => {
    const [stream, subscription] = args as [string, string]
    const changed = await connect(context).call('updateSubscription', {
      params: { stream, subscription },
      body: { isPaused: true },
    })
    if (context.json) return context.printJson(changed)
    return context.say(`Paused. It goes on with: millrace subscriptions resume ${stream} ${subscription}\n`)
  },
}
