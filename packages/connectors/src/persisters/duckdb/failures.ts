/** What DuckDB throws, in our words; and what it would open without a word although it is no database. */
import { closeSync, openSync, readSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'

const MAGIC = 'DUCK'
const MAGIC_AT = 8

/** Whether DuckDB had less memory than it needed; what it throws, or what became of that. */
export const isOutOfMemory = (e: unknown): boolean =>
  /Out of Memory|failed to pin block|could not allocate block/i.test(e instanceof Error ? e.message : String(e))

/** Puts an error of DuckDB or of the file system into our shape. */
export const translate = (e: unknown, path: string): MillraceError => {
  if (isMillraceError(e)) return e
  const message = (e instanceof Error ? e.message : String(e)).split('\n')[0] ?? ''
  const make = (
    code: 'DESTINATION_BUSY' | 'DESTINATION_FULL' | 'DESTINATION_UNAVAILABLE' | 'DESTINATION_REFUSED',
    fix?: string,
  ): MillraceError =>
    new MillraceError(
      code,
      { what: path, why: message.slice(0, 300), ...(fix === undefined ? {} : { fix }) },
      { cause: e },
    )
  if (/set lock on file|Conflicting lock|being used by another process/i.test(message)) return make('DESTINATION_BUSY')
  if (
    systemCode(e) === 'ENOSPC' ||
    /No space left|disk (is )?full|Could not write all bytes|max_temp_directory_size/i.test(message)
  )
    return make('DESTINATION_FULL')
  if (/Permission denied|read-only|Cannot open file|EACCES|EROFS/i.test(message))
    return make('DESTINATION_REFUSED', 'The file and its folder must be writable.')
  if (/not a valid DuckDB|newer version|older version|Serialization Error|corrupt/i.test(message))
    return make('DESTINATION_REFUSED', 'Choose another path, or restore the database from a copy.')
  if (isOutOfMemory(message))
    return make(
      'DESTINATION_UNAVAILABLE',
      'Give DuckDB more memory (setting `memory`, such as 2GB), or flush more often.',
    )
  if (/^IO Error/i.test(message)) return make('DESTINATION_UNAVAILABLE')
  return make('DESTINATION_REFUSED')
}

/** Refuses what is no DuckDB database: it would be opened as a file to query, or made into one. */
export const checkFile = (path: string): void => {
  const refuse = (why: string, fix: string, cause?: unknown): never => {
    throw new MillraceError('DESTINATION_REFUSED', { what: path, why, fix }, { cause })
  }
  const folder = statOf(dirname(path))
  if (folder === undefined || !folder.isDirectory())
    refuse('its folder is not there', `Make the folder ${dirname(path)} or choose another path.`)
  const file = statOf(path)
  if (file === undefined) return
  if (!file.isFile()) refuse('it is not a file', 'Choose the path of a file.')
  const head = Buffer.alloc(MAGIC_AT + MAGIC.length)
  try {
    const fd = openSync(path, 'r')
    try {
      readSync(fd, head, 0, head.length, 0)
    } finally {
      closeSync(fd)
    }
  } catch (e) {
    refuse(systemCode(e) ?? 'it cannot be opened', 'The file and its folder must be readable and writable.', e)
  }
  if (file.size === 0 || head.toString('latin1', MAGIC_AT) !== MAGIC)
    refuse('it is not a DuckDB database', 'Choose another path: that file was left as it is.')
}

const statOf = (path: string): Stats | undefined => {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
