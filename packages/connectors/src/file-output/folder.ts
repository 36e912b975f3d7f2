/**
 * A folder with a file for each substream, of which only what was committed counts.
 *
 * A flush makes the files' bytes durable and then replaces the journal, which says how much of each file counts; only
 * then may a state be released. A session marks a file in the journal before it writes beyond what is committed; the
 * next session after a crash cuts a marked file back. So half a line never counts, and what somebody else appended is
 * never cut.
 *
 * In mode `replace` a substream is written into hidden files beside the old ones. They count for states, since a session
 * that finds unfinished ones goes on with them; they take the old files' places when the input ended (`finish`).
 */
import { rename, stat, truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Logger, MillraceError, systemCode } from '@millrace/sdk'
import { type Compression, compressionSuffix } from './compression.ts'
import { fileFault } from './faults.ts'
import { type FileEntry, Journal } from './journal.ts'
import { lockFolder } from './lock.ts'
import { makeFolder } from './make-folder.ts'
import { fileNameFor } from './names.ts'
import { endsInLine, OutputFile } from './output-file.ts'

export interface FolderOptions {
  readonly path: string
  readonly mode: 'append' | 'replace'
  readonly compression: Compression
  /** Without a dot: `jsonl`. */
  readonly extension: string
  /** What an unfinished run left of a substream in mode replace comes again: it is begun anew. */
  readonly startsOver?: boolean
  readonly log: Logger
}

const hiddenPrefix = '.next-'
/** Files kept open, and bytes that may wait for compression in all of them together. */
const maxOpenFiles = 200
const maxWaitingBytes = 16 * 1024 * 1024

const sizeOf = async (path: string): Promise<number | undefined> => {
  try {
    const found = await stat(path)
    if (!found.isFile()) throw new MillraceError('DESTINATION_REFUSED', { what: path, why: 'is not a file' })
    return found.size
  } catch (e) {
    if (systemCode(e) === 'ENOENT') return undefined
    throw e
  }
}

export class OutputFolder implements AsyncDisposable {
  readonly #options: FolderOptions
  readonly #journal: Journal
  readonly #lock: Disposable
  readonly #open = new Map<string, OutputFile>()
  /** Substreams of this session, in mode replace: their old files go at the end. */
  readonly #replaced = new Set<string>()
  #marksWaiting = false
  #finished = false
  #closed = false

  private constructor(options: FolderOptions, journal: Journal, lock: Disposable) {
    this.#options = options
    this.#journal = journal
    this.#lock = lock
  }

  /** Makes the folder where it is missing, takes it, and puts right what a crash left. */
  static async open(options: FolderOptions): Promise<OutputFolder> {
    const { path } = options
    try {
      await makeFolder(path)
    } catch (e) {
      throw fileFault(e, path)
    }
    const lock = lockFolder(path)
    try {
      const folder = new OutputFolder(options, await Journal.read(path), lock)
      await folder.#recover()
      return folder
    } catch (e) {
      lock[Symbol.dispose]()
      throw fileFault(e, path)
    }
  }

