/**
 * How far each file was read. A file is known again by its path and by fingerprints of its beginning and of what stands
 * before the place where reading stopped: what was appended is read on from there, and a file that was cut or replaced
 * is read anew. Where a place in the bytes means nothing (compressed, or not UTF-8), a file counts when it was read whole.
 */
import { isObject, type Json, type Logger, MillraceError } from '@millrace/sdk'
import { marksOf } from './blocks.ts'
import type { SourceFile } from './sources.ts'

export interface FilePosition {
  readonly size: number
  readonly modifiedMs: number
  readonly offset: number
  /** Lines before the offset. */
  readonly lines: number
  readonly marks: string
  /** The service's mark of an object. */
  readonly etag?: string
}

/** Where a file is to be read from; undefined where there is nothing new in it. */
export interface Start {
  readonly offset: number
  readonly lines: number
}

/** Throws STATE_UNREADABLE where the bookmark is not one of ours. */
export const positionsOf = (bookmark: Json | undefined): Map<string, FilePosition> => {
  if (bookmark === undefined || bookmark === null) return new Map()
  const files = isObject(bookmark) ? (bookmark['files'] ?? null) : null
  if (!isObject(files)) throw unreadable('a bookmark has no object "files"')
  return new Map(
    Object.entries(files).map(([path, p]) => {
      if (!isPosition(p)) throw unreadable(`the place of ${path} is not one of this streamer`)
      return [path, p]
    }),
  )
}

const unreadable = (why: string): MillraceError =>
  new MillraceError('STATE_UNREADABLE', { source: 'of the streamer files', why })

const isPosition = (p: Json): p is Json & FilePosition =>
  isObject(p) &&
  ['size', 'modifiedMs', 'offset', 'lines'].every((k) => typeof p[k] === 'number') &&
  typeof p['marks'] === 'string'

export const startOf = async (
  file: SourceFile,
  known: FilePosition | undefined,
  resumable: boolean,
  log: Logger,
): Promise<Start | undefined> => {
  if (known === undefined) return { offset: 0, lines: 0 }
  if (isSame(known, file)) return undefined
  if (file.format === 'parquet') {
    // In its middle: the place is a number of rows.
    if (known.modifiedMs === 0 && known.marks === versionOf(file)) return { offset: known.offset, lines: known.lines }
    log.info('a file has changed since it was read and is read anew', { file: file.path })
    return { offset: 0, lines: 0 }
  }
  if (!resumable) {
    log.info('a file has changed since it was read and is read anew', { file: file.path })
    return { offset: 0, lines: 0 }
  }
  if (file.size >= known.offset && (await marksOf(file.origin, known.offset)) === known.marks)
    return file.size === known.size ? undefined : { offset: known.offset, lines: known.lines }
  log.info('a file was cut or replaced since it was read and is read anew', { file: file.path })
  return { offset: 0, lines: 0 }
}

/** Whether a file is as it was when it was read whole. */
const isSame = (known: FilePosition, file: SourceFile): boolean =>
  known.size === file.size &&
  (file.etag === undefined || known.etag === undefined
    ? known.modifiedMs === file.modifiedMs
    : known.modifiedMs !== 0 && known.etag === file.etag)

/** What a file that cannot be appended to is known by. */
export const versionOf = (file: SourceFile): string => `${file.size} ${file.etag ?? file.modifiedMs}`
