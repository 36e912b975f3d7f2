import type { StoredBatch } from '@millrace/engine'
import type { Actor } from '../domain/access.ts'
import type { StreamInfo } from '../streams/types.ts'

/** Kept as JSON in the control plane. */
export interface SubscriptionSettings {
  readonly url: string
  /** Newest first. They are kept as they are, since each push is signed with them. */
  readonly secrets: readonly string[]
  readonly maxRecords: number
  readonly maxTries: number
  readonly timeoutMs: number
  /** The stream for what could not be delivered. Without it a subscription waits for somebody instead. */
  readonly deadLetters: string | undefined
  readonly isPaused: boolean
  /** On whose behalf records are read: a push goes out as long as this actor may read them. */
  readonly createdBy: Actor
}

/** A subscription as it is shown: never with a secret. */
export interface SubscriptionView {
  readonly id: string
  readonly streamId: string
  readonly url: string
  readonly maxRecords: number
  readonly maxTries: number
  readonly timeoutMs: number
  readonly deadLetters: string | undefined
  readonly isPaused: boolean
  readonly createdBy: Actor
  readonly createdAt: Date
  /** The next record to be delivered. */
  readonly position: bigint
  /** Failed tries of what stands there. */
  readonly tries: number
  /** How the last try went, in words. */
  readonly state: string
}

/** The body of a push: records as JSON, with all that is known of each. Handed in by the composition root. */
export type EncodePush = (
  stream: StreamInfo,
  batches: readonly StoredBatch[],
  about: { readonly subscription: string; readonly next: bigint },
) => Uint8Array

/** The body of a dead letter: the record, with why it is one. */
export type EncodeDeadLetter = (
  stream: StreamInfo,
  batch: StoredBatch,
  about: { readonly subscription: string; readonly tries: number; readonly why: string },
) => Uint8Array
