import { createReadStream, fstatSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isatty } from 'node:tty'
import { MillraceError, systemCode } from '@millrace/sdk'

const fileChunkBytes = 256 * 1024
/** What a pipe holds, unless somebody made it larger. */
const pipeBytes = 64 * 1024
/** So much is left to come together, from a program that writes more slowly than this. The rest of the pipe is for what comes while we wake. */
const gatherBytes = 40 * 1024
const fastBytesPerMs = 32 * 1024
/** From a very slow one, what comes in so long. */
const maxGatherMs = 8
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
 * Many programs write a line or 8 KiB at a time. Read as they come, each piece costs as much as fifty records do, and waking for
 * it again as much; left in the pipe for a few milliseconds they come together. The pipe has room for what a slow program
 * writes meanwhile, and a fast one is never waited for.
 */
async function* pipeInput(): AsyncGenerator<Uint8Array, void, undefined> {
  const { Socket } = await import('node:net')
  // It takes nothing out of the pipe that nobody has asked for.
  const input = new Socket({ fd: 0, readable: true, writable: false, readableHighWaterMark: 1 } as object)
  let gatherMs = 0
  let bytes = 0
  let since = performance.now()
  for await (const chunk of input as AsyncIterable<Buffer>) {
    yield chunk
    bytes += chunk.length
    const ms = performance.now() - since
    if (ms >= measureMs) {
      gatherMs = gatherMsFor(bytes / ms)
      bytes = 0
      since += ms
    }
    // A full pipe says that it writes faster than what it writes is taken.
    if (gatherMs > 0 && chunk.length < pipeBytes) await pause(gatherMs)
  }
}

/** How long what a program writes is left to come together. */
const gatherMsFor = (bytesPerMs: number): number =>
  bytesPerMs >= fastBytesPerMs ? 0 : Math.max(1, Math.min(maxGatherMs, Math.floor(gatherBytes / bytesPerMs)))

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
