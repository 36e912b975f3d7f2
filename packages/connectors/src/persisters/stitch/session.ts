import {
  encodeJson,
  isObject,
  type JsonObject,
  type Logger,
  type MessageOf,
  MillraceError,
  type PersisterSession,
  type RecordMessage,
  RejectedRecords,
  type SchemaMessage,
} from '@millrace/sdk'
import type { HttpClient } from '@millrace/sdk/http'
import { activation, Batch, type BatchHead } from './batch.ts'
import { sendBatch } from './send.ts'
import type { Sequence } from './sequence.ts'

/** A single record beyond this is refused by the service; smaller ones may make a body larger than `batchBytes`. */
export const maxRecordBytes = 20_000_000

export interface SessionOptions {
  /** Undefined: nothing is sent. */
  readonly client: HttpClient | undefined
  readonly path: string
  readonly batchRecords: number
  readonly batchBytes: number
  readonly maxConcurrent: number
  readonly gzip: boolean
  readonly sequence: Sequence
  readonly log: Logger
  /** Told of each body, in the order in which they are made. */
  readonly onBody: ((body: Buffer) => void) | undefined
}

interface Table {
  readonly head: BatchHead
  batch: Batch | undefined
}

/**
 * Sends batches of one table each, filled by number and bytes; a flush sends what is left and resolves when all of it was taken.
 * Several may be under way: of records with one key the one with the higher sequence counts, whichever comes first. An activation
 * goes alone.
 */
export class StitchSession implements PersisterSession {
  readonly #o: SessionOptions
  readonly #tables = new Map<string, Table>()
  readonly #underWay = new Set<Promise<void>>()
  readonly #over = new AbortController()
  #failure: unknown

  constructor(options: SessionOptions) {
    this.#o = options
  }

  async declare(message: SchemaMessage): Promise<void> {
    const { stream, keyProperties } = message
    await this.#sendOpen(stream)
    const schema = encodeJson(withKeys(message.schema, keyProperties))
    this.#tables.set(stream, {
      head: { table: stream, keys: keyProperties, schema, version: undefined },
      batch: undefined,
    })
  }

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    this.#refuseWhenOver()
    this.#refuseTooLarge(substream, records)
    const table = this.#table(substream)
    for (const record of records) {
      const { batch } = table
      if (
        batch !== undefined &&
        batch.count > 0 &&
        (batch.count >= this.#o.batchRecords ||
          batch.size + Batch.roomFor(record) > this.#o.batchBytes ||
          batch.head.version !== record.version)
      )
        await this.#sendOpen(substream)
      table.batch ??= new Batch({ ...table.head, version: record.version }, this.#o.sequence, this.#o.batchBytes)
      table.batch.add(record)
    }
  }

  async activateVersion({ stream, version }: MessageOf<'ACTIVATE_VERSION'>): Promise<void> {
    const table = this.#table(stream)
    await this.#sendOpen(stream)
    // It must not overtake the rows that it is about.
    await this.#settle()
    await this.#begin(activation({ ...table.head, version }, this.#o.sequence), stream, 0)
    await this.#settle()
  }

  async flush(): Promise<void> {
    this.#refuseWhenOver()
    for (const substream of this.#tables.keys()) await this.#sendOpen(substream)
    await this.#settle()
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#underWay)
    this.#throwFailure()
  }

  async #sendOpen(substream: string): Promise<void> {
    const table = this.#tables.get(substream)
    const batch = table?.batch
    if (table === undefined || batch === undefined) return
    table.batch = undefined
    await this.#begin(batch.body(), substream, batch.count)
  }

  /** Waits for a free place, then sends. A failure is thrown by whatever is called next. */
  async #begin(body: Buffer, table: string, records: number): Promise<void> {
    const { client, path, gzip, log, onBody, maxConcurrent } = this.#o
    while (this.#underWay.size >= maxConcurrent && this.#failure === undefined) await Promise.race(this.#underWay)
    this.#throwFailure()
    onBody?.(body)
    if (client === undefined) return
    const sending = sendBatch(body, { client, path, table, gzip, signal: this.#over.signal })
      .then(() => {
        if (records > 0) log.info(`Persisted batch of ${records} records to Stitch`)
      })
      .catch((e: unknown) => {
        this.#failure ??= e
      })
      .finally(() => this.#underWay.delete(sending))
    this.#underWay.add(sending)
  }

  #table(substream: string): Table {
    const table = this.#tables.get(substream)
    if (table === undefined) throw new MillraceError('INTERNAL', { why: `substream ${substream} was not declared` })
    return table
  }

  #refuseTooLarge(stream: string, records: readonly RecordMessage[]): void {
    const tooLarge = records.filter((record) => record.size >= maxRecordBytes)
    if (tooLarge.length === 0) return
    throw new RejectedRecords(
      tooLarge.map((record) => ({
        record,
        error: new MillraceError('VALUE_NOT_STORABLE', {
          line: record.line,
          stream,
          field: '(the record)',
          why: `${record.size} bytes; a single record is larger than the Stitch API limit of 20 Mb`,
        }),
      })),
    )
  }

  #refuseWhenOver(): void {
    if (this.#over.signal.aborted)
      throw new MillraceError('DESTINATION_REFUSED', { what: 'Stitch', why: 'this session was ended' })
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A batch that is still under way does not count, whether it arrives or not.
    this.#over.abort()
    await Promise.all(this.#underWay)
    this.#o.client?.close()
  }
}

/** The service wants an object with every key among its properties; a streamer without a schema gives neither. */
const withKeys = (schema: JsonObject, keys: readonly string[]): JsonObject => {
  const properties = isObject(schema['properties'] ?? {}) ? ((schema['properties'] ?? {}) as JsonObject) : {}
  const missing = keys.filter((key) => !Object.hasOwn(properties, key))
  if (missing.length === 0) return schema
  return { ...schema, properties: { ...properties, ...Object.fromEntries(missing.map((key) => [key, {}])) } }
}
