/** The control plane's SQLite file: opening it, its settings, its schema, and what to say where it is no good. */
import { closeSync, existsSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk/errors'
import { schemaSteps } from '../../sql/schema.ts'

/** How long one process waits for the transaction of another. */
const busyTimeoutMs = 5_000
/** Up to this size the file is checked whole when it is opened; above it, damage shows when it is read. */
const maxCheckedBytes = 2 * 1024 * 1024

const FULL = 13
const BUSY = 5
const NOT_A_DATABASE = 26
const CORRUPT = 11

/** Opens the file for writing, making it, its folder and its tables where they lack. Throws CONTROL_UNUSABLE. */
export const openForWriting = (path: string): DatabaseSync =>
  translated(path, () => {
    const folder = dirname(path)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const ignore = join(folder, '.gitignore')
    if (!existsSync(ignore)) writeFileSync(ignore, '*\n')
    // Made here, so that nobody else may read it: it holds what tokens are signed with.
    if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600))
    const db = new DatabaseSync(path, { timeout: busyTimeoutMs })
    try {
      useWal(db)
      db.exec('pragma synchronous = full')
      migrate(db, path)
      if (statSync(path).size <= maxCheckedBytes) {
        const found = Object.values(db.prepare('pragma quick_check(1)').get() ?? {})[0]
        if (found !== 'ok') throw unusable(path, `it is damaged (${String(found)})`)
      }
    } catch (e) {
      db.close()
      throw e
    }
    return db
  })

/** Opens a file that is there for reading only; it sees what is committed. */
export const openForReading = (path: string): DatabaseSync =>
  translated(path, () => new DatabaseSync(path, { timeout: busyTimeoutMs, readOnly: true }))

/** Runs something on the database and puts what SQLite says into our words. */
export const translated = <T>(path: string, work: () => T): T => {
  try {
    return work()
  } catch (e) {
    throw inOurWords(path, e)
  }
}

/** What the database or the system said, in our words; errors of ours as they are. */
export const inOurWords = (path: string, e: unknown): unknown => {
  if (isMillraceError(e)) return e
  const code = resultCode(e)
  const why = e instanceof Error ? e.message : String(e)
  if (code === CORRUPT || code === NOT_A_DATABASE) return unusable(path, why, e)
  if (code !== undefined)
    return new MillraceError(
      'CONTROL_UNAVAILABLE',
      { what: path, why: code === FULL ? `no space left (${why})` : why },
      { cause: e },
    )
  return systemCode(e) === undefined ? e : unusable(path, why, e)
}

const resultCode = (e: unknown): number | undefined => {
  const code = (e as { errcode?: unknown } | null)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

const unusable = (file: string, why: string, cause?: unknown): MillraceError =>
  new MillraceError('CONTROL_UNUSABLE', { what: file, why }, { cause })

/** Sets WAL. Several processes that do so first at once are told "busy" without waiting, so it is asked again. */
const useWal = (db: DatabaseSync): void => {
  const mode = (): unknown => Object.values(db.prepare('pragma journal_mode').get() ?? {})[0]
  const triesAMs = 5
  for (let left = busyTimeoutMs / triesAMs; mode() !== 'wal'; left--) {
    try {
      db.exec('pragma journal_mode = wal')
      return
    } catch (e) {
      if (resultCode(e) !== BUSY || left <= 0) throw e
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, triesAMs)
    }
  }
}

/** Brings the schema up to date; safe when several processes do it at once. The file's user_version counts the steps taken. */
const migrate = (db: DatabaseSync, path: string): void => {
  const steps = schemaSteps('sqlite')
  const version = (): number =>
    Number((db.prepare('pragma user_version').get() as { user_version: number }).user_version)
  if (version() === steps.length) return
  db.exec('begin immediate')
  try {
    const at = version()
    if (at > steps.length)
      throw unusable(path, `it was written by a newer Millrace (schema ${at}; this one knows ${steps.length})`)
    for (const step of steps.slice(at)) db.exec(step)
    db.exec(`pragma user_version = ${steps.length}`)
    db.exec('commit')
  } catch (e) {
    db.exec('rollback')
    throw e
  }
}
