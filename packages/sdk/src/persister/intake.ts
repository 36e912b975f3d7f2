import { Bookkeeper, type SubstreamBookkeeper } from '../books/bookkeeper.ts'
import type { DeadLetter } from '../books/types.ts'
import { isMillraceError, MillraceError, toMillraceError } from '../errors/error.ts'
import type { RecordCheck, SubstreamMap } from '../gate/types.ts'
import { inferSchema } from '../message/infer.ts'
import { encodeJson, type JsonObject } from '../message/json.ts'
import { checkJsonLines } from '../message/json-lines.ts'
import type { RecordMessage } from '../message/record.ts'
import type { RecordLines } from '../message/record-lines.ts'
import type { MessageOf, SchemaMessage, UnreadableMessage } from '../message/types.ts'
import type { PersisterRunOptions } from './run-types.ts'
import { type Persister, type PersisterSession, RejectedRecords } from './types.ts'

/** What the intake remembers of one substream. */
interface Desk {
  readonly name: string
  readonly books: SubstreamBookkeeper
  /** The schema as the streamer gave it, or as it was inferred. */
  schema: SchemaMessage
  /** Its text, by which a repeated SCHEMA is known. */
  schemaText: string
  check: RecordCheck | undefined
  map: SubstreamMap | undefined
  /** What the records so far look like, where the streamer gave no schema. */
  inferred: JsonObject | undefined
  /** Whether the persister knows the substream. */
  declared: boolean
  waiting: RecordMessage[]
  waitingBytes: number
  /** The SCHEMA line that goes with its dead letters, one text for all of them. */
  letterSchema: string | undefined
}

/** Thrown inside the intake when the run must stop at a bad record: states from its line on may not be released. */
export class StopAt extends Error {
  override readonly name: string = 'StopAt'
  readonly line: number
  readonly error: MillraceError
  constructor(line: number, error: MillraceError) {
    super(error.message)
    this.line = line
    this.error = error
  }
}

const defaultBatchRecords = 2_000
const defaultBatchBytes = 8 * 1024 * 1024
/** What may wait in all substreams together: many that take turns must not each fill a batch of their own. */
const maxWaitingRecords = 20_000
const maxWaitingBytes = 16 * 1024 * 1024
/** Dead letters, with the schemas that go with them, are flushed when so many characters of them wait. */
const maxLetterChars = 4 * 1024 * 1024
/** Different things that are told once each; what is new after that is not told. */
const maxTold = 100

/**
 * Takes records in, through the gate, and hands them to the session in batches of one substream. Within a substream
 * the order is kept; between substreams only what SCHEMA, ACTIVATE_VERSION and flush demand.
 */
export class Intake {
  readonly books: Bookkeeper
  readonly #session: PersisterSession
  readonly #persister: Persister
  readonly #options: PersisterRunOptions
  readonly #desks = new Map<string, Desk>()
  readonly #batchRecords: number
  readonly #batchBytes: number
  readonly #told = new Set<string>()
  #last: Desk | undefined
  #waitingRecords = 0
  #waitingBytes = 0
  #letters: DeadLetter[] = []
  #letterChars = 0
  /** Since the last flush, written or waiting. */
  records = 0
  bytes = 0
  /** Whether the session has anything that a flush would make durable. */
  dirty = false

  constructor(persister: Persister, session: PersisterSession, options: PersisterRunOptions) {
    this.#persister = persister
    this.#session = session
    this.#options = options
    this.#batchRecords = options.batchRecords ?? defaultBatchRecords
    this.#batchBytes = options.batchBytes ?? defaultBatchBytes
    this.books = new Bookkeeper(options.report !== undefined)
  }

