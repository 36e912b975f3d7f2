/** Connectors from npm: a folder with a package.json each, and npm's own lock. No script of a package is run. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type InstallerRun, runInstaller } from './installer.ts'

export interface NodeInstall {
  readonly name: string
  readonly what: { readonly spec: string } | { readonly lock: string }
  readonly folder: string
  readonly dir: string
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/** The lock of a connector from npm: both of npm's files. */
interface NodeLock {
  readonly package: unknown
  readonly lock: unknown
}

/** Installs, and answers the lock as text. */
export const installNode = async ({ name, what, folder, dir, signal, say }: NodeInstall): Promise<string> => {
  mkdirSync(folder, { recursive: true })
  const common: Omit<InstallerRun, 'argv'> = {
    name,
    cwd: folder,
    signal,
    say,
    missing: { why: 'there is no program "npm"', fix: 'Install npm, which comes with Node.' },
  }
  const manifest = join(folder, 'package.json')
  const lockFile = join(folder, 'package-lock.json')
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel', 'error']
  if ('lock' in what) {
    const kept = JSON.parse(what.lock) as NodeLock
    writeFileSync(manifest, JSON.stringify(kept.package, null, 2))
    writeFileSync(lockFile, JSON.stringify(kept.lock, null, 2))
    await runInstaller({ ...common, argv: ['npm', 'ci', ...flags] })
    return what.lock
  }
  writeFileSync(manifest, '{ "private": true }\n')
  const spec = /^[./~]/.test(what.spec) ? join(dir, what.spec) : what.spec
  await runInstaller({ ...common, argv: ['npm', 'install', '--save-exact', ...flags, spec] })
  const read = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'))
  return `${JSON.stringify({ package: read(manifest), lock: read(lockFile) } satisfies NodeLock, null, 2)}\n`
}
