import { isMillraceError, MillraceError, systemCode } from '@millrace/sdk'

const full = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])
const refused = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ENAMETOOLONG', 'EINVAL', 'ELOOP'])
const words: Readonly<Record<string, string>> = {
  EACCES: 'may not be written to',
  EPERM: 'may not be written to',
  EROFS: 'is on a file system that may only be read',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EISDIR: 'is a folder',
  EEXIST: 'is a file, not a folder',
}

/** What the file system said, as an error of the destination. Ours pass through. */
export const fileFault = (e: unknown, what: string): MillraceError => {
  if (isMillraceError(e)) return e
  const code = systemCode(e) ?? ''
  const why = words[code] ?? (e instanceof Error ? (e.message.split('\n')[0] ?? code) : String(e))
  if (full.has(code)) return new MillraceError('DESTINATION_FULL', { what, why: code }, { cause: e })
  if (refused.has(code))
    return new MillraceError(
      'DESTINATION_REFUSED',
      { what, why, fix: 'Give `path` a folder that this user may write to.' },
      { cause: e },
    )
  return new MillraceError('DESTINATION_UNAVAILABLE', { what, why }, { cause: e })
}
