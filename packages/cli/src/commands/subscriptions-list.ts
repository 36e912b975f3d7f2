import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { allPages } from '../manager/pages.ts'
import { count } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'The URLs that a stream is pushed to: your own subscriptions; all of them where the stream is yours.',
  arguments: [{ usage: '<stream>', doc: 'its name or id' }],
  json: true,
  examples: [{ run: 'millrace subscriptions list orders', does: 'where each is, and how its last try went' }],
  run: async ({ args, context }) => {
    const params = { stream: args[0] as string }
    const client = connect(context)
    const found = await allPages((after) => client.call('listSubscriptions', { params, query: { after, limit: 1000 } }))
    if (context.json) return context.printJson(found)
    if (found.length === 0)
      context.say(`There is none yet. \`millrace subscriptions create ${params.stream} URL\` makes one.\n`)
    return context.print(
      renderTable({
        columns: ['subscription', 'url', 'next', 'tries', 'state'],
        rows: found.map((s) => [s.id, s.url, count(s.position), count(s.tries), s.isPaused ? 'paused' : s.state]),
        width: context.width,
        heading: context.style.dim,
      }),
    )
  },
}
