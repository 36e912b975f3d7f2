import { defineOperation, type Operation, text } from '@millrace/sdk'

export const waffle: Operation = defineOperation({
  name: 'waffle',
  doc: 'Makes waffles of pancakes, in plain lines of any kind.',
  config: {
    from: text({ doc: 'The word to replace', default: 'pancake' }),
    to: text({ doc: 'What to write in its place', default: 'waffle' }),
  },
  lines: (lines, { config }) => lines.map((line) => line.replaceAll(config.from, config.to)),
})
