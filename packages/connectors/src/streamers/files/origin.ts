/** Where a file's bytes come from: this machine, or a bucket. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'
import type { ObjectStore } from '../../object-store/store.ts'

/** One file, or one object. */
export interface Origin {
  /** Its path on this machine; undefined for an object. */
  readonly local: string | undefined
  /** Its bytes from a place on. */
  read(from: number, chunkBytes: number): Promise<Readable>
  /** Some of its bytes; fewer where it ends before. */
  slice(from: number, length: number): Promise<Buffer>
  /** What went wrong while it was read, in our words. */
  fault(e: unknown): Error
}

export class LocalFile implements Origin {
  readonly local: string
  constructor(path: string) {
    this.local = path
  }

  async read(from: number, chunkBytes: number): Promise<Readable> {
    return createReadStream(this.local, { start: from, highWaterMark: chunkBytes })
  }

  async slice(from: number, length: number): Promise<Buffer> {
    const file = await open(this.local, 'r').catch((e: unknown) => {
      throw this.fault(e)
    })
    try {
      const buffer = Buffer.alloc(length)
      const { bytesRead } = await file.read(buffer, 0, length, from)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  }

  fault(e: unknown): Error {
    if (isMillraceError(e)) return e
    return new MillraceError(
      systemCode(e) === 'EACCES' || systemCode(e) === 'EISDIR' ? 'SOURCE_REFUSED' : 'SOURCE_UNAVAILABLE',
      { what: `file ${this.local}`, why: (e as Error).message.replace(/^[A-Z]+: /, '') },
      { cause: e },
    )
  }
}

/** An object as it was listed: where it is replaced meanwhile, reading it fails. */
export class ObjectFile implements Origin {
  readonly local: undefined = undefined
  readonly #store: ObjectStore
  readonly #key: string
  readonly #etag: string
  readonly #size: number
  constructor(store: ObjectStore, object: { readonly key: string; readonly etag: string; readonly size: number }) {
    this.#store = store
    this.#key = object.key
    this.#etag = object.etag
    this.#size = object.size
  }

  async read(from: number): Promise<Readable> {
    // A range that begins behind the end is an error to the service.
    const { Readable: streams } = await import('node:stream')
    return from >= this.#size ? streams.from([]) : await this.#store.read(this.#key, from, this.#etag)
  }

  async slice(from: number, length: number): Promise<Buffer> {
    return from >= this.#size ? Buffer.alloc(0) : await this.#store.slice(this.#key, from, length)
  }

  fault(e: unknown): Error {
    return this.#store.fault(e, this.#key)
  }
}
