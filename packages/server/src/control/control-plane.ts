/**
 * The control plane: what a manager knows of streams, who may use them, and who has read what. The records themselves are in the log
 * engine. SQLite keeps it for one machine, PostgreSQL for several managers at once; both pass one suite.
 *
 * Every method is one transaction: it happened wholly and durably when it resolves, or not at all. A method that takes an `Act`
 * writes a line into the audit log with it. Nothing here reads a clock, makes an id or decides who may: that comes in, or is the
 * stream service's matter. What goes in and comes out is plain data. All throw CONTROL_UNAVAILABLE where the database fails them.
 */
import type { JsonObject } from '@millrace/sdk'
import type { Actor, Reader, Rights } from '../domain/access.ts'
import type { OffsetRange } from '../domain/ranges.ts'
import type {
  Act,
  AuditLine,
  AuditQuery,
  Batch,
  BatchPart,
  Client,
  DeadLetter,
  Group,
  GroupSettings,
  IdempotencyKey,
  IdempotencyVerdict,
  Lease,
  NewAuditLine,
  NewClient,
  NewSecret,
  NewStream,
  NewUser,
  Page,
  PageQuery,
  Permission,
  PresentedToken,
  RangePage,
  ReaderStatus,
  SigningKey,
  StreamAccess,
  StreamChange,
  StreamEntry,
  StreamKey,
  StreamQuery,
  StreamSchema,
  Subscription,
  TokenVerdict,
  User,
} from './types.ts'

export interface StreamsPlane {
  /** Notes a stream that is `making`, with its owner. Throws STREAM_EXISTS. */
  create(act: Act, stream: NewStream): Promise<StreamEntry>
  /** Its log is there: from now on it is seen. */
  made(id: string): Promise<void>
  /** By id or by name; only one that is `there`. */
  find(idOrName: string): Promise<StreamEntry | undefined>
  /** The same with what the actor was granted on it: one look for every call that somebody makes. */
  access(idOrName: string, actor: Actor): Promise<StreamAccess | undefined>
  /** In the order of names; only those that are `there`. */
  list(query: StreamQuery): Promise<Page<StreamAccess>>
  /** Streams that are `making` or `going` since before a time: whoever was at it died. */
  unfinished(before: Date): Promise<readonly StreamEntry[]>
  /** Throws STREAM_UNKNOWN. */
  update(act: Act, id: string, change: StreamChange): Promise<StreamEntry>
  /** From now on nobody sees it; its name is taken until `remove`. Throws STREAM_UNKNOWN. */
  beginRemoval(act: Act, id: string): Promise<void>
  /** Its log is gone: forgets it and all that hangs on it but its audit lines. Silent where it is not there. */
  remove(id: string): Promise<void>
  /** Read marks, and what groups hold, before an offset that is trimmed: nobody can ask for it any more. */
  forgetBefore(id: string, before: bigint): Promise<void>
}

export interface PermissionsPlane {
  /** In the order in which they were granted. */
  list(streamId: string): Promise<readonly Permission[]>
  of(streamId: string, actor: Actor): Promise<Rights | undefined>
  /**
   * Grants exactly these rights, whatever was granted before; none at all are rights too: such an actor sees the stream. Throws
   * STREAM_UNKNOWN, ACTOR_UNKNOWN, LAST_OWNER (it would take away the last one).
   */
  grant(act: Act, streamId: string, actor: Actor, rights: Rights): Promise<void>
  /** Throws ACTOR_UNKNOWN (nothing was granted), LAST_OWNER. */
  revoke(act: Act, streamId: string, actor: Actor): Promise<void>
}

