/**
 * Every command: its words, one line about it, and where it is. Nothing is imported before a command is called, so that
 * `millrace --help` answers at once.
 */
import type { CommandSource } from '../command/definition.ts'

export interface CommandEntry {
  /** Its words: `state show`. */
  readonly path: string
  /** What stands behind its words in the list of commands. */
  readonly usage: string
  readonly summary: string
  readonly group: string
  /** Whether its errors follow the format of its log. */
  readonly logs?: boolean
  readonly load: () => Promise<CommandSource>
}

export const groups = {
  start: 'Start here',
  pipelines: 'Pipelines',
  streams: 'Streams',
  after: 'After a run',
  pipes: 'In a pipe (as any Singer tap and target)',
  project: 'Project and machine',
} as const

const entry = (
  group: keyof typeof groups,
  path: string,
  usage: string,
  summary: string,
  load: () => Promise<{ readonly command: CommandSource }>,
  logs: boolean = false,
): CommandEntry => ({
  group: groups[group],
  path,
  usage,
  summary,
  load: async () => (await load()).command,
  ...(logs ? { logs } : {}),
})

export const commandTable: readonly CommandEntry[] = [
  entry(
    'start',
    'demo',
    '[path]',
    'the history of a git repository into a database, incrementally',
    () => import('./demo.ts'),
  ),
  entry('start', 'init', '', 'make millrace.yaml here', () => import('./init.ts')),
  entry(
    'start',
    'new',
    '<kind> <name>',
    'begin a streamer, persister or operation of your own',
    () => import('./new.ts'),
  ),

  entry('start', 'add', '[name] [what]', 'install a Singer tap or target for this project', () => import('./add.ts')),

  entry(
    'pipelines',
    'run',
    '[name]',
    'run a pipeline, or --from one thing --to another',
    () => import('./run.ts'),
    true,
  ),
  entry('pipelines', 'plan', '[name]', 'what a run would do; nothing is executed', () => import('./plan.ts')),
  entry(
    'pipelines',
    'check',
    '[name]',
    'check the project, its settings, its sources and destinations',
    () => import('./check.ts'),
  ),
  entry(
    'pipelines',
    'discover',
    '[name]',
    'what a source offers: substreams, fields, keys',
    () => import('./discover.ts'),
  ),
  entry(
    'pipelines',
    'preview',
    '[name]',
    'the first records of each substream; no state moves',
    () => import('./preview.ts'),
  ),

  entry('streams', 'up', '', 'start the manager of streams', () => import('./up.ts'), true),
  entry('streams', 'streams create', '<name>', 'make a stream', () => import('./streams-create.ts')),
  entry('streams', 'streams list', '', 'the streams that you may see', () => import('./streams-list.ts')),
  entry('streams', 'streams show', '<name>', 'what one holds and who may use it', () => import('./streams-show.ts')),
  entry(
    'streams',
    'streams trim',
    '<name> <before>',
    'forget records before a position',
    () => import('./streams-trim.ts'),
  ),
  entry('streams', 'streams delete', '<name>', 'delete one with its records', () => import('./streams-delete.ts')),
  entry(
    'streams',
    'publish',
    '<stream> [record]',
    'publish lines of stdin, a file, or one record',
    () => import('./publish.ts'),
    true,
  ),
  entry('streams', 'consume', '<stream>', 'print records, those that come too', () => import('./consume.ts'), true),
  entry(
    'streams',
    'grant',
    '<stream> <who> <rights…>',
    'let somebody read, write or own a stream',
    () => import('./grant.ts'),
  ),
  entry('streams', 'revoke', '<stream> <who>', 'take that away', () => import('./revoke.ts')),
  entry('streams', 'clients create', '<name>', 'make a program’s id and secret', () => import('./clients-create.ts')),
  entry('streams', 'clients list', '', 'the programs that you made', () => import('./clients-list.ts')),
  entry('streams', 'clients rotate', '<client>', 'a new secret, without a pause', () => import('./clients-rotate.ts')),
  entry('streams', 'clients revoke', '<client>', 'lock a program out', () => import('./clients-revoke.ts')),
  entry(
    'streams',
    'subscriptions create',
    '<stream> <url>',
    'push a stream to a URL',
    () => import('./subscriptions-create.ts'),
  ),
  entry(
    'streams',
    'subscriptions list',
    '<stream>',
    'the URLs that one is pushed to',
    () => import('./subscriptions-list.ts'),
  ),
  entry(
    'streams',
    'subscriptions show',
    '<stream> <id>',
    'how far one is, and how its last try went',
    () => import('./subscriptions-show.ts'),
  ),
  entry('streams', 'subscriptions pause', '<stream> <id>', 'hold one', () => import('./subscriptions-pause.ts')),
  entry('streams', 'subscriptions resume', '<stream> <id>', 'let it go on', () => import('./subscriptions-resume.ts')),
  entry(
    'streams',
    'subscriptions rotate',
    '<stream> <id>',
    'a new secret, without a pause',
    () => import('./subscriptions-rotate.ts'),
  ),
  entry('streams', 'subscriptions delete', '<stream> <id>', 'end one', () => import('./subscriptions-delete.ts')),
  entry('streams', 'users create', '<email>', 'make a person’s login', () => import('./users-create.ts')),
  entry('streams', 'users invite', '<email>', 'make them another login', () => import('./users-invite.ts')),
  entry('streams', 'users list', '', 'the people who use the manager', () => import('./users-list.ts')),
  entry('streams', 'users delete', '<user>', 'remove one', () => import('./users-delete.ts')),
  entry('streams', 'signing-key rotate', '', 'sign tokens with a new key', () => import('./signing-key-rotate.ts')),
  entry('streams', 'login', '<url>', 'log in to a manager elsewhere', () => import('./login.ts')),

  entry('after', 'query', '<file> [sql]', 'look into a SQLite or DuckDB file', () => import('./query.ts')),
  entry('after', 'runs list', '', 'the last runs', () => import('./runs-list.ts')),
  entry('after', 'runs show', '<run>', 'one run: books, evidence, why it ended', () => import('./runs-show.ts')),
  entry(
    'after',
    'verify',
    '[run]',
    'ask the destination again whether it holds what a run stored',
    () => import('./verify.ts'),
  ),
  entry('after', 'state show', '[name]', 'where a pipeline goes on from', () => import('./state-show.ts')),
  entry('after', 'state log', '<name>', 'every state it had', () => import('./state-log.ts')),
  entry('after', 'state diff', '<name>', 'what changed between two states', () => import('./state-diff.ts')),
  entry('after', 'state set', '<name>', 'give it another state', () => import('./state-set.ts')),
  entry('after', 'state revert', '<name>', 'go back to an earlier state', () => import('./state-revert.ts')),
  entry('after', 'dead-letters list', '[name]', 'records that were set aside', () => import('./dead-letters-list.ts')),
  entry('after', 'dead-letters show', '<id>', 'one of them, with its reason', () => import('./dead-letters-show.ts')),
  entry('after', 'dead-letters replay', '<name>', 'try them again', () => import('./dead-letters-replay.ts'), true),

  entry(
    'pipes',
    'streamer',
    '<name> [sync|check|discover]',
    'a source writes messages to stdout (alias: tap)',
    () => import('./streamer.ts'),
    true,
  ),
  entry(
    'pipes',
    'persister',
    '<name> [sync|check|verify]',
    'messages on stdin go to a destination (alias: target)',
    () => import('./persister.ts'),
    true,
  ),
  entry(
    'pipes',
    'persist-stitch',
    '[command…]',
    'load into Stitch, as the executable persist-stitch does',
    () => import('../executables/persist-stitch.ts'),
  ),
  entry(
    'pipes',
    'operation',
    '<file>',
    'a program of your own changes what flows through it (alias: transform)',
    () => import('./operation.ts'),
    true,
  ),
  entry(
    'pipes',
    'convert',
    '--to <format>',
    'messages of any generation into one format',
    () => import('./convert.ts'),
    true,
  ),

  entry('project', 'config list', '[name]', 'every setting and which place gave it', () => import('./config-list.ts')),
  entry('project', 'doctor', '', 'look for what would keep millrace from working', () => import('./doctor.ts')),
  entry('project', 'completions', 'bash|zsh|fish', 'completions for a shell', () => import('./completions.ts')),
]

/** Words that mean another command. */
export const aliases: Readonly<Record<string, string>> = {
  tap: 'streamer',
  source: 'streamer',
  target: 'persister',
  sink: 'persister',
  transform: 'operation',
  processor: 'operation',
}

/** What a group does when no verb follows. */
export const groupDefaults: Readonly<Record<string, string>> = {
  streams: 'streams list',
  clients: 'clients list',
  subscriptions: 'subscriptions list',
  users: 'users list',
  runs: 'runs list',
  state: 'state show',
  'dead-letters': 'dead-letters list',
  config: 'config list',
}
