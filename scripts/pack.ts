/**
 * Makes packages/cli ready for `npm pack`, and puts it back.
 *
 *     npm pack -w millrace
 *
 * npm calls `stage` before it packs and `unstage` after; `make FOLDER` makes the same in a folder. What is published is
 * JavaScript in few files, since Node strips no types under node_modules and loads few files faster, and it carries the
 * internal packages, which are not published, as bundled dependencies. The package.json of the clone points to the
 * sources, so the packed one is another, and only for the moment of packing.
 */
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle } from './pack/bundle.ts'
import { bundledManifest, packedDeclarations, packedManifest, type Manifest } from './pack/manifest.ts'

const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
const cli = join(root, 'packages/cli')
const original = join(cli, 'package.json.original')
const bundled = ['sdk', 'engine', 'connectors', 'server'] as const
/** Files of the root that belong into the package. */
const documents = ['LICENSE', 'README.md', 'CHANGELOG.md'] as const
/** Folders of a package that its code reads at run time, beside `dist`. */
const dataFolders = ['schema', 'templates'] as const

const readManifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
const writeJson = (file: string, value: unknown): void => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`)

/** Puts everything back. What was compiled of the cli is no longer what the compiler made, so it goes too. */
const unstage = (): void => {
  if (existsSync(original)) renameSync(original, join(cli, 'package.json'))
  for (const name of ['node_modules/@millrace', 'node_modules/.packed', 'dist', 'tsconfig.tsbuildinfo', ...documents])
    rmSync(join(cli, name), { recursive: true, force: true })
}

/** Copies the declarations of a package to `to`, without those of tests and without what no source stands behind any more. */
const copyDeclarations = (name: string, to: string): void => {
  const from = join(root, 'packages', name)
  for (const entry of readdirSync(join(from, 'src'), { recursive: true, withFileTypes: true })) {
    const source = relative(join(from, 'src'), join(entry.parentPath, entry.name))
    // The suites of the sdk are for authors; those of other packages are for their own tests.
    const unwanted = name === 'sdk' ? /\.test\.ts$|(^|\/)fixtures\// : /\.test\.ts$|(^|\/)(fixtures|testing)\//
    if (!entry.isFile() || !source.endsWith('.ts') || unwanted.test(source)) continue
    const output = source.replace(/\.ts$/, '.d.ts')
    const target = join(to, 'dist', output)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, packedDeclarations(readFileSync(join(from, 'dist', output), 'utf8')))
  }
  if (name === 'cli') return
  for (const folder of dataFolders) {
    if (existsSync(join(from, folder))) cpSync(join(from, folder), join(to, folder), { recursive: true })
  }
}

/** Makes the package in a folder that is not there. */
const make = async (to: string): Promise<void> => {
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const built = spawnSync(process.execPath, [compiler, '-b', 'packages/cli'], { cwd: root, encoding: 'utf8' })
  if (built.status !== 0) throw new Error(`tsc -b packages/cli:\n${built.stdout}${built.stderr}`)

  const own = readManifest(cli)
  const manifests = bundled.map((name) => readManifest(join(root, 'packages', name)))
  const parts = bundled.map((name, i) => ({
    folder: join(root, 'packages', name),
    to: join('node_modules/@millrace', name),
    manifest: manifests[i] as Manifest,
  }))
  const program = { folder: cli, to: '', manifest: own, programs: ['./src/main.ts'] }
  await bundle([program, ...parts], to, root)
  copyDeclarations('cli', to)
  for (const [i, name] of bundled.entries()) {
    const home = join(to, 'node_modules/@millrace', name)
    copyDeclarations(name, home)
    writeJson(join(home, 'package.json'), bundledManifest(manifests[i] as Manifest))
    copyFileSync(join(root, 'LICENSE'), join(home, 'LICENSE'))
  }
  cpSync(join(cli, 'bin'), join(to, 'bin'), { recursive: true })
  for (const name of documents) if (existsSync(join(root, name))) copyFileSync(join(root, name), join(to, name))
  writeJson(join(to, 'package.json'), packedManifest(own, manifests))
}

/** What is made takes the place of what is in packages/cli; `bin` is the same. */
const stage = async (): Promise<void> => {
  unstage()
  const made = join(cli, 'node_modules/.packed')
  await make(made)
  rmSync(join(cli, 'dist'), { recursive: true, force: true })
  renameSync(join(cli, 'package.json'), original)
  for (const name of ['dist', 'node_modules/@millrace', 'package.json', ...documents])
    if (existsSync(join(made, name))) renameSync(join(made, name), join(cli, name))
  rmSync(made, { recursive: true, force: true })
}

const [verb, folder] = process.argv.slice(2)
const verbs: Readonly<Record<string, () => void | Promise<void>>> = {
  stage,
  unstage,
  ...(folder === undefined ? {} : { make: () => make(folder) }),
}
const work = verbs[verb ?? '']
if (work === undefined) {
  process.stderr.write('usage: scripts/pack.ts stage|unstage (npm pack -w millrace calls it), or make FOLDER\n')
  process.exitCode = 64
} else
  try {
    await work()
  } catch (error) {
    if (verb === 'stage') unstage()
    process.stderr.write(`pack: ${error instanceof Error ? error.message : error}\n`)
    process.exitCode = 1
  }
