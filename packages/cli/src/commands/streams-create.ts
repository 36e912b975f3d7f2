import { MillraceError } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { connect } from '../manager/connect.ts'
import { durationMs } from '../manager/values.ts'

export const command: CommandSource = {
  doc: 'Makes a stream. It is private: nobody but you reads or writes it until you grant it.',
  arguments: [{ usage: '<name>', doc: 'letters, digits and . _ -' }],
  options: [
    { flags: '--display-name <text>', doc: 'what people call it' },
    { flags: '--description <text>', doc: 'what is in it' },
    { flags: '--content-type <type>', doc: 'of its records (default: application/json)' },
    { flags: '--max-age <time>', doc: 'records older than this go, within seconds and by whole appends: 90d, 12h' },
    { flags: '--max-bytes <size>', doc: 'the oldest go when there are more bytes: 10GiB' },
    { flags: '--max-records <n>', doc: 'the oldest go when there are more' },
    { flags: '--amqp', doc: 'AMQP programs share it through the exchange streams.NAME (a log in RabbitMQ)' },
  ],
  json: true,
  examples: [
    { run: 'millrace streams create orders', does: 'a stream of JSON records' },
    {
      run: 'millrace streams create chat --content-type text/plain --max-age 30d',
      does: 'one of lines of text that are kept for a month',
    },
  ],
  run: async ({ args, options, context }) => {
    const name = args[0] as string
    const age = options.text('max-age')
    const contentType = options.text('content-type')
    if (contentType !== undefined && !contentType.includes('/'))
      throw new MillraceError('COMMAND_USAGE', {
        why: `--content-type is a type such as text/plain, not "${contentType}"`,
      })
    const settings = {
      maxAgeMs: age === undefined ? undefined : durationMs('max-age', age),
      maxBytes: options.bytes('max-bytes'),
      maxRecords: options.whole('max-records', 1),
      amqp: options.flag('amqp') ? true : undefined,
    }
    const made = await connect(context).call('createStream', {
      body: {
        name,
        displayName: options.text('display-name'),
        description: options.text('description'),
        contentType,
        settings,
      },
    })
    if (context.json) context.printJson(made)
    else context.print(`${made.name}\n`)
    context.say(`The stream is private. Share it with \`millrace grant ${made.name} …\`.\n`)
  },
}
