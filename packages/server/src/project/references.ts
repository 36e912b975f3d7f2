// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the project file look like templates
/**
 * References to the environment in the texts of a project file: `${NAME}`, `${env:NAME}`, and `${NAME:-other}` for when
 * it is unset or empty; `$${` stands for itself. They are resolved late, when a pipeline starts, and only in `config`,
 * `env` and the `mask_salt` of maps; a value is never put into a message.
 */
import { isObject, type Json, type JsonObject, MillraceError } from '@millrace/sdk'
import type { PipelineEnd } from '../domain/pipeline.ts'

/** The environment as it was given: real variables over those of `.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

const reference = /\$\$\{|\$\{([^}]*)\}?/g
const inside = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/

/** What is wrong with the references of a text, one line each; their values are not looked at. */
export const referenceProblems = (text: string): readonly string[] =>
  [...text.matchAll(reference)]
    .filter((m) => m[0] !== '$${' && (!m[0].endsWith('}') || !inside.test(m[1] ?? '')))
    .map((m) => `"${m[0]}" is not a reference: write \${NAME}, \${NAME:-other} or $\${ for the characters themselves`)

/** Whether a text has a reference. */
export const hasReference = (text: string): boolean => [...text.matchAll(reference)].some((m) => m[0] !== '$${')

/** Variables that are not set, with the path of keys to where the first of them is asked for. */
type Missing = Map<string, readonly string[]>

/** A text with its references replaced. Names that are not set are added to `missing`. */
const resolveText = (text: string, env: Environment, missing: Missing, path: readonly string[]): string =>
  text.replace(reference, (whole: string, body: string | undefined) => {
    if (whole === '$${') return '${'
    const m = inside.exec(body ?? '')
    if (m === null) return whole
    const [, name = '', other] = m
    const value = env[name]
    if (other !== undefined) return value === undefined || value === '' ? other : value
    if (value === undefined && !missing.has(name)) missing.set(name, path)
    return value ?? ''
  })

const resolveValue = (value: Json, env: Environment, missing: Missing, path: readonly string[]): Json => {
  if (typeof value === 'string') return resolveText(value, env, missing, path)
  if (Array.isArray(value)) return value.map((v: Json, i) => resolveValue(v, env, missing, [...path, String(i)]))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolveValue(v, env, missing, [...path, k])]))
}

interface About {
  /** Whose references they are. */
  readonly what: string
  /** Where their values were looked for. */
  readonly places: string
}

const refuseMissing = (missing: Missing, about: About): void => {
  if (missing.size === 0) return
  throw new MillraceError('CONFIG_INVALID', {
    what: about.what,
    problems: [...missing.keys()].map((name) => notSet(name, about)),
    fix: fixOfMissing,
  })
}

const notSet = (name: string, { places }: About): string => `the variable ${name} is not set (looked in ${places})`

/** What to do about a variable that is not set. */
export const fixOfMissing =
  'Set it in the environment or in the file .env beside millrace.yaml, or write ${NAME:-other} to go on without it.'

/** A variable that an end refers to and that is not set: the path of keys to where (`config`, `path`), and that in words. */
export interface MissingVariable {
  readonly path: readonly string[]
  readonly problem: string
}

/** Every variable that is not set in an end. */
export const missingVariables = (end: PipelineEnd, env: Environment, about: About): readonly MissingVariable[] => {
  const missing: Missing = new Map()
  resolveParts(end, env, missing)
  return [...missing].map(([name, path]) => ({ path, problem: notSet(name, about) }))
}

const resolveParts = (end: PipelineEnd, env: Environment, missing: Missing): ResolvedEnd => ({
  config: end.config === undefined ? undefined : (resolveValue(end.config, env, missing, ['config']) as JsonObject),
  env: resolveValue(end.env, env, missing, ['env']) as Record<string, string>,
})

/** The configuration and variables of an end with every reference replaced. */
export interface ResolvedEnd {
  readonly config: JsonObject | undefined
  readonly env: Readonly<Record<string, string>>
}

/**
 * Resolves the references of an end. Throws CONFIG_INVALID naming every variable that is not set; `what` says whose
 * they are, `places` where they were looked for.
 */
export const resolveEnd = (end: PipelineEnd, env: Environment, about: About): ResolvedEnd => {
  const missing: Missing = new Map()
  const resolved = resolveParts(end, env, missing)
  refuseMissing(missing, about)
  return resolved
}

/** Maps with the references of their salts resolved. Throws CONFIG_INVALID as {@link resolveEnd} does. */
export const resolveMaps = (maps: JsonObject, env: Environment, about: About): JsonObject => {
  const missing: Missing = new Map()
  const salted = (rules: Json): Json =>
    isObject(rules) && typeof rules['mask_salt'] === 'string'
      ? { ...rules, mask_salt: resolveText(rules['mask_salt'], env, missing, []) }
      : rules
  const resolved = Object.fromEntries(Object.entries(maps).map(([name, rules]) => [name, salted(rules)]))
  refuseMissing(missing, about)
  return resolved
}
