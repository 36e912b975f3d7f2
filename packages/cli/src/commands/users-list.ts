import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { allPages } from '../manager/pages.ts'
import { moment } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'The users of the manager (administrators only).',
  json: true,
  examples: [{ run: 'millrace users', does: 'who they are, and who administers' }],
  run: async ({ context }) => {
    const client = connect(context)
    const users = await allPages((after) => client.call('listUsers', { query: { after, limit: 1000 } }))
    if (context.json) return context.printJson(users)
    return context.print(
      renderTable({
        columns: ['user', 'e-mail', 'name', 'made', 'administers', 'password'],
        rows: users.map((u) => [
          u.id,
          u.email,
          u.displayName,
          moment(u.createdAt),
          u.isAdministrator ? 'yes' : 'no',
          u.hasPassword ? 'yes' : 'none yet',
        ]),
        width: context.width,
        heading: context.style.dim,
      }),
    )
  },
}
