/** Names of files and objects that are made once and never written again; they sort by the time they were begun. */
import { randomBytes } from 'node:crypto'
import { safeBase } from '../file-output/names.ts'

/** The names of one session. Those of several sessions never meet, whatever their clocks say. */
export class LakeNames {
  readonly #begin: string
  #next = 1

  constructor(now: Date = new Date()) {
    const time = now.toISOString().replaceAll(/[-:.]/g, '')
    this.#begin = `${time}-${randomBytes(4).toString('hex')}`
  }

  /** `20260131T235959123Z-1f2e3d4c-000001`: the next one. */
  next(): string {
    return `${this.#begin}-${String(this.#next++).padStart(6, '0')}`
  }
}

/** The folder of a substream, below the prefix: the substream's name where that is possible, never the same for two. */
export const folderOf = (prefix: string, substream: string): string => {
  const clean = prefix.replace(/\/+$/, '')
  return `${clean === '' ? '' : `${clean}/`}${safeBase(substream)}`
}
