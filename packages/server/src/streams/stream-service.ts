/**
 * What somebody who proved who they are may do with streams. Every way in (REST, the surfaces of compatibility, the command
 * line) calls this and nothing else.
 *
 * Every method looks at access first. A stream on which the principal was granted nothing throws STREAM_UNKNOWN, the same as one that is not
 * there; a right or a scope that lacks throws ACCESS_DENIED; an argument out of its limits CONTROL_ARGUMENT. What the log and the control plane throw passes through:
 * LOG_UNAVAILABLE, LOG_FULL, CONTROL_UNAVAILABLE.
 */
import type { Position, RecordBatch, StoredBatch, StreamStat } from '@millrace/engine'
import type {
  AuditLine,
  Batch,
  Client,
  DeadLetter,
  Group,
  GroupSettings,
  Lease,
  Page,
  PageQuery,
  Permission,
  StreamKey,
  StreamSchema,
  User,
} from '../control/types.ts'
import type { Actor, Principal, Rights } from '../domain/access.ts'
import type { OffsetRange } from '../domain/ranges.ts'
import type {
  AddKey,
  AddSchema,
  BatchRecord,
  BeginBatch,
  ChangeStream,
  ClaimRequest,
  Claimed,
  ClientWithSecret,
  CreateGroup,
  CreateStream,
  FollowOptions,
  Granted,
  Grantee,
  HistoryRequest,
  Marks,
  OneRecord,
  PublishOptions,
  PublishResult,
  ReadAs,
  ReaderReport,
  ReadPage,
  ReadRequest,
  RecordRequest,
  StreamInfo,
  StreamListQuery,
  StreamRef,
  UserWithLogin,
} from './types.ts'

/** Streams themselves. */
export interface StreamCatalog {
  /** The principal becomes its owner. Needs `streams:manage`. Throws STREAM_NAME_INVALID, STREAM_EXISTS. */
  create(p: Principal, stream: CreateStream): Promise<StreamInfo>
  get(p: Principal, stream: StreamRef): Promise<StreamInfo>
  /** Those on which something was granted; all for an administrator. In the order of names. */
  list(p: Principal, query?: StreamListQuery): Promise<Page<StreamInfo>>
  /** Its bounds and size, now. */
  stat(p: Principal, stream: StreamRef): Promise<StreamStat>
  update(p: Principal, stream: StreamRef, change: ChangeStream): Promise<StreamInfo>
  /** Its records, marks, groups and grants go with it; its name is free again. */
  delete(p: Principal, stream: StreamRef): Promise<void>
  /** Forgets the records before a position; answers the bounds after it. */
  trim(p: Principal, stream: StreamRef, before: Position): Promise<StreamStat>
  /** Newest first: what was done to the stream and who read it. */
  audit(p: Principal, stream: StreamRef, query?: PageQuery): Promise<Page<AuditLine>>
}

/** Records and who has read them. */
export interface Records {
  /**
   * Appends all of them or none; durable when it resolves. Needs `records:write`. A record whose content type (its own, else the
   * stream's) is JSON must be JSON, byte for byte; with an active schema it must conform. Throws RECORD_INVALID (nothing
   * is stored), IDEMPOTENCY_MISMATCH, LOG_ARGUMENT, LOG_WRITER_BEHIND.
   */
  publish(p: Principal, stream: StreamRef, records: RecordBatch, options?: PublishOptions): Promise<PublishResult>
  /** Where a writer of this principal got to; undefined where it never appended. */
  writer(p: Principal, stream: StreamRef, id: string): Promise<{ readonly seq: bigint } | undefined>
  /** A page of records. Needs `records:read`, as all below. Never waits. Throws LOG_OFFSET_TRIMMED, LOG_OFFSET_AHEAD. */
  read(p: Principal, stream: StreamRef, request?: ReadRequest): Promise<ReadPage>
  /**
   * Records from a position on, and those that come; ends when `signal` aborts. Pulled: who does not ask gets nothing. Access is
   * looked at again every few seconds; one whose right or token is gone meets ACCESS_DENIED or STREAM_UNKNOWN.
   */
  follow(p: Principal, stream: StreamRef, from: Position, options: FollowOptions): AsyncIterable<readonly StoredBatch[]>
  /** One record by its id: a key means its newest version. Throws RECORD_UNKNOWN. */
  get(p: Principal, stream: StreamRef, id: string, request?: RecordRequest): Promise<OneRecord>
  /** The versions of a record, newest first; none where there is no such id. */
  history(p: Principal, stream: StreamRef, id: string, request: HistoryRequest): Promise<readonly OneRecord[]>
  /** The ids of the records of a batch that was read from the stream: the publisher's, or ours. Cheap, and waits for nothing. */
  ids(stream: StreamInfo, batch: StoredBatch): readonly string[]
  /** The offset of a record id of the stream; undefined where there is no such record. */
  place(p: Principal, stream: StreamRef, id: string): Promise<bigint | undefined>
  /** Answers how many had not been read. Offsets that are not there are left out; ids that are not there throw RECORD_UNKNOWN. */
  markRead(p: Principal, stream: StreamRef, marks: Marks): Promise<bigint>
  /** Answers how many had been read. */
  markUnread(p: Principal, stream: StreamRef, marks: Marks): Promise<bigint>
  countUnread(p: Principal, stream: StreamRef, as?: ReadAs): Promise<bigint>
  /** Who of those that may read the stream has read this record. Needs the right to manage. Throws RECORD_UNKNOWN. */
  readers(p: Principal, stream: StreamRef, id: string, query?: PageQuery): Promise<Page<ReaderReport>>
}

