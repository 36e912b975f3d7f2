import type { Readable } from 'node:stream'
import { MillraceError } from '@millrace/sdk'

export interface CollectOptions {
  readonly maxBytes: number
  /** Without a byte, milliseconds. */
  readonly idleMs: number
}

/**
 * The whole of a body that may take its time, as long as bytes come. Throws REQUEST_TOO_LARGE (reading stops there), REQUEST_TOO_SLOW, and
 * INTERRUPTED where it was cut off.
 */
export const collectBody = async (body: Readable, { maxBytes, idleMs }: CollectOptions): Promise<Buffer<ArrayBuffer>> =>
  await new Promise((resolve, reject) => {
    const chunks: Buffer<ArrayBuffer>[] = []
    let size = 0
    const end = (done: () => void): void => {
      clearTimeout(timer)
      body.off('data', take).off('end', whole).off('error', fail).off('close', cut)
      done()
    }
    const fail = (e: Error): void =>
      end(() => {
        body.pause()
        reject(e)
      })
    const timer = setTimeout(() => fail(new MillraceError('REQUEST_TOO_SLOW', { seconds: idleMs / 1000 })), idleMs)
    const take = (chunk: Buffer<ArrayBuffer>): void => {
      timer.refresh()
      size += chunk.length
      if (size > maxBytes) fail(new MillraceError('REQUEST_TOO_LARGE', { maxBytes }))
      else chunks.push(chunk)
    }
    const whole = (): void =>
      end(() => resolve(chunks.length === 1 ? (chunks[0] as Buffer<ArrayBuffer>) : Buffer.concat(chunks, size)))
    const cut = (): void => fail(new MillraceError('INTERRUPTED', { signal: 'the sender' }))
    body.on('data', take).on('end', whole).on('error', fail).on('close', cut)
  })
