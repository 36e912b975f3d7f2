import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { rightsText } from '../manager/rights.ts'
import { count, moment, size } from '../terminal/format.ts'
import { renderTable } from '../terminal/table.ts'

export const command: CommandSource = {
  doc: 'A stream: what it holds, what it keeps, and who may use it (its owners see that).',
  arguments: [{ usage: '<name>', doc: 'its name or id' }],
  json: true,
  examples: [{ run: 'millrace streams show orders', does: 'all there is to say about it' }],
  run: async ({ args, context }) => {
    const params = { stream: args[0] as string }
    const client = connect(context)
    const [stream, stat] = await Promise.all([
      client.call('getStream', { params }),
      client.call('getStreamStat', { params }),
    ])
    const isOwner = stream.rights === null || stream.rights.isOwner
    const permissions = isOwner ? (await client.call('listPermissions', { params })).items : undefined
    if (context.json) return context.printJson({ ...stream, ...stat, permissions })
    const { settings } = stream
    const kept = [
      settings.maxAgeMs === undefined ? undefined : `${settings.maxAgeMs / 86_400_000} days`,
      settings.maxBytes === undefined ? undefined : size(settings.maxBytes),
      settings.maxRecords === undefined ? undefined : `${count(settings.maxRecords)} records`,
    ].filter((one) => one !== undefined)
    const rows: (readonly [string, string])[] = [
      ['name', stream.name],
      ['id', stream.id],
      ['called', stream.displayName],
      ['description', stream.description],
      ['records', `${count(stat.next - stat.first)}, offsets ${stat.first} to ${stat.next - 1}`],
      ['bytes', size(stat.bytes)],
      ['last record', stat.lastAt === null ? 'none yet' : moment(stat.lastAt)],
      ['records are', stream.contentType],
      ['keeps', kept.length === 0 ? 'everything' : `at most ${kept.join(', ')}`],
      ['made', moment(stream.createdAt)],
      ['you may', rightsText(stream.rights)],
    ]
    for (const [name, value] of rows)
      if (value !== '')
        context.print(
          `${context.style.dim(name.padEnd(12))} ${name === 'records' && stat.next === stat.first ? 'none' : value}\n`,
        )
    if (permissions !== undefined)
      context.print(
        `\n${renderTable({
          columns: ['who', 'name', 'may', 'since'],
          rows: permissions.map((p) => [
            `${p.actor.type}:${p.actor.id}`,
            p.displayName,
            rightsText(p),
            moment(p.grantedAt),
          ]),
          width: context.width,
          heading: context.style.dim,
        })}`,
      )
  },
}
