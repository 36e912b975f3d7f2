/** What the control plane keeps, in words of the domain. Times are Dates; offsets are bigints. */
import type { JsonObject } from '@millrace/sdk'
import type { Actor, Doer, Reader, Rights } from '../domain/access.ts'
import type { OffsetRange } from '../domain/ranges.ts'

/** Who changes something and when. Written into the audit log in the same transaction as the change. */
export interface Act {
  readonly by: Doer
  readonly at: Date
}

/** A part of a list. `next` is the cursor to go on from; undefined at the end. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | undefined
}

export interface PageQuery {
  /** The `next` of the page before. */
  readonly after?: string | undefined
  /** 1 to 1,000; left out 100. */
  readonly limit?: number | undefined
}

// — streams —

/** How a stream is kept by the log engine. */
export interface StreamSettings {
  readonly maxAgeMs?: number | undefined
  readonly maxBytes?: number | undefined
  readonly maxRecords?: number | undefined
  /** Stands behind the exchange `streams.NAME`, where the engine can. */
  readonly amqp?: boolean | undefined
}

/** `making`: its log may not be there yet; `going`: its log is being dropped. Both are seen by nobody but the manager. */
export type StreamState = 'making' | 'there' | 'going'

export interface StreamEntry {
  /** UUIDv7. */
  readonly id: string
  /** As the log engine knows it; unique. */
  readonly name: string
  readonly displayName: string
  readonly description: string
  /** Of records that came without one. */
  readonly contentType: string
  readonly settings: StreamSettings
  readonly state: StreamState
  readonly createdAt: Date
  readonly activeSchemaId: string | undefined
  readonly activeKeyId: string | undefined
}

export interface NewStream {
  readonly id: string
  readonly name: string
  readonly displayName: string
  readonly description: string
  readonly contentType: string
  readonly settings: StreamSettings
  readonly owner: Actor
}

/** What can be changed of a stream; what is left out stays. */
export interface StreamChange {
  readonly displayName?: string | undefined
  readonly description?: string | undefined
  readonly contentType?: string | undefined
  readonly settings?: StreamSettings | undefined
}

/** A stream and what an actor may do with it: undefined where nothing was granted. */
export interface StreamAccess {
  readonly stream: StreamEntry
  readonly rights: Rights | undefined
}

export interface StreamQuery extends PageQuery {
  /** Only streams on which this actor was granted something, and what that is. Left out: all. */
  readonly actor?: Actor | undefined
  /** All, and what the actor was granted on them. */
  readonly all?: boolean | undefined
  /** Only names that begin so. */
  readonly prefix?: string | undefined
}

/** What one actor was granted on one stream. */
export interface Permission extends Rights {
  readonly actor: Actor
  /** Of a client its display name, of a user the e-mail address. */
  readonly displayName: string
  readonly grantedAt: Date
}

// — clients and users —

export interface Client {
  readonly id: string
  readonly displayName: string
  readonly description: string
  readonly owner: Actor
  readonly createdAt: Date
  /** To the minute. */
  readonly lastUsedAt: Date | undefined
  readonly isRevoked: boolean
  /** How many secrets work: 1, or 2 while they are rotated. */
  readonly secrets: number
}

export interface NewClient {
  readonly id: string
  readonly displayName: string
  readonly description: string
  readonly owner: Actor
  readonly secret: NewSecret
}

/** A secret as it is kept: the SHA-256 of 256 random bits, which needs no slow hash. */
export interface NewSecret {
  readonly id: string
  readonly hash: Uint8Array
}

export interface User {
  readonly id: string
  /** In lower case; unique. */
  readonly email: string
  readonly displayName: string
  readonly isAdministrator: boolean
  readonly createdAt: Date
  readonly hasPassword: boolean
}

export interface NewUser {
  readonly id: string
  readonly email: string
  readonly displayName: string
  readonly isAdministrator: boolean
}

// — read status —

/** A stream's part that somebody has read, or has not. */
export interface RangePage {
  readonly ranges: readonly OffsetRange[]
  /** From here on nothing was looked at; undefined where all within the bounds was. */
  readonly next: bigint | undefined
}

/** One who has a read status on a stream. */
export interface ReaderStatus {
  readonly reader: Reader
  readonly hasRead: boolean
}

// — schemas, keys, batches, subscriptions —

export const schemaTypes = ['JSON', 'AVRO', 'GREAT_EXPECTATIONS'] as const
export type SchemaType = (typeof schemaTypes)[number]

export interface StreamSchema {
  readonly id: string
  readonly streamId: string
  readonly type: SchemaType
  /** As it was given. */
  readonly text: string
  readonly createdAt: Date
}

