/** Reads a stream as one of a group: claims records, prints them, and acknowledges what has left. */
import { hostname } from 'node:os'
import { isMillraceError, type MillraceError } from '@millrace/sdk'
import { type ManagerClient, readEvents } from '@millrace/sdk/manager'
import { bodyOf, eventRecord } from './consume.ts'
import type { PrintedRecord, RecordPrinter } from './record-printer.ts'

export interface ConsumeGroupOptions {
  readonly stream: string
  readonly group: string
  /** Where a group begins that is not there yet. */
  readonly from: string | undefined
  readonly follow: boolean
  readonly limit: number
  readonly form: 'record' | 'body'
  readonly signal: AbortSignal
  readonly onLost: (why: MillraceError) => void
}

interface Claim {
  readonly lease: string
  readonly records: PrintedRecord[]
}

/** What a claim asks for at once: what is printed well within the time of a lease. */
const claimRecords = 500
const longestWaitMs = 1000

/** Resolves when there is nothing to do, the limit is reached, or `signal` aborts. */
export const consumeGroup = async (
  client: ManagerClient,
  options: ConsumeGroupOptions,
  printer: RecordPrinter,
): Promise<void> => {
  const { stream, group, follow, signal } = options
  const params = { stream, group }
  await makeGroup(client, options)
  let left = options.limit
  let waitMs = 50
  let wasConnected = false
  while (!signal.aborted && left > 0) {
    try {
      const claims = await claim(client, options, Math.min(claimRecords, left))
      wasConnected = true
      for (const { lease, records } of claims) {
        await printer.print(records)
        left -= records.length
        await client.call('ack', { params, body: { lease } })
      }
      if (claims.length > 0) {
        waitMs = 50
        continue
      }
      if (!follow) return
    } catch (e) {
      if (signal.aborted) return
      if (!isMillraceError(e) || e.retry !== 'later' || !wasConnected) throw e
      options.onLost(e)
    }
    await pause(waitMs, signal)
    waitMs = Math.min(waitMs * 2, longestWaitMs)
  }
}

const makeGroup = async (client: ManagerClient, { stream, group, from }: ConsumeGroupOptions): Promise<void> => {
  try {
    await client.call('getGroup', { params: { stream, group } })
  } catch (e) {
    if (!isMillraceError(e) || e.code !== 'GROUP_UNKNOWN') throw e
    await client.call('createGroup', { params: { stream }, body: { name: group, from } }).catch((second: unknown) => {
      // Another of the group was first.
      if (!isMillraceError(second) || second.code !== 'GROUP_EXISTS') throw second
    })
  }
}

const claim = async (
  client: ManagerClient,
  { stream, group, form, signal }: ConsumeGroupOptions,
  limit: number,
): Promise<readonly Claim[]> => {
  const response = await client.send(
    'claim',
    { params: { stream, group }, query: { form }, body: {}, signal },
    {
      headers: { accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify({ limit, consumer: `${hostname()} ${process.pid}`.slice(0, 200) }),
    },
  )
  const claims: Claim[] = []
  for await (const events of readEvents(bodyOf(response)))
    for (const event of events) {
      if (event.type === 'lease')
        claims.push({ lease: (JSON.parse(event.data) as { readonly id: string }).id, records: [] })
      else claims.at(-1)?.records.push(eventRecord(event))
    }
  return claims
}

const pause = async (ms: number, signal: AbortSignal): Promise<void> =>
  await new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
