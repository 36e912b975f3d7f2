/**
 * The messages of the output plugin pgoutput, protocol 1.
 * (https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html)
 */

/** What a message is about, by its first byte; others (origins, messages of programs, types) say nothing of rows. */
export const messageKinds = {
  begin: 66,
  commit: 67,
  relation: 82,
  insert: 73,
  update: 85,
  delete: 68,
  truncate: 84,
} as const

/** How the old rows of a table are told: d by the primary key, i by an index, f whole, n not at all. */
export type ReplicaIdentity = 'd' | 'i' | 'f' | 'n'

export interface RelationColumn {
  readonly name: string
  readonly type: number
  /** What the type was given in brackets; -1: nothing. */
  readonly modifier: number
  /** Part of what old rows are known by. */
  readonly isKey: boolean
}

/** A table as it was when the rows after this message were written. */
export interface Relation {
  readonly id: number
  readonly schema: string
  readonly name: string
  readonly identity: ReplicaIdentity
  readonly columns: readonly RelationColumn[]
}

/** The microseconds between 1970 and PostgreSQL's epoch, 2000. */
const EPOCH_MICROS = 946_684_800_000_000n

/** The commit's place of the transaction that begins, and when it was committed, in microseconds since 1970. */
export const readBegin = (b: Buffer, at: number): { readonly lsn: bigint; readonly micros: bigint } => ({
  lsn: b.readBigUInt64BE(at + 1),
  micros: b.readBigInt64BE(at + 9) + EPOCH_MICROS,
})

/** The place behind the commit. */
export const readCommit = (b: Buffer, at: number): bigint => b.readBigUInt64BE(at + 10)

const nameAt = (b: Buffer, at: number): { readonly text: string; readonly next: number } => {
  const end = b.indexOf(0, at)
  return { text: b.toString('utf8', at, end), next: end + 1 }
}

export const readRelation = (b: Buffer, at: number): Relation => {
  const id = b.readUInt32BE(at + 1)
  const schema = nameAt(b, at + 5)
  const name = nameAt(b, schema.next)
  const identity = String.fromCharCode(b[name.next] as number) as ReplicaIdentity
  const count = b.readUInt16BE(name.next + 1)
  const columns: RelationColumn[] = []
  let next = name.next + 3
  for (let i = 0; i < count; i++) {
    const isKey = ((b[next] as number) & 1) === 1
    const column = nameAt(b, next + 1)
    const type = b.readUInt32BE(column.next)
    columns.push({ name: column.text, type, modifier: b.readInt32BE(column.next + 4), isKey })
    next = column.next + 8
  }
  return { id, schema: schema.text, name: name.text, identity, columns }
}

/** The ids of the relations that were truncated. */
export const readTruncate = (b: Buffer, at: number): readonly number[] =>
  Array.from({ length: b.readUInt32BE(at + 1) }, (_, i) => b.readUInt32BE(at + 6 + i * 4))

/** The values of a row: where each stands in the message. Reused for row after row. */
export class Tuple {
  #bytes: Buffer = Buffer.alloc(0)
  #kinds: Uint8Array = new Uint8Array(64)
  #starts: Int32Array = new Int32Array(64)
  #ends: Int32Array = new Int32Array(64)
  #count = 0

  get bytes(): Buffer {
    return this.#bytes
  }

  get count(): number {
    return this.#count
  }

  /** Reads a tuple; answers where what follows it stands. */
  read(b: Buffer, at: number): number {
    this.#bytes = b
    const count = ((b[at] as number) << 8) | (b[at + 1] as number)
    this.#count = count
    if (count > this.#kinds.length) {
      this.#kinds = new Uint8Array(count)
      this.#starts = new Int32Array(count)
      this.#ends = new Int32Array(count)
    }
    let next = at + 2
    for (let i = 0; i < count; i++) {
      const kind = b[next++] as number
      this.#kinds[i] = kind
      if (kind !== VALUE) continue
      const length =
        ((b[next] as number) << 24) |
        ((b[next + 1] as number) << 16) |
        ((b[next + 2] as number) << 8) |
        (b[next + 3] as number)
      this.#starts[i] = next + 4
      next += 4 + length
      this.#ends[i] = next
    }
    return next
  }

  has(i: number): boolean {
    return this.#kinds[i] === VALUE
  }

  /** A large value that the update did not touch: it is not sent. */
  isUntouched(i: number): boolean {
    return this.#kinds[i] === UNTOUCHED
  }

  start(i: number): number {
    return this.#starts[i] as number
  }

  end(i: number): number {
    return this.#ends[i] as number
  }

  text(i: number): string | undefined {
    return this.has(i) ? this.#bytes.toString('utf8', this.start(i), this.end(i)) : undefined
  }

  /** Whether both hold the same value at this place. */
  isSame(i: number, other: Tuple): boolean {
    if (this.has(i) !== other.has(i)) return false
    return (
      !this.has(i) || this.#bytes.compare(other.bytes, other.start(i), other.end(i), this.start(i), this.end(i)) === 0
    )
  }
}

/** Bytes of text follow. */
const VALUE = 116
const UNTOUCHED = 117
