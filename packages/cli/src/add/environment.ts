/**
 * The environment of a connector, made beside the old one and in its place: what is there goes aside first and comes back
 * where the new one cannot be made. A file in it says that it is complete, and of which lock.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { MillraceError } from '@millrace/sdk'
import { environmentFolder, type InstalledConnector, isNpm, programFolder } from '@millrace/server'
import { installNode } from './node.ts'
import { installPython, isOfPython } from './python.ts'

/** Locks are part of the project and to be committed. */
export const lockFolder = 'millrace-lock'
export const lockFile = ({ name, install }: Pick<InstalledConnector, 'name' | 'install'>): string =>
  join(lockFolder, `${name}.${isNpm(install) ? 'json' : 'txt'}`)

const marker = '.millrace-installed'
const note = '# Made by `millrace add`; commit it. `millrace add` installs exactly this.\n'

export interface InstallOptions {
  readonly dir: string
  readonly connector: Omit<InstalledConnector, 'executable'> & { readonly executable: string | undefined }
  /** Installs what the lock says, and not anew. */
  readonly locked: boolean
  readonly python: string
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/** Whether the environment is that of the lock. */
export const isInstalled = (dir: string, connector: InstalledConnector): boolean => {
  const lock = join(dir, lockFile(connector))
  const made = join(dir, environmentFolder(connector.name), marker)
  return existsSync(made) && existsSync(lock) && readFileSync(made, 'utf8') === digestOf(readFileSync(lock, 'utf8'))
}

const digestOf = (lock: string): string => createHash('sha256').update(lock).digest('hex')

/** Makes the environment, writes the lock, and answers the program's name. Throws INSTALL_FAILED, INTERRUPTED. */
export const installConnector = async (options: InstallOptions): Promise<string> => {
  const { dir, connector, locked } = options
  const folder = join(dir, environmentFolder(connector.name))
  const old = join(dirname(folder), `.${connector.name}.old`)
  const lockPath = join(dir, lockFile(connector))
  mkdirSync(dirname(folder), { recursive: true })
  // Left by an installation that was killed: what is complete stays.
  if (existsSync(old)) {
    if (existsSync(join(folder, marker))) rmSync(old, { recursive: true })
    else {
      rmSync(folder, { recursive: true, force: true })
      renameSync(old, folder)
    }
  }
  if (existsSync(folder)) renameSync(folder, old)
  try {
    const what = locked ? { lock: readFileSync(lockPath, 'utf8') } : { spec: connector.install.replace(/^npm:/, '') }
    const made = isNpm(connector.install)
      ? await installNode({ ...options, name: connector.name, what, folder })
      : `${note}${await installPython({ ...options, name: connector.name, indexUrl: connector.indexUrl, what, folder })}`
    const executable = programOf(options, folder)
    const lock = locked ? readFileSync(lockPath, 'utf8') : made
    mkdirSync(dirname(lockPath), { recursive: true })
    writeFileSync(lockPath, lock)
    writeFileSync(join(folder, marker), digestOf(lock))
    rmSync(old, { recursive: true, force: true })
    return executable
  } catch (e) {
    rmSync(folder, { recursive: true, force: true })
    if (existsSync(old)) renameSync(old, folder)
    throw e
  }
}

/** The program: the one asked for, the one of the connector's name, or the only one there. */
const programOf = ({ dir, connector }: InstallOptions, folder: string): string => {
  const bin = join(dir, programFolder(connector))
  const programs = existsSync(bin)
    ? readdirSync(bin).filter((p) => !isOfPython(p) && (statSync(join(bin, p)).mode & 0o111) !== 0)
    : []
  const wanted = connector.executable ?? connector.name
  if (programs.includes(wanted)) return wanted
  const named = programs.filter((p) => /^(tap|target)-/.test(p))
  const only = connector.executable === undefined ? (named.length === 1 ? named : programs) : []
  if (only.length === 1) return only[0] as string
  throw new MillraceError('INSTALL_FAILED', {
    name: connector.name,
    why:
      programs.length === 0
        ? `it brought no program (looked in ${folder})`
        : `which program it is is not known: ${programs.join(', ')}`,
    fix: programs.length === 0 ? 'Is it a tap or a target?' : 'Name it with --executable.',
  })
}
