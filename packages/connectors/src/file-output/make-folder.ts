/** Makes folders. */
import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { MillraceError, systemCode } from '@millrace/sdk'

/**
 * Makes a folder and those above it where they are missing. Throws DESTINATION_REFUSED where a file system makes none
 * below a folder that is there, and else what the file system throws.
 *
 * Node's recursive mkdir never ends where a file system answers ENOENT below a folder that is there, as /proc does.
 */
export const makeFolder = async (path: string): Promise<void> => {
  const missing: string[] = []
  for (let at = resolve(path); !(await isFolder(at)); at = dirname(at)) {
    missing.push(at)
    if (dirname(at) === at) break
  }
  for (const folder of missing.reverse()) {
    try {
      await mkdir(folder)
    } catch (e) {
      if (systemCode(e) === 'ENOENT')
        throw new MillraceError(
          'DESTINATION_REFUSED',
          { what: path, why: `no folder can be made in ${dirname(folder)}`, fix: 'Give `path` another folder.' },
          { cause: e },
        )
      // Somebody else may have made it meanwhile.
      if (systemCode(e) !== 'EEXIST' || !(await isFolder(folder))) throw e
    }
  }
}

/** Throws where what is there cannot be looked at or lies below a file. */
const isFolder = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory()
  } catch (e) {
    if (systemCode(e) === 'ENOENT') return false
    throw e
  }
}
