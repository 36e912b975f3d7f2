/** What `millrace streamer NAME`, `millrace persister NAME` and `millrace operation FILE` have in common: the name first, then the connector's own options. */
import { configJsonSchema, MillraceError } from '@millrace/sdk'
import { builtInPersisters, builtInStreamers } from '@millrace/connectors'
import { type CommandDefinition, commonOptions, type DefinedFor, type OptionDefinition } from '../command/definition.ts'
import { type Connector, type ConnectorKind, findOperation, findPersister, findStreamer } from './find.ts'
import { settingOptions, settleSwitches } from './settings.ts'

/** Options that take a value: before the name, it must not be taken for the name. */
const valuedIn = (definition: CommandDefinition): ReadonlySet<string> =>
  new Set(
    [...(definition.options ?? []), ...commonOptions(definition)]
      .filter((o) => o.flags.includes('<'))
      .flatMap((o) => o.flags.match(/--?[a-z][a-z-]*/g) ?? []),
  )

interface NameFound {
  readonly name: string
  readonly argv: readonly string[]
  readonly cwd: string
}

const nameIn = (argv: readonly string[], valued: ReadonlySet<string>): NameFound | undefined => {
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
  <T extends Connector>(command: ConnectorCommand<T>) =>
  async (argv: readonly string[]): Promise<CommandDefinition | DefinedFor> => {
    const found = nameIn(argv, valuedIn(command.define(undefined, '<name>')))
    if (found === undefined) return unnamed(command)
    const { name, cwd } = found
    const connector = (await find[command.kind](name, cwd)) as T
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

const find: Readonly<Record<ConnectorKind, (name: string, cwd: string) => Promise<Connector>>> = {
  streamer: findStreamer,
  persister: findPersister,
  operation: findOperation,
}

const unnamed = <T>(command: ConnectorCommand<T>): CommandDefinition => {
  const definition = command.define(undefined, '<name>')
  if (command.kind === 'operation')
    return {
      ...definition,
      arguments: [{ usage: '[file]', doc: 'the file of one of your own (./waffle.ts)' }],
      run: async () => {
        throw new MillraceError('COMMAND_USAGE', {
          why: 'millrace operation needs the file of an operation',
          fix: 'Begin one with: millrace new operation waffle',
        })
      },
    }
  const names = (command.kind === 'streamer' ? builtInStreamers() : builtInPersisters()).names()
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
export const describeConnector = (connector: Connector): unknown => ({
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
    : connector.kind === 'streamer'
      ? { commands: ['sync', 'check', 'discover'] }
      : { takes: connector.lines === undefined ? 'messages' : 'lines' }),
})
