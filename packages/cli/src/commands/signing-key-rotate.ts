import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'

export const command: CommandSource = {
  doc: 'Signs tokens with a new key from now on (administrators only). Tokens of before are good until they expire, within an hour.',
  options: [{ flags: '--at-once', doc: 'refuse all tokens of before now: somebody else may have had the key' }],
  json: true,
  examples: [
    { run: 'millrace signing-key rotate', does: 'nobody notices' },
    { run: 'millrace signing-key rotate --at-once', does: 'everybody asks for a new token' },
  ],
  run: async ({ options, context }) => {
    const atOnce = options.flag('at-once')
    await connect(context).call('rotateSigningKey', { body: { atOnce } })
    if (context.json) context.printJson({ rotated: true, atOnce })
    context.say(
      atOnce
        ? 'Tokens are signed with a new key. Those of before are refused, within a second by every manager.\n'
        : 'Tokens are signed with a new key. Those of before are good until they expire, within an hour.\n',
    )
  },
}
