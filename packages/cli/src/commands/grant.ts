import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { parseRights, rightsText } from '../manager/rights.ts'
import { actorOf } from '../manager/values.ts'

export const command: CommandSource = {
  doc: 'Grants rights on a stream: exactly these, whatever was granted before.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '<who>', doc: 'client:ID, user:ID, or the e-mail address of a user' },
    { usage: '<rights...>', doc: 'owner, producer, consumer' },
  ],
  options: [
    { flags: '--new-client', doc: 'WHO is the name of a client that is made for it; its secret is shown this once' },
  ],
  json: true,
  examples: [
    { run: 'millrace grant orders client:0198c1e2-… consumer', does: 'that client may read orders' },
    {
      run: 'millrace grant orders "a partner" consumer --new-client',
      does: 'a client for a partner, who may read orders',
    },
    { run: 'millrace grant orders ann@example.com producer consumer', does: 'a user may read and write' },
  ],
  run: async ({ args, options, context }) => {
    const [stream = '', who = '', ...words] = args
    const rights = parseRights(words)
    const actor = actorOf(who)
    const isNew = options.flag('new-client')
    if (!isNew && actor === undefined && !who.includes('@'))
      throw new MillraceError('COMMAND_USAGE', {
        why: `"${who}" is nobody`,
        fix: 'Say client:ID, user:ID or an e-mail address; with --new-client it is the name of a client to make.',
      })
    const grantee = isNew ? { newClient: { displayName: who } } : actor === undefined ? { email: who } : { actor }
    const granted = await connect(context).call('grant', { params: { stream }, body: { ...grantee, ...rights } })
    if (context.json) return context.printJson({ stream, ...granted, ...rights })
    if (granted.secret !== null)
      context.print(`MILLRACE_CLIENT_ID=${granted.actor.id}\nMILLRACE_CLIENT_SECRET=${granted.secret}\n`)
    return context.say(
      `${granted.actor.type}:${granted.actor.id} may ${rightsText(rights)} ${stream}.${granted.secret === null ? '' : ' The secret is not shown again.'}\n`,
    )
  },
}
