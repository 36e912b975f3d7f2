/** Opening the store of a project: its folder, its file, and what to say where the file is no good. */
import { closeSync, existsSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MillraceError } from '@millrace/sdk'
import { guarded, isBusy } from './guard.ts'
import { migrate } from './migrations.ts'
import { SqliteStore } from './sqlite-store.ts'
import type { Store } from './types.ts'

/** The folder of a project's store, in the folder of its project file. */
export const storeFolderName = '.millrace'

/** How long one process waits for the transaction of another. */
const busyTimeoutMs = 5_000
/** Up to this size the file is checked whole when it is opened; above it, damage shows when it is read. */
const maxCheckedBytes = 2 * 1024 * 1024

/** The database file of a project folder. */
export const storeFile = (dir: string): string => join(dir, storeFolderName, 'millrace.db')

/** Whether a project folder has a store: asking for its runs should not make one. */
export const hasStore = (dir: string): boolean => existsSync(storeFile(dir))

/**
 * Opens the store of a project folder, making it where there is none. Its folder keeps itself out of git and is for its
 * owner only. Throws STORE_UNUSABLE for a file that is damaged, newer, or not to be opened.
 */
export const openStore = (dir: string): Store => {
  const folder = join(dir, storeFolderName)
  const file = storeFile(dir)
  return guarded(file, () => {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const ignore = join(folder, '.gitignore')
    if (!existsSync(ignore)) writeFileSync(ignore, '*\n')
    // Made here, so that nobody else may read it: states and dead letters are the user's data.
    if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600))
    if (wasEmptied(file))
      throw new MillraceError('STORE_UNUSABLE', { file, why: 'it is empty and was not: what it held is gone' })
    const db = new DatabaseSync(file, { timeout: busyTimeoutMs })
    try {
      useWal(db)
      db.exec('pragma synchronous = full')
      migrate(db, file)
      if (statSync(file).size <= maxCheckedBytes) {
        const found = Object.values(db.prepare('pragma quick_check(1)').get() ?? {})[0]
        if (found !== 'ok') throw new MillraceError('STORE_UNUSABLE', { file, why: `it is damaged (${String(found)})` })
      }
    } catch (e) {
      db.close()
      throw e
    }
    return new SqliteStore(db, file)
  })
}

/**
 * Whether a file without a byte held something once. One that was made and never written, since its process was killed or is
 * just about to, was changed last when it was made; emptying a file, or bringing an empty one back, shows in its times.
 */
const wasEmptied = (file: string): boolean => {
  const { size, mtimeMs, birthtimeMs } = statSync(file)
  return size === 0 && birthtimeMs > 0 && Math.abs(mtimeMs - birthtimeMs) > 1_000
}

/** Sets WAL. Several processes that do so first at once are told "busy" without waiting, so it is asked again. */
const useWal = (db: DatabaseSync): void => {
  const mode = (): unknown => Object.values(db.prepare('pragma journal_mode').get() ?? {})[0]
  const until = Date.now() + busyTimeoutMs
  while (mode() !== 'wal') {
    try {
      db.exec('pragma journal_mode = wal')
      return
    } catch (e) {
      if (!isBusy(e) || Date.now() > until) throw e
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}