  /** Takes one record. Answers a promise only when a batch became full and had to be written. */
  take(record: RecordMessage): Promise<void> | undefined {
    let desk = this.#last
    if (desk === undefined || desk.name !== record.stream) {
      desk = this.#desks.get(record.stream) ?? this.#openDesk(record)
      this.#last = desk
    }
    const size = desk.books.receive(record)
    this.records++
    this.bytes += size
    let kept: RecordMessage | undefined = record
    try {
      if (desk.check !== undefined && !isAccepted(desk.check, record)) {
        const violation = desk.check(record.plain)
        if (violation !== undefined) {
          this.#refuse(desk, record, this.#invalid(desk, record, violation))
          return undefined
        }
      }
      if (desk.map !== undefined) kept = desk.map.apply(record)
    } catch (e) {
      if (e instanceof StopAt || !isMillraceError(e)) throw e
      this.#refuse(desk, record, e)
      return undefined
    }
    if (kept === undefined) {
      desk.books.filtered.add(record, size)
      return undefined
    }
    desk.waiting.push(kept)
    desk.waitingBytes += size
    this.#waitingRecords++
    this.#waitingBytes += size
    if (desk.waiting.length >= this.#batchRecords || desk.waitingBytes >= this.#batchBytes) return this.#write(desk)
    return this.#waitingRecords >= maxWaitingRecords || this.#waitingBytes >= maxWaitingBytes
      ? this.writeAll()
      : undefined
  }

  /** Takes records that are only passed on. Where somebody must look at them, they go the usual way. */
  async takeLines(lines: RecordLines): Promise<void> {
    const desk = this.#desks.get(lines.stream)
    if (desk === undefined || this.#session.writeLines === undefined || !this.#maySkip(desk, lines)) {
      for (const record of lines.records()) await this.take(record)
      return
    }
    await this.#write(desk)
    desk.books.receiveLines(lines)
    this.records += lines.count
    this.bytes += lines.size
    await this.#session.writeLines(targetOf(desk), lines)
    this.dirty = true
    desk.books.writeLines(lines)
  }

  /** Whether nobody has to look at the records one by one: the persister knows the substream, and all are valid for certain. */
  #maySkip(desk: Desk, lines: RecordLines): boolean {
    if (!desk.declared) return false
    // What each batch holds may widen the schema.
    if (desk.schema.inferred === true && this.#persister.supports.needsSchemas === true) return false
    return desk.check === undefined || desk.check.acceptsLines?.(lines.bytes) === true
  }

  /** Takes a SCHEMA. One that says nothing new does nothing; before one that may be refused, `flush` is called. */
  async declare(schema: SchemaMessage, flush: () => Promise<void>): Promise<void> {
    const text = encodeJson([schema.schema, schema.keyProperties, schema.bookmarkProperties ?? null])
    let desk = this.#desks.get(schema.stream)
    if (desk?.schemaText === text) return
    if (desk === undefined) {
      desk = this.#newDesk(schema, text)
    } else {
      await this.#write(desk)
      desk.schema = schema
      desk.schemaText = text
      desk.letterSchema = undefined
      desk.declared = false
    }
    try {
      desk.map = this.#mapOf(schema)
      if (desk.map?.unselected === true || schema.inferred === true) {
        desk.check = desk.map?.unselected === true ? undefined : this.#checkWithoutSchema
        return
      }
      desk.check = this.#options.compileSchema?.(schema)
      const target = desk.map?.schema ?? schema
      if (this.#session.mayRefuse?.(target) === true) await flush()
      await this.#declare(desk, target)
    } catch (e) {
      throw stopAt(schema.line, e)
    }
  }

  async activateVersion(message: MessageOf<'ACTIVATE_VERSION'>): Promise<void> {
    const desk = this.#desks.get(message.stream)
    if (desk?.map?.unselected === true) return
    if (desk !== undefined) await this.#write(desk)
    if (this.#session.activateVersion === undefined) {
      // A destination that only appends says so in its page; it is nothing that went wrong.
      this.#options.log.debug('ACTIVATE_VERSION has no effect here', { stream: message.stream, line: message.line })
      return
    }
    if (desk === undefined || !desk.declared) {
      this.warnOnce(`version:${message.stream}`, 'ACTIVATE_VERSION came before any SCHEMA or RECORD of its substream', {
        stream: message.stream,
        line: message.line,
      })
      return
    }
    await this.#session.activateVersion({ ...message, stream: targetOf(desk) })
    this.dirty = true
  }

  /** Sets a line aside that could not be read; only called where bad input is set aside. */
  unreadable(message: UnreadableMessage): void {
    const error = toMillraceError(message.error)
    const books = this.books.of('')
    const account = { hashHigh: message.line | 0, hashLow: message.text.length | 0 }
    books.received.add(account, message.text.length)
    books.deadLettered.add(account, message.text.length)
    this.#addLetter({
      substream: '',
      line: message.line,
      code: error.code,
      reason: error.message,
      text: message.text,
    })
  }

