/**
 * Compression in members: each piece is a whole gzip member or zstd frame, and many of them in a row are one valid
 * file. So a file can be cut back to any piece's end, and be appended to.
 */
import { promisify } from 'node:util'
import zlib from 'node:zlib'

export const compressions = ['none', 'gzip', 'zstd'] as const
export type Compression = (typeof compressions)[number]

/** What is added to a file's name. */
export const compressionSuffix: Readonly<Record<Compression, string>> = { none: '', gzip: '.gz', zstd: '.zst' }

const gzip = promisify(zlib.gzip)
const zstd = promisify(zlib.zstdCompress)

/** One piece, compressed; in a thread of its own. */
export const compress = async (bytes: Buffer, kind: Exclude<Compression, 'none'>): Promise<Buffer> =>
  kind === 'gzip' ? await gzip(bytes, { level: 3 }) : await zstd(bytes)
