import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { allPages } from '../manager/pages.ts'
import { moment } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'The clients that you made.',
  options: [{ flags: '--all', doc: 'those of everybody (administrators only)' }],
  json: true,
  examples: [{ run: 'millrace clients', does: 'their ids, and when each was seen last' }],
  run: async ({ options, context }) => {
    const client = connect(context)
    const all = options.flag('all') ? true : undefined
    const clients = await allPages((after) => client.call('listClients', { query: { after, limit: 1000, all } }))
    if (context.json) return context.printJson(clients)
    if (clients.length === 0) context.say('There is none yet. `millrace clients create NAME` makes one.\n')
    context.print(
      renderTable({
        columns: ['client', 'name', 'made', 'last seen', 'secrets'],
        rows: clients.map((c) => [
          c.id,
          c.displayName,
          moment(c.createdAt),
          c.lastUsedAt === null ? 'never' : moment(c.lastUsedAt),
          c.isRevoked ? 'revoked' : String(c.secrets),
        ]),
        width: context.width,
        heading: context.style.dim,
      }),
    )
  },
}
