/** Python connectors: a virtual environment each, and what is in it as a list of exact requirements. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type InstallerRun, runInstaller } from './installer.ts'

export interface PythonInstall {
  readonly name: string
  /** What pip is asked for; or the requirements of a lock. */
  readonly what: { readonly spec: string } | { readonly lock: string }
  readonly indexUrl: string | undefined
  readonly python: string
  /** The environment, which is not there yet. */
  readonly folder: string
  /** The project: relative paths of a lock start there. */
  readonly dir: string
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/** Installs, and answers the lock: exact requirements, a line each. */
export const installPython = async (install: PythonInstall): Promise<string> => {
  const { name, folder, dir, signal, say, python, indexUrl, what } = install
  const common: Omit<InstallerRun, 'argv'> = {
    name,
    cwd: dir,
    signal,
    say,
    env: { PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' },
    missing: {
      why: `there is no program "${python}"`,
      fix: 'Install Python 3 with venv, or name it with --python. A tap for Node is added as npm:NAME.',
    },
  }
  await runInstaller({ ...common, argv: [python, '-m', 'venv', folder] })
  const pip = [join(folder, 'bin', 'python'), '-m', 'pip']
  const index = indexUrl === undefined ? [] : ['--index-url', indexUrl]
  const wanted = 'spec' in what ? [what.spec] : ['--requirement', requirementsFile(folder, what.lock)]
  await runInstaller({ ...common, argv: [...pip, 'install', '--quiet', ...index, ...wanted] })
  const frozen = await runInstaller({
    ...common,
    argv: [...pip, 'freeze', '--exclude', 'pip', '--exclude', 'setuptools'],
  })
  return relativeTo(frozen, dir)
}

const requirementsFile = (folder: string, lock: string): string => {
  const file = join(folder, 'requirements.txt')
  writeFileSync(file, lock)
  return file
}

/** Files of the project are named from its folder, so that the lock is true in another clone. */
const relativeTo = (frozen: string, dir: string): string => {
  const root = `${pathToFileURL(dir).href}/`
  return frozen
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const m = /^(\S+) @ (file:\S+)$/.exec(line.trim())
      return m?.[2]?.startsWith(root) === true
        ? `./${decodeURIComponent(m[2].slice(root.length).replace(/#.*$/, ''))}  # ${m[1]}`
        : line.trim()
    })
    .map((line) => `${line}\n`)
    .join('')
}

/** Programs of an environment that its packages brought. */
export const isOfPython = (program: string): boolean =>
  /^(python[\d.]*|pip[\d.]*|[Aa]ctivate.*|easy_install.*|wheel)$/.test(program)

/** Whether a text names a file or folder. */
export const isLocalPath = (spec: string, dir: string): boolean =>
  /^[./~]/.test(spec) ||
  /\.(whl|zip|tar\.gz)$/.test(spec) ||
  (spec.includes('/') && !spec.includes(':') && existsSync(join(dir, spec)))
