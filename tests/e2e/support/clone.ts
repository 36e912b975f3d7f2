/** A clone of this repository elsewhere, with the libraries that are installed here: as after `git clone` and `npm ci`. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root: string = resolve(fileURLToPath(new URL('../../..', import.meta.url)))

export interface Clone extends Disposable {
  /** A path with a space and letters that are not ASCII. */
  readonly folder: string
}

const git = (...args: readonly string[]): readonly string[] =>
  execFileSync('git', ['-C', root, ...args], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
    .split('\0')
    .filter((path) => path !== '')

/** Whether this is a repository, so that it can be cloned. */
export const canClone = (): boolean => {
  try {
    return git('rev-parse', '--git-dir').length > 0
  } catch {
    return false
  }
}

/** Links every installed library, and the packages of the clone itself as `npm ci` links them. */
const linkModules = (folder: string): void => {
  const from = join(root, 'node_modules')
  const to = join(folder, 'node_modules')
  const ours = new Set(['millrace', '@millrace'])
  const link = (name: string): void => symlinkSync(join(from, name), join(to, name))
  mkdirSync(to)
  for (const name of readdirSync(from)) {
    if (ours.has(name) || name === '.package-lock.json') continue
    if (!name.startsWith('@') && name !== '.bin') {
      link(name)
      continue
    }
    mkdirSync(join(to, name))
    for (const inner of readdirSync(join(from, name))) if (!ours.has(inner)) link(join(name, inner))
  }
  mkdirSync(join(to, '@millrace'))
  for (const name of readdirSync(join(folder, 'packages'))) {
    if (name !== 'cli') symlinkSync(join('../../packages', name), join(to, '@millrace', name))
  }
  symlinkSync('../packages/cli', join(to, 'millrace'))
  symlinkSync('../millrace/bin/millrace.mjs', join(to, '.bin/millrace'))
}

/** Clones the last commit and lays over it what is changed and not committed yet. Disposing removes it. */
export const cloneHere = (): Clone => {
  const parent = mkdtempSync(join(tmpdir(), 'millrace-clone-'))
  const folder = join(parent, 'mill räce é')
  try {
    execFileSync('git', ['clone', '--quiet', '--no-hardlinks', root, folder], { stdio: ['ignore', 'ignore', 'pipe'] })
    for (const path of [
      ...git('diff', '-z', '--name-only', 'HEAD'),
      ...git('ls-files', '-z', '-o', '--exclude-standard'),
    ]) {
      rmSync(join(folder, path), { recursive: true, force: true })
      if (!existsSync(join(root, path))) continue
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      cpSync(join(root, path), join(folder, path), { recursive: true })
    }
    linkModules(folder)
  } catch (error) {
    rmSync(parent, { recursive: true, force: true })
    throw error
  }
  return { folder, [Symbol.dispose]: () => rmSync(parent, { recursive: true, force: true }) }
}

/** The environment of somebody at a terminal of their own: nothing of the npm that runs the tests, no CI, no colours. */
export const cleanEnvironment = (extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|MILLRACE_|CI$|FORCE_COLOR$|INIT_CWD$)/i.test(name)),
  ),
  ...extra,
})
