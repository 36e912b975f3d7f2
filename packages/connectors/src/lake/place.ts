/** Where finished files of a lake go: a folder, or a bucket. */
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Evidence, MillraceError } from '@millrace/sdk'
import { digestOf } from '../file-output/evidence.ts'
import { fileFault } from '../file-output/faults.ts'
import { lockFolder } from '../file-output/lock.ts'
import { makeFolder } from '../file-output/make-folder.ts'
import { ObjectMarks } from '../object-store/marks.ts'
import type { ObjectStore } from '../object-store/store.ts'
import { ObjectUpload } from '../object-store/upload.ts'
import { scratchIn, scratchOfSystem } from './scratch.ts'

/** A file that is whole, and what it is to be. */
export interface Finished {
  readonly file: string
  readonly substream: string
  /** Its path below the place, with slashes. */
  readonly name: string
  readonly rows: number
}

/** Takes finished files; one session at a time. */
export interface LakePlace extends AsyncDisposable {
  /** What errors call it. */
  readonly what: string
  /** A folder of this session alone, for files that are not finished. */
  readonly scratch: string
  /** Makes the files durable and visible, each as a whole. The files themselves are gone, or may be removed, afterwards. */
  publish(files: readonly Finished[]): Promise<void>
  /** What was published. */
  evidence(): readonly Evidence[]
}

const syncFolder = async (path: string): Promise<void> => {
  // Windows has no way to flush a folder, and needs none.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

const syncFile = async (path: string): Promise<void> => {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

interface FileMark {
  readonly file: string
  readonly from: number
  readonly to: number
  readonly lines: number
  readonly digest: string
}

/** A folder. Files are flushed, then renamed into it, then the names are flushed. */
export class FolderPlace implements LakePlace {
  readonly what: string
  readonly scratch: string
  readonly #lock: Disposable
  readonly #release: () => void
  readonly #marks = new Map<string, FileMark[]>()
  #closed = false

  private constructor(path: string, lock: Disposable) {
    this.what = path
    this.#lock = lock
    ;[this.scratch, this.#release] = scratchIn(path)
  }

  /** Makes the folder where it is missing, and takes it. Throws DESTINATION_BUSY where another run has it. */
  static async open(path: string): Promise<FolderPlace> {
    try {
      await makeFolder(path)
    } catch (e) {
      throw fileFault(e, path)
    }
    const lock = lockFolder(path)
    try {
      return new FolderPlace(path, lock)
    } catch (e) {
      lock[Symbol.dispose]()
      throw fileFault(e, path)
    }
  }

  async publish(files: readonly Finished[]): Promise<void> {
    if (this.#closed) throw ended(this.what)
    try {
      const marks: FileMark[] = []
      const folders = new Set<string>()
      for (const { file, name, rows } of files) {
        await syncFile(file)
        const { size } = await stat(file)
        marks.push({ file: name, from: 0, to: size, lines: rows, digest: await digestOf(file, 0, size) })
        for (let at = name; at.includes('/'); ) {
          at = at.slice(0, at.lastIndexOf('/'))
          folders.add(at)
        }
      }
      for (const folder of folders) await mkdir(join(this.what, folder), { recursive: true })
      for (const { file, name } of files) await rename(file, join(this.what, name))
      for (const folder of folders) await syncFolder(join(this.what, folder))
      if (files.length > 0) await syncFolder(this.what)
      for (const [i, { substream }] of files.entries()) {
        const of = this.#marks.get(substream) ?? []
        of.push(marks[i] as FileMark)
        this.#marks.set(substream, of)
      }
    } catch (e) {
      throw fileFault(e, this.what)
    }
  }

  evidence(): readonly Evidence[] {
    return [...this.#marks].map(([substream, files]) => ({
      substream,
      rows: files.reduce((n, f) => n + f.lines, 0),
      marks: { files: files.map((f) => ({ ...f })) },
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#release()
    this.#lock[Symbol.dispose]()
  }
}

/** A bucket, or what is below a prefix of it. */
export class BucketPlace implements LakePlace {
  readonly what: string
  readonly scratch: string
  readonly #store: ObjectStore
  readonly #prefix: string
  readonly #release: () => void
  readonly #marks = new ObjectMarks()
  #closed = false

  constructor(store: ObjectStore, prefix: string) {
    this.#store = store
    this.#prefix = prefix.replace(/\/+$/, '')
    this.what = store.address(prefix)
    ;[this.scratch, this.#release] = scratchOfSystem()
  }

  async publish(files: readonly Finished[]): Promise<void> {
    if (this.#closed) throw ended(this.what)
    for (const { file, substream, name, rows } of files) {
      const key = this.#prefix === '' ? name : `${this.#prefix}/${name}`
      const upload = new ObjectUpload(this.#store, key)
      try {
        for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) await upload.add(chunk as Buffer)
        this.#marks.add(substream, { key, rows, ...(await upload.complete()) })
      } catch (e) {
        // What could not be given up is removed by the bucket's lifecycle rule; what went wrong first is told.
        await upload.abort().catch(() => {})
        throw e
      }
    }
    this.#marks.commit()
  }

  evidence(): readonly Evidence[] {
    return this.#marks.evidence()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#release()
    this.#store[Symbol.dispose]()
  }
}

const ended = (what: string): MillraceError =>
  new MillraceError('DESTINATION_REFUSED', { what, why: 'this session was ended' })