export interface ClientsPlane {
  create(act: Act, client: NewClient): Promise<Client>
  find(id: string): Promise<Client | undefined>
  /** Of an owner, or all; in the order of ids, which is that of time. */
  list(query: PageQuery & { readonly owner?: Actor | undefined }): Promise<Page<Client>>
  /** The hashes of secrets that work, newest first; none where the client is revoked or not there. */
  secretHashes(id: string): Promise<readonly Uint8Array[]>
  /** Adds a secret; the newest before it still works, an older one no longer. Throws ACTOR_UNKNOWN. */
  rotate(act: Act, id: string, secret: NewSecret): Promise<Client>
  /** Leaves the newest secret only. Throws ACTOR_UNKNOWN. */
  endRotation(act: Act, id: string): Promise<Client>
  /** No secret works from now on, and no token that was issued. Throws ACTOR_UNKNOWN. */
  revoke(act: Act, id: string): Promise<void>
  /** Forgets it, with what it was granted and has read. Throws ACTOR_UNKNOWN, LAST_OWNER (a stream would have none). */
  remove(act: Act, id: string): Promise<void>
  /** Notes when clients were last seen. */
  seen(clients: readonly { readonly id: string; readonly at: Date }[]): Promise<void>
}

export interface UsersPlane {
  /** Throws USER_EXISTS (the address is taken). */
  create(act: Act, user: NewUser): Promise<User>
  find(id: string): Promise<User | undefined>
  /** The address is compared in lower case. */
  findByEmail(email: string): Promise<User | undefined>
  /** The user with this address, made where there is none. */
  ensure(act: Act, user: NewUser): Promise<User>
  list(query: PageQuery): Promise<Page<User>>
  /** Throws ACTOR_UNKNOWN. */
  update(act: Act, id: string, user: Pick<NewUser, 'displayName' | 'isAdministrator'>): Promise<User>
  /** A hash made by scrypt, with its parameters and salt. Throws ACTOR_UNKNOWN. */
  setPassword(act: Act, id: string, hash: string): Promise<void>
  passwordHash(id: string): Promise<string | undefined>
  /** A login that works once until it expires; one made before no longer works. `hash`: SHA-256 of 256 random bits. Throws ACTOR_UNKNOWN. */
  setOneTimeLogin(act: Act, id: string, hash: Uint8Array, expiresAt: Date): Promise<void>
  /**
   * Uses a one-time login up; undefined where there is none such, or it expired. With a password (a hash, as above) that is set in
   * the same step, and no token of before is good any more.
   */
  takeOneTimeLogin(hash: Uint8Array, at: Date, password?: string): Promise<User | undefined>
  /** Forgets the user, what was granted and what was read. Throws ACTOR_UNKNOWN, LAST_OWNER. */
  remove(act: Act, id: string): Promise<void>
}

/** Whose read status it is, on which stream. */
export interface ReadStatusOf {
  readonly streamId: string
  readonly reader: Reader
}

export interface ReadStatusPlane {
  /**
   * Marks offsets as read, and answers those that were not before: of two who mark the same at once, each offset is in the answer
   * of one. Costs what is marked, not what was.
   */
  mark(of: ReadStatusOf, ranges: readonly OffsetRange[]): Promise<readonly OffsetRange[]>
  /** Marks offsets as not read; answers those that were. */
  unmark(of: ReadStatusOf, ranges: readonly OffsetRange[]): Promise<readonly OffsetRange[]>
  /** What is read within bounds, at most `limit` ranges. */
  read(of: ReadStatusOf, within: OffsetRange, limit: number): Promise<RangePage>
  /** What is not read within bounds, at most `limit` ranges. */
  unread(of: ReadStatusOf, within: OffsetRange, limit: number): Promise<RangePage>
  /** How many offsets within bounds are not read. */
  countUnread(of: ReadStatusOf, within: OffsetRange): Promise<bigint>
  /** Those who marked anything on the stream, and whether they have read this offset. In the order of readers. */
  readersOf(streamId: string, offset: bigint, query: PageQuery): Promise<Page<ReaderStatus>>
  /** Forgets all that a reader has read. */
  reset(of: ReadStatusOf): Promise<void>
}

/** Which group of which stream. */
export interface GroupOf {
  readonly streamId: string
  readonly name: string
}

