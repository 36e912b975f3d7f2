import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { durationMs } from '../manager/values.ts'

export const command: CommandSource = {
  doc: 'Pushes what comes into a stream to a URL, in order, signed, and again until it is taken. The secret of the signatures is shown this once.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '<url>', doc: 'https; asked by POST' },
  ],
  options: [
    { flags: '--from <position>', doc: 'first, next, last:10, offset:41 or a time (default: next)' },
    {
      flags: '--dead-letters <stream>',
      doc: 'where goes what could not be delivered (default: the subscription pauses)',
    },
    { flags: '--max-records <n>', doc: 'records of one push (default: 100)' },
    { flags: '--max-tries <n>', doc: 'before a push is set aside (default: 12)' },
    { flags: '--timeout <time>', doc: 'for one push: 30s (default: 10s)' },
  ],
  json: true,
  examples: [
    { run: 'millrace subscriptions create orders https://example.com/hooks/orders', does: 'what comes from now on' },
    {
      run: 'millrace subscriptions create orders https://example.com/hook --from first --dead-letters orders.dead',
      does: 'all there is, and what is refused goes into another stream',
    },
  ],
  run: async ({ args, options, context }) => {
    const [stream, url] = args as [string, string]
    if (!URL.canParse(url))
      throw new MillraceError('COMMAND_USAGE', { why: `"${url}" is no URL such as https://example.com/hook` })
    const timeout = options.text('timeout')
    const { subscription, secret } = await connect(context).call('subscribe', {
      params: { stream },
      body: {
        url,
        from: options.text('from'),
        deadLetters: options.text('dead-letters'),
        maxRecords: options.whole('max-records', 1),
        maxTries: options.whole('max-tries', 1),
        timeoutMs: timeout === undefined ? undefined : durationMs('timeout', timeout),
      },
    })
    if (context.json) return context.printJson({ ...subscription, secret })
    context.print(`MILLRACE_SUBSCRIPTION_ID=${subscription.id}\nMILLRACE_WEBHOOK_SECRET=${secret}\n`)
    return context.say(
      `The secret is not shown again. How it goes: millrace subscriptions show ${stream} ${subscription.id}\n`,
    )
  },
}
