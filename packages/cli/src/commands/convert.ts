import { convert } from '@millrace/sdk'
import type { CommandSource } from '../command/definition.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { messageInput } from '../connector/input.ts'
import { outputFormat, outputFormats } from '../connector/output-format.ts'
import { stdoutWriter } from '../connector/output.ts'

export const command: CommandSource = {
  doc: 'Reads messages of any generation on stdin (Singer, or stitchstream/0.1 with jsonline or transit; told apart by themselves) and writes them in one format.',
  arguments: [{ usage: '[file]', doc: 'read this file and not stdin' }],
  options: [
    { flags: '--to <format>', doc: 'what to write (default: singer)', choices: outputFormats },
    { flags: '--max-line-bytes <size>', doc: 'the longest message taken (default: 64MiB)' },
  ],
  logs: true,
  examples: [
    {
      run: 'old-streamer | millrace convert --to singer | target-jsonl',
      does: 'a streamer of 2016 into any Singer target',
    },
    { run: 'tap-github | millrace convert --to 0.1-transit', does: 'and back' },
  ],
  run: async ({ args, options, context }) => {
    const maxLineBytes = options.bytes('max-line-bytes')
    using _stop = listenForStop(() => process.exit(130))
    const report = await convert({
      input: messageInput(args[0], context.cwd),
      to: outputFormat(options.text('to')),
      write: stdoutWriter(),
      log: context.log,
      ...(maxLineBytes === undefined ? {} : { maxLineBytes }),
      ...(args[0] === undefined ? {} : { source: args[0] }),
    })
    context.log.debug('converted', { ...report })
  },
}
