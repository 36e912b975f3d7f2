import { access, constants } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { MillraceError } from '@millrace/sdk'
import { fixOf } from './program.ts'

/** Whether the program of a command can be found and executed; nothing is run. Throws PROCESS_NOT_STARTED. */
export const checkProgram = async (command: readonly string[]): Promise<void> => {
  const [file = ''] = command
  const places = file.includes('/')
    ? [resolve(file)]
    : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, file))
  for (const place of places) {
    const there = await access(place, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (there) return
  }
  throw new MillraceError('PROCESS_NOT_STARTED', {
    what: file,
    why: `there is no program "${file}" that may be executed`,
    fix: fixOf(file),
  })
}
