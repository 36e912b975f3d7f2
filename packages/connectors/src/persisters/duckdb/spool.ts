/** The private folder beside the database in which lines wait to be read by it. */
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export interface SpoolFile {
  readonly path: string
  readonly fd: number
  bytes: number
  /** Bytes of its longest line. */
  longest: number
  /** Whether it has JSON text that is written as a string. */
  quotes: boolean
}

/** Owns the folder; one writer at a time. */
export class Spool {
  readonly folder: string
  #next = 0

  /** Makes the folder, and removes those that killed runs left: only who holds the database's lock may call this. */
  constructor(database: string) {
    const prefix = `${basename(database)}.spool-`
    for (const name of readdirSync(dirname(database)))
      if (name.startsWith(prefix)) rmSync(join(dirname(database), name), { recursive: true, force: true })
    this.folder = mkdtempSync(join(dirname(database), prefix))
  }

  open(): SpoolFile {
    const path = join(this.folder, `${this.#next++}.ndjson`)
    return { path, fd: openSync(path, 'wx', 0o600), bytes: 0, longest: 0, quotes: false }
  }

  append(file: SpoolFile, bytes: Buffer, lines: { readonly longest: number; readonly quotes: boolean }): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(file.fd, bytes, at)
    file.bytes += bytes.length
    file.longest = Math.max(file.longest, lines.longest)
    file.quotes ||= lines.quotes
  }

  close(file: SpoolFile): void {
    closeSync(file.fd)
  }

  remove(file: SpoolFile): void {
    rmSync(file.path, { force: true })
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
