/**
 * One run at a time in a folder. The lock is the operating system's, on `.millrace-lock`, taken through SQLite, which
 * knows how on every platform: it ends with the process that holds it, however that dies, so it is never stale.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { MillraceError } from '@millrace/sdk'
import type { DatabaseSync } from 'node:sqlite'

const load = createRequire(import.meta.url)
const locked = 5

/** Takes the folder; disposing gives it back. Throws DESTINATION_BUSY where another run has it. */
export const lockFolder = (folder: string): Disposable => {
  const { DatabaseSync } = load('node:sqlite') as typeof import('node:sqlite')
  let file: DatabaseSync | undefined
  try {
    file = new DatabaseSync(join(folder, '.millrace-lock'))
    // The file stays empty: nothing is ever written in the transaction.
    file.exec('pragma busy_timeout = 0; pragma journal_mode = memory; begin exclusive')
  } catch (e) {
    file?.close()
    if ((e as { errcode?: number }).errcode === locked)
      throw new MillraceError('DESTINATION_BUSY', { what: folder }, { cause: e })
    throw new MillraceError(
      'DESTINATION_REFUSED',
      { what: folder, why: `cannot be locked: ${(e as Error).message}` },
      { cause: e },
    )
  }
  const held = file
  return { [Symbol.dispose]: () => held.close() }
}
