/** What SQLite and the file system throw, as errors of ours. */
import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'

const errcode = (e: unknown): number | undefined => {
  const code = (e as { errcode?: unknown } | null)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}
/** Whether SQLite says that another connection holds a lock. */
export const isBusy = (e: unknown): boolean => errcode(e) === 5 || errcode(e) === 6

const reasons: Readonly<Record<number, string>> = {
  5: 'another process keeps it locked',
  6: 'another process keeps it locked',
  8: 'it may not be written',
  10: 'reading or writing it failed',
  11: 'it is damaged',
  14: 'it cannot be opened',
  26: 'it is not a SQLite database',
}

/** Runs something on the store; what SQLite or the file system throws becomes an error of ours. */
export const guarded = <T>(file: string, run: () => T): T => {
  try {
    return run()
  } catch (e) {
    if (isMillraceError(e)) throw e
    const sqlite = errcode(e)
    const system = systemCode(e)
    if (sqlite === 13 || system === 'ENOSPC')
      throw new MillraceError(
        'DESTINATION_FULL',
        { what: `the store ${file}`, why: (e as Error).message },
        { cause: e },
      )
    if (sqlite === undefined && (system === undefined || system.startsWith('ERR_'))) throw e
    throw new MillraceError(
      'STORE_UNUSABLE',
      { file, why: (sqlite === undefined ? system : reasons[sqlite]) ?? (e as Error).message },
      { cause: e },
    )
  }
}
