/** Things that have one home: the environment, the console, the clock, default exports, bare errors. */
import { lineAt, type Node, type Problem, type Source, walk } from './sources.ts'

interface Home {
  /** What is looked for, in words. */
  readonly what: string
  readonly matches: (node: Node) => boolean
  /** Where it may be: the beginning of a path → why. Tests may always. */
  readonly homes: Readonly<Record<string, string>>
}

const isName = (node: unknown, name: string): boolean =>
  (node as Node | null)?.type === 'Identifier' && (node as Node)['name'] === name

const isMember = (node: Node, object: string, property?: string): boolean =>
  node.type === 'MemberExpression' &&
  isName(node['object'], object) &&
  (property === undefined || isName(node['property'], property))

const outsidePackages = {
  'scripts/': 'scripts are programs of their own',
  'bench/': 'benchmarks are programs of their own',
  'examples/': 'examples are programs of their own',
  'tests/': 'tests',
}

export const homes: readonly Home[] = [
  {
    what: 'process.env',
    matches: (node) => isMember(node, 'process', 'env'),
    homes: {
      ...outsidePackages,
      'packages/cli/src/': 'the program: it hands the environment to what asks for it',
      'packages/sdk/src/http/send.ts': 'the proxies of the environment, which Node reads by itself',
      'packages/connectors/src/streamers/git/': 'git runs as the user runs it, with what could mislead it taken out',
      'packages/connectors/src/postgres/':
        'what PG* variables say to libpq they say to us; the client library reads most',
      'packages/connectors/src/singer/':
        'Singer programs run as the user runs them: where they are found, where private files go',
      'packages/server/src/runner/': 'programs that the runner starts get an allow-list of it',
    },
  },
  {
    what: 'console',
    matches: (node) => isMember(node, 'console'),
    homes: { ...outsidePackages },
  },
  {
    what: 'the clock (Date.now, new Date())',
    matches: (node) =>
      isMember(node, 'Date', 'now') ||
      (node.type === 'NewExpression' &&
        isName(node['callee'], 'Date') &&
        (node['arguments'] as unknown[]).length === 0),
    homes: {
      ...outsidePackages,
      'packages/sdk/src/log/logger.ts': 'the default clock of log lines',
      'packages/sdk/src/http/clock.ts': 'the default clock of waits and limits',
      'packages/sdk/src/streamer/': 'when a record was taken (time_extracted), and the version of a full run',
      'packages/connectors/src/persisters/stitch/index.ts': 'the sequence of a record: when it was handled',
      'packages/connectors/src/sql/session.ts': 'when a row was stored or deleted (_sdc_ columns)',
      'packages/connectors/src/streamers/postgres/log/':
        'the version of a table, and the time that the replication protocol asks for',
      'packages/connectors/src/object-store/names.ts': 'names of objects begin with the time',
      'packages/server/src/store/': 'when a run began, a state was accepted, a record set aside',
      'packages/server/src/app.ts': 'the default clock of a manager',
      'packages/server/src/runner/': 'how long a run and its parts took',
      'packages/cli/src/': 'the program: it shows how long things take',
    },
  },
  {
    what: 'a default export',
    matches: (node) => node.type === 'ExportDefaultDeclaration',
    homes: { 'scripts/test/reporter.ts': 'node:test asks for it' },
  },
]

/** Each use outside its homes. */
export const checkHomes = (sources: readonly Source[], list: readonly Home[] = homes): readonly Problem[] =>
  sources.flatMap((source) => {
    const asked = list.filter((home) => !Object.keys(home.homes).some((start) => source.path.startsWith(start)))
    if (asked.length === 0 || source.path.endsWith('.test.ts') || source.path.includes('/testing/')) return []
    const problems: Problem[] = []
    walk(source.program, (node) => {
      for (const home of asked) {
        if (home.matches(node))
          problems.push(`${source.path}:${lineAt(source.text, node.start)}: ${home.what} is not at home here`)
      }
    })
    return problems
  })

/** Homes that nobody lives in any more, so that the list stays true. */
export const unusedHomes = (sources: readonly Source[], list: readonly Home[] = homes): readonly Problem[] =>
  list.flatMap((home) =>
    Object.keys(home.homes)
      .filter((start) => start.endsWith('.ts'))
      .filter((start) => {
        const uses: Node[] = []
        for (const source of sources) {
          if (!source.path.startsWith(start)) continue
          walk(source.program, (node) => {
            if (home.matches(node)) uses.push(node)
          })
        }
        return uses.length === 0
      })
      .map((start) => `scripts/check/homes.ts: ${start} has no use of ${home.what} any more; take it out of the list`),
  )