  async #recover(): Promise<void> {
    const { files } = this.#journal
    let changed = false
    for (const [name, entry] of files) {
      if (!entry.writing) continue
      const path = this.#path(name)
      const size = await sizeOf(path)
      if (size !== undefined && size > entry.bytes) {
        this.#options.log.info('what a crash left behind the last commit is cut off', {
          file: name,
          bytes: size - entry.bytes,
        })
        await truncate(path, entry.bytes)
      }
      entry.writing = false
      changed = true
    }
    const finished = new Set([...files.values()].filter((e) => e.finished === true).map((e) => e.substream))
    // In mode append there is no end to wait for: what was released with unfinished files must not be lost.
    if (this.#options.mode === 'append')
      for (const entry of files.values()) if (entry.becomes !== undefined) finished.add(entry.substream)
    if (finished.size > 0) await this.#takePlaces(finished)
    if (changed || finished.size > 0) await this.#journal.write()
  }

  #path(name: string): string {
    return join(this.#options.path, name)
  }

  get #extension(): string {
    return `${this.#options.extension}${compressionSuffix[this.#options.compression]}`
  }

  /** The entries of a substream's files that this session goes on with, by part. */
  parts(substream: string): readonly FileEntry[] {
    const hidden = this.#options.mode === 'replace'
    if (hidden && this.#options.startsOver === true && !this.#replaced.has(substream)) return []
    return [...this.#journal.files]
      .filter(
        ([name, e]) =>
          e.substream === substream && (e.becomes !== undefined) === hidden && name.endsWith(`.${this.#extension}`),
      )
      .map(([, e]) => e)
      .sort((a, b) => a.part - b.part)
  }

  /**
   * The file of a substream to write to, made where it is missing. A file that we do not know is appended to in its own
   * `part` only where `adopts` says so; else the answer is undefined.
   */
  async file(
    substream: string,
    part: number,
    options: { readonly about?: Pick<FileEntry, 'columns' | 'dialect'>; readonly adopts: boolean },
  ): Promise<OutputFile | undefined> {
    if (this.#closed)
      throw new MillraceError('DESTINATION_REFUSED', { what: this.#options.path, why: 'this session was ended' })
    const finalName = fileNameFor(substream, part, this.#extension, (folded) => this.#ownerOf(folded))
    const hidden = this.#options.mode === 'replace'
    const name = hidden ? `${hiddenPrefix}${finalName}` : finalName
    const known = this.#open.get(name)
    if (known !== undefined) return known
    if (hidden && this.#options.startsOver === true && !this.#replaced.has(substream)) await this.#beginAnew(substream)
    const path = this.#path(name)
    let size = await sizeOf(path)
    let entry = this.#journal.files.get(name)
    if (hidden && entry === undefined && size !== undefined) {
      await unlink(path)
      size = undefined
    }
    let cutLine = false
    if (entry === undefined) {
      if (size !== undefined && !options.adopts) return undefined
      if (size !== undefined && this.#options.compression === 'none') cutLine = await endsInLine(path, size)
      entry = {
        substream,
        part,
        bytes: size ?? 0,
        lines: 0,
        ...options.about,
        writing: false,
        ...(hidden ? { becomes: finalName } : {}),
      }
      this.#journal.files.set(name, entry)
    } else {
      this.#checkLength(name, entry, size)
      if (size !== undefined && size > entry.bytes) {
        entry.bytes = size
        if (this.#options.compression === 'none') cutLine = await endsInLine(path, size)
      }
    }
    if (hidden) this.#replaced.add(substream)
    entry.writing = true
    this.#marksWaiting = true
    const file = new OutputFile(path, name, entry, this.#options.compression)
    this.#open.set(name, file)
    file.needsNewline = cutLine
    return file
  }

  /** Removes what an unfinished run left of a substream. The journal that knows the files is written with the next mark. */
  async #beginAnew(substream: string): Promise<void> {
    const { files } = this.#journal
    for (const [name, entry] of [...files]) {
      if (entry.substream !== substream || entry.becomes === undefined) continue
      this.#options.log.info('what an unfinished run left is begun anew', { file: entry.becomes, lines: entry.lines })
      await unlink(this.#path(name)).catch((e: unknown) => {
        if (systemCode(e) !== 'ENOENT') throw e
      })
      files.delete(name)
    }
  }

  /** The substream whose file has this name, but for upper and lower case. */
  #ownerOf(folded: string): string | undefined {
    for (const [name, entry] of this.#journal.files)
      if ((entry.becomes ?? name).toLowerCase() === folded) return entry.substream
    return undefined
  }

  #checkLength(name: string, entry: FileEntry, size: number | undefined): void {
    const { log } = this.#options
    if (size === undefined) {
      if (entry.bytes > 0) log.warn('a file of this folder is gone and is begun anew', { file: name })
      entry.bytes = 0
      entry.lines = 0
    } else if (size < entry.bytes) {
      throw new MillraceError('DESTINATION_REFUSED', {
        what: this.#path(name),
        why: `has ${size} bytes, but ${entry.bytes} were written and committed`,
        fix: 'Somebody cut it short. Restore the file; or remove it, to have it begun anew with what comes now.',
      })
    } else if (size > entry.bytes)
      log.warn('somebody else appended to a file of this folder; that is kept', { file: name })
  }

  /** Writes bytes that hold so many lines. */
  async write(file: OutputFile, bytes: Buffer, lines: number): Promise<void> {
    try {
      if (this.#closed)
        throw new MillraceError('DESTINATION_REFUSED', { what: file.path, why: 'this session was ended' })
      if (this.#marksWaiting) {
        this.#marksWaiting = false
        await this.#journal.write()
      }
      if (!file.isOpen) await this.#makeRoom()
      await file.write(bytes, lines)
      if (file.waitingBytes > 0 && this.#options.compression !== 'none') await this.#boundWaiting()
    } catch (e) {
      throw fileFault(e, file.path)
    }
  }

  async #makeRoom(): Promise<void> {
    const open = [...this.#open.values()].filter((f) => f.isOpen)
    if (open.length >= maxOpenFiles) for (const file of open) await file.close()
  }

  async #boundWaiting(): Promise<void> {
    let waiting = 0
    for (const file of this.#open.values()) waiting += file.waitingBytes
    if (waiting > maxWaitingBytes) for (const file of this.#open.values()) await file.compressWaiting()
  }

  /** Makes everything that was written durable, and makes it count. */
  async commit(): Promise<void> {
    try {
      const dirty = [...this.#open.values()].filter((f) => f.dirty)
      if (dirty.length > maxOpenFiles) for (const file of dirty) await this.#syncAndClose(file)
      else await Promise.all(dirty.map(async (f) => await f.sync()))
      if (dirty.length === 0 && !this.#marksWaiting) return
      const undo = dirty.map((f) => f.enter())
      this.#marksWaiting = false
      try {
        await this.#journal.write()
      } catch (e) {
        for (const back of undo) back()
        throw e
      }
    } catch (e) {
      throw fileFault(e, this.#options.path)
    }
  }

  async #syncAndClose(file: OutputFile): Promise<void> {
    await file.sync()
    await file.close()
  }

  /** The input ended and all of it was committed: in mode replace the new files take the old ones' places. */
  async finish(): Promise<void> {
    if (this.#options.mode !== 'replace') return
    try {
      for (const file of this.#open.values()) {
        if (file.isEmpty) await file.sync()
        await file.close()
        file.entry.writing = false
      }
      for (const entry of this.#journal.files.values())
        if (entry.becomes !== undefined && this.#replaced.has(entry.substream)) entry.finished = true
      await this.#journal.write()
      await this.#takePlaces(this.#replaced)
      await this.#journal.write()
      this.#finished = true
    } catch (e) {
      throw fileFault(e, this.#options.path)
    }
  }

  /** Renames hidden files over the old ones, and removes old parts that have no successor. Can be done twice. */
  async #takePlaces(substreams: ReadonlySet<string>): Promise<void> {
    const { files } = this.#journal
    const fresh = new Map<string, FileEntry>()
    for (const [name, entry] of [...files]) {
      if (entry.becomes === undefined || !substreams.has(entry.substream)) continue
      if ((await sizeOf(this.#path(name))) !== undefined) await rename(this.#path(name), this.#path(entry.becomes))
      const { becomes, finished: _, ...rest } = entry
      fresh.set(becomes, { ...rest, writing: false })
      files.delete(name)
    }
    const extension = `.${this.#extension}`
    for (const [name, entry] of [...files]) {
      if (
        !substreams.has(entry.substream) ||
        fresh.has(name) ||
        entry.becomes !== undefined ||
        !name.endsWith(extension)
      )
        continue
      await unlink(this.#path(name)).catch((e: unknown) => {
        if (systemCode(e) !== 'ENOENT') throw e
      })
      files.delete(name)
    }
    for (const [name, entry] of fresh) files.set(name, entry)
  }

  /** What this session committed, by substream. */
  written(): readonly {
    readonly substream: string
    readonly file: string
    readonly from: number
    readonly to: number
    readonly lines: number
  }[] {
    return [...this.#open.values()]
      .filter((f) => f.entry.bytes > f.from)
      .map((f) => ({
        substream: f.entry.substream,
        file: this.#finished ? (f.entry.becomes ?? f.name) : f.name,
        from: f.from,
        to: f.entry.bytes,
        lines: f.committedLines,
      }))
  }

  /** Takes back what was not committed and gives the folder back. What goes wrong here is put right by the next session. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      if (!this.#finished) {
        let marked = false
        for (const [name, file] of this.#open) {
          await file.cutBack()
          marked ||= file.entry.writing
          file.entry.writing = false
          if (file.entry.bytes === 0 && file.entry.becomes === undefined) await this.#forget(name, file)
        }
        if (marked && !this.#marksWaiting) await this.#journal.write()
      }
    } catch (e) {
      this.#options.log.warn('what was not committed is left for the next session to cut off', {
        why: systemCode(e) ?? 'unknown',
      })
    } finally {
      for (const file of this.#open.values()) await file.close().catch(() => {})
      this.#open.clear()
      this.#lock[Symbol.dispose]()
    }
  }

  /** An empty file that this session made goes again. */
  async #forget(name: string, file: OutputFile): Promise<void> {
    this.#journal.files.delete(name)
    await file.close()
    if ((await sizeOf(file.path)) === 0) await unlink(file.path)
  }
}
