/** What the parts of the stream service share: what it is built on, and the look at access that comes before everything. */
import type { StreamEngine } from '@millrace/engine'
import { MillraceError } from '@millrace/sdk'
import type { ControlPlane } from '../control/control-plane.ts'
import type { Act, StreamEntry } from '../control/types.ts'
import {
  type Actor,
  decide,
  isAdministering,
  type Principal,
  type Reader,
  readerOf,
  type Rights,
  type Scope,
  sharedReader,
  type StreamAction,
} from '../domain/access.ts'
import { type Random, RecordIds, uuidv7 } from '../domain/ids.ts'
import { OpenLogs } from './open-logs.ts'
import type { ReadAs, RecordCheck, SchemaCompiler, StreamInfo, StreamRef } from './types.ts'

/** What a stream service is built on. It owns neither: whoever built them closes them after it. */
export interface ServiceOptions {
  readonly control: ControlPlane
  readonly engine: StreamEngine
  readonly now: () => Date
  readonly random: Random
  readonly schemas: SchemaCompiler
  /** Told of somebody whose rights changed, before whoever changed them is answered. */
  readonly rightsChanged?: ((actor: Actor) => Promise<void>) | undefined
  /** Streams that are kept open at most while nobody uses them; left out 200. */
  readonly maxOpenLogs?: number | undefined
}

/** A stream that the principal may do with what it asked for. */
export interface Allowed {
  readonly stream: StreamEntry
  readonly rights: Rights | undefined
}

const maxRecordIds = 1_000
const maxChecks = 200
/** How often reading is told in the audit log, for each actor and stream. */
const readNoteMs = 10 * 60_000
const maxReadNotes = 10_000

export class Context {
  readonly control: ControlPlane
  readonly engine: StreamEngine
  readonly now: () => Date
  readonly schemas: SchemaCompiler
  readonly logs: OpenLogs
  readonly rightsChanged: (actor: Actor) => Promise<void>
  readonly #random: Random
  readonly #idKey: Uint8Array
  readonly #recordIds = new Map<string, RecordIds>()
  readonly #checks = new Map<string, Promise<RecordCheck | undefined>>()
  readonly #readNotes = new Map<string, number>()

  private constructor(options: ServiceOptions, idKey: Uint8Array) {
    this.control = options.control
    this.engine = options.engine
    this.now = options.now
    this.schemas = options.schemas
    this.rightsChanged = options.rightsChanged ?? (async () => {})
    this.logs = new OpenLogs(options.engine, options.maxOpenLogs ?? 200)
    this.#random = options.random
    this.#idKey = idKey
  }

  static async open(options: ServiceOptions): Promise<Context> {
    return new Context(options, await options.control.tokens.secret('record-ids', options.random.bytes(32)))
  }

  /** The stream, if the principal may. Throws STREAM_UNKNOWN, ACCESS_DENIED. */
  async allow(p: Principal, ref: StreamRef, action: StreamAction): Promise<Allowed> {
    const access = await this.control.streams.access(ref, { type: p.type, id: p.id })
    const verdict = access === undefined ? ({ is: 'hidden' } as const) : decide(p, action, access.rights)
    if (access === undefined || verdict.is === 'hidden') throw new MillraceError('STREAM_UNKNOWN', { stream: ref })
    if (verdict.is === 'forbidden') throw new MillraceError('ACCESS_DENIED', { stream: ref, needs: verdict.needs })
    return access
  }

  /** Throws ACCESS_DENIED. */
  requireScope(p: Principal, ...enough: readonly Scope[]): void {
    if (!enough.some((scope) => p.scopes.includes(scope)))
      throw new MillraceError('ACCESS_DENIED', { needs: `the scope ${enough.join(' or ')}` })
  }

  /** Throws ACCESS_DENIED. */
  requireAdministrator(p: Principal): void {
    if (!isAdministering(p))
      throw new MillraceError('ACCESS_DENIED', { needs: 'an administrator with the scope admin' })
  }

  /** Who does it, now. */
  act({ type, id }: Actor): Act {
    return { by: { type, id }, at: this.now() }
  }

  newId(): string {
    return uuidv7(this.now(), this.#random)
  }

  /** A secret of 256 bits as text. */
  newSecret(): string {
    return Buffer.from(this.#random.bytes(32)).toString('base64url')
  }

  reader(p: Principal, as: ReadAs = 'self'): Reader {
    return as === 'shared' ? sharedReader : readerOf(p)
  }

  /** The ids of the records of a stream. */
  recordIds(streamId: string): RecordIds {
    let ids = this.#recordIds.get(streamId)
    if (ids === undefined) {
      if (this.#recordIds.size >= maxRecordIds) this.#recordIds.clear()
      ids = new RecordIds(this.#idKey, streamId)
      this.#recordIds.set(streamId, ids)
    }
    return ids
  }

  /** What checks records of the stream today; undefined where nothing does. Kept by the schema's id: a schema never changes. */
  async activeCheck(stream: StreamEntry): Promise<RecordCheck | undefined> {
    const id = stream.activeSchemaId
    if (id === undefined) return undefined
    let check = this.#checks.get(id)
    if (check === undefined) {
      if (this.#checks.size >= maxChecks) this.#checks.clear()
      check = this.#compile(stream.id, id)
      this.#checks.set(id, check)
      // One that could not be looked up is looked up again.
      check.catch(() => this.#checks.delete(id))
    }
    return await check
  }

  async #compile(streamId: string, id: string): Promise<RecordCheck | undefined> {
    const schema = await this.control.parts.schema(streamId, id)
    return schema === undefined ? undefined : await this.schemas.compile(schema)
  }

  /** Has the audit log tell that somebody reads a stream: the first time, and every ten minutes while they do. */
  async noteReading(p: Principal, stream: StreamEntry): Promise<void> {
    const key = `${p.type}:${p.id} ${stream.id}`
    const at = this.now().getTime()
    const last = this.#readNotes.get(key)
    if (last !== undefined && at - last < readNoteMs) return
    if (this.#readNotes.size >= maxReadNotes) this.#readNotes.clear()
    this.#readNotes.set(key, at)
    try {
      await this.control.audit.append(this.act(p), [{ action: 'records.read', streamId: stream.id }])
    } catch (e) {
      // Nobody reads what the audit log does not tell: the next try tells it, or fails too.
      this.#readNotes.delete(key)
      throw e
    }
  }
}

/** A stream as its users see it. */
export const infoOf = ({ stream: { state: _, ...stream }, rights }: Allowed): StreamInfo => ({ ...stream, rights })