/** The state machine is told in domain/lease.ts. */
export interface GroupsPlane {
  /** Makes a group that begins at `cursor`. Throws GROUP_EXISTS. */
  create(act: Act, of: GroupOf, settings: GroupSettings, cursor: bigint): Promise<Group>
  find(of: GroupOf): Promise<Group | undefined>
  list(streamId: string, query: PageQuery): Promise<Page<Group>>
  /** Throws GROUP_UNKNOWN, as all below. */
  update(act: Act, of: GroupOf, settings: GroupSettings): Promise<Group>
  remove(act: Act, of: GroupOf): Promise<void>
  /**
   * Hands out records of `within` that nobody has: first those that came back, then new ones; at most `count`. What expired comes
   * back first of all, or becomes a dead letter. `ids` names the leases, one for each; as many leases as ids at most.
   */
  claim(of: GroupOf, claim: Claim): Promise<readonly Lease[]>
  /** Settles a lease, or only ranges of it. Throws LEASE_UNKNOWN: it expired, or was settled. */
  ack(of: GroupOf, settle: Settle): Promise<void>
  /** Gives a lease back, or only ranges of it, to be handed out again; after the last try, a dead letter. Throws LEASE_UNKNOWN. */
  nack(of: GroupOf, settle: Settle & { readonly reason: string }): Promise<void>
  /** Gives a lease back, or only ranges of it, as if they had not been handed out. Throws LEASE_UNKNOWN. */
  release(of: GroupOf, settle: Settle): Promise<void>
  /** More time for a lease. Throws LEASE_UNKNOWN. */
  extend(of: GroupOf, lease: string, until: Date): Promise<Lease>
  deadLetters(of: GroupOf, query: PageQuery): Promise<Page<DeadLetter>>
  /** Puts dead letters away for good; answers how many were there. */
  dropDeadLetters(act: Act, of: GroupOf, offsets: readonly bigint[]): Promise<number>
  /** Has dead letters handed out again, as if for the first time; answers how many were there. */
  retryDeadLetters(act: Act, of: GroupOf, offsets: readonly bigint[]): Promise<number>
}

export interface Claim {
  readonly consumer: string
  readonly at: Date
  readonly count: bigint
  readonly within: OffsetRange
  readonly ids: readonly string[]
}

export interface Settle {
  readonly lease: string
  readonly at: Date
  /** Left out: all of the lease. */
  readonly ranges?: readonly OffsetRange[] | undefined
}

/** What hangs on a stream: its schemas, of which one may be active, and its public keys, likewise. */
export interface StreamPartsPlane {
  addSchema(act: Act, schema: StreamSchema): Promise<void>
  schema(streamId: string, id: string): Promise<StreamSchema | undefined>
  schemas(streamId: string): Promise<readonly StreamSchema[]>
  /** Throws SCHEMA_UNKNOWN. The active one is active no more. */
  removeSchema(act: Act, streamId: string, id: string): Promise<void>
  /** Undefined: none from now on. Throws SCHEMA_UNKNOWN. */
  activateSchema(act: Act, streamId: string, id: string | undefined): Promise<void>
  addKey(act: Act, key: StreamKey): Promise<void>
  key(streamId: string, id: string): Promise<StreamKey | undefined>
  keys(streamId: string): Promise<readonly StreamKey[]>
  /** Throws KEY_UNKNOWN. */
  activateKey(act: Act, streamId: string, id: string | undefined): Promise<void>
}

export interface NewBatch {
  readonly id: string
  readonly streamId: string
  readonly parts: readonly Pick<BatchPart, 'number' | 'hash'>[]
  readonly attributes: JsonObject
}

export interface BatchesPlane {
  create(act: Act, batch: NewBatch): Promise<Batch>
  find(streamId: string, id: string): Promise<Batch | undefined>
  /** Notes where the bytes of a part are; one that comes again takes the place of the first. Throws BATCH_UNKNOWN. */
  partCame(streamId: string, id: string, part: { readonly number: number; readonly offset: bigint }): Promise<Batch>
  /** It became the record at `offset`. Only the first call counts; answers whether this was it. */
  finish(act: Act, streamId: string, id: string, offset: bigint): Promise<boolean>
  /** Those of a stream, oldest first. */
  list(streamId: string, query: PageQuery): Promise<Page<Batch>>
  remove(act: Act, streamId: string, id: string): Promise<void>
}

