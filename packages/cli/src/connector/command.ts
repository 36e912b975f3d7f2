/** What `millrace streamer NAME` and `millrace persister NAME` have in common: the name first, then the connector's own options. */
import { configJsonSchema, MillraceError, type Persister, type Streamer } from '@millrace/sdk'
import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import type { CommandDefinition, DefinedFor, OptionDefinition } from '../command/definition.ts'
import { type ConnectorKind, findPersister, findStreamer } from './find.ts'
import { settingOptions, settleSwitches } from './settings.ts'

/** Options before the name that take a value, which must not be taken for the name. */
const valued = new Set([
  '--cwd',
  '--config',
  '-c',
  '--state',
  '-s',
  '--catalog',
  '--properties',
  '-p',
  '--log-format',
  '--log-level',
  '--set',
  '--input',
  '--maps',
])

interface NameFound {
  readonly name: string
  readonly argv: readonly string[]
  readonly cwd: string
}

const nameIn = (argv: readonly string[]): NameFound | undefined => {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string
    if (valued.has(word)) i++
    else if (!word.startsWith('-')) {
      const at = argv.indexOf('--cwd')
      const cwd = at >= 0 ? argv[at + 1] : argv.find((a) => a.startsWith('--cwd='))?.slice('--cwd='.length)
      return { name: word, argv: argv.toSpliced(i, 1), cwd: cwd ?? '.' }
    }
  }
  return undefined
}

/** Names of the long flags of some options, without their dashes: what a setting cannot be called on the command line. */
export const takenFlags = (options: readonly OptionDefinition[]): ReadonlySet<string> =>
  new Set([
    ...options.flatMap((o) => [...o.flags.matchAll(/--(?:no-)?([a-z-]+)/g)].map((m) => m[1] as string)),
    'json',
    'log-format',
    'log-level',
    'quiet',
    'cwd',
    'help',
    'set',
  ])

export interface ConnectorCommand<T> {
  readonly kind: ConnectorKind
  /** Its definition without the connector's settings; `connector` undefined where no name was given. */
  readonly define: (connector: T | undefined, name: string) => CommandDefinition
}

/** A command source whose first argument names a connector. */
export const connectorCommand =
  <T extends Streamer | Persister>(command: ConnectorCommand<T>) =>
  async (argv: readonly string[]): Promise<CommandDefinition | DefinedFor> => {
    const found = nameIn(argv)
    if (found === undefined) return unnamed(command)
    const { name, cwd } = found
    const connector = (
      command.kind === 'streamer' ? await findStreamer(name, cwd) : await findPersister(name, cwd)
    ) as T
    const definition = command.define(connector, name)
    return {
      path: `${command.kind} ${name}`,
      argv: settleSwitches(connector, found.argv),
      definition: {
        ...definition,
        settings: {
          title: `Settings of ${name}`,
          options: settingOptions(connector, takenFlags(definition.options ?? [])),
        },
      },
    }
  }

const unnamed = <T>(command: ConnectorCommand<T>): CommandDefinition => {
  const names = (command.kind === 'streamer' ? builtInStreamers() : builtInPersisters()).names()
  const definition = command.define(undefined, '<name>')
  return {
    ...definition,
    arguments: [
      { usage: '[name]', doc: `${names.join(', ')}, or the file of one of your own (./weather.ts)` },
      ...(definition.arguments ?? []),
    ],
    more: `Each ${command.kind} has settings of its own: millrace ${command.kind} ${names[0]} --help`,
    run: async () => {
      throw new MillraceError('COMMAND_USAGE', {
        why: `millrace ${command.kind} needs the name of a ${command.kind}`,
        fix: `Known are: ${names.join(', ')}; or the file of one of your own.`,
      })
    },
  }
}

/** What `--about` prints: enough to run it, to draw a form for it, to write its reference. No value of any setting. */
export const describeConnector = (connector: Streamer | Persister): unknown => ({
  kind: connector.kind,
  name: connector.name,
  doc: connector.doc,
  settings: configJsonSchema(connector.config),
  required: Object.entries(connector.config)
    .filter(([, field]) => field.required)
    .map(([key]) => key),
  secrets: Object.entries(connector.config)
    .filter(([, field]) => field.secret === true)
    .map(([key]) => key),
  ...(connector.kind === 'persister'
    ? {
        supports: connector.supports,
        commands: ['sync', 'check', ...(connector.verify ? ['verify'] : []), ...(connector.plan ? ['plan'] : [])],
      }
    : { commands: ['sync', 'check', 'discover'] }),
})
