import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { allPages } from '../manager/pages.ts'
import { rightsText } from '../manager/rights.ts'
import { moment } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'The streams that you may see.',
  options: [{ flags: '--prefix <text>', doc: 'only names that begin so' }],
  json: true,
  examples: [
    { run: 'millrace streams', does: 'all of them' },
    { run: 'millrace streams list --prefix shop. --json', does: 'some of them, for a program' },
  ],
  run: async ({ options, context }) => {
    const client = connect(context)
    const prefix = options.text('prefix')
    const streams = await allPages((after) => client.call('listStreams', { query: { after, prefix, limit: 1000 } }))
    if (context.json) return context.printJson(streams)
    if (streams.length === 0) context.say('There is none yet. `millrace streams create NAME` makes one.\n')
    context.print(
      renderTable({
        columns: ['stream', 'what', 'records are', 'made', 'you may'],
        rows: streams.map((s) => [
          s.name,
          s.displayName === s.name ? s.description : s.displayName,
          s.contentType,
          moment(s.createdAt),
          rightsText(s.rights),
        ]),
        width: context.width,
        heading: context.style.dim,
      }),
    )
  },
}
