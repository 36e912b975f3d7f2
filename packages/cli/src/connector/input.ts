import { createReadStream, fstatSync } from 'node:fs'
import { resolve } from 'node:path'
import { MillraceError, systemCode } from '@millrace/sdk'

const fileChunkBytes = 256 * 1024

/** The bytes of a file, or of stdin where none is named. */
export const messageInput = (file: string | undefined, cwd: string): AsyncIterable<Uint8Array> => {
  if (file !== undefined && file !== '-') return fileInput(resolve(cwd, file), file)
  if (process.stdin.isTTY === true) process.stderr.write('Reading messages from this terminal; Ctrl-D ends them.\n')
  // A file handed over as stdin is read in larger pieces than Node would.
  return fstatSync(0).isFile()
    ? createReadStream('', { fd: 0, autoClose: false, highWaterMark: fileChunkBytes })
    : process.stdin
}

async function* fileInput(path: string, shownAs: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: fileChunkBytes })) yield chunk as Uint8Array
  } catch (e) {
    const code = systemCode(e)
    if (code === undefined) throw e
    throw new MillraceError(
      'SOURCE_UNAVAILABLE',
      { what: shownAs, why: code === 'ENOENT' ? 'there is no such file' : code },
      { cause: e },
    )
  }
}
