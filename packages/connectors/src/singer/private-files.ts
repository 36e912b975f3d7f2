/** Files for a program that only their owner may read: settings hold secrets. Removed with the folder they are in. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Where the run's own private folder is, which is removed also where a run is killed; elsewhere a kill leaves the file
 * in the folder for temporary files, for its owner only.
 */
const root = (): string => process.env['MILLRACE_PRIVATE_FOLDER'] ?? tmpdir()

export class PrivateFiles implements Disposable {
  #folder: string | undefined

  /** Writes a file and answers its path. */
  write(name: string, text: string): string {
    // mkdtemp makes it for its owner only.
    this.#folder ??= mkdtempSync(join(root(), 'millrace-singer-'))
    const path = join(this.#folder, name)
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
    return path
  }

  [Symbol.dispose](): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = undefined
  }
}
