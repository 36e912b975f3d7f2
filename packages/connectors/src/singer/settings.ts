/** What the streamer and the persister of Singer programs have in common: which program, and its configuration. */
import { existsSync, readFileSync } from 'node:fs'
import { type Field, isObject, json, type JsonObject, list, MillraceError, systemCode, text } from '@millrace/sdk'

export interface ProgramSettings {
  readonly command: readonly string[]
  readonly config: JsonObject | undefined
  readonly configFile: string | undefined
}

export type ProgramSettingFields = { readonly [K in keyof ProgramSettings]: Field<ProgramSettings[K]> }

/** The declarations of {@link ProgramSettings}. */
export const programSettings: ProgramSettingFields = {
  command: list({
    doc: 'The program and its arguments, run without a shell; one text is split at its spaces',
    example: '["tap-github"]',
  }),
  config: json({
    doc: 'Its settings; it gets them as the file behind --config, which only you may read and which is removed afterwards',
    optional: true,
    secret: true,
  }),
  configFile: text({
    doc: 'A file of its settings that is there already, in place of config: for a program that writes new tokens back into it',
    aliases: ['config_file'],
    optional: true,
  }),
}

/** What is run, and with which settings; `file` where they are in one that is there already. */
export interface ProgramConfig {
  readonly command: readonly string[]
  readonly value: JsonObject | undefined
  readonly file: string | undefined
}

const split = (text: string): readonly string[] =>
  (text.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? []).map((word) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'))

/**
 * A command that was given as one text is split at its spaces, unless there is a file of that name. What stands in quotes stays
 * together; nothing else of a shell is known here.
 */
const wordsOf = (command: readonly string[]): readonly string[] => {
  const [only = ''] = command
  return command.length === 1 && /\s/.test(only) && !existsSync(only) ? split(only) : command
}

/** The settings of the program, and the file they are in where there is one already. Throws CONFIG_INVALID, CONFIG_FILE. */
export const programConfig = (settings: ProgramSettings, what: string): ProgramConfig => {
  const { config, configFile } = settings
  const command = wordsOf(settings.command)
  if (command.length === 0) throw new MillraceError('CONFIG_INVALID', { what, problems: ['command names no program'] })
  if (configFile === undefined) return { command, value: config, file: undefined }
  if (config !== undefined)
    throw new MillraceError('CONFIG_INVALID', { what, problems: ['config and config_file cannot both be given'] })
  try {
    const value: unknown = JSON.parse(readFileSync(configFile, 'utf8'))
    if (isObject(value)) return { command, value: value as JsonObject, file: configFile }
  } catch (e) {
    const code = systemCode(e)
    throw new MillraceError(
      'CONFIG_FILE',
      { file: configFile, why: code === undefined ? 'it is not JSON' : `it cannot be read (${code})` },
      // The engine's words may quote the file, and with it a secret.
      { cause: undefined },
    )
  }
  throw new MillraceError('CONFIG_FILE', { file: configFile, why: 'it does not hold a JSON object' })
}
