/** What goes into and comes out of the stream service. */
import type { Appended, Offset, Position, RecordBatch, StoredBatch, StreamStat, WriterMark } from '@millrace/engine'
import type { JsonObject } from '@millrace/sdk'
import type {
  Batch,
  Client,
  DeadLetter,
  Group,
  GroupSettings,
  Lease,
  PageQuery,
  SchemaType,
  StreamChange,
  StreamEntry,
  StreamSettings,
  User,
} from '../control/types.ts'
import type { Actor, Rights } from '../domain/access.ts'
import type { OffsetRange } from '../domain/ranges.ts'

/** A stream by its id or its name. */
export type StreamRef = string

// — streams —

export interface CreateStream {
  /** Left out: made of the display name, or of the id. */
  readonly name?: string | undefined
  /** Left out: the name. */
  readonly displayName?: string | undefined
  readonly description?: string | undefined
  /** Of records that come without one. Left out: application/json. */
  readonly contentType?: string | undefined
  readonly settings?: StreamSettings | undefined
}

/** What can be changed of a stream; what is left out stays. */
export interface ChangeStream extends Omit<StreamChange, 'settings'> {
  readonly settings?: SettingsChange | undefined
}

/** Null lifts a limit. `amqp` may only be said as it is. */
export interface SettingsChange {
  readonly maxAgeMs?: number | null | undefined
  readonly maxBytes?: number | null | undefined
  readonly maxRecords?: number | null | undefined
  readonly amqp?: boolean | undefined
}

/** A stream as the one who asks may see it. */
export interface StreamInfo extends Omit<StreamEntry, 'state'> {
  /** What was granted to the one who asks; undefined for an administrator to whom nothing was. */
  readonly rights: Rights | undefined
}

export interface StreamListQuery extends PageQuery {
  readonly prefix?: string | undefined
}

export type { Batch, Client, DeadLetter, Group, GroupSettings, Lease, PageQuery, SchemaType, StreamStat }

// — records —

export interface PublishOptions {
  /** Of a publisher that counts its appends: the same `seq` is appended once. Its id is its own: that of another actor is another. */
  readonly writer?: WriterMark | undefined
  /** The same key with the same records within a day is appended once. Not together with `writer`. */
  readonly idempotencyKey?: string | undefined
}

/** Whose read status a call means: the caller's own (left out), or the one that all consumers of the stream share. */
export type ReadAs = 'self' | 'shared'

export interface ReadRequest {
  /** Left out: the first record. An `unread` read begins at the first unread record from there on. */
  readonly from?: Position | undefined
  /** Records at most, 1 to 10,000; left out 100. */
  readonly limit?: number | undefined
  /** Bytes at most, up to 64 MiB; left out 8 MiB. One record comes whatever its size. */
  readonly maxBytes?: number | undefined
  /** Only what is not marked as read. */
  readonly unread?: boolean | undefined
  /** Marks what is answered. With `unread`, of two that ask at once each record goes to one. */
  readonly markRead?: boolean | undefined
  readonly as?: ReadAs | undefined
  /** Say which of the records had been read before this call. */
  readonly withStatus?: boolean | undefined
}

export interface ReadPage {
  /** Oldest first. Offsets rise; with `unread` they have gaps between batches. */
  readonly batches: readonly StoredBatch[]
  /** Where to go on. */
  readonly next: Offset
  /** There was nothing more when it was read. */
  readonly isAtEnd: boolean
  /** Which of the records had been read before this call; undefined where nobody asked. */
  readonly readBefore: readonly OffsetRange[] | undefined
}

/** One record. */
export interface OneRecord {
  readonly id: string
  readonly offset: Offset
  readonly at: Date
  /** What its publisher called it. */
  readonly key: string | undefined
  readonly contentType: string
  readonly body: Uint8Array
  /** As it was before this call. */
  readonly wasRead: boolean
}

export interface RecordRequest {
  readonly markRead?: boolean | undefined
  readonly as?: ReadAs | undefined
}

export interface HistoryRequest extends RecordRequest {
  /** Versions at most, newest first; 1 to 1,000. */
  readonly limit: number
}

/** Records to mark: by their ids, by ranges of offsets, or all before an offset. */
export interface Marks {
  /** A key of its publisher means its newest version. At most 10,000. */
  readonly ids?: readonly string[] | undefined
  readonly ranges?: readonly OffsetRange[] | undefined
  readonly before?: bigint | undefined
  readonly as?: ReadAs | undefined
}

export interface FollowOptions {
  readonly signal: AbortSignal
  /** Records at most in what is handed out at once; left out 10,000. */
  readonly limit?: number | undefined
  readonly maxBytes?: number | undefined
}

/** Who of the consumers has read a record, and who has not. */
export interface ReaderReport {
  readonly actor: Actor
  readonly displayName: string
  readonly hasRead: boolean
}

// — groups —

export interface CreateGroup {
  readonly name: string
  /** Left out: the first record. */
  readonly from?: Position | undefined
  /** Left out: 30 seconds, 5 tries. */
  readonly settings?: Partial<GroupSettings> | undefined
}

export interface ClaimRequest {
  /** Who of the caller's processes it is; told in leases. Left out: the actor. */
  readonly consumer?: string | undefined
  /** Records at most, 1 to 10,000. */
  readonly limit?: number | undefined
}

/** A lease and its records. */
export interface Claimed {
  readonly lease: Lease
  readonly batches: readonly StoredBatch[]
}

// — access —

/** Whom to grant something: an actor, a user by e-mail (made where there is none), or a client made for it. */
export type Grantee =
  | { readonly actor: Actor }
  | { readonly email: string }
  | { readonly newClient: { readonly displayName: string; readonly description?: string | undefined } }

export interface Granted {
  readonly actor: Actor
  /** Of a client that was made for it: shown this once. */
  readonly secret: string | undefined
}

/** A client with its secret, which is shown this once. */
export interface ClientWithSecret {
  readonly client: Client
  readonly secret: string
}

export interface UserWithLogin {
  readonly user: User
  /** Works once. */
  readonly oneTimeLogin: string
}

// — schemas and keys —

export interface AddSchema {
  readonly type: SchemaType
  readonly text: string
}

export interface AddKey {
  readonly algorithm: string
  readonly encoding: string
  readonly value: string
  readonly description?: string | undefined
}

/** What a schema makes of one record: undefined where it conforms, else what is wrong with it. */
export type RecordCheck = (body: Uint8Array) => string | undefined

/** Makes checks of schemas; handed in where the service is built. */
export interface SchemaCompiler {
  /** Throws SCHEMA_INVALID. Undefined for a type that is kept and not checked. */
  compile(schema: AddSchema): Promise<RecordCheck | undefined>
}

// — batches —

export interface BeginBatch {
  /** Part number, from 1 on → Base64 of the MD5 of its bytes. The numbers may have gaps. */
  readonly hashes: Readonly<Record<string, string>>
  readonly attributes?: JsonObject | undefined
  /** See {@link BatchRecord}; used where there are no parts. */
  readonly record?: BatchRecord | undefined
}

/** The record that a finished batch becomes; where nobody says, its attributes and its id as JSON. Its key is the batch's id. */
export type BatchRecord = (batch: Batch) => { readonly body: Uint8Array; readonly contentType: string }

export interface PublishResult extends Appended {}
export type { RecordBatch }
