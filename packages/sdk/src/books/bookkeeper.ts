import type { RecordLines } from '../message/record-lines.ts'
import type { RecordMessage } from '../message/record.ts'
import { Digest, type Hashed, hashRecord } from './digest.ts'
import type { Account, Books, SubstreamBooks } from './types.ts'

/** A running account: count, bytes and digest of the records put into it. */
class RunningAccount {
  #records = 0
  #bytes = 0
  readonly #digest = new Digest()

  add(record: Hashed, bytes: number): void {
    this.#records++
    this.#bytes += bytes
    this.#digest.addHash(record)
  }

  addLines(lines: RecordLines): void {
    this.#records += lines.count
    this.#bytes += lines.size
    this.#digest.addSums(lines.hashHigh, lines.hashLow)
  }

  get records(): number {
    return this.#records
  }

  merge(other: RunningAccount): void {
    this.#records += other.#records
    this.#bytes += other.#bytes
    this.#digest.merge(other.#digest)
  }

  close(): Account {
    return { records: this.#records, bytes: this.#bytes, digest: this.#digest.toString() }
  }
}

/**
 * The books of one substream while it is read. `received` is entered at the reader. The other side is entered
 * elsewhere, from what was really done: `write` when records were handed to the persister, `stored` once a flush made
 * them durable. So a record lost or doubled in between leaves the books open.
 */
export class SubstreamBookkeeper {
  readonly received: RunningAccount = new RunningAccount()
  readonly filtered: RunningAccount = new RunningAccount()
  readonly deadLettered: RunningAccount = new RunningAccount()
  readonly stored: RunningAccount = new RunningAccount()
  #written = new RunningAccount()
  readonly #digests: boolean

  constructor(digests: boolean) {
    this.#digests = digests
  }

  /** Enters a record that came in, and hashes it where digests are kept. */
  receive(record: RecordMessage): number {
    const size = record.size
    if (this.#digests) hashRecord(record, record.buffer, record.from, record.to)
    this.received.add(record, size)
    return size
  }

  /** Enters records that came in together, hashed already. */
  receiveLines(lines: RecordLines): void {
    this.received.addLines(lines)
  }

  /** Enters records that the persister took together. */
  writeLines(lines: RecordLines): void {
    this.#written.addLines(lines)
  }

  /** Enters records that the persister took. */
  write(records: readonly RecordMessage[]): void {
    for (const record of records) this.#written.add(record, record.size)
  }

  /** Everything written before is durable now. */
  flushed(): void {
    if (this.#written.records === 0) return
    this.stored.merge(this.#written)
    this.#written = new RunningAccount()
  }

  close(): SubstreamBooks {
    return {
      received: this.received.close(),
      stored: this.stored.close(),
      filtered: this.filtered.close(),
      deadLettered: this.deadLettered.close(),
    }
  }
}

/** The books of a run while it runs. */
export class Bookkeeper {
  readonly #substreams = new Map<string, SubstreamBookkeeper>()
  readonly #digests: boolean

  /** With digests every record is hashed (about 0.15 µs for 330 bytes); without, books are counts and bytes. */
  constructor(digests: boolean) {
    this.#digests = digests
  }

  of(substream: string): SubstreamBookkeeper {
    let books = this.#substreams.get(substream)
    if (books === undefined) {
      books = new SubstreamBookkeeper(this.#digests)
      this.#substreams.set(substream, books)
    }
    return books
  }

  flushed(): void {
    for (const books of this.#substreams.values()) books.flushed()
  }

  /** Records received and stored so far, by substream; for progress. */
  counts(): Record<string, { readonly received: number; readonly stored: number }> {
    return Object.fromEntries(
      [...this.#substreams].map(([name, b]) => [name, { received: b.received.records, stored: b.stored.records }]),
    )
  }

  close(): Books {
    return Object.fromEntries([...this.#substreams].map(([name, books]) => [name, books.close()]))
  }
}
