import type { ReadLimit, StoredBatch } from '../../types.ts'

/** What is fetched ahead of one reader, at most. */
const maxPieceBytes = 4 * 1024 * 1024
/** Ends of reads that are remembered: a reader that was left so far behind is taken for a new one. */
const maxEnds = 256
/** A piece that nobody came for in this time takes no room from others: its reader turned elsewhere. */
const abandonedMs = 1_000

interface Piece {
  /** What it may be, then what it is. */
  bytes: number
  readonly begunAt: number
}

/**
 * Fetches what readers will ask for next while they are busy with what they have. A reader is known by where it goes on: a read that
 * begins where another one ended is of a reader that goes through the stream, and its next piece is begun, one at a time.
 *
 * What comes stands among the blocks that were read, like all else: it never changes, and whether it was trimmed or its stream
 * dropped is asked when it is read. So there is nothing to take back where a reader turns elsewhere. What is ahead of all
 * readers together stays within `maxBytes`, so that a piece is still there when its reader comes; who finds no room reads as before.
 */
export class ReadAhead {
  readonly #maxBytes: number
  readonly #nowMs: () => number
  readonly #ends = new Set<string>()
  /** Begun and not come for yet, oldest first. */
  readonly #pieces = new Map<string, Piece>()

  /** `nowMs`: for tests. */
  constructor(maxBytes: number, nowMs: () => number = () => performance.now()) {
    this.#maxBytes = maxBytes
    this.#nowMs = nowMs
  }

  /** A read ended here, in the words of {@link placeOf}. */
  ended(place: string): void {
    this.#ends.delete(place)
    this.#ends.add(place)
    for (const oldest of this.#ends) {
      if (this.#ends.size <= maxEnds) break
      this.#ends.delete(oldest)
    }
  }

  /** Whether a read that begins here goes on behind another one. */
  goesOn(place: string): boolean {
    return this.#ends.has(place)
  }

  /** A reader is here: if this was fetched for it, it is not ahead any more. */
  arrived(place: string): void {
    this.#pieces.delete(place)
  }

  /** Fetches what is here, as much as a reader asks for at a time; not where there is no room. Failures are for who reads it. */
  begin(place: string, limit: ReadLimit, fetch: (limit: ReadLimit) => Promise<readonly StoredBatch[]>): void {
    const bytes = Math.min(limit.bytes, maxPieceBytes)
    if (this.#pieces.has(place) || !this.#hasRoom(bytes)) return
    const piece: Piece = { bytes, begunAt: this.#nowMs() }
    this.#pieces.set(place, piece)
    fetch({ records: limit.records, bytes }).then(
      (batches) => {
        piece.bytes = batches.reduce((n, { records }) => n + records.size, 0)
      },
      () => {
        if (this.#pieces.get(place) === piece) this.#pieces.delete(place)
      },
    )
  }

  #hasRoom(bytes: number): boolean {
    const now = this.#nowMs()
    let taken = 0
    for (const [place, piece] of this.#pieces)
      if (now - piece.begunAt > abandonedMs) this.#pieces.delete(place)
      else taken += piece.bytes
    return taken + bytes <= this.#maxBytes
  }
}

/** A place in a stream, in one word. */
export const placeOf = (stream: number, at: number): string => `${stream} ${at}`
