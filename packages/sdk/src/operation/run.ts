import { MillraceError } from '../errors/error.ts'
import { splitLines } from '../io/lines.ts'
import type { Logger } from '../log/logger.ts'
import { defaultMaxLineBytes, readMessages } from '../message/reader.ts'
import { RecordMessage } from '../message/record.ts'
import type { Message } from '../message/types.ts'
import { MessageWriter } from '../message/writer.ts'
import type { Operation, OperationContext } from './types.ts'

export interface OperationRunOptions {
  /** Its settings, resolved: {@link resolveConfig}. */
  readonly config: Readonly<Record<string, unknown>>
  readonly input: AsyncIterable<Uint8Array>
  /** Takes bytes to stdout; a promise is back-pressure. */
  readonly write: (chunk: Uint8Array) => void | Promise<void>
  readonly log: Logger
  readonly signal: AbortSignal
  readonly maxLineBytes?: number
}

/**
 * Runs an operation from its input to its output, batch by batch and in order: a STATE leaves only after everything that
 * was made of the records before it. Throws what stopped it, after writing what came before.
 */
export const runOperation = async (operation: Operation, options: OperationRunOptions): Promise<void> => {
  const ctx: OperationContext = { config: options.config, log: options.log, signal: options.signal }
  if (operation.lines !== undefined) await runLines(operation.lines, ctx, options)
  else await runRecords(operation, ctx, options)
}

const runLines = async (
  lines: NonNullable<Operation['lines']>,
  ctx: OperationContext,
  options: OperationRunOptions,
): Promise<void> => {
  for await (const batch of splitLines(options.input, options.maxLineBytes ?? defaultMaxLineBytes)) {
    if (options.signal.aborted) return
    const out = await lines(
      batch.map((b) => b.toString()),
      ctx,
    )
    const broken = out.findIndex((line) => line.includes('\n'))
    if (broken >= 0)
      throw new MillraceError('MESSAGE_MALFORMED', {
        type: 'output',
        why: 'holds a newline inside a line',
        line: broken + 1,
      })
    if (out.length > 0) await options.write(Buffer.from(`${out.join('\n')}\n`))
  }
}

const runRecords = async (operation: Operation, ctx: OperationContext, options: OperationRunOptions): Promise<void> => {
  const writer = new MessageWriter()
  const apply = async (substream: string, run: readonly RecordMessage[]): Promise<void> => {
    if (operation.records === undefined) return
    const out = await operation.records(
      run.map((m) => m.record),
      { ...ctx, substream },
    )
    for (const record of out) writer.add(RecordMessage.of(substream, record))
  }
  const flush = async (): Promise<void> => {
    if (writer.pending > 0) await options.write(writer.take())
  }
  const messages = readMessages(options.input, {
    open: true,
    ...(options.maxLineBytes === undefined ? {} : { maxLineBytes: options.maxLineBytes }),
  })
  try {
    for await (const batch of messages) {
      for (const part of runsOf(batch)) {
        if (Array.isArray(part)) await apply((part[0] as RecordMessage).stream, part as readonly RecordMessage[])
        else writer.add(withSchema(part as Message, operation, ctx))
      }
      await flush()
      if (options.signal.aborted) return
    }
  } finally {
    await flush()
  }
}

const withSchema = (message: Message, operation: Operation, ctx: OperationContext): Message =>
  message.type === 'SCHEMA' && operation.schema !== undefined
    ? { ...message, schema: operation.schema(message.schema, { ...ctx, substream: message.stream }) }
    : message

/** A batch as runs of records of one substream, with the other messages between them, in order. */
const runsOf = (batch: readonly Message[]): readonly (Message | readonly RecordMessage[])[] => {
  const parts: (Message | RecordMessage[])[] = []
  let run: RecordMessage[] | undefined
  for (const message of batch) {
    if (message.type !== 'RECORD') {
      parts.push(message)
      run = undefined
    } else if (run !== undefined && run[0]?.stream === message.stream) run.push(message)
    else {
      run = [message]
      parts.push(run)
    }
  }
  return parts
}
