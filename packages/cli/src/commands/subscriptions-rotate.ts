import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Gives a subscription a new secret. Pushes are signed with it and with the one before, until the next rotation.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '<subscription>', doc: 'its id' },
  ],
  json: true,
  examples: [{ run: 'millrace subscriptions rotate orders 0198c1e2-…', does: 'a second secret' }],
  run: async ({ args, context }) => {
    const [stream, id] = args as [string, string]
    const { subscription, secret } = await connect(context).call('rotateSubscription', {
      params: { stream, subscription: id },
    })
    if (context.json) return context.printJson({ ...subscription, secret })
    context.print(`MILLRACE_SUBSCRIPTION_ID=${subscription.id}\nMILLRACE_WEBHOOK_SECRET=${secret}\n`)
    return context.say('The secret is not shown again. The one before signs too, until you rotate again.\n')
  },
}