/** A public key that producers seal records or batches with. The private one is never here. */
export interface StreamKey {
  readonly id: string
  readonly streamId: string
  readonly algorithm: string
  readonly encoding: string
  readonly value: string
  readonly description: string | undefined
  readonly createdAt: Date
}

/** A file on its way into a stream in parts. When all are there it becomes one record whose key is the batch's id. */
export interface Batch {
  readonly id: string
  readonly streamId: string
  /** The part numbers that are to come, in order. */
  readonly outstanding: readonly number[]
  /** Part number → what its bytes were checked against and where they are. */
  readonly parts: readonly BatchPart[]
  /** Whatever the publisher says of the file. */
  readonly attributes: JsonObject
  readonly createdAt: Date
  /** Set when it became a record. */
  readonly offset: bigint | undefined
}

export interface BatchPart {
  readonly number: number
  /** Base64 of the MD5 of its bytes, as announced; undefined: nothing was. */
  readonly hash: string | undefined
  /** Where its bytes are in the log of the batch; undefined while it is outstanding. */
  readonly offset: bigint | undefined
}

/** Records pushed to somewhere. What the settings mean, and what comes of a try, is not the control plane's matter. */
export interface Subscription {
  readonly id: string
  readonly streamId: string
  readonly settings: JsonObject
  readonly position: bigint
  readonly tries: number
  readonly state: string
  readonly createdAt: Date
}

// — groups —

export interface GroupSettings {
  /** How long a consumer has for what it claimed. */
  readonly ackTimeoutMs: number
  /** After so many tries a record is a dead letter. */
  readonly maxTries: number
}

export interface Group {
  readonly streamId: string
  readonly name: string
  readonly settings: GroupSettings
  readonly createdAt: Date
  /** TYPE:ID of the actor; undefined where nobody knows. */
  readonly madeBy: string | undefined
  /** Everything before was handed out at least once. */
  readonly cursor: bigint
  /** Records that somebody is at work on. */
  readonly leased: bigint
  /** Records that came back and wait to be handed out again. */
  readonly returned: bigint
  readonly deadLetters: bigint
}

/** Records that one consumer of a group has until a time. */
export interface Lease {
  readonly id: string
  /** One range when it is handed out; what is left of it after a part was settled. */
  readonly ranges: readonly OffsetRange[]
  readonly consumer: string
  readonly until: Date
  /** 1 the first time these records are handed out. */
  readonly attempt: number
}

export interface DeadLetter {
  readonly offset: bigint
  readonly tries: number
  readonly reason: string
  readonly at: Date
}

// — tokens, idempotency, audit —

/** What tokens are signed with. All managers of one control plane share them. */
export interface SigningKey {
  readonly id: string
  readonly algorithm: string
  /** Private. Never in an answer, a log or an error. */
  readonly secret: Uint8Array
  readonly createdAt: Date
  /** From then on it only checks; undefined: it signs. */
  readonly retiredAt: Date | undefined
}

/** A token as its holder shows it. */
export interface PresentedToken {
  readonly id: string
  readonly actor: Actor
  readonly issuedAt: Date
  /** The signing key that it was signed with; not looked at where it is left out. */
  readonly keyId?: string | undefined
}

/** What the control plane knows of a token: whether it still stands, and what its actor is today. */
export type TokenVerdict =
  | { readonly is: 'good'; readonly isAdministrator: boolean }
  | { readonly is: 'revoked' }
  | { readonly is: 'actor-gone' }

export interface IdempotencyKey {
  readonly actor: Actor
  readonly key: string
  /** A hash of what is asked: the same key with another request is a mistake. */
  readonly fingerprint: string
  readonly expiresAt: Date
}

/** `new`: do it, then `finish`. `unfinished`: it was begun and nobody said how it ended. `done`: answer this again. */
export type IdempotencyVerdict =
  | { readonly is: 'new' }
  | { readonly is: 'unfinished' }
  | { readonly is: 'other-request' }
  | { readonly is: 'done'; readonly response: string }

export interface AuditLine {
  readonly seq: bigint
  readonly at: Date
  readonly by: Doer
  /** Area and what happened: `stream.created`, `permission.granted`, `records.read`. */
  readonly action: string
  readonly streamId: string | undefined
  /** Whom or what it was done to, where that is not the stream. */
  readonly subject: string | undefined
  readonly details: JsonObject
}

export interface NewAuditLine {
  readonly action: string
  readonly streamId?: string | undefined
  readonly subject?: string | undefined
  readonly details?: JsonObject | undefined
}

export interface AuditQuery extends PageQuery {
  readonly streamId?: string | undefined
  readonly by?: Doer | undefined
}
