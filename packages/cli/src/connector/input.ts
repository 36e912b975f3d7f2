import { createReadStream, fstatSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isatty } from 'node:tty'
import { MillraceError, systemCode } from '@millrace/sdk'

const fileChunkBytes = 256 * 1024
/** After a piece that is smaller, what comes next is waited for a moment, from a program that writes more slowly than this. */
const smallBytes = 32 * 1024
const fastBytesPerMs = 32 * 1024
const gatherMs = 1
/** How fast it writes is measured over so long. */
const measureMs = 10

/** The bytes of a file, or of stdin where none is named. */
export const messageInput = (file: string | undefined, cwd: string): AsyncIterable<Uint8Array> => {
  if (file !== undefined && file !== '-') return fileInput(resolve(cwd, file), file)
  if (isatty(0)) process.stderr.write('Reading messages from this terminal; Ctrl-D ends them.\n')
  const stdin = fstatSync(0)
  if (stdin.isFIFO() || stdin.isSocket()) return pipeInput()
  // A file handed over as stdin is read in larger pieces than Node would.
  return stdin.isFile()
    ? createReadStream('', { fd: 0, autoClose: false, highWaterMark: fileChunkBytes })
    : process.stdin
}

/**
 * Many programs write a line or 8 KiB at a time. Read as they come, each piece costs as much as fifty records do; left in the
 * pipe for a millisecond they come together. The pipe has room for what a slow program writes meanwhile, and a fast one is never
 * waited for.
 */
async function* pipeInput(): AsyncGenerator<Uint8Array, void, undefined> {
  const { Socket } = await import('node:net')
  // It takes nothing out of the pipe that nobody has asked for.
  const input = new Socket({ fd: 0, readable: true, writable: false, readableHighWaterMark: 1 } as object)
  let isSlow = false
  let bytes = 0
  let since = performance.now()
  for await (const chunk of input as AsyncIterable<Buffer>) {
    yield chunk
    bytes += chunk.length
    const ms = performance.now() - since
    if (ms >= measureMs) {
      isSlow = bytes < fastBytesPerMs * ms
      bytes = 0
      since += ms
    }
    if (isSlow && chunk.length < smallBytes) await pause(gatherMs)
  }
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
