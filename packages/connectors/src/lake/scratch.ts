/** Folders for files that are not finished. They go with their session; what a killed one left goes with the next. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemCode } from '@millrace/sdk'

type Scratch = readonly [folder: string, release: () => void]

const scratch = (folder: string): Scratch => [folder, () => rmSync(folder, { recursive: true, force: true })]

/** A hidden folder in this one. Only who holds the folder's lock may call it: what is left of others is removed. */
export const scratchIn = (path: string): Scratch => {
  const prefix = '.millrace-scratch-'
  for (const name of readdirSync(path))
    if (name.startsWith(prefix)) rmSync(join(path, name), { recursive: true, force: true })
  return scratch(mkdtempSync(join(path, prefix)))
}

/** A folder where the system has its temporary files; those of processes that are no more are removed. */
export const scratchOfSystem = (): Scratch => {
  const root = tmpdir()
  for (const name of readdirSync(root)) {
    const pid = /^millrace-lake-([0-9]+)-/.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(root, name), { recursive: true, force: true })
  }
  return scratch(mkdtempSync(join(root, `millrace-lake-${process.pid}-`)))
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (e) {
    return systemCode(e) === 'EPERM'
  }
}
