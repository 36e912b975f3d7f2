import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MillraceError, systemCode } from '../errors/error.ts'
import { isObject } from '../message/json.ts'
import type { TokenStore } from './types.ts'

/**
 * Keeps a rotated refresh token in a file that only its owner may read. The file names (by digest) the configured token
 * that it stands in for: once another one is configured, it no longer counts.
 */
export const fileTokenStore = (path: string): TokenStore => ({
  load: async (configured) => {
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (e) {
      if (systemCode(e) === 'ENOENT') return undefined
      throw unusable(path, systemCode(e) ?? 'it cannot be read', e)
    }
    let kept: unknown
    try {
      kept = JSON.parse(text)
    } catch (e) {
      throw unusable(path, 'it is not JSON', e)
    }
    if (!isObject(kept as never)) throw unusable(path, 'it is not a JSON object')
    const { of, refresh_token: token } = kept as Readonly<Record<string, unknown>>
    return of === digestOf(configured) && typeof token === 'string' ? token : undefined
  },
  save: async (configured, token) => {
    const temporary = `${path}.new`
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const file = await open(temporary, 'w', 0o600)
      try {
        await file.writeFile(`${JSON.stringify({ of: digestOf(configured), refresh_token: token })}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, path)
      const folder = await open(dirname(path), 'r')
      await folder.sync().finally(() => folder.close())
    } catch (e) {
      throw unusable(path, systemCode(e) ?? 'it cannot be written', e)
    }
  },
})

const digestOf = (token: string): string => createHash('sha256').update(token.trim()).digest('hex')

const unusable = (path: string, why: string, cause?: unknown): MillraceError =>
  new MillraceError(
    'CONFIG_INVALID',
    {
      what: `token file ${path}`,
      problems: [why],
      fix: 'It keeps the refresh token that the server gave last: make it readable and writable, or remove it and authorise anew.',
    },
    { cause },
  )
