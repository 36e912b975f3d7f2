import { createHash } from 'node:crypto'
import { pipeline, Transform } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { createZstdFramesDecompress, MillraceError, systemCode } from '@millrace/sdk'
import type { Origin } from './origin.ts'

export const encodings = ['utf-8', 'latin1', 'windows-1252', 'utf-16le', 'utf-16be'] as const
export type Encoding = (typeof encodings)[number]
export type Compression = 'none' | 'gzip' | 'zstd'

/** Files are read in pieces of this size. */
const chunkBytes = 256 * 1024
/** No record may be longer. */
const maxRecordBytes = 64 * 1024 * 1024
/** So much at the beginning of a file, and before the place where reading stopped, is remembered. */
const markBytes = 1024

export const compressionOf = (path: string): Compression =>
  /\.gz$/i.test(path) ? 'gzip' : /\.zst$/i.test(path) ? 'zstd' : 'none'

/** Whole records, as bytes in UTF-8. */
export interface Block {
  readonly bytes: Buffer
  /** Number of its first line in the file, from 1. */
  readonly line: number
  /** Where it ends in the file's decoded bytes. */
  readonly end: number
  /** Lines up to its end. */
  readonly lines: number
  /** False for what stands behind the last newline of the file. */
  readonly terminated: boolean
  /** True where it ends inside quotes. */
  readonly inQuotes: boolean
}

export interface BlockOptions {
  readonly compression: Compression
  readonly encoding: Encoding
  /** Byte that quotes newlines, where the format has one. */
  readonly quote: number | undefined
  readonly from: number
  readonly fromLine: number
  /** Size of the pieces that are read. */
  readonly chunkBytes?: number
}

const NEWLINE = 10

/**
 * The bytes of a file in blocks that end behind a record, the last one perhaps not. Newlines inside quotes end no
 * record. Throws SOURCE_UNAVAILABLE where it cannot be read, SOURCE_MALFORMED where a record is too long.
 */
export async function* readBlocks(
  file: { readonly path: string; readonly origin: Origin },
  options: BlockOptions,
): AsyncGenerator<Block, void, undefined> {
  let rest: Buffer[] = []
  let restBytes = 0
  let at = options.from
  let line = options.fromLine
  let newlines = 0
  let inQuotes = false
  const highest = Math.max(NEWLINE, options.quote ?? 0)
  for await (const chunk of chunksOf(file, options)) {
    let boundary = -1
    let atBoundary = 0
    for (let i = 0; i < chunk.length; i++) {
      const c = chunk[i] as number
      // Nearly all bytes of text are above both.
      if (c > highest) continue
      if (c === NEWLINE) {
        newlines++
        if (!inQuotes) {
          boundary = i + 1
          atBoundary = newlines
        }
      } else if (c === options.quote) inQuotes = !inQuotes
    }
    if (boundary < 0) {
      rest.push(chunk)
      restBytes += chunk.length
      if (restBytes > maxRecordBytes)
        throw new MillraceError('SOURCE_MALFORMED', {
          source: file.path,
          line,
          why: inQuotes ? 'a quote that opens here is not closed within 64 MiB' : 'a record is longer than 64 MiB',
        })
      continue
    }
    const bytes = restBytes === 0 ? chunk.subarray(0, boundary) : Buffer.concat([...rest, chunk.subarray(0, boundary)])
    at += bytes.length
    const lines = line - 1 + atBoundary
    yield { bytes, line, end: at, lines, terminated: true, inQuotes: false }
    line += atBoundary
    newlines -= atBoundary
    rest = boundary < chunk.length ? [chunk.subarray(boundary)] : []
    restBytes = chunk.length - boundary
  }
  if (restBytes === 0) return
  const bytes = Buffer.concat(rest)
  yield { bytes, line, end: at + bytes.length, lines: line + newlines, terminated: false, inQuotes }
}

async function* chunksOf(
  { path, origin }: { readonly path: string; readonly origin: Origin },
  options: BlockOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const from = options.compression === 'none' ? options.from : 0
  const file = await origin.read(from, options.chunkBytes ?? chunkBytes)
  const decompressed =
    options.compression === 'none'
      ? file
      : pipeline(file, options.compression === 'gzip' ? createGunzip() : createZstdFramesDecompress(), () => {})
  const source =
    options.encoding === 'utf-8' ? decompressed : pipeline(decompressed, decoder(options.encoding), () => {})
  try {
    for await (const chunk of source) yield chunk as Buffer
  } catch (e) {
    const code = systemCode(e) ?? ''
    if (/^(Z_|ERR_Z|ZSTD_)/.test(code))
      throw new MillraceError(
        'SOURCE_MALFORMED',
        { source: path, why: `cannot be decompressed: ${(e as Error).message}` },
        { cause: e },
      )
    throw origin.fault(e)
  } finally {
    file.destroy()
  }
}

/** Turns another encoding into UTF-8. */
const decoder = (encoding: Encoding): Transform => {
  const text = new TextDecoder(encoding)
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, Buffer.from(text.decode(chunk, { stream: true }))),
    flush: (done) => done(null, Buffer.from(text.decode())),
  })
}

/** Fingerprints of a file's beginning and of what stands before `offset`: the same file has the same. */
export const marksOf = async (origin: Origin, offset: number): Promise<string> => {
  const hash = createHash('sha256')
  const n = Math.min(markBytes, offset)
  for (const from of [0, offset - n]) hash.update(await origin.slice(from, n))
  return hash.digest('hex').slice(0, 24)
}
