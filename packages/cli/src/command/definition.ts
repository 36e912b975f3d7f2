/** What a command is. Its help, its completions and its parsing all come from one {@link CommandDefinition}. */
import type { CommandContext } from './context.ts'
import type { OptionValues } from './option-values.ts'

export interface OptionDefinition {
  /** As commander writes it: `-c, --config <file>`, `--full-refresh`, `--no-validate`. */
  readonly flags: string
  readonly doc: string
  readonly choices?: readonly string[]
  /** May be given several times. */
  readonly repeatable?: boolean
}

export interface ArgumentDefinition {
  /** `<name>` where it is needed, `[name]` where not, `[names...]` for several. */
  readonly usage: string
  readonly doc: string
  readonly choices?: readonly string[]
}

export interface Example {
  /** What to type. */
  readonly run: string
  /** What it does, in a few words. */
  readonly does: string
}

export interface CommandInput {
  readonly args: readonly string[]
  readonly options: OptionValues
  readonly context: CommandContext
}

export interface CommandDefinition {
  /** What it does: one or more sentences. */
  readonly doc: string
  readonly arguments?: readonly ArgumentDefinition[]
  readonly options?: readonly OptionDefinition[]
  /** Options in groups of their own, behind the others: the settings of a connector. */
  readonly settings?: { readonly title: string; readonly options: readonly OptionDefinition[] }
  readonly examples: readonly Example[]
  /** Whether it can answer in JSON. */
  readonly json?: boolean
  /** Whether it writes a log, and so has --log-format and --log-level. */
  readonly logs?: boolean
  /** Printed at the end of its help. */
  readonly more?: string
  /** Answers the exit code; undefined for 0. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most commands have nothing to answer
  readonly run: (input: CommandInput) => Promise<number | undefined | void>
}

/** A command whose options are known only when some of its arguments are: those of a connector. */
export type CommandSource = CommandDefinition | ((argv: readonly string[]) => Promise<CommandDefinition | DefinedFor>)

/** A definition for arguments that were changed while it was looked up. */
export interface DefinedFor {
  readonly definition: CommandDefinition
  readonly argv: readonly string[]
  /** Its words, where they became more: `streamer git`. */
  readonly path?: string
}

/** Options that every command has. */
export const commonOptions = (definition: Pick<CommandDefinition, 'json' | 'logs'>): readonly OptionDefinition[] => [
  ...(definition.json === true ? [{ flags: '--json', doc: 'answer in JSON (and errors too)' }] : []),
  ...(definition.logs === true
    ? [
        {
          flags: '--log-format <format>',
          doc: 'text, or one JSON object a line (default: text on a terminal)',
          choices: ['text', 'json'],
        },
        {
          flags: '--log-level <level>',
          doc: 'the least that is logged (default: info)',
          choices: ['debug', 'info', 'warn', 'error'],
        },
      ]
    : []),
  { flags: '-q, --quiet', doc: 'only results and errors' },
  { flags: '--cwd <folder>', doc: 'work in this folder' },
]
