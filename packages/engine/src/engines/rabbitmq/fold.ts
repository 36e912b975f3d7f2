import type { Block, Checkpoint, Entry, WriterRow } from './wire.ts'

/** Writers that a stream remembers; of more, those that appended last. */
export const maxWriters = 10_000

/**
 * What the messages of a stream come to, one after the other. Everybody who reads them comes to the same: a fence counts where its
 * epoch is higher than any before; anything else counts where its epoch is the one of now and its first record is the next one. All other
 * messages are of appenders that others have taken over from, or of nobody of ours, and are passed over.
 */
export class Fold {
  epoch: number
  /** Who began the epoch, where that was seen. */
  by: string | undefined
  /** Offset of the next record. */
  next: number
  /** Bytes of all bodies so far. */
  sum: number
  /** When the newest record came; 0 where there never was one. */
  at: number
  /** Where the next message stands in the queue. */
  place: number
  readonly writers: Map<string, WriterRow>

  /** Goes on behind an entry that counts, at `place`. */
  constructor(from: Checkpoint | Block, place: number) {
    this.epoch = from.epoch
    this.next = from.first + (from.kind === 'block' ? from.records.count : 0)
    this.sum = from.sum + (from.kind === 'block' ? from.records.size : 0)
    this.at = from.at
    this.place = place + 1
    this.writers = new Map(from.kind === 'checkpoint' ? from.writers : [])
    if (from.kind === 'block') noteWriters(this.writers, from)
  }

  /** Whether the message at `place` counts. */
  take(entry: Entry | undefined, place: number): boolean {
    this.place = place + 1
    if (entry === undefined) return false
    if (entry.kind === 'fence') {
      if (entry.epoch <= this.epoch) return false
      this.epoch = entry.epoch
      this.by = entry.by
      return true
    }
    if (entry.epoch !== this.epoch || entry.first !== this.next) return false
    if (entry.kind === 'checkpoint') return true
    this.next = entry.first + entry.records.count
    this.sum = entry.sum + entry.records.size
    this.at = entry.at
    noteWriters(this.writers, entry)
    return true
  }
}

/** Puts the appends of a block into what is known of writers. */
export const noteWriters = (writers: Map<string, WriterRow>, { first, at, parts }: Block): void => {
  let begin = first
  for (const { count, writer } of parts) {
    const next = begin + count
    if (writer !== undefined) {
      // Behind all others: a map keeps the order of insertion.
      writers.delete(writer.id)
      writers.set(writer.id, { seq: writer.seq, first: begin, next, at })
    }
    begin = next
  }
  while (writers.size > maxWriters) writers.delete(writers.keys().next().value as string)
}
