/** The session that writes JSON lines: an object for each substream and flush. */
import type { Evidence, PersisterSession, RecordMessage } from '@millrace/sdk'
import { MillraceError } from '@millrace/sdk'
import type { Compression } from '../../file-output/compression.ts'
import { compressionSuffix } from '../../file-output/compression.ts'
import { ObjectMarks } from '../../object-store/marks.ts'
import { folderOf, type LakeNames } from '../../object-store/names.ts'
import type { ObjectStore } from '../../object-store/store.ts'
import { LineObject } from './line-object.ts'

/** What may wait in memory in all objects together: then the one with most is completed before the flush. */
const maxWaitingBytes = 96 * 1024 * 1024
/** Objects that are completed at once. */
const maxCompleting = 8

export interface LinesOptions {
  readonly prefix: string
  readonly compression: Compression
  readonly names: LakeNames
}

export class LinesSession implements PersisterSession {
  readonly #store: ObjectStore
  readonly #options: LinesOptions
  readonly #open = new Map<string, LineObject>()
  readonly #marks = new ObjectMarks()
  /** Complete, but of no flush yet. */
  #early: string[] = []
  #closed = false

  constructor(store: ObjectStore, options: LinesOptions) {
    this.#store = store
    this.#options = options
  }

  /** Lines need no schema. */
  async declare(): Promise<void> {}

  async write(substream: string, records: readonly RecordMessage[]): Promise<void> {
    if (this.#closed) throw ended(this.#store)
    if (records.length === 0) return
    let object = this.#open.get(substream)
    if (object === undefined) {
      object = new LineObject(this.#store, this.#keyFor(substream), this.#options.compression)
      this.#open.set(substream, object)
    }
    await object.write(records)
    await this.#boundWaiting()
  }

  #keyFor(substream: string): string {
    const { prefix, compression, names } = this.#options
    return `${folderOf(prefix, substream)}/${names.next()}.jsonl${compressionSuffix[compression]}`
  }

  async #boundWaiting(): Promise<void> {
    let waiting = 0
    for (const object of this.#open.values()) waiting += object.waitingBytes
    if (waiting < maxWaitingBytes) return
    const [substream, object] = [...this.#open].reduce((a, b) => (b[1].waitingBytes > a[1].waitingBytes ? b : a))
    await this.#complete(substream, object)
    this.#early.push(object.key)
  }

  async #complete(substream: string, object: LineObject): Promise<void> {
    const { bytes, etag } = await object.complete()
    this.#open.delete(substream)
    this.#marks.add(substream, { key: object.key, rows: object.rows, bytes, etag })
  }

  async flush(): Promise<void> {
    if (this.#closed) throw ended(this.#store)
    const waiting = [...this.#open]
    while (waiting.length > 0)
      await Promise.all(waiting.splice(0, maxCompleting).map(([name, object]) => this.#complete(name, object)))
    this.#early = []
    this.#marks.commit()
  }

  async evidence(): Promise<readonly Evidence[]> {
    return this.#marks.evidence()
  }

  /** Gives up what is not complete, and removes what was completed for a flush that did not come. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    // What cannot be removed now was told by what made this end, or is removed by the bucket's lifecycle rule.
    await Promise.allSettled([
      ...[...this.#open.values()].map((object) => object.abort()),
      ...this.#early.map((key) => this.#store.remove(key)),
    ])
    this.#store[Symbol.dispose]()
  }
}

const ended = (store: ObjectStore): MillraceError =>
  new MillraceError('DESTINATION_REFUSED', { what: store.address(''), why: 'this session was ended' })