  /** Hands everything that waits to the session. */
  async writeAll(): Promise<void> {
    for (const desk of this.#desks.values()) await this.#write(desk)
  }

  /** After a flush of the session: enters it in the books and answers the dead letters that were set aside since the last. */
  flushed(): readonly DeadLetter[] {
    this.books.flushed()
    this.records = 0
    this.bytes = 0
    this.dirty = false
    const letters = this.#letters
    this.#letters = []
    this.#letterChars = 0
    return letters
  }

  get hasDeadLetters(): boolean {
    return this.#letters.length > 0
  }

  /** Whether so many dead letters wait that they must be kept before more come. */
  get isFullOfLetters(): boolean {
    return this.#letterChars >= maxLetterChars
  }

  warnOnce(key: string, message: string, fields: Record<string, string | number>): void {
    if (this.#isNew(key)) this.#options.log.warn(message, fields)
  }

  /** Whether nothing was told of this yet. A flood of different things is not told to its end. */
  #isNew(key: string): boolean {
    if (this.#told.size > maxTold || this.#told.has(key)) return false
    this.#told.add(key)
    if (this.#told.size <= maxTold) return true
    this.#options.log.warn('there is more of this kind, which is not told any more', { told: maxTold })
    return false
  }

  #addLetter(letter: DeadLetter): void {
    this.#letters.push(letter)
    this.#letterChars += letter.text.length + (letter.schema?.length ?? 0) + 200
  }

  #newDesk(schema: SchemaMessage, schemaText: string): Desk {
    const desk: Desk = {
      name: schema.stream,
      books: this.books.of(schema.stream),
      schema,
      schemaText,
      check: undefined,
      map: undefined,
      inferred: undefined,
      declared: false,
      waiting: [],
      waitingBytes: 0,
      letterSchema: undefined,
    }
    this.#desks.set(schema.stream, desk)
    return desk
  }

  /** A record of a substream without SCHEMA: its schema will be inferred, batch by batch. */
  #openDesk(record: RecordMessage): Desk {
    const { stream, line } = record
    if (this.#options.requireSchema === true)
      throw new StopAt(line, new MillraceError('RECORD_WITHOUT_SCHEMA', { ...this.#where(line), stream }))
    if (this.#isNew(`inferred:${stream}`))
      this.#options.log.info('schema is inferred: the streamer gave none', { substream: stream, line })
    const desk = this.#newDesk({ type: 'SCHEMA', stream, schema: {}, keyProperties: [], inferred: true, line }, '')
    try {
      desk.map = this.#mapOf(desk.schema)
      if (desk.map?.unselected !== true) desk.check = this.#checkWithoutSchema
    } catch (e) {
      throw stopAt(line, e)
    }
    return desk
  }

  /** Without a schema nobody opens what is only passed on; where records are checked, it has to be JSON at least. */
  get #checkWithoutSchema(): RecordCheck | undefined {
    const { compileSchema } = this.#options
    return compileSchema === undefined || this.#persister.supports.opensRecords ? undefined : isJson
  }

  #mapOf(schema: SchemaMessage): SubstreamMap | undefined {
    const map = this.#options.compileMap?.(schema)
    if (map?.unselected === true)
      this.warnOnce(
        `unselected:${schema.stream}`,
        'a substream that is not selected came all the same: it is left out',
        {
          substream: schema.stream,
          line: schema.line,
        },
      )
    return map
  }

  async #declare(desk: Desk, schema: SchemaMessage): Promise<void> {
    await this.#session.declare(schema)
    desk.declared = true
    this.dirty = true
  }

  async #write(desk: Desk): Promise<void> {
    const batch = desk.waiting
    if (batch.length === 0) return
    this.#waitingRecords -= batch.length
    this.#waitingBytes -= desk.waitingBytes
    desk.waiting = []
    desk.waitingBytes = 0
    if (desk.schema.inferred === true) await this.#declareInferred(desk, batch)
    await this.#writeBatch(desk, batch)
  }

  async #writeBatch(desk: Desk, batch: readonly RecordMessage[]): Promise<void> {
    if (batch.length === 0) return
    try {
      await this.#session.write(targetOf(desk), batch)
      this.dirty = true
      desk.books.write(batch)
    } catch (e) {
      if (!(e instanceof RejectedRecords)) throw e
      const rejected = new Map(e.rejected.map((r) => [r.record, toMillraceError(r.error)]))
      if (rejected.size === 0) throw e
      if (this.#options.onInvalid !== 'dead-letter') {
        const first = batch.findIndex((r) => rejected.has(r))
        const bad = batch[first] as RecordMessage
        await this.#writeBatch(desk, batch.slice(0, first))
        this.#refuse(desk, bad, rejected.get(bad) as MillraceError)
      }
      for (const [record, error] of rejected) this.#refuse(desk, record, error)
      await this.#writeBatch(
        desk,
        batch.filter((r) => !rejected.has(r)),
      )
    }
  }

  /** Widens the schema by what the batch holds, and declares it where that changed anything. */
  async #declareInferred(desk: Desk, batch: readonly RecordMessage[]): Promise<void> {
    const known = desk.inferred
    if (this.#persister.supports.opensRecords || this.#persister.supports.needsSchemas === true)
      desk.inferred = inferSchema(
        batch.map((r) => r.record),
        known,
      )
    if (desk.declared && desk.inferred === known) return
    const target = desk.map?.schema ?? desk.schema
    try {
      await this.#declare(desk, { ...target, schema: desk.inferred ?? {}, inferred: true })
    } catch (e) {
      throw stopAt((batch[0] as RecordMessage).line, e)
    }
  }

  #where(line: number): { readonly source?: string; readonly line: number } {
    return this.#options.source === undefined ? { line } : { source: this.#options.source, line }
  }

  #invalid(
    desk: Desk,
    record: RecordMessage,
    violation: { readonly field: string; readonly rule: string },
  ): MillraceError {
    return new MillraceError('RECORD_INVALID', {
      ...this.#where(record.line),
      stream: desk.name,
      key: keyOf(desk.schema, record, desk.map?.hidden),
      field: violation.field === '' ? '(the record)' : violation.field,
      rule: violation.rule,
    })
  }

  /** Sets a record aside, or stops the run at it. */
  #refuse(desk: Desk, record: RecordMessage, error: MillraceError): void {
    if (this.#options.onInvalid !== 'dead-letter') throw new StopAt(record.line, error)
    const asItCame = record.source
    desk.books.deadLettered.add(asItCame, asItCame.size)
    if (desk.schema.inferred !== true) desk.letterSchema ??= schemaLine(desk.schema)
    const { field, rule } = error.details
    this.#addLetter({
      substream: desk.name,
      line: record.line,
      code: error.code,
      reason: error.message,
      ...(field === undefined ? {} : { field: String(field) }),
      ...(rule === undefined ? {} : { rule: String(rule) }),
      text: asItCame.bytes().toString(),
      ...(desk.letterSchema === undefined ? {} : { schema: desk.letterSchema }),
    })
  }
}

