import { createReadStream } from 'node:fs'
import { glob, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { createGunzip } from 'node:zlib'
import { createZstdFramesDecompress, MillraceError, systemCode } from '@millrace/sdk'
import { type Compression, compressionOf } from './blocks.ts'

export type Format = 'csv' | 'jsonl'

/** A file that is read. */
export interface SourceFile {
  readonly path: string
  readonly size: number
  readonly modifiedMs: number
  readonly compression: Compression
  readonly format: Format
  readonly substream: string
}

const hasMagic = (path: string): boolean => /[*?[\]{}]/.test(path)

/** The files that the paths, folders and globs name, sorted by path. Throws SOURCE_REFUSED where one names none. */
export const findFiles = async (
  paths: readonly string[],
  options: { readonly format: Format | 'auto'; readonly substream: string | undefined },
): Promise<readonly SourceFile[]> => {
  const found = new Map<string, SourceFile>()
  for (const path of paths) {
    const before = found.size
    for (const file of await matches(path)) {
      if (found.has(file)) continue
      const info = await stat(file)
      if (!info.isFile()) continue
      const compression = compressionOf(file)
      found.set(file, {
        path: file,
        size: info.size,
        modifiedMs: info.mtimeMs,
        compression,
        format: options.format === 'auto' ? await formatOf(file, compression) : options.format,
        substream: options.substream ?? substreamOf(file),
      })
    }
    if (found.size === before && ![...found.keys()].includes(path))
      throw new MillraceError('SOURCE_REFUSED', {
        what: `path ${path}`,
        why: 'no file is there',
        fix: 'Give a file, a folder or a glob such as data/*.csv, with --path.',
      })
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

const matches = async (path: string): Promise<readonly string[]> => {
  // A name with brackets in it may be a file all the same.
  const info = await stat(path).catch((e: unknown) => {
    if (systemCode(e) === 'ENOENT' || systemCode(e) === 'ENOTDIR') return undefined
    throw new MillraceError('SOURCE_REFUSED', { what: `path ${path}`, why: (e as Error).message }, { cause: e })
  })
  if (info?.isFile() === true) return [path]
  if (info?.isDirectory() === true) return (await listed(`${path.replace(/\/$/, '')}/*`)).filter((f) => known.test(f))
  return hasMagic(path) ? await listed(path) : []
}

const known = /\.(csv|tsv|txt|psv|jsonl|ndjson)(\.(gz|zst))?$/i

const listed = async (pattern: string): Promise<string[]> => {
  const files: string[] = []
  for await (const file of glob(pattern)) files.push(file)
  return files
}

const withoutCompression = (path: string): string => path.replace(/\.(gz|zst)$/i, '')

/** The name of the file without its extensions. */
const substreamOf = (path: string): string => {
  const name = basename(withoutCompression(path))
  return name.replace(/(?<=.)\.[A-Za-z0-9]{1,6}$/, '')
}

const formatOf = async (path: string, compression: Compression): Promise<Format> => {
  const name = withoutCompression(path)
  if (/\.(jsonl|ndjson)$/i.test(name)) return 'jsonl'
  if (/\.(csv|tsv|psv)$/i.test(name)) return 'csv'
  return /^\uFEFF?\s*\{/.test((await headOf(path, compression)).toString()) ? 'jsonl' : 'csv'
}

/** Some bytes of the beginning of a file. */
const headOf = async (path: string, compression: Compression): Promise<Buffer> => {
  const file = createReadStream(path, { highWaterMark: 4096 })
  try {
    const source =
      compression === 'none' ? file : file.pipe(compression === 'gzip' ? createGunzip() : createZstdFramesDecompress())
    for await (const chunk of source) return chunk as Buffer
    return Buffer.alloc(0)
  } catch {
    // Reading it for its records will say what is wrong with it.
    return Buffer.alloc(0)
  } finally {
    file.destroy()
  }
}
