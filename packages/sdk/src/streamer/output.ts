import { write as writeCallback } from 'node:fs'
import { MillraceError, systemCode } from '../errors/error.ts'

/** How long to wait before a descriptor that does not block is tried again, in milliseconds. */
const retryMs = 2

/**
 * Writes to a file descriptor, usually stdout's. The promise resolves when the system took all of the chunk, so a slow
 * reader holds the writer back. Throws PIPE_CLOSED where the reader went away.
 *
 * It goes around process.stdout, whose writes to a pipe stop the whole process and which gathers without limit where
 * they do not.
 */
export const descriptorWriter =
  (fd: number): ((chunk: Uint8Array) => Promise<void>) =>
  async (chunk) => {
    let at = 0
    while (at < chunk.length) {
      try {
        at += await writeSome(fd, chunk, at)
      } catch (e) {
        const code = systemCode(e)
        if (code === 'EAGAIN') await new Promise((done) => setTimeout(done, retryMs))
        else if (code === 'EPIPE' || code === 'ECONNRESET') throw new MillraceError('PIPE_CLOSED', {}, { cause: e })
        else throw e
      }
    }
  }

const writeSome = (fd: number, chunk: Uint8Array, from: number): Promise<number> =>
  new Promise((done, failed) => {
    writeCallback(fd, chunk, from, chunk.length - from, null, (e, written) => (e === null ? done(written) : failed(e)))
  })
