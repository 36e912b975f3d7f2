/**
 * The folder of a manager: one manager at a time has it, and while it runs it leaves there how to reach it. The hold is a lock of the
 * operating system on a SQLite file, so that it ends with the process, however that ends.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MillraceError, systemCode } from '@millrace/sdk'

const folderName = '.millrace'

/** How a manager on this machine is reached, for whoever may read its folder. */
export interface ManagerNote {
  readonly url: string
  /** Good as long as that manager runs. */
  readonly token: string
  /** What it shows, PEM, where it speaks TLS. Whoever reads this looks for exactly that. */
  readonly certificate?: string
  readonly pid: number
  readonly startedAt: string
}

export const managerNoteFile = (projectDir: string): string => join(projectDir, folderName, 'manager.json')

/** The note of the manager that runs on a folder, or that ran there last and was killed; undefined where there is none. */
export const readManagerNote = (projectDir: string): ManagerNote | undefined => {
  let text: string
  try {
    text = readFileSync(managerNoteFile(projectDir), 'utf8')
  } catch (e) {
    if (systemCode(e) === 'ENOENT' || systemCode(e) === 'ENOTDIR' || systemCode(e) === 'EACCES') return undefined
    throw e
  }
  try {
    const note = JSON.parse(text) as Partial<ManagerNote>
    return typeof note.url === 'string' && typeof note.token === 'string' ? (note as ManagerNote) : undefined
  } catch {
    return undefined
  }
}

export class ManagerFolder implements Disposable {
  readonly path: string
  readonly #projectDir: string
  readonly #lock: DatabaseSync

  private constructor(projectDir: string, lock: DatabaseSync) {
    this.#projectDir = projectDir
    this.path = join(projectDir, folderName)
    this.#lock = lock
  }

  /** Takes the folder, making it where it is not there. Throws MANAGER_RUNNING, MANAGER_NOT_STARTED. */
  static take(projectDir: string): ManagerFolder {
    const path = join(projectDir, folderName)
    const file = join(path, 'manager.lock')
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 })
      const ignore = join(path, '.gitignore')
      if (!existsSync(ignore)) writeFileSync(ignore, '*\n')
      if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600))
    } catch (e) {
      throw new MillraceError('MANAGER_NOT_STARTED', {
        why: `${path} may not be written (${systemCode(e) ?? 'it failed'})`,
        fix: 'Make the folder writable for this user, or work in another one with --cwd.',
      })
    }
    let lock: DatabaseSync | undefined
    try {
      lock = new DatabaseSync(file, { timeout: 0 })
      lock.exec('pragma locking_mode = exclusive; begin exclusive')
      return new ManagerFolder(projectDir, lock)
    } catch (e) {
      lock?.close()
      const { errcode } = e as { readonly errcode?: number }
      if (errcode === 5)
        throw new MillraceError(
          'MANAGER_RUNNING',
          { folder: projectDir, pid: readManagerNote(projectDir)?.pid },
          { cause: e },
        )
      throw new MillraceError(
        'MANAGER_NOT_STARTED',
        { why: `${file}: ${e instanceof Error ? e.message : String(e)}` },
        { cause: e },
      )
    }
  }

  /** Leaves how the manager is reached, for this user only. */
  leaveNote(note: ManagerNote): void {
    const file = managerNoteFile(this.#projectDir)
    writeFileSync(`${file}.new`, `${JSON.stringify(note, null, 2)}\n`, { mode: 0o600 })
    chmodSync(`${file}.new`, 0o600)
    renameSync(`${file}.new`, file)
  }

  [Symbol.dispose](): void {
    rmSync(managerNoteFile(this.#projectDir), { force: true })
    this.#lock.close()
  }
}
