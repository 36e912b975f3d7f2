/** The settings of a connector as options of a command, and their values from flags, environment and files. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import {
  type ConfigSpec,
  environmentNames,
  type Field,
  flagName,
  isObject,
  type JsonObject,
  type Logger,
  MillraceError,
  nearest,
  type Resolved,
  resolveConfig,
} from '@millrace/sdk'
import type { OptionDefinition } from '../command/definition.ts'
import type { OptionValues } from '../command/option-values.ts'
import type { Connector } from './find.ts'

const booleanWords = ['true', 'false', 'yes', 'no', 'on', 'off', '1', '0']

/** An option for each setting whose flag is not one of the command's own; the others are given with --set. */
export const settingOptions = (connector: Connector, taken: ReadonlySet<string>): readonly OptionDefinition[] =>
  Object.entries(connector.config)
    .filter(([key]) => !taken.has(flagName(key)))
    .map(([key, field]) => ({ ...optionOf(key, field), doc: docOf(connector, key, field) }))

const optionOf = (key: string, field: Field<unknown>): Omit<OptionDefinition, 'doc'> => ({
  flags: `--${flagName(key)} ${field.kind === 'flag' ? '[yes|no]' : `<${field.kind === 'whole' ? 'n' : field.kind}>`}`,
  ...(field.choices === undefined ? {} : { choices: field.choices }),
  ...(field.kind === 'list' ? { repeatable: true } : {}),
})

const docOf = (connector: Connector, key: string, field: Field<unknown>): string => {
  const variable = environmentNames(connector.kind, connector.name, key, field)[0]
  const notes = [
    ...(field.required ? ['required'] : field.default === undefined ? [] : [`default: ${shown(field.default)}`]),
    ...(field.secret === true ? ['secret'] : []),
    ...(variable === undefined ? [] : [`env: ${variable}`]),
  ]
  return `${field.doc}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`
}

const shown = (value: unknown): string => (typeof value === 'string' ? value || '""' : JSON.stringify(value))

/**
 * `--stats` becomes `--stats=true` unless a word for yes or no follows, so that a switch never swallows the next
 * argument.
 */
export const settleSwitches = (connector: Connector, argv: readonly string[]): readonly string[] => {
  const switches = new Set(
    Object.entries(connector.config)
      .filter(([, field]) => field.kind === 'flag')
      .map(([key]) => `--${flagName(key)}`),
  )
  const settled: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string
    if (!switches.has(word)) settled.push(word)
    else if (booleanWords.includes((argv[i + 1] ?? '').toLowerCase())) settled.push(`${word}=${argv[++i]}`)
    else settled.push(`${word}=true`)
  }
  return settled
}

/** Values given as flags or with `--set key=value`. Throws COMMAND_USAGE for a --set without a known key. */
export const flagValues = (connector: Connector, options: OptionValues, taken: ReadonlySet<string>): JsonObject => {
  const values: Record<string, string | readonly string[]> = {}
  const keys = Object.keys(connector.config)
  for (const key of keys) {
    if (taken.has(flagName(key))) continue
    const given = options.all(flagName(key))
    if (given.length > 0) values[key] = given.length === 1 ? (given[0] as string) : given
  }
  for (const pair of options.all('set')) {
    const at = pair.indexOf('=')
    const typed = at < 0 ? pair : pair.slice(0, at)
    const key = keys.find((k) => k === typed || flagName(k) === flagName(typed))
    if (at < 0 || key === undefined) {
      const near = nearest(typed, keys)
      throw new MillraceError('COMMAND_USAGE', {
        why:
          at < 0
            ? `--set ${pair}: it must be key=value`
            : `--set ${pair}: ${connector.kind} ${connector.name} has no setting "${typed}"${near.length > 0 ? ` — did you mean ${near.join(' or ')}?` : ''}`,
      })
    }
    values[key] = pair.slice(at + 1)
  }
  return values
}

/**
 * The object in one or more configuration files, later ones winning by key. `ENV` names no file: the environment is
 * always looked at. Throws CONFIG_FILE.
 */
export const readConfigFiles = (files: readonly string[], cwd: string): JsonObject => {
  const merged: Record<string, JsonObject[string]> = {}
  for (const file of files) if (file !== 'ENV') Object.assign(merged, readJsonObject(resolve(cwd, file), file))
  return merged
}

/** One JSON object from a file. Throws CONFIG_FILE. */
export const readJsonObject = (path: string, shownAs: string): JsonObject => {
  let content: string
  try {
    content = readFileSync(path, 'utf8').replace(/^\uFEFF/, '')
  } catch (e) {
    const code = (e as NodeJS.ErrnoException).code
    throw new MillraceError(
      'CONFIG_FILE',
      { file: shownAs, why: code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})` },
      { cause: e },
    )
  }
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch (e) {
    // The engine's words may quote the file, and with it a secret.
    const place = /line (\d+) column (\d+)/.exec((e as Error).message)
    throw new MillraceError(
      'CONFIG_FILE',
      { file: shownAs, why: `it is not JSON${place ? ` (line ${place[1]}, column ${place[2]})` : ''}` },
      { cause: undefined },
    )
  }
  if (!isObject(value)) throw new MillraceError('CONFIG_FILE', { file: shownAs, why: 'it does not hold a JSON object' })
  return value as JsonObject
}

export interface SettingsInput {
  readonly options: OptionValues
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly taken: ReadonlySet<string>
}

/** The settings of a connector, resolved. Keys of a file that mean nothing are warned about, as Singer programs do. */
export const resolveSettings = (connector: Connector, input: SettingsInput, log: Logger): Resolved<ConfigSpec> => {
  const files = input.options.all('config')
  const resolved = resolveConfig(connector.config, {
    kind: connector.kind,
    name: connector.name,
    flags: flagValues(connector, input.options, input.taken),
    env: input.env,
    file: readConfigFiles(files, input.cwd),
    ...(files.length === 0 ? {} : { fileName: files.join(', ') }),
  })
  for (const key of resolved.unknown) {
    const near = nearest(key, Object.keys(connector.config))
    log.warn('the configuration has a key that is not a setting', {
      key,
      ...(near.length > 0 ? { near: near.join(' or ') } : {}),
    })
  }
  return resolved
}
