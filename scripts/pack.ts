/**
 * Makes packages/cli ready for `npm pack`, and puts it back.
 *
 *     npm pack -w millrace
 *
 * npm calls `stage` before it packs and `unstage` after. What is published is compiled JavaScript, since Node strips no
 * types under node_modules, and it carries the internal packages, which are not published, as bundled dependencies. The
 * package.json of the clone points to the sources, so the packed one is another, and only for the moment of packing.
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
import { bundledManifest, packedCode, packedManifest, type Manifest } from './pack/manifest.ts'

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

/** Copies what was compiled of a package to `to`, without tests and without what no source stands behind any more. */
const copyCompiled = (name: string, to: string): void => {
  const from = join(root, 'packages', name)
  for (const entry of readdirSync(join(from, 'src'), { recursive: true, withFileTypes: true })) {
    const source = relative(join(from, 'src'), join(entry.parentPath, entry.name))
    // The suites of the sdk are for authors; those of other packages are for their own tests.
    const unwanted = name === 'sdk' ? /\.test\.ts$|(^|\/)fixtures\// : /\.test\.ts$|(^|\/)(fixtures|testing)\//
    if (!entry.isFile() || unwanted.test(source)) continue
    const outputs = source.endsWith('.ts') ? [source.replace(/\.ts$/, '.js'), source.replace(/\.ts$/, '.d.ts')] : []
    for (const output of outputs) {
      const target = join(to, 'dist', output)
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, packedCode(readFileSync(join(from, 'dist', output), 'utf8'), output))
    }
  }
  if (name === 'cli') return
  for (const folder of dataFolders) {
    if (existsSync(join(from, folder))) cpSync(join(from, folder), join(to, folder), { recursive: true })
  }
}

const stage = (): void => {
  unstage()
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const built = spawnSync(process.execPath, [compiler, '-b', 'packages/cli'], { cwd: root, encoding: 'utf8' })
  if (built.status !== 0) throw new Error(`tsc -b packages/cli:\n${built.stdout}${built.stderr}`)

  const manifests = bundled.map((name) => readManifest(join(root, 'packages', name)))
  for (const [i, name] of bundled.entries()) {
    const to = join(cli, 'node_modules/@millrace', name)
    copyCompiled(name, to)
    writeJson(join(to, 'package.json'), bundledManifest(manifests[i] as Manifest))
    copyFileSync(join(root, 'LICENSE'), join(to, 'LICENSE'))
  }
  const own = join(cli, 'node_modules/.packed')
  copyCompiled('cli', own)
  rmSync(join(cli, 'dist'), { recursive: true, force: true })
  renameSync(join(own, 'dist'), join(cli, 'dist'))
  rmSync(own, { recursive: true, force: true })
  for (const name of documents) if (existsSync(join(root, name))) copyFileSync(join(root, name), join(cli, name))

  const manifest = packedManifest(readManifest(cli), manifests)
  renameSync(join(cli, 'package.json'), original)
  writeJson(join(cli, 'package.json'), manifest)
}

const [verb] = process.argv.slice(2)
if (verb === 'unstage') unstage()
else if (verb === 'stage') {
  try {
    stage()
  } catch (error) {
    unstage()
    process.stderr.write(`pack: ${error instanceof Error ? error.message : error}\n`)
    process.exitCode = 1
  }
} else {
  process.stderr.write('usage: scripts/pack.ts stage|unstage (npm pack -w millrace calls it)\n')
  process.exitCode = 64
}
