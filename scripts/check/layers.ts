/** Who may import whom. The tables are the rule; docs/architecture.md tells them in words. */
import { posix } from 'node:path'
import type { Problem, Source } from './sources.ts'

/** Package → the packages of ours it may import. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  sdk: [],
  engine: ['sdk'],
  connectors: ['sdk'],
  server: ['sdk', 'engine'],
  cli: ['sdk', 'server', 'connectors'],
  console: [],
}

/** Package → its parts that are imported by their own names, beside the whole: what few programs need, and what threads do with. */
export const parts: Readonly<Record<string, readonly string[]>> = {
  sdk: ['amqp', 'books', 'errors', 'http', 'json', 'manager', 'stitch', 'testing'],
}

/**
 * Folder of server → the folders of server it may import besides itself and `domain`, by the beginning of a path. What is not
 * listed may import all. Only `app.ts` builds things: everything else is handed what it uses.
 */
export const serverFolders: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  control: [],
  streams: ['control/control-plane', 'control/types'],
  schemas: ['control/types', 'streams/types'],
  subscriptions: ['control/control-plane', 'control/types', 'streams'],
  api: ['control/types', 'streams', 'subscriptions', 'http'],
  compat: ['control/types', 'streams', 'http'],
}

/** Package → the libraries of others it may import. Clients of databases and formats live in connectors only. */
export const libraries: Readonly<Record<string, readonly string[]>> = {
  sdk: [],
  engine: ['rabbitmq-client'],
  connectors: [
    '@aws-sdk/client-s3',
    '@aws-sdk/lib-storage',
    '@bufbuild/cel',
    '@duckdb/node-api',
    '@duckdb/node-bindings',
    'ajv',
    'csv-parse',
    'pg',
    'pg-copy-streams',
    'rabbitmq-client',
  ],
  server: ['@fastify/swagger', 'ajv', 'fastify', 'jose', 'pg', 're2js', 'ws', 'yaml'],
  cli: ['commander'],
  console: [],
}

/** What tests may import besides: development dependencies. */
export const testLibraries: readonly string[] = [
  'fast-check',
  'transit-js',
  'yaml',
  'ajv',
  'oxc-parser',
  '@duckdb/node-api',
  '@octokit/fixtures',
  'libsodium-wrappers',
  'rabbitmq-client',
]

// What server has in its folders `testing` is its own: it is not exported.
const isTest = (path: string): boolean =>
  path.endsWith('.test.ts') || /^packages\/server\/src\/.*\/testing\//.test(path)
const placeOf = (path: string): string | undefined => /^packages\/([^/]+)\/src\//.exec(path)?.[1]
const libraryOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

/** Direction between packages, no deep imports, no library where it does not belong. */
export const checkLayers = (sources: readonly Source[]): readonly Problem[] =>
  sources.flatMap((source) =>
    source.imports.flatMap(({ specifier, line }) => {
      const why = refusal(source.path, specifier)
      return why === undefined ? [] : [`${source.path}:${line}: imports ${specifier}: ${why}`]
    }),
  )

const refusal = (path: string, specifier: string): string | undefined => {
  const place = placeOf(path)
  if (specifier.startsWith('node:')) return undefined
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier)
    const there = placeOf(target)
    if (place !== undefined && !target.startsWith(`packages/${place}/`))
      return 'leaves its package; import the package by its name'
    if (place === undefined && there !== undefined && !path.startsWith('scripts/generate'))
      return 'reaches into a package; import it by its name'
    return isTest(path) ? undefined : insideServer(path, target)
  }
  const own = /^@millrace\/([^/]+)(?:\/(.+))?$/.exec(specifier)
  if (own !== null) {
    const [, name = '', inside] = own
    if (inside !== undefined && !(parts[name] ?? ['testing']).includes(inside))
      return 'import the package, not its inside'
    if (place === undefined || name === place) return undefined
    const may = packages[place] ?? []
    return may.includes(name) ? undefined : `${place} may import only ${may.join(', ') || 'nothing of ours'}`
  }
  if (place === undefined) return undefined
  const library = libraryOf(specifier)
  if (library === 'millrace') return 'nothing imports the packed product'
  if (isTest(path) && testLibraries.includes(library)) return undefined
  if (libraries[place]?.includes(library)) return undefined
  return place === 'sdk'
    ? 'the sdk has no dependency but node: builtins'
    : `${place} may use only ${libraries[place]?.join(', ') || 'no library'}`
}

const insideServer = (path: string, target: string): string | undefined => {
  const root = 'packages/server/src/'
  const folder = path.startsWith(root) ? path.slice(root.length).split('/')[0] : undefined
  const may = folder === undefined ? undefined : serverFolders[folder]
  const inside = target.slice(root.length)
  if (may === undefined || inside.startsWith(`${folder}/`)) return undefined
  if (folder === 'domain') return 'domain imports no sibling'
  return ['domain/', ...may].some((start) => inside.startsWith(start))
    ? undefined
    : `${folder} of server may import only domain${may.map((one) => `, ${one}`).join('')}`
}

/** Import cycles that exist when modules are loaded, each told once from its first file. */
export const checkCycles = (sources: readonly Source[]): readonly Problem[] => {
  const known = new Set(sources.map((source) => source.path))
  const edges = new Map(
    sources.map((source) => [
      source.path,
      source.imports
        .filter((one) => !one.typeOnly && !one.lazy && one.specifier.startsWith('.'))
        .map((one) => posix.join(posix.dirname(source.path), one.specifier))
        .filter((path) => known.has(path)),
    ]),
  )
  const problems = new Set<string>()
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) {
      const circle = trail.slice(at)
      const first = circle.indexOf([...circle].sort()[0] ?? '')
      const turned = [...circle.slice(first), ...circle.slice(0, first)]
      problems.add(
        `${turned[0]}: import cycle: ${[...turned, turned[0]].map((p) => p?.replace(/^packages\//, '')).join(' → ')}`,
      )
      return
    }
    if (done.has(path)) return
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of known) visit(path, [])
  return [...problems]
}
