/** From one generation of the format to another. */
import type { Logger } from '../log/logger.ts'
import { readBatchFiles } from './batch-files.ts'
import { NEWLINE } from './bytes.ts'
import { inferSchema } from './infer.ts'
import type { JsonObject } from './json.ts'
import { MessageReader } from './reader.ts'
import type { UntouchedLines } from './untouched-lines.ts'
import type { Message, MessageOf, SchemaMessage } from './types.ts'
import { MessageWriter, type WireFormat } from './writer.ts'

export interface ConvertOptions {
  /** Any generation; told apart by its first line. */
  readonly input: AsyncIterable<Uint8Array>
  readonly to: WireFormat
  /** Takes the bytes of whole lines. Where it answers a promise nothing more is read before that resolves. */
  readonly write: (chunk: Uint8Array) => void | Promise<void>
  readonly maxLineBytes?: number
  /** What to call the input in an error. */
  readonly source?: string
  /** Told once of every message type that is passed on without being known. */
  readonly log?: Logger
}

/** What was converted. */
export interface ConvertReport {
  readonly messages: number
  readonly records: number
}

const FLUSH_BYTES = 64 * 1024

/**
 * Converts an input to another generation. Between Singer and Singer, lines are passed on as the bytes they came as.
 * Into 0.1, which has no BATCH, the records of its files are written instead. Into Singer, records that brought nothing
 * but their key fields get a SCHEMA made from them.
 *
 * Throws what stopped the reader or the writer, with its line number; everything before that line was written.
 */
export const convert = async (options: ConvertOptions): Promise<ConvertReport> => {
  const conversion = new Conversion(options)
  const reader = new MessageReader({
    untouched: options.to === 'singer',
    ...(options.maxLineBytes === undefined ? {} : { maxLineBytes: options.maxLineBytes }),
    ...(options.source === undefined ? {} : { source: options.source }),
  })
  for await (const chunk of options.input) {
    await conversion.take(reader.push(chunk))
    if (reader.failure !== undefined) throw reader.failure
  }
  await conversion.take(reader.end())
  if (reader.failure !== undefined) throw reader.failure
  return conversion.report
}

/** The schema that is being made for a substream whose records bring only their keys. */
interface Inferred {
  readonly message: SchemaMessage
  readonly schema: JsonObject | undefined
}

class Conversion {
  readonly #options: ConvertOptions
  readonly #writer: MessageWriter
  readonly #inferred = new Map<string, Inferred>()
  readonly #warned = new Set<string>()
  #messages = 0
  #records = 0

  constructor(options: ConvertOptions) {
    this.#options = options
    this.#writer = new MessageWriter(options.to)
  }

  get report(): ConvertReport {
    return { messages: this.#messages, records: this.#records }
  }

  async take(items: readonly (Message | UntouchedLines)[]): Promise<void> {
    try {
      for (let i = 0; i < items.length; i++) {
        const item = items[i] as Message | UntouchedLines
        if (item.type === 'LINES') {
          await this.#flush()
          await this.#pass(item)
          continue
        }
        if (item.type === 'BATCH' && this.#options.to !== 'singer') {
          await this.#addBatch(item)
          continue
        }
        this.#add(item, items, i)
        if (this.#writer.pending >= FLUSH_BYTES) await this.#flush()
      }
    } finally {
      await this.#flush()
    }
  }

  #add(item: Message, items: readonly (Message | UntouchedLines)[], at: number): void {
    if (item.type === 'OTHER') this.#warn(item.wireType, item.line)
    if (item.type === 'SCHEMA') this.#inferred.delete(item.stream)
    if (item.type === 'SCHEMA' && item.inferred === true && this.#options.to === 'singer') {
      this.#inferred.set(item.stream, { message: item, schema: undefined })
      this.#infer(item.stream, items, at + 1)
      return
    }
    if (item.type === 'RECORD') {
      // The first record of a later chunk: widen the schema for all of the chunk at once.
      if (this.#inferred.size > 0 && !this.#isInferredFor(item.stream, items)) this.#infer(item.stream, items, at)
      if (this.#inferred.has(item.stream)) void item.record
      this.#records++
    }
    this.#writer.add(item)
    this.#messages++
  }

  /** The chunk, for each substream, that its inferred schema has taken in. */
  readonly #seen = new Map<string, unknown>()

  #isInferredFor(stream: string, items: unknown): boolean {
    return !this.#inferred.has(stream) || this.#seen.get(stream) === items
  }

  /** Writes the SCHEMA of a substream again where its records from `at` on widened it. */
  #infer(stream: string, items: readonly (Message | UntouchedLines)[], at: number): void {
    const { message, schema } = this.#inferred.get(stream) as Inferred
    const records: JsonObject[] = []
    for (let i = at; i < items.length; i++) {
      const item = items[i] as Message | UntouchedLines
      if (item.type === 'SCHEMA' && item.stream === stream) break
      if (item.type !== 'RECORD' || item.stream !== stream) continue
      try {
        records.push(item.record)
      } catch {
        // Told when its turn comes, with everything before it written.
        break
      }
    }
    this.#seen.set(stream, items)
    const widened = inferSchema(records, schema)
    if (widened === schema) return
    this.#inferred.set(stream, { message, schema: widened })
    this.#writer.add({ ...message, schema: widened })
    this.#messages++
  }

  #warn(type: string, line: number): void {
    if (this.#warned.has(type)) return
    this.#warned.add(type)
    this.#options.log?.warn('messages of an unknown type are passed on as they are', { type, line })
  }

  async #addBatch(message: MessageOf<'BATCH'>): Promise<void> {
    const { source, maxLineBytes } = this.#options
    const options = {
      ...(source === undefined ? {} : { source }),
      ...(maxLineBytes === undefined ? {} : { maxLineBytes }),
    }
    for await (const records of readBatchFiles(message, options)) {
      for (const record of records) {
        this.#writer.add(record)
        this.#messages++
        this.#records++
        if (this.#writer.pending >= FLUSH_BYTES) await this.#flush()
      }
    }
  }

  async #pass(lines: UntouchedLines): Promise<void> {
    this.#messages += lines.count
    this.#records += lines.records
    await this.#options.write(lines.buffer.subarray(lines.from, lines.to))
    if (lines.buffer[lines.to - 1] !== NEWLINE) await this.#options.write(Buffer.of(NEWLINE))
  }

  async #flush(): Promise<void> {
    if (this.#writer.pending > 0) await this.#options.write(this.#writer.take())
  }
}
