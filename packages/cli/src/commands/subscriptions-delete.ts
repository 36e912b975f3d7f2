import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Ends a subscription. The stream and its records stay.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '<subscription>', doc: 'its id' },
  ],
  json: true,
  examples: [{ run: 'millrace subscriptions delete orders 0198c1e2-…', does: 'nothing more is pushed there' }],
  run: async ({ args, context }) => {
    const [stream, subscription] = args as [string, string]
    await connect(context).call('unsubscribe', { params: { stream, subscription } })
    if (context.json) context.printJson({ deleted: subscription })
    context.say(`${subscription} is gone.\n`)
  },
}
