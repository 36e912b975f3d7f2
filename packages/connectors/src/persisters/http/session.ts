import { MillraceError, type PersisterSession, type RecordMessage, type SchemaMessage } from '@millrace/sdk'
import type { HttpAnswer, HttpClient } from '@millrace/sdk/http'
import { wordsOf } from '../../http/words.ts'
import type { BatchKeys } from './batch-keys.ts'

/** Statuses by which a server refuses what is in a batch. */
const refusals = [400, 413, 422]

export interface SessionOptions {
  readonly client: HttpClient
  readonly keys: BatchKeys
  /** With `{substream}` where its name goes. */
  readonly url: string
  readonly method: 'POST' | 'PUT'
  readonly format: 'json' | 'ndjson' | 'envelope'
  readonly compression: 'none' | 'gzip'
  readonly batchRecords: number
  readonly batchBytes: number
  readonly keyHeader: string
  /** Batches under way at once. */
  readonly maxConcurrent: number
}

/** Records of one substream that wait to be sent. They are the runner's until the next flush. */
interface Batch {
  records: RecordMessage[]
  bytes: number
}

/**
 * Sends records in batches. Full ones go out while more are gathered; a flush sends the rest and resolves when the server has
 * taken all of them (2xx). Within a substream batches are cut by number and size alone, from flush to flush, so that the same
 * records make the same batches.
 */
export class HttpSession implements PersisterSession {
  readonly #o: SessionOptions
  readonly #waiting = new Map<string, Batch>()
  readonly #keysOf = new Map<string, readonly string[]>()
  readonly #underWay = new Set<Promise<void>>()
  readonly #over = new AbortController()
  #failure: unknown
  /** Learnt from a server that said 413. */
  #maxRecords: number
  #maxBytes: number

  constructor(options: SessionOptions) {
    this.#o = options
    this.#maxRecords = options.batchRecords
    this.#maxBytes = options.batchBytes
  }

  async declare(schema: SchemaMessage): Promise<void> {
    this.#keysOf.set(schema.stream, schema.keyProperties)
  }

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    this.#refuseWhenOver()
    const [open, , close] = this.#frame(substream)
    const empty = Buffer.byteLength(open) + close.length
    let batch = this.#waiting.get(substream) ?? { records: [], bytes: empty }
    for (const record of records) {
      const { size } = record
      if (
        batch.records.length > 0 &&
        (batch.records.length >= this.#maxRecords || batch.bytes + size > this.#maxBytes)
      ) {
        await this.#begin(substream, batch.records)
        batch = { records: [], bytes: empty }
      }
      batch.records.push(record)
      batch.bytes += size + 1
    }
    this.#waiting.set(substream, batch)
  }

