import { mkdtemp, rmdir } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Makes something in a folder and takes it away again: rights alone do not say whether a place takes files (root may write
 * to /proc). Throws what the file system says.
 */
export const tryFolder = async (folder: string): Promise<void> => {
  await rmdir(await mkdtemp(join(folder, '.millrace-check-')))
}
