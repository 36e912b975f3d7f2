import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { compress, type Compression } from './compression.ts'
import type { FileEntry } from './journal.ts'

/** A piece to compress is about this long; smaller ones compress worse. */
const pieceBytes = 1024 * 1024

const NEWLINE = 10

/**
 * After so many bytes the disk is asked to begin: a flush then waits for the last of them only, not for all that came
 * since the flush before it.
 */
const earlySyncBytes = 4 * 1024 * 1024

/** Made where it is missing, never emptied. */
const openToWrite = constants.O_RDWR | constants.O_CREAT

/** One file that is being written: behind what is committed, at a known place, whatever other writers do. */
export class OutputFile {
  readonly name: string
  readonly path: string
  readonly entry: FileEntry
  readonly #compression: Compression
  #handle: FileHandle | undefined
  /** Where the next byte goes. */
  #end: number
  #waiting: Buffer[] = []
  waitingBytes = 0
  #unsynced = 0
  #syncing: Promise<void> | undefined
  /** What a sync in the background threw: an error of the disk is told once, and must not be lost. */
  #syncFault: { readonly reason: unknown } | undefined
  /** Lines written since the last commit. */
  #lines = 0
  /** Where this session began to write, and how many lines it committed. */
  readonly from: number
  committedLines = 0
  /** Whether anything was written since the last commit. */
  dirty = false
  /** Whether somebody else's last line has no end: ours must not go on with it. */
  needsNewline = false

  constructor(path: string, name: string, entry: FileEntry, compression: Compression) {
    this.path = path
    this.name = name
    this.entry = entry
    this.#compression = compression
    this.#end = entry.bytes
    this.from = entry.bytes
  }

  get isOpen(): boolean {
    return this.#handle !== undefined
  }

  /** Whether nothing is in the file yet, not even what is not committed. */
  get isEmpty(): boolean {
    return this.#end === 0 && this.waitingBytes === 0
  }

  /** Writes bytes that hold so many lines. They may be changed once this has resolved. */
  async write(bytes: Buffer, lines: number): Promise<void> {
    this.#lines += lines
    this.dirty = true
    if (this.needsNewline) {
      this.needsNewline = false
      await this.#append(Buffer.of(NEWLINE))
    }
    if (this.#compression === 'none') {
      await this.#append(bytes)
      return
    }
    this.#waiting.push(Buffer.from(bytes))
    this.waitingBytes += bytes.length
    if (this.waitingBytes >= pieceBytes) await this.compressWaiting()
  }

  /** Writes what waits to be compressed. */
  async compressWaiting(): Promise<void> {
    if (this.waitingBytes === 0 || this.#compression === 'none') return
    const piece = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.waitingBytes = 0
    await this.#append(await compress(piece, this.#compression))
  }

  async #append(bytes: Buffer): Promise<void> {
    this.#handle ??= await open(this.path, openToWrite)
    let at = 0
    while (at < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at, this.#end)
      at += bytesWritten
      this.#end += bytesWritten
    }
    this.#unsynced += bytes.length
    if (this.#unsynced >= earlySyncBytes && this.#syncing === undefined) this.#syncEarly(this.#handle)
  }

  #syncEarly(handle: FileHandle): void {
    this.#unsynced = 0
    this.#syncing = handle.datasync().then(
      () => {
        this.#syncing = undefined
      },
      (reason: unknown) => {
        this.#syncing = undefined
        this.#syncFault ??= { reason }
      },
    )
  }

  /** Makes what was written durable; it counts once the journal says so too. */
  async sync(): Promise<void> {
    await this.compressWaiting()
    this.#handle ??= await open(this.path, openToWrite)
    await this.#syncing
    if (this.#syncFault !== undefined) throw this.#syncFault.reason
    this.#unsynced = 0
    await this.#handle.datasync()
  }

  /** Enters what was made durable in the journal's entry; answers what takes that back. */
  enter(): () => void {
    const { bytes, lines } = this.entry
    const committed = this.committedLines
    this.entry.bytes = this.#end
    this.entry.lines += this.#lines
    this.committedLines += this.#lines
    this.#lines = 0
    this.dirty = false
    return () => {
      this.entry.bytes = bytes
      this.entry.lines = lines
      this.committedLines = committed
    }
  }

  /** Takes back what was not committed. */
  async cutBack(): Promise<void> {
    this.#waiting = []
    this.waitingBytes = 0
    if (this.#end > this.entry.bytes) {
      this.#handle ??= await open(this.path, 'r+')
      await this.#handle.truncate(this.entry.bytes)
      await this.#handle.datasync()
      this.#end = this.entry.bytes
    }
  }

  /** Gives the descriptor back; the next write opens the file again. */
  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await this.#syncing
    await handle?.close()
  }
}

/** Whether a file of this length ends in the middle of a line. */
export const endsInLine = async (path: string, bytes: number): Promise<boolean> => {
  if (bytes === 0) return false
  const file = await open(path, 'r')
  try {
    const last = Buffer.alloc(1)
    await file.read(last, 0, 1, bytes - 1)
    return last[0] !== NEWLINE
  } finally {
    await file.close()
  }
}
