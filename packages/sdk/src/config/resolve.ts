import { MillraceError, nearest } from '../errors/error.ts'
import type { JsonObject } from '../message/json.ts'
import type { ConfigOf, ConfigSpec, Field } from './fields.ts'

/** Where the value of a setting came from, strongest first. */
export type SettingSource = 'flag' | 'environment' | 'file' | 'default'

/** One setting as it was resolved. A secret's value is never in `shown`. */
export interface ResolvedSetting {
  readonly key: string
  readonly source: SettingSource | 'unset'
  /** The variable or file key that gave it. */
  readonly from: string
  readonly shown: string
}

export interface ResolveInput {
  /** `tap` or `target` and the connector's name: TAP_GITHUB_ACCESS_TOKEN, TARGET_JSONL_PATH. */
  readonly kind: 'streamer' | 'persister' | 'operation'
  readonly name: string
  readonly flags?: JsonObject
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly file?: JsonObject
  /** What to call the file in an error. */
  readonly fileName?: string
  /** Refuse keys in the file that no setting has. Default false: Singer programs ignore them, with a warning. */
  readonly strict?: boolean
  /** Where a key of the file stands (`line 7 column 5`), put before what is wrong with it; without a key, where all of them do. */
  readonly placeOf?: (key?: string) => string
  /** Keys of the file whose values are not known yet: they are there, and not judged. */
  readonly unjudged?: ReadonlySet<string>
}

export interface Resolved<C extends ConfigSpec> {
  readonly config: ConfigOf<C>
  readonly settings: readonly ResolvedSetting[]
  /** Keys of the file that no setting has, with near names. */
  readonly unknown: readonly string[]
}

const prefixes = {
  streamer: ['TAP', 'MILLRACE_STREAMER'],
  persister: ['TARGET', 'MILLRACE_PERSISTER'],
  operation: ['MILLRACE_OPERATION'],
} as const

const screaming = (name: string): string =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toUpperCase()

/** The flag of a setting: pageSize is --page-size. */
export const flagName = (key: string): string =>
  key
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replace(/_/g, '-')
    .toLowerCase()

/** The environment variables that give a setting, first wins. */
export const environmentNames = (
  kind: ResolveInput['kind'],
  name: string,
  key: string,
  field: Field<unknown>,
): readonly string[] => [
  ...(field.env ?? []),
  ...prefixes[kind].map((p) => `${p}_${screaming(name)}_${screaming(key)}`),
]

/**
 * The settings of a connector: flag, then environment, then file, then default. Reports every wrong setting at once,
 * and for a missing one every place that was looked in. Throws CONFIG_INVALID.
 */
export const resolveConfig = <C extends ConfigSpec>(spec: C, input: ResolveInput): Resolved<C> => {
  const problems: string[] = []
  const settings: ResolvedSetting[] = []
  const config: Record<string, unknown> = {}
  const known = new Set<string>()
  const place = (key?: string): string => (input.placeOf === undefined ? '' : `${input.placeOf(key)}: `)
  for (const [key, field] of Object.entries(spec)) {
    const fileKeys = [key, ...snakeOf(key), ...(field.aliases ?? [])]
    for (const k of fileKeys) known.add(k)
    if (fileKeys.some((k) => input.unjudged?.has(k) === true)) continue
    const variables = environmentNames(input.kind, input.name, key, field)
    const found = find(key, fileKeys, variables, input)
    if (found === undefined) {
      config[key] = field.default
      if (field.required)
        problems.push(
          `${place()}${key} is missing (${field.accepts}; looked for --${flagName(key)}, ${variables.join(', ')}, "${key}" in ${input.fileName ?? 'the configuration'})`,
        )
      settings.push({
        key,
        source: field.default === undefined ? 'unset' : 'default',
        from: '',
        shown: show(field, field.default),
      })
      continue
    }
    try {
      config[key] = field.parse(found.raw)
      settings.push({ key, source: found.source, from: found.from, shown: show(field, config[key]) })
    } catch (e) {
      problems.push(
        `${found.source === 'file' ? place(found.key) : ''}${key} ${(e as Error).message} (from ${found.from})`,
      )
    }
  }
  const unknown = Object.keys(input.file ?? {}).filter((k) => !known.has(k))
  if (input.strict === true) {
    for (const k of unknown) {
      const near = nearest(k, Object.keys(spec))
      problems.push(
        `${place(k)}"${k}" is not a setting${near.length > 0 ? `; did you mean ${near.join(' or ')}?` : ''}`,
      )
    }
  }
  if (problems.length > 0) throw new MillraceError('CONFIG_INVALID', { what: `${input.kind} ${input.name}`, problems })
  return { config: config as ConfigOf<C>, settings, unknown }
}

const snakeOf = (key: string): readonly string[] => {
  const snake = key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase()
  return snake === key ? [] : [snake]
}

const find = (
  key: string,
  fileKeys: readonly string[],
  variables: readonly string[],
  input: ResolveInput,
):
  | { readonly raw: unknown; readonly source: SettingSource; readonly from: string; readonly key?: string }
  | undefined => {
  const flagged = input.flags?.[key]
  if (flagged !== undefined) return { raw: flagged, source: 'flag', from: `--${flagName(key)}` }
  for (const name of variables) {
    const value = input.env?.[name]
    if (value !== undefined && value !== '') return { raw: value, source: 'environment', from: name }
  }
  for (const k of fileKeys) {
    const value = input.file?.[k]
    if (value !== undefined && value !== null)
      return { raw: value, source: 'file', from: `"${k}" in ${input.fileName ?? 'the configuration'}`, key: k }
  }
  return undefined
}

const show = (field: Field<unknown>, value: unknown): string =>
  value === undefined ? '' : field.secret === true ? '***' : typeof value === 'string' ? value : JSON.stringify(value)

/** JSON Schema of a whole declaration, for editors and the project file. */
export const configJsonSchema = (spec: ConfigSpec): JsonObject => ({
  type: 'object',
  properties: Object.fromEntries(Object.entries(spec).map(([key, field]) => [key, field.jsonSchema])),
})
