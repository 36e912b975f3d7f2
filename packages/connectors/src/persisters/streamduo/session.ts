import { createHash, randomUUID } from 'node:crypto'
import { MillraceError, type PersisterSession, type RecordMessage } from '@millrace/sdk'
import { inOrder, statusOf } from '@millrace/sdk/http'
import type { StreamClient } from '../../streamduo/settings.ts'

const open = Buffer.from('{"recordId":null,"streamId":null,"recordTimeStampISO":null,"readStatus":null,"dataPayload":')
const close = Buffer.from('}')

interface Waiting {
  readonly substream: string
  readonly record: RecordMessage
}

/**
 * Keeps records until the next flush, then writes one after the other. Each has a key that is the same in every try, so that a
 * record whose answer was lost is not written twice.
 */
export class StreamDuoSession implements PersisterSession {
  readonly #client: StreamClient
  readonly #maxConcurrent: number
  readonly #waiting: Waiting[] = []
  readonly #over = new AbortController()

  constructor(client: StreamClient, maxConcurrent: number) {
    this.#client = client
    this.#maxConcurrent = maxConcurrent
  }

  async declare(): Promise<void> {}

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    for (const record of records) this.#waiting.push({ substream, record })
  }

  async flush(): Promise<void> {
    if (this.#over.signal.aborted)
      throw new MillraceError('DESTINATION_REFUSED', { what: 'StreamDuo', why: 'this session was ended' })
    const waiting = this.#waiting.splice(0)
    for await (const _ of inOrder(waiting, this.#maxConcurrent, (one, signal) => this.#send(one, signal)));
  }

  async #send({ substream, record }: Waiting, signal: AbortSignal): Promise<void> {
    const { client, path } = this.#client
    try {
      await client.request({
        method: 'POST',
        path: `${path}/record`,
        body: Buffer.concat([open, record.bytes(), close]),
        idempotent: true,
        signal: AbortSignal.any([signal, this.#over.signal]),
        headers: {
          'content-type': 'application/json',
          'idempotency-key': `${nameOf(substream)}.${randomUUID()}`,
        },
      })
    } catch (e) {
      const status = statusOf(e)
      if (status !== 400 && status !== 413 && status !== 422) throw e
      throw new MillraceError(
        'DESTINATION_REFUSED',
        {
          what: `StreamDuo, ${path}`,
          why: `it does not take a record of ${substream} (${status}, line ${record.line} of the input)`,
          fix: 'Check the record against the active schema of the stream. With on-invalid: dead-letter a pipeline finds it and sets it aside.',
          status,
        },
        { cause: e },
      )
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What was not flushed does not count, whether it arrives or not.
    this.#over.abort()
    this.#waiting.length = 0
    this.#client.client.close()
  }
}

/** A substream in a header: its name where that is short, else the beginning of it and a digest. */
const nameOf = (substream: string): string => {
  const name = encodeURIComponent(substream.toWellFormed())
  if (name.length <= 100) return name
  return `${name.slice(0, 60).replace(/%.{0,1}$/, '')}~${createHash('sha256').update(substream).digest('hex').slice(0, 32)}`
}
