import { randomUUID } from 'node:crypto'
import {
  encodeJson,
  type MessageOf,
  MillraceError,
  type PersisterSession,
  type RecordLines,
  type RecordMessage,
  type SchemaMessage,
} from '@millrace/sdk'
import { type HttpClient, statusOf } from '@millrace/sdk/http'
import { type StreamFacts, streamPath } from '../../manager/client.ts'

export interface StreamSessionOptions {
  readonly client: HttpClient
  readonly stream: StreamFacts
  readonly isMessages: boolean
  readonly batchBytes: number
}

const close = Buffer.from('}\n')
const newline = Buffer.from('\n')

/**
 * Sends lines, one request at a time while the next is gathered. Each session is a writer of its own, and each request says how
 * many records came before it: one whose answer was lost is sent again, and the manager leaves out what it has. So nothing is
 * doubled by the network; a run that was killed sends again what no state covers.
 */
export class StreamSession implements PersisterSession {
  readonly #o: StreamSessionOptions
  readonly #writer = randomUUID()
  readonly #over = new AbortController()
  readonly #before = new Map<string, Buffer>()
  #parts: Buffer[] = []
  #bytes = 0
  #count = 0
  /** Records handed over before those that are gathered. */
  #sent = 0
  #sending: Promise<void> = Promise.resolve()
  #isSending = false
  #failure: unknown

  /** Only for bare records: gathered ones have lost the version that a message needs. */
  readonly writeLines?: (substream: string, lines: RecordLines) => Promise<void>

  constructor(options: StreamSessionOptions) {
    this.#o = options
    if (!options.isMessages) this.writeLines = this.#takeLines
  }

  async declare({ stream, schema, keyProperties, bookmarkProperties }: SchemaMessage): Promise<void> {
    if (!this.#o.isMessages) return
    const message = {
      type: 'SCHEMA',
      stream,
      schema,
      key_properties: keyProperties,
      ...(bookmarkProperties === undefined ? {} : { bookmark_properties: bookmarkProperties }),
    }
    await this.#line(Buffer.from(`${encodeJson(message)}\n`))
  }

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    this.#throwFailure()
    for (const record of records) {
      const body = record.bytes()
      if (this.#o.isMessages) this.#add(this.#head(substream), body, tailOf(record))
      else this.#add(body, newline)
      this.#count++
      if (this.#bytes >= this.#o.batchBytes) await this.#send()
    }
  }

  readonly #takeLines = async (_substream: string, lines: RecordLines): Promise<void> => {
    this.#throwFailure()
    // Their bytes are the reader's after this call.
    this.#add(Buffer.from(lines.bytes))
    this.#count += lines.count
    if (this.#bytes >= this.#o.batchBytes) await this.#send()
  }

  async activateVersion({ stream, version }: MessageOf<'ACTIVATE_VERSION'>): Promise<void> {
    if (this.#o.isMessages)
      await this.#line(Buffer.from(`${JSON.stringify({ type: 'ACTIVATE_VERSION', stream, version })}\n`))
  }

  async flush(): Promise<void> {
    await this.#send()
    await this.#sending
    this.#throwFailure()
  }

  async #line(line: Buffer): Promise<void> {
    this.#throwFailure()
    this.#add(line)
    this.#count++
    if (this.#bytes >= this.#o.batchBytes) await this.#send()
  }

  #add(...parts: readonly Buffer[]): void {
    for (const part of parts) {
      this.#parts.push(part)
      this.#bytes += part.length
    }
  }

  /** What stands before the record in its message. */
  #head(substream: string): Buffer {
    const known = this.#before.get(substream)
    if (known !== undefined) return known
    const head = Buffer.from(`{"type":"RECORD","stream":${JSON.stringify(substream)},"record":`)
    this.#before.set(substream, head)
    return head
  }

  /** Begins to send what is gathered, once what was sent before is durable. */
  async #send(): Promise<void> {
    if (this.#isSending) await this.#sending
    this.#throwFailure()
    if (this.#count === 0) return
    const body = Buffer.concat(this.#parts, this.#bytes)
    const sent = this.#sent
    this.#sent += this.#count
    this.#parts = []
    this.#bytes = 0
    this.#count = 0
    this.#isSending = true
    this.#sending = this.#request(body, sent)
      .catch((e: unknown) => {
        this.#failure ??= e
      })
      .finally(() => {
        this.#isSending = false
      })
  }

  async #request(body: Buffer, sent: number): Promise<void> {
    const { client, stream } = this.#o
    try {
      await client.request({
        method: 'POST',
        path: `${streamPath(stream.id)}/records`,
        body,
        idempotent: true,
        signal: this.#over.signal,
        headers: {
          'content-type': 'application/x-ndjson',
          'millrace-writer': this.#writer,
          'millrace-sent': String(sent),
        },
      })
    } catch (e) {
      const status = statusOf(e)
      if (status !== 400 && status !== 422) throw e
      throw new MillraceError(
        'DESTINATION_REFUSED',
        {
          what: `stream ${stream.name}`,
          why: `it does not take a record (${status})`,
          fix: 'The active schema of the stream may refuse it: `millrace streams show` says which one that is.',
          status,
        },
        { cause: e },
      )
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What was not flushed may be there or not; no state covers it.
    this.#over.abort()
    await this.#sending
    this.#o.client.close()
  }
}

const tailOf = ({ version, timeExtracted }: RecordMessage): Buffer => {
  if (version === undefined && timeExtracted === undefined) return close
  const parts = [
    ...(version === undefined ? [] : [`,"version":${version}`]),
    ...(timeExtracted === undefined ? [] : [`,"time_extracted":${JSON.stringify(timeExtracted)}`]),
  ]
  return Buffer.from(`${parts.join('')}}\n`)
}
