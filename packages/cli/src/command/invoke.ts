/** Parses the arguments of one command with commander, prints its help, and runs it. */
import { isMillraceError, MillraceError, nearest } from '@millrace/sdk'
import { Command, CommanderError, Option } from 'commander'
import { createContext } from './context.ts'
import { type CommandDefinition, type CommandSource, commonOptions, type OptionDefinition } from './definition.ts'
import { OptionValues } from './option-values.ts'

/** Answers the exit code. Throws COMMAND_USAGE for arguments that the command does not have. */
export const invoke = async (path: string, source: CommandSource, argv: readonly string[]): Promise<number> => {
  const { definition, rest, words } = await definedBy(path, source, argv)
  const command = commanderOf(words, definition)
  try {
    command.parse([...rest], { from: 'user' })
  } catch (e) {
    if (!(e instanceof CommanderError)) throw e
    if (e.code === 'commander.helpDisplayed') return 0
    throw new MillraceError(
      'COMMAND_USAGE',
      { why: reasonOf(e), fix: `See \`millrace ${words} --help\`.` },
      { cause: e },
    )
  }
  const options = new OptionValues(command.opts())
  try {
    const context = createContext(options)
    return (await definition.run({ args: command.args, options, context })) ?? 0
  } catch (e) {
    // What was typed wrongly is explained by the help of this command.
    if (!isMillraceError(e) || e.code !== 'COMMAND_USAGE' || e.details['fix'] !== undefined) throw e
    throw new MillraceError('COMMAND_USAGE', { ...e.details, fix: `See \`millrace ${words} --help\`.` }, { cause: e })
  }
}

/** What `--help` of a command prints on a screen so many columns wide, without colours. */
export const helpOf = async (path: string, source: CommandSource, width: number): Promise<string> => {
  const { definition, words } = await definedBy(path, source, ['--help'])
  const parts: string[] = []
  const command = commanderOf(words, definition)
  command.configureOutput({
    writeOut: (text) => void parts.push(text),
    getOutHelpWidth: () => width,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  return parts.join('').trim()
}

const definedBy = async (
  path: string,
  source: CommandSource,
  argv: readonly string[],
): Promise<{ readonly definition: CommandDefinition; readonly rest: readonly string[]; readonly words: string }> => {
  const defined = typeof source === 'function' ? await source(argv) : source
  return 'definition' in defined
    ? { definition: defined.definition, rest: defined.argv, words: defined.path ?? path }
    : { definition: defined, rest: argv, words: path }
}

const commanderOf = (path: string, definition: CommandDefinition): Command => {
  const command = new Command(`millrace ${path}`)
  command.description(definition.doc)
  for (const { usage, doc, choices } of definition.arguments ?? []) {
    const argument = command.createArgument(usage, doc)
    command.addArgument(choices === undefined ? argument : argument.choices(choices))
  }
  command.optionsGroup('Options:')
  for (const option of definition.options ?? []) command.addOption(optionOf(option))
  if (definition.settings !== undefined && definition.settings.options.length > 0) {
    command.optionsGroup(`${definition.settings.title}:`)
    for (const option of definition.settings.options) command.addOption(optionOf(option))
  }
  command.optionsGroup('Common options:')
  for (const option of commonOptions(definition)) command.addOption(optionOf(option))
  command.helpOption('-h, --help', 'show this')
  command.addHelpText('after', helpTail(definition))
  command.allowExcessArguments(false)
  command.exitOverride()
  command.configureOutput({ writeErr: () => {} })
  return command
}

const optionOf = ({ flags, doc, choices, repeatable }: OptionDefinition): Option => {
  const option = new Option(flags, doc)
  if (choices !== undefined) option.choices(choices)
  if (repeatable === true)
    option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value])
  return option
}

const helpTail = ({ examples, more }: CommandDefinition): string =>
  `\nExamples:\n${examples.map((e) => `  $ ${e.run}\n      ${e.does}\n`).join('')}${more === undefined ? '' : `\n${more.trimEnd()}\n`}`

/** Commander's sentence without its "error:" and on one line; a wrong choice in our own words. */
const reasonOf = (e: CommanderError): string => {
  const said = e.message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim()
  const choice =
    /^(?:command-argument value|option '(?:-\w, )?(--[\w.-]+)[^']*' argument) '(.*)' is invalid.* Allowed choices are (.*)\.$/.exec(
      said,
    )
  if (choice === null) return said
  const [, flag, typed = '', choices = ''] = choice
  const near = nearest(typed, choices.split(', '))
  return `${flag === undefined ? '' : `${flag}: `}"${typed}" is not one of ${choices}${near.length > 0 ? ` — did you mean ${near.join(' or ')}?` : ''}`
}