export interface SubscriptionsPlane {
  create(act: Act, subscription: Subscription): Promise<void>
  find(streamId: string, id: string): Promise<Subscription | undefined>
  list(query: PageQuery & { readonly streamId?: string | undefined }): Promise<Page<Subscription>>
  update(act: Act, streamId: string, id: string, settings: JsonObject): Promise<void>
  /**
   * Takes the right to deliver, or keeps it, until a time; false while another holder has it, and where there is no such
   * subscription. So of several managers one delivers a subscription at a time.
   */
  hold(id: string, claim: { readonly holder: string; readonly at: Date; readonly until: Date }): Promise<boolean>
  /** How far it came and how the last try went; false where the holder lost its hold, and nothing is kept. */
  note(id: string, holder: string, how: Pick<Subscription, 'position' | 'tries' | 'state'>): Promise<boolean>
  remove(act: Act, streamId: string, id: string): Promise<void>
}

export interface TokensPlane {
  /** The newest key that signs; where there is none yet, `fresh` is from now on. Two managers that begin at once get the same. */
  signingKey(fresh: SigningKey): Promise<SigningKey>
  /** All keys that tokens may be signed with, the newest first. */
  signingKeys(): Promise<readonly SigningKey[]>
  /** `fresh` signs from now on; keys retired before `forget` are forgotten, and no token that they signed is good. */
  rotate(act: Act, fresh: SigningKey, forget: Date): Promise<void>
  /** A secret of all managers for a purpose, such as record ids; where there is none yet, `fresh` is from now on. Never changes. */
  secret(purpose: string, fresh: Uint8Array): Promise<Uint8Array>
  check(token: PresentedToken): Promise<TokenVerdict>
  /** Revokes one token, until it would have expired anyway. */
  revoke(act: Act, token: { readonly id: string; readonly expiresAt: Date }): Promise<void>
  /** No token of this actor that was issued up to now is good any more. */
  revokeAll(act: Act, actor: Actor): Promise<void>
}

export interface IdempotencyPlane {
  begin(key: IdempotencyKey, at: Date): Promise<IdempotencyVerdict>
  /** Keeps the answer, for whoever asks again. */
  finish(key: IdempotencyKey, response: string): Promise<void>
  /** It failed, and may be tried with the same key. */
  abandon(key: IdempotencyKey): Promise<void>
}

export interface AuditPlane {
  append(act: Act, lines: readonly NewAuditLine[]): Promise<void>
  /** Newest first. */
  list(query: AuditQuery): Promise<Page<AuditLine>>
  /** Forgets the oldest lines, as far as they are from before a time: at most {@link auditStep}. Answers how many. */
  forgetBefore(time: Date): Promise<number>
}

/** So many lines of the audit log are forgotten in one step, that others need not wait long. */
export const auditStep = 10_000

/** Open until it is disposed; that waits for what was begun. Then every method throws CONTROL_UNAVAILABLE. */
export interface ControlPlane extends AsyncDisposable {
  readonly streams: StreamsPlane
  readonly permissions: PermissionsPlane
  readonly clients: ClientsPlane
  readonly users: UsersPlane
  readonly readStatus: ReadStatusPlane
  readonly groups: GroupsPlane
  readonly parts: StreamPartsPlane
  readonly batches: BatchesPlane
  readonly subscriptions: SubscriptionsPlane
  readonly tokens: TokensPlane
  readonly idempotency: IdempotencyPlane
  readonly audit: AuditPlane
  /** Forgets what expired before a time: revoked tokens, idempotency keys, one-time logins. Called now and then. */
  sweep(at: Date): Promise<void>
}
