import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { actorOf } from '../manager/values.ts'

export const command: CommandSource = {
  doc: 'Takes all rights on a stream away from somebody.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '<who>', doc: 'client:ID or user:ID, as `millrace streams show` lists them' },
  ],
  json: true,
  examples: [{ run: 'millrace revoke orders client:0198c1e2-…', does: 'it can no longer see the stream' }],
  run: async ({ args, context }) => {
    const [stream = '', who = ''] = args
    const actor = actorOf(who)
    if (actor === undefined)
      throw new MillraceError('COMMAND_USAGE', {
        why: `"${who}" is nobody`,
        fix: 'Say client:ID or user:ID; `millrace streams show` lists them.',
      })
    await connect(context).call('revoke', { params: { stream, ...actor } })
    if (context.json) context.printJson({ stream, actor, revoked: true })
    context.say(`${who} may no longer use ${stream}.\n`)
  },
}
