import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { connect } from '../manager/connect.ts'
import { consumeGroup } from '../manager/consume-group.ts'
import { consumeRecords } from '../manager/consume.ts'
import { recordPrinter } from '../manager/record-printer.ts'

export const command: CommandSource = {
  doc: 'Prints the records of a stream, each on a line: those that are there, and with --follow those that come.',
  arguments: [{ usage: '<stream>', doc: 'its name or id' }],
  options: [
    {
      flags: '--from <position>',
      doc: 'first, next, last:N, offset:N, or a time such as 2026-11-01T00:00Z (default: first; with --follow: next)',
    },
    { flags: '--follow', doc: 'go on with what comes, until it is stopped' },
    { flags: '--limit <n>', doc: 'stop after so many records' },
    { flags: '--unread', doc: 'only records that are not marked as read' },
    { flags: '--mark-read', doc: 'mark records as read when they are printed' },
    { flags: '--shared', doc: 'the marks that all consumers of the stream share, instead of one’s own' },
    {
      flags: '--group <name>',
      doc: 'share the work with others of this group: each record goes to one, and is acknowledged when it is printed',
    },
  ],
  json: true,
  logs: true,
  examples: [
    { run: 'millrace consume orders --follow', does: 'what is published from now on' },
    { run: 'millrace consume orders --from last:10 --json', does: 'the last ten, with all that is known of each' },
    { run: 'millrace consume orders --unread --mark-read | wc -l', does: 'what was not read yet; it is read then' },
    { run: 'millrace consume jobs --group workers --follow', does: 'one of several workers' },
  ],
  run: async ({ args, options, context }) => {
    const stream = args[0] as string
    const group = options.text('group')
    const follow = options.flag('follow')
    const unread = options.flag('unread')
    const markRead = options.flag('mark-read')
    if (group !== undefined && (unread || markRead))
      throw new MillraceError('COMMAND_USAGE', {
        why: 'a group acknowledges records; --unread and --mark-read are for those who read alone',
      })
    const client = connect(context)
    using signals = listenForStop()
    const printer = recordPrinter()
    const shared = {
      stream,
      from: options.text('from'),
      follow,
      limit: options.whole('limit', 1) ?? Number.POSITIVE_INFINITY,
      form: context.json ? ('record' as const) : ('body' as const),
      signal: AbortSignal.any([signals.stop, printer.closed]),
      onLost: (why: MillraceError) => context.log.warn('connecting again', { why: why.message }),
    }
    if (group === undefined)
      await consumeRecords(
        client,
        { ...shared, unread, markRead, as: options.flag('shared') ? 'shared' : 'self' },
        printer,
      )
    else await consumeGroup(client, { ...shared, group }, printer)
    return signals.stop.aborted && !follow ? 130 : undefined
  },
}
