/** A stream as the streamer asks for it. */
import { isObject, type Json, type JsonObject, MillraceError } from '@millrace/sdk'
import type { StreamClient } from '../../streamduo/settings.ts'
import { isLater, justBefore } from './stamps.ts'

/** One record, and what is known of it without looking into it. */
export interface StreamRecord {
  readonly stamp: string
  readonly isRead: boolean
  readonly record: JsonObject
}

/** What was handed out and is not marked yet: every record of the stream from `first` to `last` that nobody had read. */
export interface Window {
  readonly first: string
  readonly last: string
}

/** Records that are looked at in one request while they are marked. */
const markPage = 1000

export class Stream {
  readonly #client: StreamClient

  constructor(client: StreamClient) {
    this.#client = client
  }

  /** The oldest records that nobody has read. */
  unread(count: number, markAsRead = false): Promise<readonly StreamRecord[]> {
    // Marked and lost on the way back, they would be gone: such a request is sent once.
    return this.#ask({ readRecordRequestType: 'UNREAD', recordCount: count, markAsRead }, { idempotent: !markAsRead })
  }

  /** Records behind a stamp, read or not. */
  since(stamp: string, count: number): Promise<readonly StreamRecord[]> {
    return this.#since(stamp, count, false)
  }

  /** Marks all of a window as read, and nothing else. */
  async mark({ first, last }: Window): Promise<void> {
    for (let from = justBefore(first); ; ) {
      const page = await this.#since(from, markPage, false, true)
      const beyond = page.findIndex(({ stamp }) => isLater(stamp, last))
      const inside = beyond < 0 ? page : page.slice(0, beyond)
      const end = inside.at(-1)
      if (end === undefined) return
      // Just as many: what came meanwhile was not handed out.
      await this.#since(from, inside.length, true, true)
      if (beyond >= 0 || end.stamp === last) return
      from = end.stamp
    }
  }

  #since(stamp: string, count: number, markAsRead: boolean, bare = false): Promise<readonly StreamRecord[]> {
    const asked = {
      readRecordRequestType: 'READ_SINCE_TIMESTAMP',
      recordTimeStampISO: stamp,
      recordCount: count,
      markAsRead,
    }
    return this.#ask(asked, { idempotent: true, bare })
  }

  async #ask(
    asked: JsonObject,
    { idempotent, bare = false }: { readonly idempotent: boolean; readonly bare?: boolean },
  ): Promise<readonly StreamRecord[]> {
    const { client, path } = this.#client
    const answer = await client.request({
      method: 'POST',
      path: `${path}/record-request`,
      body: JSON.stringify({ recordId: null, recordTimeStampISO: null, ...asked }),
      headers: {
        'content-type': 'application/json',
        // A server that knows it leaves the payloads out, where only the stamps are wanted (RFC 7240).
        ...(bare ? { prefer: 'return=minimal' } : {}),
      },
      idempotent,
    })
    const list = answer.json()
    if (!Array.isArray(list)) throw malformed(answer.asked, 'it is no list')
    return (list as readonly Json[]).map((record) => recordOf(record, answer.asked))
  }
}

const recordOf = (record: Json, asked: string): StreamRecord => {
  if (!isObject(record) || typeof record['recordTimeStampISO'] !== 'string')
    throw malformed(asked, 'a record has no recordTimeStampISO')
  return { stamp: record['recordTimeStampISO'], isRead: record['readStatus'] === 'true', record }
}

const malformed = (what: string, why: string): MillraceError => new MillraceError('SOURCE_MALFORMED', { what, why })