/** Consumers that share the work: each record is handed to one, again where it is not acknowledged. All need `records:read`. */
export interface Groups {
  /** Throws GROUP_EXISTS. */
  create(p: Principal, stream: StreamRef, group: CreateGroup): Promise<Group>
  get(p: Principal, stream: StreamRef, name: string): Promise<Group>
  list(p: Principal, stream: StreamRef, query?: PageQuery): Promise<Page<Group>>
  update(p: Principal, stream: StreamRef, name: string, settings: Partial<GroupSettings>): Promise<Group>
  delete(p: Principal, stream: StreamRef, name: string): Promise<void>
  /** Records that nobody has, and a lease for each run of them. None: there is nothing to do now. */
  claim(p: Principal, stream: StreamRef, name: string, request?: ClaimRequest): Promise<readonly Claimed[]>
  /** Throws LEASE_UNKNOWN: it expired, and others may have the records. */
  ack(p: Principal, stream: StreamRef, name: string, lease: string, ranges?: readonly OffsetRange[]): Promise<void>
  nack(
    p: Principal,
    stream: StreamRef,
    name: string,
    settle: { readonly lease: string; readonly ranges?: readonly OffsetRange[] | undefined; readonly reason: string },
  ): Promise<void>
  extend(p: Principal, stream: StreamRef, name: string, lease: string): Promise<Lease>
  deadLetters(p: Principal, stream: StreamRef, name: string, query?: PageQuery): Promise<Page<DeadLetter>>
  dropDeadLetters(p: Principal, stream: StreamRef, name: string, offsets: readonly bigint[]): Promise<number>
  retryDeadLetters(p: Principal, stream: StreamRef, name: string, offsets: readonly bigint[]): Promise<number>
}

/** Who may use a stream. All need the right to manage it. */
export interface Sharing {
  list(p: Principal, stream: StreamRef): Promise<readonly Permission[]>
  /** What was granted to the principal itself, whoever owns the stream. */
  own(p: Principal, stream: StreamRef): Promise<Permission | undefined>
  /** Exactly these rights, whatever was granted before. Throws ACTOR_UNKNOWN, LAST_OWNER. */
  grant(p: Principal, stream: StreamRef, to: Grantee, rights: Rights): Promise<Granted>
  /** Throws ACTOR_UNKNOWN, LAST_OWNER. */
  revoke(p: Principal, stream: StreamRef, actor: Actor): Promise<void>
}

/** Programs that use streams: each belongs to the actor who made it. All need `streams:manage`. Throw ACTOR_UNKNOWN. */
export interface Clients {
  create(
    p: Principal,
    client: { readonly displayName: string; readonly description?: string | undefined },
  ): Promise<ClientWithSecret>
  get(p: Principal, id: string): Promise<Client>
  /** The principal's own; with `all`, everybody's (an administrator only). */
  list(p: Principal, query?: PageQuery & { readonly all?: boolean | undefined }): Promise<Page<Client>>
  /** A second secret; the one before works until `endRotation`, or the next rotation. */
  rotate(p: Principal, id: string): Promise<ClientWithSecret>
  endRotation(p: Principal, id: string): Promise<Client>
  revoke(p: Principal, id: string): Promise<void>
  /** Throws LAST_OWNER where a stream would be left without one. */
  delete(p: Principal, id: string): Promise<void>
}

