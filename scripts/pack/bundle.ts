/**
 * The code of the packed package in few files. A start is mostly the loading of modules, one file at a time; here what is loaded
 * together stands together (docs/decisions/0016).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { type Manifest, takenIn } from './manifest.ts'

/** A package of the repository: where it is, and where its `dist` goes, seen from the folder that is packed. */
export interface Part {
  readonly folder: string
  readonly to: string
  readonly manifest: Manifest
  /** Sources that are started by their place, beside those that `exports` names. */
  readonly programs?: readonly string[]
}

/**
 * Writes the entry of each part to its place under `outdir`, and what they share to `dist/chunks`. There is one copy of every
 * module, whoever loads it. A module that looks for a file of the package finds itself two folders below it, as it does in a folder of `src`.
 */
export const bundle = async (parts: readonly Part[], outdir: string, root: string): Promise<void> => {
  const entryPoints: Record<string, string> = {}
  for (const { folder, to, manifest, programs = [] } of parts)
    for (const source of [...Object.values(manifest.exports ?? {}), ...programs])
      entryPoints[join(to, source.replace(/^\.\/src\//, 'dist/').replace(/\.ts$/, ''))] = join(folder, source)
  const libraries = parts
    .flatMap(({ manifest }) => [manifest.dependencies, manifest.optionalDependencies])
    .flatMap((list) => Object.keys(list ?? {}))
    .filter((name) => !name.startsWith('@millrace/') && !takenIn.includes(name))
  const { outputFiles } = await build({
    entryPoints,
    outdir,
    // What is made is the same wherever the repository is.
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: [...new Set(libraries)].flatMap((name) => [name, `${name}/*`]),
    chunkNames: 'dist/chunks/[name]-[hash]',
    legalComments: 'inline',
    logLevel: 'error',
    write: false,
  })
  for (const { path, text } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text.includes('typeof require') ? `${requireOfNode}${text}` : text)
  }
  const licences = takenIn.map(
    (name) => `${name}\n\n${readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8')}`,
  )
  writeFileSync(join(outdir, 'dist/THIRD-PARTY.txt'), licences.join('\n\n'))
}

/** A library that is CommonJS asks for modules of Node by `require`, which a module does not have. */
const requireOfNode = `import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
`
