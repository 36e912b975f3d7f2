import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { count } from '../terminal/format.ts'

export const command: CommandSource = {
  doc: 'Forgets the records of a stream before a position.',
  arguments: [
    { usage: '<name>', doc: 'its name or id' },
    {
      usage: '<before>',
      doc: 'offset:N, last:N (all but the last N), next (all), or a time such as 2026-11-01T00:00Z',
    },
  ],
  json: true,
  examples: [
    { run: 'millrace streams trim orders 2026-11-01T00:00Z', does: 'keep November' },
    { run: 'millrace streams trim orders last:1000', does: 'keep the last thousand' },
  ],
  run: async ({ args, context }) => {
    const [stream = '', before = ''] = args
    const stat = await connect(context).call('trimStream', { params: { stream }, body: { before } })
    if (context.json) return context.printJson(stat)
    return context.say(`${stream} begins at offset ${stat.first} and holds ${count(stat.next - stat.first)} records.\n`)
  },
}
