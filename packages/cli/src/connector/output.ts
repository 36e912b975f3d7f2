import { MillraceError } from '@millrace/sdk'

/**
 * Writes to stdout with back-pressure: the promise resolves when there is room for more. Rejects with PIPE_CLOSED when
 * the reader has gone; at most one write may be under way.
 */
export const stdoutWriter = (): ((chunk: string | Uint8Array) => Promise<void> | undefined) => {
  const { stdout } = process
  let failure: Error | undefined
  let wake: (() => void) | undefined
  stdout.on('error', (e: NodeJS.ErrnoException) => {
    failure ??=
      e.code === 'EPIPE' || e.code === 'ERR_STREAM_DESTROYED'
        ? new MillraceError('PIPE_CLOSED', {}, { cause: e })
        : new MillraceError('DESTINATION_UNAVAILABLE', { what: 'stdout', why: e.code ?? e.message }, { cause: e })
    wake?.()
  })
  stdout.on('drain', () => wake?.())
  return (chunk) => {
    if (failure !== undefined) return Promise.reject(failure)
    if (stdout.write(chunk)) return undefined
    return new Promise((resolve, reject) => {
      wake = () => {
        wake = undefined
        if (failure === undefined) resolve()
        else reject(failure)
      }
    })
  }
}
