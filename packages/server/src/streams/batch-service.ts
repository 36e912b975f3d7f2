import { createHash } from 'node:crypto'
import { type Offset, RecordBatch, type StreamLog, streamName } from '@millrace/engine'
import { isMillraceError, MillraceError } from '@millrace/sdk'
import type { Batch, Page, PageQuery, StreamEntry } from '../control/types.ts'
import type { Principal } from '../domain/access.ts'
import { batchLogName } from './batch-log.ts'
import type { Context } from './context.ts'
import { checkRecords } from './record-check.ts'
import type { Batches, BatchPartUpload } from './stream-service.ts'
import type { BatchRecord, BeginBatch, StreamRef } from './types.ts'

const maxParts = 10_000
const maxAttributes = 100_000

/**
 * Files in parts. Their bytes are in a log of their own, one record a part, so that they are wherever the streams are; a part that comes again
 * is appended again, and the newest counts. The record that a finished batch becomes is appended under a writer of the batch, so that of two
 * who bring the last part, or of one who dies and comes again, it is appended once.
 */
export class BatchService implements Batches {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async begin(p: Principal, ref: StreamRef, { hashes, attributes = {}, record }: BeginBatch): Promise<Batch> {
    const { stream } = await this.#context.allow(p, ref, 'write')
    const parts = Object.entries(hashes)
      .map(([number, hash]) => ({ number: Number(number), hash }))
      .sort((a, b) => a.number - b.number)
    const id = this.#context.newId()
    const refused = (why: string) => new MillraceError('BATCH_PART', { batch: id, why })
    if (parts.length > maxParts) throw refused(`a batch has at most ${maxParts} parts`)
    for (const { number, hash } of parts) {
      if (!Number.isSafeInteger(number) || number < 1) throw refused('parts are numbered from 1 on')
      if (!/^[A-Za-z0-9+/]{22}==$/.test(hash)) throw refused(`the MD5 of part ${number} is Base64 of 16 bytes`)
    }
    if (JSON.stringify(attributes).length > maxAttributes)
      throw refused(`its attributes have at most ${maxAttributes} characters`)
    const batch = await this.#context.control.batches.create(this.#context.act(p), {
      id,
      streamId: stream.id,
      parts,
      attributes,
    })
    return parts.length > 0 ? batch : await this.#finish(p, stream, batch, record)
  }

  async get(p: Principal, ref: StreamRef, id: string): Promise<Batch> {
    const { stream } = await this.#context.allow(p, ref, 'describe')
    return await this.#find(stream, id)
  }

  async list(p: Principal, ref: StreamRef, query: PageQuery = {}): Promise<Page<Batch>> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    return await this.#context.control.batches.list(stream.id, query)
  }

  async #find(stream: StreamEntry, id: string): Promise<Batch> {
    const found = await this.#context.control.batches.find(stream.id, id)
    if (found === undefined) throw new MillraceError('BATCH_UNKNOWN', { batch: id })
    return found
  }

  async putPart(p: Principal, ref: StreamRef, { batch: id, part, bytes, record }: BatchPartUpload): Promise<Batch> {
    const { stream } = await this.#context.allow(p, ref, 'write')
    const batch = await this.#find(stream, id)
    const refused = (why: string) => new MillraceError('BATCH_PART', { batch: id, why })
    const known = batch.parts.find(({ number }) => number === part)
    if (known === undefined) throw refused(`it has no part ${part}`)
    if (createHash('md5').update(bytes).digest('base64') !== known.hash)
      throw refused(`part ${part} has another MD5 than was announced`)
    // The same bytes again: there is nothing to do, but to finish what somebody died over.
    let now = batch
    if (known.offset === undefined) {
      const { first } = await this.#use(batch, 'write', (log) =>
        log.append(RecordBatch.of([{ key: String(part), contentType: 'application/octet-stream', body: bytes }])),
      )
      now = await this.#context.control.batches.partCame(stream.id, id, { number: part, offset: first })
    }
    return now.outstanding.length > 0 || now.offset !== undefined ? now : await this.#finish(p, stream, now, record)
  }

  async #finish(p: Principal, stream: StreamEntry, batch: Batch, record: BatchRecord | undefined): Promise<Batch> {
    const made = record?.(batch) ?? {
      body: Buffer.from(JSON.stringify({ ...batch.attributes, batchId: batch.id })),
      contentType: 'application/json',
    }
    const records = RecordBatch.of([{ key: batch.id, ...made }])
    await checkRecords(this.#context, { ...stream, activeSchemaId: undefined }, records)
    const writer = { id: `batch:${batch.id}`, seq: 0n }
    const { first } = await this.#context.logs.use(stream, (log) => log.append(records, { writer }))
    await this.#context.control.batches.finish(this.#context.act(p), stream.id, batch.id, first)
    return { ...batch, offset: first }
  }

  async getPart(p: Principal, ref: StreamRef, id: string, part: number): Promise<Uint8Array> {
    const { stream } = await this.#context.allow(p, ref, 'read')
    const batch = await this.#find(stream, id)
    const place = batch.parts.find(({ number }) => number === part)?.offset
    if (place === undefined) throw new MillraceError('BATCH_PART', { batch: id, why: `part ${part} has not come` })
    await this.#context.noteReading(p, stream)
    const [found] = await this.#use(batch, 'read', (log) => log.get([place as Offset]))
    if (found === undefined)
      throw new MillraceError('BATCH_PART', { batch: id, why: `part ${part} is not kept any more` })
    return found.body
  }

  /** The log of a batch is made with its first part. */
  async #use<T>(batch: Batch, how: 'read' | 'write', work: (log: StreamLog) => Promise<T>): Promise<T> {
    const { engine, logs } = this.#context
    const named = { id: batch.id, name: batchLogName(batch.id) }
    try {
      return await logs.use(named, work)
    } catch (e) {
      if (how === 'read' || !isMillraceError(e) || e.code !== 'STREAM_UNKNOWN') throw e
    }
    try {
      const log = await engine.create(streamName(named.name))
      await log[Symbol.asyncDispose]()
    } catch (e) {
      if (!isMillraceError(e) || e.code !== 'STREAM_EXISTS') throw e
    }
    return await logs.use(named, work)
  }

  async delete(p: Principal, ref: StreamRef, id: string): Promise<void> {
    const { stream } = await this.#context.allow(p, ref, 'manage')
    await this.#find(stream, id)
    await this.#context.logs.close(id)
    try {
      await this.#context.engine.drop(streamName(batchLogName(id)))
    } catch (e) {
      if (!isMillraceError(e) || e.code !== 'STREAM_UNKNOWN') throw e
    }
    await this.#context.control.batches.remove(this.#context.act(p), stream.id, id)
  }
}
