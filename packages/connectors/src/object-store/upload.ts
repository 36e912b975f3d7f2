/** One object on its way: small ones in one request, larger ones in parts, several at once. */
import { partBytes } from './spare-parts.ts'
import type { ObjectStore, UploadedPart } from './store.ts'

const firstBytes = 64 * 1024
/** Parts on their way at once, of one object. */
const maxSending = 3

/** What the store has of an object. */
export interface Uploaded {
  readonly bytes: number
  readonly etag: string
}

/**
 * Takes the bytes of an object in their order. Nothing is visible before `complete` has resolved; `abort` removes what
 * was sent. A process that is killed leaves parts that no list shows: a lifecycle rule of the bucket removes them.
 */
export class ObjectUpload {
  readonly key: string
  readonly #store: ObjectStore
  #part: Buffer = Buffer.alloc(0)
  #at = 0
  #uploadId: string | undefined
  readonly #sending = new Set<Promise<void>>()
  readonly #parts: UploadedPart[] = []
  #sent = 0
  #bytes = 0
  #failure: { readonly reason: unknown } | undefined

  constructor(store: ObjectStore, key: string) {
    this.#store = store
    this.key = key
  }

  /** Bytes that are kept in memory, those on their way not counted. */
  get waitingBytes(): number {
    return this.#part.length
  }

  /** Takes bytes; they may be changed once this has resolved. Waits while enough is on its way. */
  async add(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      this.#room(bytes.length - from)
      const n = Math.min(bytes.length - from, partBytes - this.#at)
      this.#part.set(bytes.subarray(from, from + n), this.#at)
      this.#at += n
      from += n
      this.#bytes += n
      if (this.#at === partBytes) await this.#send()
    }
  }

  /** Small objects get small buffers. */
  #room(bytes: number): void {
    const needed = Math.min(partBytes, this.#at + bytes)
    if (needed <= this.#part.length) return
    const bigger =
      this.#store.spareParts.take() ??
      Buffer.allocUnsafeSlow(Math.min(partBytes, Math.max(needed, this.#part.length * 2, firstBytes)))
    this.#part.copy(bigger, 0, 0, this.#at)
    this.#part = bigger
  }

  async #send(): Promise<void> {
    const part = this.#part
    const body = part.subarray(0, this.#at)
    this.#part = Buffer.alloc(0)
    this.#at = 0
    const uploadId = this.#uploadId ?? (await this.#store.beginUpload(this.key))
    this.#uploadId = uploadId
    while (this.#sending.size >= maxSending) await Promise.race(this.#sending)
    if (this.#failure !== undefined) throw this.#failure.reason
    const number = ++this.#sent
    const sending: Promise<void> = this.#store
      .putPart(this.key, uploadId, { number, body })
      .then(
        (uploaded) => {
          this.#parts.push(uploaded)
          this.#store.spareParts.give(part)
        },
        (reason: unknown) => {
          this.#failure ??= { reason }
        },
      )
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }

  /** Resolves when the object is whole and visible. */
  async complete(): Promise<Uploaded> {
    if (this.#uploadId === undefined)
      return {
        bytes: this.#bytes,
        etag: await this.#store.put(this.key, this.#part.subarray(0, this.#at)),
      }
    if (this.#at > 0) await this.#send()
    await Promise.all(this.#sending)
    if (this.#failure !== undefined) throw this.#failure.reason
    const parts = this.#parts.toSorted((a, b) => a.PartNumber - b.PartNumber)
    const etag = await this.#store.completeUpload(this.key, this.#uploadId, parts, this.#bytes)
    this.#uploadId = undefined
    return { bytes: this.#bytes, etag }
  }

  /** Gives the object up, where it is not complete. */
  async abort(): Promise<void> {
    this.#part = Buffer.alloc(0)
    this.#at = 0
    await Promise.all(this.#sending)
    const uploadId = this.#uploadId
    this.#uploadId = undefined
    if (uploadId !== undefined) await this.#store.abortUpload(this.key, uploadId)
  }
}
