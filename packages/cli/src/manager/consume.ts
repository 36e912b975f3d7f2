/** Reads a stream alone: pages of what is there, then what comes; marks what was printed. */
import type { MillraceError } from '@millrace/sdk'
import { type ManagerClient, readEvents, type StreamEvent } from '@millrace/sdk/manager'
import { followEvents } from './follow.ts'
import type { PrintedRecord, RecordPrinter } from './record-printer.ts'

export interface ConsumeOptions {
  readonly stream: string
  readonly from: string | undefined
  readonly follow: boolean
  readonly limit: number
  readonly form: 'record' | 'body'
  readonly unread: boolean
  readonly markRead: boolean
  readonly as: 'self' | 'shared'
  readonly signal: AbortSignal
  readonly onLost: (why: MillraceError) => void
}

/** Resolves when all is printed, the limit is reached, or `signal` aborts. */
export const consumeRecords = async (
  client: ManagerClient,
  options: ConsumeOptions,
  printer: RecordPrinter,
): Promise<void> => {
  const { stream, unread, markRead, as, signal, follow } = options
  let left = options.limit
  const out = async (records: readonly PrintedRecord[]): Promise<void> => {
    const some = records.slice(0, Math.min(left, records.length))
    if (some.length === 0) return
    await printer.print(some)
    left -= some.length
    // After they have left: who dies before has them again.
    if (markRead) await client.call('markRead', { params: { stream }, body: { ranges: rangesOf(some), as } })
  }
  try {
    let from = options.from ?? (follow && !unread ? 'next' : 'first')
    if (!follow || unread) {
      for (;;) {
        if (signal.aborted || left <= 0) return
        const response = await client.send(
          'readRecords',
          {
            params: { stream },
            query: {
              from,
              limit: Math.min(pageRecords, left),
              unread,
              as: unread ? as : undefined,
              form: options.form,
            },
            signal,
          },
          { headers: { accept: 'text/event-stream' } },
        )
        for await (const events of readEvents(bodyOf(response))) await out(events.map(eventRecord))
        from = `offset:${response.headers.get('millrace-next')}`
        const isAtEnd = response.headers.get('millrace-at-end') === 'true'
        if (isAtEnd) break
      }
      if (!follow || left <= 0) return
    }
    for await (const events of followEvents(client, {
      stream,
      from,
      form: options.form,
      signal,
      onLost: options.onLost,
    })) {
      await out(events.map(eventRecord))
      if (left <= 0) return
    }
  } catch (e) {
    if (!signal.aborted) throw e
  }
}

/** What a read asks for at once. */
const pageRecords = 5_000

/** The bytes of an answer as they come. */
export const bodyOf = (response: Response): AsyncIterable<Uint8Array> =>
  response.body as unknown as AsyncIterable<Uint8Array>

/** The record that an event carries. */
export const eventRecord = (event: StreamEvent): PrintedRecord => ({
  offset: BigInt(event.id as string),
  line: event.type === 'base64' ? Buffer.from(event.data, 'base64') : event.data,
})

/** Offsets that rise, as ranges. */
export const rangesOf = (
  records: readonly PrintedRecord[],
): readonly { readonly first: number; readonly next: number }[] => {
  const ranges: { first: number; next: number }[] = []
  for (const { offset } of records) {
    const at = Number(offset)
    const last = ranges.at(-1)
    if (last?.next === at) last.next = at + 1
    else ranges.push({ first: at, next: at + 1 })
  }
  return ranges
}