/** Whether records are JSON: opening one tells what is wrong with it. */
const isJson: RecordCheck = Object.assign(() => undefined, {
  acceptsLines: (lines: Buffer): boolean => {
    try {
      checkJsonLines(lines)
      return true
    } catch (e) {
      if (isMillraceError(e)) return false
      throw e
    }
  },
})

/** A schema that cannot be used stops the run at its line; what else goes wrong is the destination's own failure. */
const stopAt = (line: number, e: unknown): unknown =>
  isMillraceError(e) && (e.code.startsWith('SCHEMA_') || e.code === 'CONFIG_INVALID') ? new StopAt(line, e) : e

const schemaLine = ({ stream, schema, keyProperties }: SchemaMessage): string =>
  encodeJson({ type: 'SCHEMA', stream, schema, key_properties: keyProperties })

/** Whether the bytes of a record alone show that it is valid. */
const isAccepted = (check: RecordCheck, record: RecordMessage): boolean =>
  check.accepts !== undefined && record.buffer.length > 0 && check.accepts(record.buffer, record.from, record.to)

const targetOf = (desk: Desk): string => desk.map?.schema.stream ?? desk.name

/** The key of a record in words: `id=17`, `(none)` where the substream has no keys. A hidden field's value is not told. */
const keyOf = (schema: SchemaMessage, record: RecordMessage, hidden: ReadonlySet<string> | undefined): string => {
  if (schema.keyProperties.length === 0) return '(none)'
  try {
    const values = record.record
    const shown = (k: string): string =>
      hidden?.has(k) === true ? '(masked)' : encodeJson(values[k] ?? null).slice(0, 60)
    return schema.keyProperties.map((k) => `${k}=${shown(k)}`).join(', ')
  } catch {
    return '(unreadable)'
  }
}
