import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { withStore } from '../project/store.ts'
import { moment } from '../terminal/format.ts'
import { oneLine } from '../terminal/width.ts'

export const command: CommandSource = {
  doc: 'One dead letter: why it was set aside, and its content.',
  arguments: [{ usage: '<id>', doc: 'its id, from `millrace dead-letters list`' }],
  json: true,
  examples: [
    { run: 'millrace dead-letters show 12', does: 'the reason and the record' },
    { run: 'millrace dead-letters show 12 --json', does: 'with its schema' },
  ],
  run: async ({ args, context }) => {
    const none = (): MillraceError =>
      new MillraceError('COMMAND_USAGE', {
        why: `there is no dead letter "${args[0]}"`,
        fix: '`millrace dead-letters list` lists them.',
      })
    await withStore(
      context,
      (store) => {
        const letter = /^\d+$/.test(args[0] ?? '') ? store.findDeadLetter(Number(args[0])) : undefined
        if (letter === undefined) throw none()
        if (context.json) return context.printJson(letter)
        const { style, print } = context
        print(
          `${style.bold(`dead letter ${letter.id}`)} of ${letter.pipeline}, run ${letter.run}, ${moment(letter.at)}\n`,
        )
        print(`${placeOf(letter)}${oneLine(letter.reason)}   [${letter.code}]\n`)
        if (letter.replayedAt !== undefined) print(`replayed ${moment(letter.replayedAt)}\n`)
        return print(`\n${oneLine(letter.text)}\n`)
      },
      none,
    )
  },
}

/** Where it came from, where its reason does not say it. */
const placeOf = (letter: { readonly substream: string; readonly line: number; readonly reason: string }): string =>
  new RegExp(`(^|\\s)line ${letter.line}\\b`).test(letter.reason)
    ? ''
    : `${letter.substream === '' ? 'unreadable line' : letter.substream}, line ${letter.line}: `
