import { createReadStream } from 'node:fs'
import { hostname } from 'node:os'
import { randomUUID } from 'node:crypto'
import { basename } from 'node:path'
import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'
import { publishLines } from '@millrace/sdk/manager'
import type { CommandSource } from '../command/definition.ts'
import { fileTrouble } from '../command/failure.ts'
import { listenForStop } from '../command/stop-signals.ts'
import { connect } from '../manager/connect.ts'
import { blocksOf } from '../manager/lines.ts'
import { counted } from '../terminal/format.ts'

export const command: CommandSource = {
  doc: 'Publishes records: each line of stdin or of a file is one, or an argument is. A line is acknowledged when it is durable; after a lost connection it goes on where it was, and nothing is doubled.',
  arguments: [
    { usage: '<stream>', doc: 'its name or id' },
    { usage: '[record]', doc: 'one record, instead of lines' },
  ],
  options: [
    { flags: '-f, --file <path>', doc: 'the lines of a file; - is stdin' },
    { flags: '--key <text>', doc: 'with one record: what it is about; it becomes its id' },
    { flags: '--content-type <type>', doc: 'of the records (default: what the stream says)' },
    {
      flags: '--writer <name>',
      doc: 'a name that nobody else publishes under: the same lines under the same name are published once',
    },
  ],
  json: true,
  logs: true,
  examples: [
    { run: `millrace publish orders '{"id":1}'`, does: 'one record' },
    { run: 'millrace publish orders < orders.jsonl', does: 'a record for each line' },
    {
      run: 'millrace publish orders --file orders.jsonl --writer import-7',
      does: 'run again after a failure, it goes on where it was',
    },
  ],
  run: async ({ args, options, context }) => {
    const [stream = '', record] = args
    const client = connect(context)
    const info = await client.call('getStream', { params: { stream } })
    const contentType = options.text('content-type') ?? info.contentType
    const isJson = /^[\w.+-]+\/(?:[\w.-]+\+)?json\b/i.test(contentType)
    const file = options.text('file')
    if (record !== undefined) {
      if (file !== undefined) throw new MillraceError('COMMAND_USAGE', { why: 'one record or a file, not both' })
      const response = await client.send(
        'publish',
        { params: { stream }, query: { key: options.text('key'), single: true } },
        {
          headers: { 'content-type': contentType, accept: 'application/json' },
          body: record,
        },
      )
      const published = (await response.json()) as { readonly first: number }
      if (context.json) context.printJson(published)
      else context.say(`Published as offset ${published.first}.\n`)
      return
    }
    if (options.text('key') !== undefined)
      throw new MillraceError('COMMAND_USAGE', { why: '--key is for one record that is given as an argument' })
    if (!isJson && !contentType.startsWith('text/'))
      throw new MillraceError('COMMAND_USAGE', {
        why: `lines are JSON or text, and ${stream} has records of ${contentType}`,
        fix: 'Give one record as an argument, or say --content-type.',
      })
    const source = file === undefined || file === '-' ? 'stdin' : file
    if (source === 'stdin' && process.stdin.isTTY === true) context.say('Each line is a record; Ctrl-D ends.\n')
    using signals = listenForStop()
    const input = source === 'stdin' ? process.stdin : createReadStream(source, { highWaterMark: 1024 * 1024 })
    // The first signal ends the input: what was read is published.
    signals.stop.addEventListener('abort', () => void input.destroy(), { once: true })
    let durable = 0
    try {
      const done = await publishLines(client, blocksOf(input, { isJson, source, stop: signals.stop }), {
        stream,
        writer:
          options.text('writer') ??
          `${basename(hostname())
            .replaceAll(/[^\x21-\x7e]/g, '-')
            .slice(0, 40)}-${randomUUID()}`,
        contentType: isJson ? undefined : contentType,
        signal: signals.kill,
        onDurable: (lines) => {
          durable = lines
        },
        onLost: (why) => context.log.warn('connecting again', { why: why.message }),
      })
      if (context.json) context.printJson({ records: done.lines, next: done.next })
      else context.say(`Published ${counted(done.lines, 'record')}.\n`)
      return signals.stop.aborted ? 130 : undefined
    } catch (e) {
      if (durable > 0) context.say(`${counted(durable, 'record')} ${durable === 1 ? 'is' : 'are'} in the stream.\n`)
      // Of a folder it is said by the first read, which names no path.
      if (!isMillraceError(e) && systemCode(e) !== undefined)
        throw new MillraceError(
          'SOURCE_REFUSED',
          { what: source, why: fileTrouble(e), fix: 'Give a file that can be read.' },
          { cause: e },
        )
      throw e
    }
  },
}
