import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { choice, type Field, MillraceError, systemCode, text } from '@millrace/sdk'
import { type Compression, compressions } from './compression.ts'
import { fileFault } from './faults.ts'
import { tryFolder } from './try-folder.ts'

/** Settings that every persister into files has. */
export const fileSettings: {
  readonly path: Field<string>
  readonly mode: Field<'append' | 'replace'>
  readonly compression: Field<Compression>
} = {
  path: text({
    doc: 'The folder that gets a file for each substream; made where it is missing.',
    default: '.',
    aliases: ['destination_path'],
  }),
  mode: choice(['append', 'replace'], {
    doc: 'Append to what is there, or replace the files of the substreams that come, once the input has ended.',
    default: 'append',
  }),
  compression: choice(compressions, { doc: 'Compress the files; adds .gz or .zst to their names.', default: 'none' }),
}

/** Proves that the folder, or the nearest one above it, may be written to; leaves nothing there. */
export const checkFolder = async (path: string): Promise<void> => {
  try {
    const folder = await nearestFolder(path)
    await tryFolder(folder).catch((e: unknown) => {
      // The folder is there: what says that it is not takes no files.
      if (systemCode(e) !== 'ENOENT') throw e
      throw new MillraceError(
        'DESTINATION_REFUSED',
        { what: path, why: `nothing can be made in ${folder}` },
        { cause: e },
      )
    })
  } catch (e) {
    throw fileFault(e, path)
  }
}

const nearestFolder = async (path: string): Promise<string> => {
  for (let at = resolve(path); ; at = dirname(at)) {
    try {
      if ((await stat(at)).isDirectory()) return at
      throw new MillraceError('DESTINATION_REFUSED', { what: at, why: 'is a file, not a folder' })
    } catch (e) {
      if (systemCode(e) !== 'ENOENT' || at === dirname(at)) throw e
    }
  }
}
