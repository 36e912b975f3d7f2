/**
 * The commit journal of a folder, `.millrace-commits.json`: how much of each file counts. It is replaced as a whole (a
 * new file, flushed, renamed over the old one, the folder flushed), so a crash leaves the old one or the new one.
 */
import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject, MillraceError, systemCode } from '@millrace/sdk'

export const journalName = '.millrace-commits.json'

/** One file of the folder. */
export interface FileEntry {
  readonly substream: string
  /** From 1. A CSV file whose columns no longer fit goes on in a part of its own. */
  readonly part: number
  /** Length that counts. */
  bytes: number
  /** Lines of it that we wrote (for CSV: records). */
  lines: number
  readonly columns?: readonly string[]
  /** How the lines are written, where a file can be written in several ways. */
  readonly dialect?: string
  /**
   * A session may have written beyond `bytes`: what is there was not committed and is cut off by the next session. Where
   * this is not set, a longer file was made longer by somebody else, and is left as it is.
   */
  writing: boolean
  /** This hidden file becomes the file of this name when everything was written (mode replace). */
  readonly becomes?: string
  /** Everything was written: what is left of the renaming is done by the next session, should this one die in it. */
  finished?: boolean
}

export class Journal {
  readonly #folder: string
  readonly files: Map<string, FileEntry>

  private constructor(folder: string, files: Map<string, FileEntry>) {
    this.#folder = folder
    this.files = files
  }

  /** Reads the journal of a folder; one that is not there is empty. Throws DESTINATION_REFUSED where it is damaged. */
  static async read(folder: string): Promise<Journal> {
    const file = join(folder, journalName)
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (e) {
      if (systemCode(e) === 'ENOENT') return new Journal(folder, new Map())
      throw e
    }
    try {
      const value = JSON.parse(text) as { readonly version?: unknown; readonly files?: unknown }
      if (value.version !== 1 || !isObject(value.files)) throw new Error('it is of another version')
      return new Journal(folder, new Map(Object.entries(value.files) as unknown as [string, FileEntry][]))
    } catch (e) {
      const why = `cannot be read: ${(e as Error).message.split('\n')[0]}`
      const fix =
        'Restore it from a copy. Removing it makes every file in the folder count as it is, half a last line included.'
      throw new MillraceError('DESTINATION_REFUSED', { what: file, why, fix }, { cause: e })
    }
  }

  /** Makes the journal durable, and with it every file name that was new in the folder. */
  async write(): Promise<void> {
    const text = JSON.stringify({ version: 1, files: Object.fromEntries(this.files) }, undefined, 1)
    const next = join(this.#folder, `${journalName}.next`)
    const file = await open(next, 'w')
    try {
      await file.writeFile(`${text}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(next, join(this.#folder, journalName))
    // Windows has no way to flush a folder, and needs none: it journals names itself.
    if (process.platform === 'win32') return
    const folder = await open(this.#folder, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }
}
