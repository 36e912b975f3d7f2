import { Readable } from 'node:stream'
import { constants, createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { MillraceError } from '@millrace/sdk'

const chunkSize = 64 * 1024
/** What a sender may have kept of the past, as RFC 9659 says it of zstd in HTTP; so memory has a bound. Brotli has 16 MiB at most. */
const windowLog = 23

const unpackers = {
  gzip: () => createGunzip({ chunkSize }),
  'x-gzip': () => createGunzip({ chunkSize }),
  deflate: () => createInflate({ chunkSize }),
  br: () => createBrotliDecompress({ chunkSize }),
  zstd: () => createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: windowLog } }),
}

/**
 * A body as it was before its sender packed it, as it comes; a limit behind this counts unpacked bytes. Throws MEDIA_TYPE_UNSUPPORTED
 * for a `Content-Encoding` that is not known. The body ends with REQUEST_INVALID where it is not what was said.
 */
export const unpacked = (body: Readable, contentEncoding: string | undefined): Readable => {
  const encoding = (contentEncoding ?? '').trim().toLowerCase()
  if (encoding === '' || encoding === 'identity') return body
  if (!Object.hasOwn(unpackers, encoding))
    throw new MillraceError('MEDIA_TYPE_UNSUPPORTED', {
      given: `the encoding ${encoding.slice(0, 50)}`,
      known: ['gzip, deflate, br or zstd, or no encoding'],
    })
  const unpacker = unpackers[encoding as keyof typeof unpackers]()
  let isBegun = false
  let isWrong = false
  const plain = new Readable({
    // Nothing is unpacked, and nothing can be wrong, before somebody reads it.
    read() {
      if (!isBegun) body.pipe(unpacker)
      isBegun = true
      unpacker.resume()
    },
    destroy(e, done) {
      body.unpipe(unpacker)
      unpacker.destroy()
      // Of a bad body the rest is left where it is, so that its sender can be told.
      if (!isWrong) body.destroy()
      done(e)
    },
  })
  unpacker.pause()
  unpacker.on('data', (chunk: Buffer) => {
    if (!plain.push(chunk)) unpacker.pause()
  })
  unpacker.once('end', () => plain.push(null))
  unpacker.once('error', (e) => {
    isWrong = true
    plain.destroy(new MillraceError('REQUEST_INVALID', { problems: [`the body is not ${encoding}`] }, { cause: e }))
  })
  body.once('error', (e) => plain.destroy(e))
  body.once('close', () => {
    if (!body.readableEnded) plain.destroy()
  })
  // Where nobody reads, nobody need be told.
  plain.on('error', () => {})
  return plain
}