  async flush(): Promise<void> {
    this.#refuseWhenOver()
    for (const [substream, { records }] of this.#waiting) if (records.length > 0) await this.#begin(substream, records)
    this.#waiting.clear()
    await Promise.all(this.#underWay)
    this.#throwFailure()
    await this.#o.keys.flushed()
  }

  /** Waits for a free place, then sends. A failure is thrown by whatever is called next. */
  async #begin(substream: string, records: readonly RecordMessage[]): Promise<void> {
    while (this.#underWay.size >= this.#o.maxConcurrent && this.#failure === undefined)
      await Promise.race(this.#underWay)
    this.#throwFailure()
    const sending = this.#send(substream, records, this.#o.keys.place(substream))
      .catch((e: unknown) => {
        this.#failure ??= e
      })
      .finally(() => this.#underWay.delete(sending))
    this.#underWay.add(sending)
  }

  async #send(substream: string, records: readonly RecordMessage[], place: number): Promise<void> {
    const { client, keys, method, keyHeader, compression, format } = this.#o
    const body = this.#bodyOf(substream, records)
    const answer = await client.request({
      method,
      path: urlFor(this.#o.url, substream),
      body: compression === 'gzip' ? await gzip(body) : body,
      idempotent: true,
      signal: this.#over.signal,
      // The first try of this very batch is still being worked on (draft-ietf-httpapi-idempotency-key-header §2.6).
      passing: [409],
      accept: refusals,
      headers: {
        'content-type': format === 'ndjson' ? 'application/x-ndjson' : 'application/json',
        ...(compression === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
        [keyHeader]: keys.key(substream, place, body),
      },
    })
    if (refusals.includes(answer.status))
      await this.#afterRefusal(answer, { substream, records, place, bytes: body.length })
  }

  async #afterRefusal(
    answer: HttpAnswer,
    batch: {
      readonly substream: string
      readonly records: readonly RecordMessage[]
      readonly place: number
      readonly bytes: number
    },
  ): Promise<void> {
    const { substream, records, place, bytes } = batch
    const { status } = answer
    if (status === 413 && records.length > 1) {
      const half = Math.ceil(records.length / 2)
      this.#maxRecords = Math.max(1, Math.min(this.#maxRecords, half))
      this.#maxBytes = Math.max(1, Math.min(this.#maxBytes, Math.ceil(bytes / 2)))
      await this.#send(substream, records.slice(0, half), place)
      await this.#send(substream, records.slice(half), place)
      return
    }
    const [first, last] = [records[0]?.line, records.at(-1)?.line]
    const lines = records.length === 1 ? `line ${first}` : `lines ${first} to ${last}`
    const what = `${this.#o.method} ${urlFor(this.#o.url, substream).replace(/\?.*$/, '')}`
    const one =
      status === 413
        ? `a single record of ${substream} is too large for it (413, ${bytes} bytes`
        : `it does not take a record of ${substream} (${status}`
    const words = wordsOf(answer)
    throw new MillraceError('DESTINATION_REFUSED', {
      what,
      why:
        records.length === 1
          ? `${one}, ${lines} of the input)`
          : `it does not take a batch of ${records.length} records of ${substream} (${status}, ${lines} of the input)`,
      fix:
        status === 413
          ? 'Raise the limit of the server, or leave the large field out by a map.'
          : 'Check url and format. Where one record is at fault, on-invalid: dead-letter of a pipeline finds it and sets it aside.',
      status,
      // What the server says may hold what was sent: it stands beside the record and nowhere else.
      ...(records.length === 1 ? { reason: `${what}: ${one})${words === undefined ? '' : `: ${words}`}` } : {}),
    })
  }

  /** What stands before, between and behind records. */
  #frame(substream: string): readonly [string, string, string] {
    switch (this.#o.format) {
      case 'ndjson':
        return ['', '\n', '\n']
      case 'json':
        return ['[', ',', ']']
      case 'envelope': {
        const keys = JSON.stringify(this.#keysOf.get(substream) ?? [])
        return [`{"substream":${JSON.stringify(substream)},"keys":${keys},"records":[`, ',', ']}']
      }
    }
  }

  #bodyOf(substream: string, records: readonly RecordMessage[]): Buffer {
    const [open, between, close] = this.#frame(substream)
    const head = Buffer.from(open)
    const tail = Buffer.from(close)
    let size = head.length + tail.length + Math.max(0, records.length - 1)
    for (const record of records) size += record.size
    const body = Buffer.allocUnsafe(size)
    let at = head.copy(body)
    for (const [i, record] of records.entries()) {
      if (i > 0) body[at++] = between.charCodeAt(0)
      at += record.bytes().copy(body, at)
    }
    tail.copy(body, at)
    return body
  }

  #refuseWhenOver(): void {
    if (this.#over.signal.aborted)
      throw new MillraceError('DESTINATION_REFUSED', {
        what: this.#o.client.baseUrl.origin,
        why: 'this session was ended',
      })
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A batch that is still under way does not count, whether it arrives or not.
    this.#over.abort()
    this.#waiting.clear()
    await Promise.all(this.#underWay)
    this.#o.client.close()
  }
}

const gzip = async (body: Buffer): Promise<Buffer> => {
  const { gzip } = await import('node:zlib')
  return await new Promise((resolve, reject) => {
    gzip(body, { level: 1 }, (e, packed) => (e === null ? resolve(packed) : reject(e)))
  })
}

/** Throws DESTINATION_REFUSED for a name that is no part of a path. */
export const urlFor = (template: string, substream: string): string => {
  if (!template.includes('{substream}')) return template
  const [path = '', query] = template.split('?', 2)
  if ((substream === '.' || substream === '..') && path.includes('{substream}'))
    throw new MillraceError('DESTINATION_REFUSED', {
      what: path,
      why: `a substream called "${substream}" cannot stand in a path`,
      fix: 'Put {substream} into the query, or rename the substream by a map.',
    })
  const name = encodeURIComponent(substream.toWellFormed())
  return query === undefined
    ? path.replaceAll('{substream}', name)
    : `${path.replaceAll('{substream}', name)}?${query.replaceAll('{substream}', name)}`
}
