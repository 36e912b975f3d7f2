/** What a packed package says of itself, made from what it says in the clone. */

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly license?: string
  readonly exports?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly [key: string]: unknown
}

/** Libraries of many small files that nearly every start needs: their code is taken into ours, and they are no dependencies then. */
export const takenIn: readonly string[] = ['commander', 'csv-parse', 'yaml']

const compiled = (source: string): string => source.replace(/^\.\/src\//, './dist/').replace(/\.ts$/, '')

/** `exports` that point to what was compiled, types first. */
const packedExports = (exports: Manifest['exports']): Readonly<Record<string, unknown>> => ({
  ...Object.fromEntries(
    Object.entries(exports ?? {}).map(([path, source]) => [
      path,
      { types: `${compiled(source)}.d.ts`, default: `${compiled(source)}.js` },
    ]),
  ),
  './package.json': './package.json',
})

/** The package.json of an internal package inside the packed one. Its dependencies are those of the packed one. */
export const bundledManifest = ({ name, version, license, exports }: Manifest): Readonly<Record<string, unknown>> => ({
  name,
  version,
  license,
  type: 'module',
  exports: packedExports(exports),
})

/** The package.json that is published: all dependencies of the bundled packages are its own. */
export const packedManifest = (cli: Manifest, bundled: readonly Manifest[]): Readonly<Record<string, unknown>> => {
  const { scripts: _, devDependencies: __, exports, dependencies, ...rest } = cli
  const all = Object.assign({}, ...bundled.map((one) => one.dependencies), dependencies) as Record<string, string>
  return {
    ...rest,
    // Not said in the clone: `npm ci` there brings this Node along, and would warn under the one that runs npm.
    engines: { node: '>=24' },
    files: ['bin', 'dist', 'CHANGELOG.md'],
    exports: packedExports(exports),
    dependencies: Object.fromEntries(
      Object.entries(all)
        .filter(([name]) => !takenIn.includes(name))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
    bundleDependencies: bundled.map((one) => one.name),
  }
}

/** Declarations as they are packed: no maps of sources that are not there, imports of what is there. */
export const packedDeclarations = (text: string): string =>
  text
    .replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '\n')
    .replaceAll(/((?:from|import\()\s*["']\.[^"']*)\.ts(["'])/g, '$1.js$2')
