import { glob, stat } from 'node:fs/promises'
import { basename, posix } from 'node:path'
import { createGunzip } from 'node:zlib'
import { createZstdFramesDecompress, MillraceError, systemCode } from '@millrace/sdk'
import type { StoredObject } from '../../object-store/store.ts'
import { objectPlaceOf } from '../../object-store/settings.ts'
import { type Compression, compressionOf } from './blocks.ts'
import { LocalFile, ObjectFile, type Origin } from './origin.ts'
import type { FilesSettings } from './settings.ts'

export type Format = 'csv' | 'jsonl' | 'parquet'

/** A file that is read. */
export interface SourceFile {
  readonly path: string
  readonly size: number
  readonly modifiedMs: number
  /** The service's mark of an object's content. */
  readonly etag?: string
  readonly origin: Origin
  readonly compression: Compression
  readonly format: Format
  readonly substream: string
}

const hasMagic = (path: string): boolean => /[*?[\]{}]/.test(path)

/** The files that the paths, folders and globs name, sorted by path. Throws SOURCE_REFUSED where one names none. */
export const findFiles = async (settings: FilesSettings): Promise<readonly SourceFile[]> => {
  const found = new Map<string, SourceFile>()
  for (const path of settings.path) {
    const before = found.size
    const candidates = objectPlaceOf(path) === undefined ? localFiles(path) : objects(path, settings)
    for await (const file of candidates) {
      if (found.has(file.path)) continue
      const compression = compressionOf(file.path)
      found.set(file.path, {
        ...file,
        compression,
        format: settings.format === 'auto' ? await formatOf(file.path, file.origin, compression) : settings.format,
        substream: settings.substream ?? substreamOf(file.path),
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

type Found = Pick<SourceFile, 'path' | 'size' | 'modifiedMs' | 'etag' | 'origin'>

async function* localFiles(path: string): AsyncGenerator<Found, void, undefined> {
  for (const file of await matches(path)) {
    const info = await stat(file)
    if (info.isFile()) yield { path: file, size: info.size, modifiedMs: info.mtimeMs, origin: new LocalFile(file) }
  }
}

/** The objects that an address names: one, all below a folder with a known extension, or those that a glob fits. */
async function* objects(path: string, settings: FilesSettings): AsyncGenerator<Found, void, undefined> {
  const { bucket, prefix: key } = objectPlaceOf(path) as { readonly bucket: string; readonly prefix: string }
  const { ObjectStore } = await import('../../object-store/store.ts')
  // Without the run's signal: a run that is asked to stop finishes what it reads.
  const store = await ObjectStore.open({ settings, bucket, side: 'SOURCE' })
  const isGlob = hasMagic(key)
  const folder = key === '' || key.endsWith('/') ? key : `${key}/`
  for await (const page of store.list(isGlob ? key.slice(0, key.search(/[*?[\]{}]/)) : key))
    for (const object of page) {
      if (object.key.endsWith('/')) continue
      const isIn = isGlob
        ? posix.matchesGlob(object.key, key)
        : object.key === key || (object.key.startsWith(folder) && known.test(object.key))
      if (isIn) yield { ...withoutKey(object), path: store.address(object.key), origin: new ObjectFile(store, object) }
    }
}

const withoutKey = ({ size, modifiedMs, etag }: StoredObject): Pick<StoredObject, 'size' | 'modifiedMs' | 'etag'> => ({
  size,
  modifiedMs,
  etag,
})

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

const known = /\.(csv|tsv|txt|psv|jsonl|ndjson|parquet)(\.(gz|zst))?$/i

const listed = async (pattern: string): Promise<string[]> => {
  const files: string[] = []
  for await (const file of glob(pattern)) files.push(file)
  return files
}

const withoutCompression = (path: string): string => path.replace(/\.(gz|zst)$/i, '')

/** The name of the file without its extensions. */
const substreamOf = (path: string): string => {
  const name = basename(withoutCompression(path))
  return name.replace(/(?<=.)\.(?:parquet|[A-Za-z0-9]{1,6})$/i, '')
}

const formatOf = async (path: string, origin: Origin, compression: Compression): Promise<Format> => {
  const name = withoutCompression(path)
  if (/\.(jsonl|ndjson)$/i.test(name)) return 'jsonl'
  if (/\.parquet$/i.test(path)) return 'parquet'
  if (/\.(csv|tsv|psv)$/i.test(name)) return 'csv'
  const head = (await headOf(origin, compression)).toString()
  return head.startsWith('PAR1') ? 'parquet' : /^\uFEFF?\s*\{/.test(head) ? 'jsonl' : 'csv'
}

/** Some bytes of the beginning of a file. */
const headOf = async (origin: Origin, compression: Compression): Promise<Buffer> => {
  const file = await origin.read(0, 4096)
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
