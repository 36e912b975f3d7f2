/** What travels through the contract of streams. Implementations are in engines/, the suite they all pass in testing/. */
import { MillraceError } from '@millrace/sdk/errors'
import type { NewRecord, RecordBatch } from './record-batch.ts'

declare const brand: unique symbol
type Brand<T, B extends string> = T & { readonly [brand]: B }

/**
 * A place in a stream: rises by one from record to record and never comes again. The first record of a stream has 0. In a stream
 * that is shared over AMQP an offset may be left out here and there.
 */
export type Offset = Brand<bigint, 'Offset'>
export const offset = (n: bigint | number): Offset => BigInt(n) as Offset

/** The name of a durable stream. */
export type StreamName = Brand<string, 'StreamName'>

/** Longest name, in characters. */
export const maxNameLength = 200
/**
 * A name is 1 to 200 letters, digits and . _ - (of ASCII), and begins with a letter or a digit: it goes into URLs, files and
 * the names of queues as it is. Throws STREAM_NAME_INVALID.
 */
export const streamName = (text: string): StreamName => {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text) || text.length > maxNameLength)
    throw new MillraceError('STREAM_NAME_INVALID', { name: text.slice(0, maxNameLength) })
  return text as StreamName
}

/** Where a reader begins. `last`: the last `count` records; `time`: the first that came at that moment or later. */
export type Position =
  | { readonly from: 'first' }
  | { readonly from: 'next' }
  | { readonly from: 'offset'; readonly offset: Offset }
  | { readonly from: 'time'; readonly at: Date }
  | { readonly from: 'last'; readonly count: number }

/** Records [first, next) of a stream. */
export interface Bounds {
  readonly first: Offset
  readonly next: Offset
}

/**
 * Who appends, and which of its appends this is. `seq` rises from append to append of one writer; the one that was seen last
 * is not appended again.
 */
export interface WriterMark {
  readonly id: string
  readonly seq: bigint
  /**
   * `seq` is how many records the writer has appended in all, this append's included. A log in which an append may be left halfway then
   * knows to the record where the writer was, and it goes on from there in pieces of any size.
   */
  readonly countsRecords?: true
}

/** What became of an append. */
export interface Appended extends Bounds {
  /** When the stream took it. */
  readonly at: Date
  /** The writer had appended this before: the bounds are those of then, and nothing was added. */
  readonly isRepeated: boolean
}

/** Where a writer is that comes back. */
export interface WriterPlace extends Bounds {
  readonly seq: bigint
}

/** Records as a stream keeps them: record i of the batch has the offset first + i. */
export interface StoredBatch {
  readonly first: Offset
  /** When the stream took them. Never earlier than that of the batch before. */
  readonly at: Date
  readonly records: RecordBatch
}

/** One record as a stream keeps it. Its body is a view of memory that others may see too: not to be changed. */
export interface StoredRecord extends NewRecord {
  readonly offset: Offset
  readonly at: Date
}

/** Which records of a key are looked for. */
export interface FindOptions {
  /** At most so many, the newest; 1 to 10,000. */
  readonly limit: number
  /** Only records before this offset: the last of an answer, to go on behind it. */
  readonly before?: Offset | undefined
}

/** How much one read answers at most. One record comes whatever its size. */
export interface ReadLimit {
  readonly records: number
  readonly bytes: number
}

/** What a stream keeps. What is beyond goes, oldest first, when {@link StreamLog.retain} is called. Left out: all. */
export interface Retention {
  readonly maxAgeMs?: number | undefined
  readonly maxBytes?: number | undefined
  readonly maxRecords?: number | undefined
}

export interface StreamStat extends Bounds {
  readonly createdAt: Date
  /** When the newest record came. */
  readonly lastAt: Date | undefined
  /** Bytes of the bodies that are there. After a trim inside a block this may still count all of that block. */
  readonly bytes: number
  readonly retention: Retention
}

/** How a stream is made, where the engine's `supports.amqp` says that it can. */
export interface CreateOptions {
  /**
   * Share it with programs that speak AMQP: what they publish to the fanout exchange `streams.NAME` is in the stream, and what is appended
   * goes to the queues that they bind, one body a message. An append of many records is many messages: those of others may lie between them.
   */
  readonly amqp?: boolean | undefined
  /** A stream queue that is there already and that others fill: each of its messages is a record. It stays when the stream is dropped. */
  readonly queue?: string | undefined
}

/** What an engine can do and what not; the contract suite reads it, and it does not change. */
export interface EngineSupports {
  /** What was appended survives the end of the process. */
  readonly durable: boolean
  /** Several processes may have the same stream open. */
  readonly shared: boolean
  /** How {@link StreamLog.find} answers: from an index, or by reading the stream from its end. */
  readonly find: 'index' | 'scan'
  /** Whether it takes the {@link CreateOptions}. */
  readonly amqp: boolean
}