export interface Users {
  /** The user who asks; for a client, the one it belongs to. */
  me(p: Principal): Promise<User>
  get(p: Principal, id: string): Promise<User>
  /**
   * Administrators only, as all below. Answers a login that works once, also for somebody who is there and has no password yet.
   * Throws USER_EXISTS.
   */
  create(
    p: Principal,
    user: {
      readonly email: string
      readonly displayName?: string | undefined
      readonly isAdministrator?: boolean | undefined
    },
  ): Promise<UserWithLogin>
  /**
   * Another login that works once, for whoever has this address; one made before no longer works. A password goes on until
   * another is set with the login. Throws ACTOR_UNKNOWN.
   */
  invite(p: Principal, email: string): Promise<UserWithLogin>
  list(p: Principal, query?: PageQuery): Promise<Page<User>>
  delete(p: Principal, id: string): Promise<void>
}

/** Schemas and public keys of a stream. To look at them a right on the stream is enough; to change them, that of an owner, and the scope `schemas:manage` or `streams:manage`. */
export interface StreamParts {
  /** Throws SCHEMA_INVALID: no record could ever be checked with it. */
  addSchema(p: Principal, stream: StreamRef, schema: AddSchema): Promise<StreamSchema>
  schema(p: Principal, stream: StreamRef, id: string): Promise<StreamSchema>
  schemas(p: Principal, stream: StreamRef): Promise<readonly StreamSchema[]>
  deleteSchema(p: Principal, stream: StreamRef, id: string): Promise<void>
  /** From now on every record is checked against it; undefined: none is. Records that are there stay. */
  activateSchema(p: Principal, stream: StreamRef, id: string | undefined): Promise<void>
  addKey(p: Principal, stream: StreamRef, key: AddKey): Promise<StreamKey>
  key(p: Principal, stream: StreamRef, id: string): Promise<StreamKey>
  keys(p: Principal, stream: StreamRef): Promise<readonly StreamKey[]>
  activateKey(p: Principal, stream: StreamRef, id: string | undefined): Promise<void>
}

/** Files that come in parts. To send needs the right of a producer, to fetch that of a consumer. */
export interface Batches {
  /** A batch without parts is finished at once. */
  begin(p: Principal, stream: StreamRef, batch: BeginBatch): Promise<Batch>
  /** To producers and consumers. Throws BATCH_UNKNOWN. */
  get(p: Principal, stream: StreamRef, id: string): Promise<Batch>
  /** All that were begun, oldest first. To consumers. */
  list(p: Principal, stream: StreamRef, query?: PageQuery): Promise<Page<Batch>>
  /**
   * The bytes of a part, at most 64 MiB; one that comes again takes the place of the first while the batch is not finished. The last
   * one makes the batch a record, whose key is the batch's id and whose body `record` makes of it. Throws BATCH_PART (no such
   * part, other bytes than announced).
   */
  putPart(p: Principal, stream: StreamRef, part: BatchPartUpload): Promise<Batch>
  /** Throws BATCH_PART: no such part, or it has not come. */
  getPart(p: Principal, stream: StreamRef, id: string, part: number): Promise<Uint8Array>
  /** With its bytes; the record, if it became one, stays. */
  delete(p: Principal, stream: StreamRef, id: string): Promise<void>
}

export interface BatchPartUpload {
  readonly batch: string
  readonly part: number
  readonly bytes: Uint8Array
  readonly record?: BatchRecord | undefined
}

export interface StreamService extends AsyncDisposable {
  readonly streams: StreamCatalog
  readonly records: Records
  readonly groups: Groups
  readonly sharing: Sharing
  readonly clients: Clients
  readonly users: Users
  readonly parts: StreamParts
  readonly batches: Batches
  /** Newest first; of all streams. Administrators only. */
  audit(p: Principal, query?: PageQuery): Promise<Page<AuditLine>>
}
