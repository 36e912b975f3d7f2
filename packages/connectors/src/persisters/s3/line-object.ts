/** An object of JSON lines that is being written. */
import { compress, type Compression } from '../../file-output/compression.ts'
import { ObjectUpload, type Uploaded } from '../../object-store/upload.ts'
import type { ObjectStore } from '../../object-store/store.ts'
import type { RecordMessage } from '@millrace/sdk'

const NEWLINE = 10
const firstBytes = 16 * 1024
const pieceBytes = 1024 * 1024

/** Fills one piece while the one before it is compressed and sent. */
export class LineObject {
  readonly #upload: ObjectUpload
  readonly #compression: Compression
  #piece: Buffer = Buffer.allocUnsafeSlow(firstBytes)
  #at = 0
  #sending: Promise<void> = Promise.resolve()
  /** The piece that was sent last: filled again once that is done. Fresh memory would cost more than what is done with it. */
  #sent: Buffer = Buffer.alloc(0)
  rows = 0

  constructor(store: ObjectStore, key: string, compression: Compression) {
    this.#upload = new ObjectUpload(store, key)
    this.#compression = compression
  }

  get key(): string {
    return this.#upload.key
  }

  /** Bytes that wait in memory. */
  get waitingBytes(): number {
    return this.#piece.length + this.#sent.length + this.#upload.waitingBytes
  }

  /** Takes records; they may be changed once this has resolved. */
  async write(records: readonly RecordMessage[]): Promise<void> {
    for (const record of records) {
      const { size } = record
      if (this.#at + size >= this.#piece.length) await this.#room(size + 1)
      record.buffer.copy(this.#piece, this.#at, record.from, record.to)
      this.#at += size
      this.#piece[this.#at++] = NEWLINE
    }
    this.rows += records.length
  }

  async #room(bytes: number): Promise<void> {
    if (this.#at + bytes > pieceBytes) await this.#spill()
    const length = Math.max(this.#at + bytes, Math.min(this.#piece.length * 4, pieceBytes))
    if (length <= this.#piece.length) return
    const bigger = Buffer.allocUnsafeSlow(length)
    this.#piece.copy(bigger, 0, 0, this.#at)
    this.#piece = bigger
  }

  /** Begins to send what was filled in, behind what is on its way. */
  async #spill(): Promise<void> {
    if (this.#at === 0) return
    await this.#sending
    const filled = this.#piece
    this.#sending = this.#send(filled.subarray(0, this.#at))
    this.#piece = this.#sent.length === 0 ? Buffer.allocUnsafeSlow(pieceBytes) : this.#sent
    this.#sent = filled
    this.#at = 0
    // Told where it is waited for; until then it is not unheard of.
    this.#sending.catch(() => {})
  }

  async #send(bytes: Buffer): Promise<void> {
    await this.#upload.add(this.#compression === 'none' ? bytes : await compress(bytes, this.#compression))
  }

  /** Resolves when the object is whole and visible. */
  async complete(): Promise<Uploaded> {
    await this.#spill()
    await this.#sending
    return await this.#upload.complete()
  }

  async abort(): Promise<void> {
    await this.#sending.catch(() => {})
    await this.#upload.abort()
  }
}
